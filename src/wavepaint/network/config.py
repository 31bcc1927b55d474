"""What a WavePaint network is made of: one frozen value, stored in every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from wavepaint.errors import OptionError, check_known
from wavepaint.options import DAMAGE_KINDS

STEMS = ("conv", "haar")
PREFILLS = ("haar", "zero")
OUTPUTS = ("image", "damage")

_LIMITS = {
    "num_modules": (1, 64),
    "blocks_per_module": (1, 256),
    "final_dim": (4, 4096),
    "ff_channel": (1, 4096),
    "mult": (1, 64),
    "level": (1, 4),
    "input_channels": (3, 4),
    "packet_levels": (1, 5),
    "sweeps": (0, 1000),
    "octaves": (0, 3),
    "stem_channels": (1, 256),
}
"""Least and largest sensible values: a damaged file must not make anybody allocate terabytes."""


@dataclass(frozen=True)
class WavePaintConfig:
    """Every number that shapes the network (names of the paper, arXiv 2307.00407, where it has them).

    Attributes:
        num_modules: WaveMix modules, each refining the image of the one before.
        blocks_per_module: WaveMix blocks in a module.
        final_dim: channels C inside a module; a multiple of 4.
        ff_channel: channels F after a block's token mixing.
        mult: widening m of a block's 1x1 layers.
        level: DWT levels L of a block, 1 to 4; in a damage detector, of the middle block; the others have
            one less (at least 1).
        dropout: probability of dropping a channel mix in training.
        wavelet: any orthogonal or biorthogonal PyWavelets name.
        input_channels: 4 (RGB and mask) or 3 (a published variant that never sees the mask).
        stem: "conv" (published: strided convolutions, half resolution) or "haar" (wavelet packet).
        packet_levels: depth of the "haar" stem's packet; the blocks work at 1 / 2**packet_levels.
        prefill: what the hole holds at the start: "zero" (published) or "haar" (`network.prefill`).
        sweeps: smoothing sweeps per scale of the "haar" prefill.
        octaves: halvings, at most, at which a deep hole is filled first, each result the guess of the next; 0 for a
            network that has not learned to start from such a guess (`fill.depth.coarse_levels_of`, `network.coarse`).
        output: "image" (the filled image) or "damage" (logits of `DAMAGE_KINDS`; see `network.damage`).
        stem_channels: channels at half resolution of a damage detector.
    """

    num_modules: int = 4
    blocks_per_module: int = 4
    final_dim: int = 128
    ff_channel: int = 128
    mult: int = 2
    level: int = 1
    dropout: float = 0.5
    wavelet: str = "haar"
    input_channels: int = 4
    stem: str = "conv"
    packet_levels: int = 2
    prefill: str = "zero"
    sweeps: int = 10
    octaves: int = 0
    output: str = "image"
    stem_channels: int = 8

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise OptionError(f"network configuration: {problem}")

    def _problem(self) -> str | None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                return f"{name} must be a whole number from {least} to {most}, got {value!r}"
        if self.final_dim % 4:
            return f"final_dim must be a multiple of 4, got {self.final_dim}"
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            return f"dropout must be in [0, 1), got {self.dropout!r}"
        for name, known in (("wavelet", None), ("stem", STEMS), ("prefill", PREFILLS), ("output", OUTPUTS)):
            value = getattr(self, name)
            if not isinstance(value, str):
                return f"{name} must be a name, got {value!r}"
            if known and value not in known:
                return f"unknown {name} {value!r}; known: {', '.join(known)}"
        return None

    @property
    def mask_channels(self) -> int:
        """Channels of the mask that a training sample of this network holds."""
        return len(DAMAGE_KINDS) if self.output == "damage" else 1

    @property
    def stride(self) -> int:
        """Pixels per position of the blocks; an image's sides must be multiples of it."""
        if self.output == "damage":
            return 4
        return 2 if self.stem == "conv" else 2**self.packet_levels

    @property
    def multiple(self) -> int:
        """Sides to pad to so that no wavelet level meets an odd size."""
        return int(self.stride * 2**self.level)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WavePaintConfig:
        """The inverse of `to_dict`; unknown fields raise `OptionError`."""
        # Checkpoints of version 0.1 say that their blocks mix by DWT, as all blocks do.
        values = {name: value for name, value in values.items() if (name, value) != ("mixing", "dwt")}
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionError(f"network configuration: unknown field {', '.join(unknown)}")
        return cls(**values)


PRESETS: Mapping[str, WavePaintConfig] = {
    **{f"published-{modules}": WavePaintConfig(num_modules=modules) for modules in range(2, 7)},
    "published-8x4": WavePaintConfig(num_modules=8, mult=4, input_channels=3),
    "default": WavePaintConfig(
        num_modules=1,
        blocks_per_module=4,
        final_dim=96,
        ff_channel=96,
        level=2,
        dropout=0.0,
        stem="haar",
        prefill="haar",
        octaves=3,
    ),
    "damage": WavePaintConfig(
        num_modules=1,
        blocks_per_module=3,
        final_dim=64,
        ff_channel=64,
        level=4,
        dropout=0.0,
        input_channels=3,
        output="damage",
        stem_channels=32,
    ),
}


def preset(name: str) -> WavePaintConfig:
    """The configuration of that name; an unknown name raises `OptionError` listing the known ones."""
    check_known("network preset", (name,), PRESETS)
    return PRESETS[name]
