"""LPIPS and DISTS against their authors' packages, which take torchvision's VGG16: here a stand-in of its layers."""

import importlib.util
import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from wavepaint.evaluation.perceptual import load_dists, load_lpips  # noqa: E402
from wavepaint.evaluation.weights import packaged_weights  # noqa: E402

WIDTHS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
TOLERANCE = 1e-6


def vgg16_layers(seed=0):
    """torchvision's `vgg16().features`, with random weights that keep the activations' size."""
    torch.manual_seed(seed)
    layers, fan_in = [], 3
    for width in WIDTHS:
        if width == "M":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        conv = nn.Conv2d(fan_in, width, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight)
        layers += [conv, nn.ReLU(inplace=True)]
        fan_in = width
    return nn.Sequential(*layers)


@pytest.fixture
def vgg16(tmp_path, monkeypatch):
    """The same weights twice: as a file for us, as a module called torchvision for the authors' packages."""
    from safetensors.torch import save_file

    layers = vgg16_layers()
    path = tmp_path / "vgg16.safetensors"
    save_file({f"features.{name}": value for name, value in layers.state_dict().items()}, path)

    def make(pretrained=False):
        return types.SimpleNamespace(features=layers)

    models = types.ModuleType("torchvision.models")
    models.vgg16 = make
    stand_in = types.ModuleType("torchvision")
    stand_in.models, stand_in.transforms = models, types.ModuleType("torchvision.transforms")
    for name, module in (
        ("torchvision", stand_in),
        ("torchvision.models", models),
        ("torchvision.transforms", stand_in.transforms),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    yield path
    for name in [name for name in sys.modules if name.split(".")[0] in ("lpips", "DISTS_pytorch")]:
        del sys.modules[name]


def images():
    """A pair that differs in a square, at two sizes, one of them odd."""
    rng = torch.Generator().manual_seed(1)
    for height, width in ((64, 64), (75, 90)):
        a = torch.rand(1, 3, height, width, generator=rng)
        b = a.clone()
        b[..., 10:40, 20:50] = torch.rand(1, 3, 30, 30, generator=rng)
        yield a, b


def official(name):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed (pip install --no-deps lpips DISTS-pytorch)")
    return pytest.importorskip("DISTS_pytorch.DISTS_pt" if name == "DISTS_pytorch" else name)


def test_lpips_equals_the_official_package(vgg16):
    theirs = official("lpips").LPIPS(net="vgg", version="0.1", verbose=False)
    ours = load_lpips("vgg", vgg16)
    for a, b in images():
        expected = theirs(a, b, normalize=True).item()
        assert expected > 0.005
        assert ours(a, b).item() == pytest.approx(expected, abs=TOLERANCE)


def test_dists_equals_the_official_package(vgg16):
    module = official("DISTS_pytorch")
    # The package looks for its weights in the prefix of the installation; they are the ones that lie here.
    theirs = module.DISTS(load_weights=False)
    theirs.alpha.data, theirs.beta.data = (packaged_weights("dists")[name] for name in ("alpha", "beta"))
    ours = load_dists(vgg16)
    for a, b in images():
        expected = theirs(a, b).item()
        assert expected > 0.005
        assert ours(a, b).item() == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(("package", "path"), [("lpips", "weights/v0.1/{net}.pth"), ("DISTS_pytorch", "weights.pt")])
def test_the_packaged_weights_are_the_published_ones(package, path):
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"{package} is not installed (pip install --no-deps lpips DISTS-pytorch)")
    folder = spec.submodule_search_locations[0]
    for net in ("alex", "vgg") if package == "lpips" else ("",):
        published = torch.load(f"{folder}/{path.format(net=net)}", map_location="cpu", weights_only=True)
        packaged = packaged_weights(f"lpips_{net}" if net else "dists")
        assert packaged
        for name, value in packaged.items():
            np.testing.assert_array_equal(value, published[name].detach())
