import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from lab.frechet import frechet_distance  # noqa: E402
from lab.inception import FIDInception, load_inception  # noqa: E402
from lab.vgg import HoleFrechet  # noqa: E402
from wavepaint.errors import CheckpointError, OptionError  # noqa: E402
from wavepaint.evaluation.features import ALEX_WIDTHS, AlexNetFeatures, VGG16Features  # noqa: E402
from wavepaint.evaluation.perceptual import LPIPS, l2_pool, load_lpips, lpips_scorer  # noqa: E402
from wavepaint.evaluation.protocol import Evaluated, Item  # noqa: E402
from wavepaint.evaluation.results import SET_METRICS  # noqa: E402


class Same(nn.Module):
    """A backbone whose only layer is the image itself."""

    def forward(self, image):
        return [image]


class Halved(nn.Module):
    """Two layers: the image, and its 2x2 means."""

    def forward(self, image):
        return [image, nn.functional.avg_pool2d(image, 2)]


def pixels(*colours):
    """One row of pixels as (1, 3, 1, W)."""
    return torch.tensor(colours).T.reshape(1, 3, 1, -1)


def alex_state(seed=0):
    torch.manual_seed(seed)
    shapes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3)}
    shapes[10] = (256, 256, 3, 3)
    state = {f"features.{n}.weight": torch.randn(shape) * 0.05 for n, shape in shapes.items()}
    return state | {f"features.{n}.bias": torch.zeros(shape[0]) for n, shape in shapes.items()}


def alexnet(folder):
    torch.save({**alex_state(), "classifier.6.bias": torch.zeros(3)}, folder / "alexnet.pth")
    return AlexNetFeatures(folder / "alexnet.pth")


def alex_heads():
    return {f"lin{n}.model.1.weight": torch.rand(1, width, 1, 1) for n, width in enumerate(ALEX_WIDTHS)}


def test_an_unknown_layer_lists_the_known_ones():
    with pytest.raises(OptionError, match=r"unknown layer 'relu6_1'; known: relu1_1, relu1_2, relu2_1"):
        VGG16Features(None, ["relu1_1", "relu6_1"])


def test_distance_by_hand():
    # Unit vectors (1, 0, 0) and (0, 0.6, 0.8): squared differences 1, 0.36, 0.64, weighted 1, 2, 3.
    model = LPIPS(Same(), [torch.tensor([1.0, 2.0, 3.0])])
    a, b = pixels((0.5, 0.0, 0.0)), pixels((0.0, 0.3, 0.4))
    assert model(a, b).tolist() == pytest.approx([1 + 0.72 + 1.92])


def test_positions_are_averaged_and_length_does_not_matter():
    model = LPIPS(Same(), [torch.ones(3)])
    a = pixels((0.1, 0.0, 0.0), (0.2, 0.2, 0.2))
    b = pixels((0.0, 0.9, 0.0), (0.7, 0.7, 0.7))
    assert model(a, b).tolist() == pytest.approx([(2 + 0) / 2])


def test_layers_are_summed():
    torch.manual_seed(0)
    a, b = torch.rand(2, 2, 3, 8, 8)
    heads = torch.rand(2, 3)
    both = LPIPS(Halved(), list(heads))(a, b)
    first = LPIPS(Same(), [heads[0]])(a, b)
    second = LPIPS(Same(), [heads[1]])(*(nn.functional.avg_pool2d(x, 2) for x in (a, b)))
    torch.testing.assert_close(both, first + second)


def test_an_image_is_no_distance_from_itself_and_gradients_are_finite_where_nothing_is_active():
    model = LPIPS(Same(), [torch.ones(3)])
    a = torch.zeros(1, 3, 4, 4, requires_grad=True)
    distance = model(a, torch.zeros(1, 3, 4, 4))
    assert distance.item() == 0
    model(a, torch.rand(1, 3, 4, 4)).sum().backward()
    assert torch.isfinite(a.grad).all()


def test_the_map_of_one_full_size_layer_averages_to_the_distance():
    torch.manual_seed(0)
    model = LPIPS(Same(), [torch.rand(3)])
    a, b = torch.rand(2, 1, 3, 8, 8)
    layers = model.features(a), model.features(b)
    distances = model.distance_map(*layers, (8, 8))
    assert distances.shape == (1, 1, 8, 8)
    assert distances.mean().item() == pytest.approx(model.distance(*layers).item())


def test_the_score_inside_the_hole_looks_there_alone():
    truth = np.full((8, 8, 3), (200, 0, 0), np.uint8)
    mask = np.zeros((8, 8), bool)
    mask[:2] = True
    composite = truth.copy()
    composite[:2] = (0, 200, 0)
    scores = lpips_scorer("alex", LPIPS(Same(), [torch.ones(3)]))(truth, np.stack([composite, truth]), mask)
    assert scores["lpips_alex"].tolist() == pytest.approx([2 * 16 / 64, 0])
    assert scores["hole_lpips_alex"].tolist() == pytest.approx([2, 0])


