"""Weights of trained networks that scores and losses need: files of this package, files that are named, or downloads.

Filling holes never comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from wavepaint.errors import CheckpointError, WavepaintError, needs_extra
from wavepaint.files import cache_folder

DOWNLOADS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "alexnet": (
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ),
        "vgg16": (
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
    }
)
"""Address and SHA-256 of torchvision's ImageNet weights; the file names carry the first digits of the hash."""


def packaged_weights(name: str) -> dict[str, Tensor]:
    """Weights that lie in this package: `lpips_alex`, `lpips_vgg` (BSD) or `dists` (MIT); see the licences there."""
    from safetensors.torch import load

    return load((files("wavepaint.evaluation") / "published" / f"{name}.safetensors").read_bytes())


def fetch(name: str, downloads: Mapping[str, tuple[str, str]] = DOWNLOADS) -> Path:
    """The local copy of a file of `DOWNLOADS`, downloaded to `files.cache_folder()` and verified if it is not there.

    Raises:
        WavepaintError: the address does not answer, the folder cannot be written to, or the content is not the expected
            one (nothing stays).
        MissingExtraError: pooch is not installed.
    """
    with needs_extra("downloading weights", "train", "pooch"):
        import pooch
    url, sha256 = downloads[name]
    folder = cache_folder()
    pooch.get_logger().setLevel("ERROR")
    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", Path(url).name, folder))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong hash is a ValueError
        reason = " ".join(str(error).split())
        raise WavepaintError(f"{url}: cannot download: {reason}; with a local copy: --weights {name}=FILE") from None


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or a PyTorch state dict; `CheckpointError` when it is neither."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot read weights: {error}") from None
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make the unpickler fail in every way there is
        # PyTorch's own words advise against safety.
        reason = error.strerror if isinstance(error, OSError) and error.filename else "not a PyTorch state dict"
        raise CheckpointError(f"{path}: cannot read weights: {reason}") from None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path}: holds no weights")
    return dict(state)
