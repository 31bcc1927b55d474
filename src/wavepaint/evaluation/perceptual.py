"""LPIPS, the learned perceptual distance of Zhang et al. (2018), version 0.1, on plain PyTorch.

A backbone trained on ImageNet (AlexNet or VGG16) plus one weight per channel that people's judgements taught.
Neither is part of this package: both come from local files or, once, from their publishers.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavepaint.errors import CheckpointError, OptionError
from wavepaint.evaluation.downloads import Download, fetch
from wavepaint.evaluation.features import VGG16Features

Net = Literal["alex", "vgg"]

BACKBONES: Mapping[str, Download] = MappingProxyType(
    {
        "alex": Download(
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ),
        "vgg": Download(
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
    }
)
"""torchvision's ImageNet weights; the file names carry the first digits of the hash."""

HEADS = Download(
    "https://files.pythonhosted.org/packages/9b/13/"
    "1df50c7925d9d2746702719f40e864f51ed66f307b20ad32392f1ad2bb87/lpips-0.1.4-py3-none-any.whl",
    "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
)
"""The authors' own package: an archive whose `lpips/weights/v0.1/NET.pth` are the channel weights."""

VGG_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
ALEX_WIDTHS = (64, 192, 384, 256, 256)
VGG_WIDTHS = (64, 128, 256, 512, 512)
_EPSILON = 1e-10


class AlexNetFeatures(nn.Module):
    """Activations of AlexNet after each of its five ReLUs, frozen (Krizhevsky, 2014).

    Args:
        state: torchvision's `features.N.weight` and `features.N.bias`; other keys are not looked at.

    Raises:
        CheckpointError: a key is missing or of another shape.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        widths = (3, *ALEX_WIDTHS)
        shapes = ((11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))
        self.convs = nn.ModuleList(
            nn.Conv2d(fan_in, width, kernel, stride, padding)
            for fan_in, width, (kernel, stride, padding) in zip(widths, widths[1:], shapes, strict=False)
        )
        for conv, position in zip(self.convs, (0, 3, 6, 8, 10), strict=True):
            try:
                conv.load_state_dict({k: state[f"features.{position}.{k}"].float() for k in ("weight", "bias")})
            except (KeyError, RuntimeError) as error:
                raise CheckpointError(f"not AlexNet features: features.{position}: {error}") from None
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB in [0, 1], sides at least 32 -> five (B, C_l, H_l, W_l)."""
        x = (image - self.mean) / self.std
        found = []
        for index, conv in enumerate(self.convs):
            x = F.relu(conv(F.max_pool2d(x, 3, 2) if index in (1, 2) else x))
            found.append(x)
        return found


class LPIPS(nn.Module):
    """The distance of two pictures as people see it: 0 for equal ones, growing with difference.

    At every layer the activations are scaled to unit length over channels, their squared differences weighted
    per channel and averaged over positions; the layers are summed. The paper scales pictures to [-1, 1] and
    then shifts and scales every channel; together that is ImageNet's usual normalisation of [0, 1], which the
    backbones do.

    Args:
        features: frozen backbone, picture -> activations of L layers.
        heads: L vectors of channel weights, not negative.
    """

    def __init__(self, features: nn.Module, heads: Sequence[Tensor]) -> None:
        super().__init__()
        self.features = features
        self.heads = nn.ParameterList(
            nn.Parameter(head.float().reshape(1, -1, 1, 1), requires_grad=False) for head in heads
        )
        self.requires_grad_(False).eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1], twice -> (B,). Differentiable with respect to both."""
        return self.distance(self.features(a), self.features(b))

    def distance(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Like `forward`, from what `features` gave for both pictures."""
        return torch.stack([layer.mean((1, 2, 3)) for layer in self._layers(a, b)]).sum(0)

    def distance_map(self, a: Sequence[Tensor], b: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Like `distance` but for every pixel: (B, 1, *size), each layer's map enlarged bilinearly."""
        enlarged = [F.interpolate(layer, size, mode="bilinear", align_corners=False) for layer in self._layers(a, b)]
        return torch.stack(enlarged).sum(0)

    def _layers(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
        layers = zip(a, b, self.heads, strict=True)
        return [((_unit(x) - _unit(y)) ** 2 * head).sum(1, keepdim=True) for x, y, head in layers]


def load_lpips(net: Net, backbone: str | Path | None = None, heads: str | Path | None = None) -> LPIPS:
    """LPIPS with its published weights.

    Args:
        net: "alex" (the usual score) or "vgg".
        backbone: torchvision's ImageNet weights, `.pth` or `.safetensors` with keys `features.N.*`; downloaded
            and cached by default.
        heads: the authors' channel weights of version 0.1, `.pth`; downloaded and cached by default.

    Raises:
        OptionError: another net.
        CheckpointError: a file that is not what it should be.
        WavepaintError: a download that fails.
    """
    if net not in BACKBONES:
        raise OptionError(f"unknown LPIPS network {net!r}; known: {', '.join(BACKBONES)}")
    weights = _read_heads(net, heads)
    if net == "vgg":
        return LPIPS(load_vgg16(backbone, VGG_LAYERS), weights)
    path = Path(backbone) if backbone else fetch(BACKBONES[net])
    try:
        return LPIPS(AlexNetFeatures(_read_state(path)), weights)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def load_vgg16(path: str | Path | None, layers: Sequence[str]) -> VGG16Features:
    """VGG16 features from torchvision's weights, `.pth` or `.safetensors`; downloaded and cached by default.

    Raises:
        CheckpointError: a file that is not what it should be.
        WavepaintError: a download that fails.
    """
    path = Path(path) if path else fetch(BACKBONES["vgg"])
    if path.suffix == ".safetensors":
        return VGG16Features(path, layers)
    from safetensors.torch import save_file

    state = {key: value for key, value in _read_state(path).items() if key.startswith("features.")}
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / path.with_suffix(".safetensors").name
        save_file(state, converted)
        return VGG16Features(converted, layers)


def _read_heads(net: Net, path: str | Path | None) -> list[Tensor]:
    widths = ALEX_WIDTHS if net == "alex" else VGG_WIDTHS
    if path is None:
        archive = fetch(HEADS)
        with zipfile.ZipFile(archive) as wheel:
            state = _unpickle(io.BytesIO(wheel.read(f"lpips/weights/v0.1/{net}.pth")), archive)
    else:
        state = _read_state(Path(path))
    heads = [state.get(f"lin{layer}.model.1.weight", torch.empty(0)) for layer in range(len(widths))]
    found = tuple(head.numel() for head in heads)
    if found != widths:
        raise CheckpointError(f"{path}: not LPIPS weights for {net}: channels {found}, expected {widths}")
    return heads


def _read_state(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot read weights: {error}") from None
    return _unpickle(path, path)


def _unpickle(source: Path | io.BytesIO, name: Path) -> dict[str, Tensor]:
    try:
        state: Any = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make the unpickler fail in every way there is
        # PyTorch's own words advise against safety.
        reason = error.strerror if isinstance(error, OSError) and error.filename else "not a PyTorch state dict"
        raise CheckpointError(f"{name}: cannot read weights: {reason}") from None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{name}: holds no weights")
    return dict(state)


def _unit(x: Tensor) -> Tensor:
    """Scale to unit length over channels; kept differentiable where all channels are zero."""
    length = (x * x).sum(1, keepdim=True).clamp_min(_EPSILON**2).sqrt()
    return x / (length + _EPSILON)