def test_alexnet_has_five_layers_of_the_published_widths_and_strides(tmp_path):
    layers = alexnet(tmp_path)(torch.rand(1, 3, 64, 64))
    assert [tuple(layer.shape[1:]) for layer in layers] == [
        (64, 15, 15),
        (192, 7, 7),
        (384, 3, 3),
        (256, 3, 3),
        (256, 3, 3),
    ]
    assert all((layer >= 0).all() for layer in layers)


def test_weights_from_files_make_the_same_distance(tmp_path):
    heads = alex_heads()
    torch.save(heads, tmp_path / "heads.pth")
    expected = LPIPS(alexnet(tmp_path), list(heads.values()))
    model = load_lpips("alex", tmp_path / "alexnet.pth", tmp_path / "heads.pth")
    torch.manual_seed(1)
    a, b = torch.rand(2, 1, 3, 40, 40)
    torch.testing.assert_close(model(a, b), expected(a, b), rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_backbone_normalises_as_the_paper_does(tmp_path):
    # The paper's channel shift and scale, on images in [-1, 1].
    shift, scale = torch.tensor((-0.030, -0.088, -0.188)), torch.tensor((0.458, 0.448, 0.450))
    image = torch.rand(1, 3, 40, 40)
    features = alexnet(tmp_path)
    normalised = (2 * image - 1 - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1)
    expected = nn.functional.relu(features.convs[0](normalised))
    torch.testing.assert_close(features(image)[0], expected, rtol=1e-4, atol=1e-5)


def test_wrong_weights_are_named(tmp_path):
    torch.save(alex_heads(), tmp_path / "heads.pth")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights at all")
    with pytest.raises(CheckpointError, match=r"other\.pth: not AlexNet features"):
        load_lpips("alex", tmp_path / "other.pth", tmp_path / "heads.pth")
    with pytest.raises(CheckpointError, match=r"broken\.pth: cannot read weights: not a PyTorch state dict$"):
        load_lpips("alex", tmp_path / "broken.pth", tmp_path / "heads.pth")
    with pytest.raises(CheckpointError, match=r"gone\.pth: cannot read weights: No such file or directory$"):
        load_lpips("alex", tmp_path / "gone.pth", tmp_path / "heads.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: not LPIPS weights for alex"):
        load_lpips("alex", tmp_path / "other.pth", tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"gone\.safetensors: cannot read"):
        load_lpips("alex", tmp_path / "gone.safetensors", tmp_path / "heads.pth")
    with pytest.raises(OptionError, match="known: alex, vgg"):
        load_lpips("squeeze")


def test_l2_pooling_by_hand():
    # One sample of 2 under the middle of the window, which has a quarter of the weight: sqrt(4 / 4).
    x = torch.zeros(1, 2, 4, 4)
    x[0, 1, 2, 2] = 2
    pooled = l2_pool(x)
    assert pooled.shape == (1, 2, 2, 2)
    assert pooled[0, 1, 1, 1].item() == pytest.approx(1, abs=1e-5)
    assert pooled[0, 1, 0, 0].item() == pytest.approx(0, abs=1e-5)
    assert pooled[0, 0].max().item() == pytest.approx(0, abs=1e-5)


def hole_items(shift, count=4):
    """Items of noise whose fill is noise moved by `shift` levels."""
    rng = np.random.default_rng(0)
    mask = np.zeros((16, 16), bool)
    mask[4:12, 4:12] = True
    for number in range(count):
        truth, fill = rng.integers(0, 200, (2, 16, 16, 3), dtype=np.uint8)
        item = Item(str(number), "box", truth, mask)
        yield Evaluated(item, np.stack([item.composite(truth), item.composite(fill + np.uint8(shift))]), ())


def test_the_frechet_distance_of_holes_is_that_of_the_samples_in_them():
    scorer = HoleFrechet(Same())
    real, fake = [], []
    for evaluated in hole_items(50):
        scorer.add(evaluated)
        mask = evaluated.item.mask
        real.append(evaluated.item.truth[mask] / 255.0)
        fake.append(evaluated.composites[1][mask] / 255.0)
    same, moved = scorer.scores("box", 2)["vgg_frechet"]
    assert same == pytest.approx(0, abs=1e-9)
    assert moved == pytest.approx(frechet_distance(np.concatenate(fake), np.concatenate(real)), rel=1e-5)


def test_the_frechet_distance_of_holes_is_never_called_fid():
    assert "not FID" in SET_METRICS["vgg_frechet"].label


def test_inception_has_the_published_number_of_parameters_and_features():
    network = FIDInception()
    # 27,161,264 of the published classifier, less its auxiliary head (3,326,696) and last layer (2,049,000).
    assert sum(parameter.numel() for parameter in network.parameters()) == 21_785_568
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 64, 48)).shape == (1, 2048)


def test_inception_weights_are_asked_for_and_checked(tmp_path):
    with pytest.raises(OptionError, match="--weights inception=FILE"):
        load_inception(None)
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: not Inception v3 weights"):
        load_inception(tmp_path / "other.pth")


def test_distance_is_invariant_to_the_sign_of_the_difference(tmp_path):
    torch.manual_seed(0)
    model = LPIPS(alexnet(tmp_path), list(alex_heads().values()))
    a, b = torch.rand(2, 1, 3, 40, 40)
    assert math.isclose(model(a, b).item(), model(b, a).item(), rel_tol=1e-5)
