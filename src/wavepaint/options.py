"""Every option of the main job, declared once: name, default, meaning and limits.

The Python interface, the command line and the server take their defaults, help and checks from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias

from wavepaint.box import Box
from wavepaint.errors import OptionError

BoxLike: TypeAlias = Box | Sequence[int]
"""A `Box`, or its left, top, width and height in pixels."""

MAX_DILATION = 500

GRAINS = ("auto", "off")
FORMATS = ("png", "jpeg", "webp", "tiff", "avif", "heic")
RUNTIMES = ("auto", "onnxruntime", "openvino", "torch")


def _help(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to fill in one photograph, and how to write it.

    Raises:
        OptionError: a value that makes no sense.
    """

    boxes: tuple[Box, ...] = field(
        default=(), metadata=_help("Fill this rectangle: left, top, width and height in pixels.")
    )
    alpha: bool = field(default=False, metadata=_help("Fill the fully transparent pixels."))
    threshold: float = field(
        default=0.5,
        metadata=_help(
            "Mask values above this share of their range are hole; a mask of zeros and ones stays as it is."
        ),
    )
    invert_mask: bool = field(default=False, metadata=_help("Fill what the mask leaves out, and keep what it marks."))
    dilate: int = field(default=0, metadata=_help("Grow the hole by this many pixels in every direction."))
    grain: str = field(
        default="auto",
        metadata=_help("Noise like that of the surroundings in the hole: auto (where there is any) or off."),
    )
    format: str | None = field(
        default=None, metadata=_help("Format of a result that has no file name; by default the photograph's.")
    )
    quality: int | None = field(
        default=None,
        metadata=_help("Quality of a lossy result, 1 to 100; by default the photograph's own where it has one."),
    )

    def __post_init__(self) -> None:
        if self.boxes and self.alpha:
            raise OptionError("boxes and alpha both say what to fill: give one of them")
        for name in ("alpha", "invert_mask"):
            if getattr(self, name) not in (False, True):
                raise OptionError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if not (_is_whole(self.dilate) and 0 <= self.dilate <= MAX_DILATION):
            raise OptionError(f"dilate must be 0 to {MAX_DILATION}, a whole number of pixels, got {self.dilate!r}")
        check_threshold(self.threshold)
        if self.grain not in GRAINS:
            raise OptionError(f"grain must be one of {', '.join(GRAINS)}, got {self.grain!r}")
        if self.format is not None:
            check_format(self.format)
        if self.quality is not None:
            check_quality(self.quality)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Which network runs, and where.

    Raises:
        OptionError: a value that makes no sense; whether the model exists is for `runtime.load_runtime` to say.
    """

    model: str | Path | None = field(
        default=None,
        metadata=_help("An ONNX file or a checkpoint; by default the network that comes with the package."),
    )
    runtime: str = field(default="auto", metadata=_help("What runs the network: auto, onnxruntime, openvino or torch."))
    threads: int | None = field(default=None, metadata=_help("Threads for the network; by default every core."))

    def __post_init__(self) -> None:
        if not isinstance(self.model, (str, Path, NoneType)):
            raise OptionError(f"model must be the path of a file, not {self.model!r}")
        if self.runtime not in RUNTIMES:
            raise OptionError(f"unknown runtime {self.runtime!r}; known: {', '.join(RUNTIMES)}")
        if self.threads is not None and not (_is_whole(self.threads) and self.threads >= 1):
            raise OptionError(f"threads must be at least 1, a whole number, got {self.threads!r}")


def check_threshold(threshold: Any) -> None:
    """Refuse a share of a mask's range that no value can be above: `OptionError`."""
    if not (isinstance(threshold, Real) and 0 <= float(threshold) < 1):
        raise OptionError(f"threshold must be at least 0 and below 1, got {threshold!r}")


def check_quality(quality: Any) -> None:
    """Refuse a quality that no encoder knows: `OptionError`."""
    if not (_is_whole(quality) and 1 <= quality <= 100):
        raise OptionError(f"quality must be 1 to 100, a whole number, got {quality!r}")


def check_format(format: Any) -> None:
    """Refuse the name of a format that cannot be written: `OptionError`, which lists the others."""
    if format not in FORMATS:
        raise OptionError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral)


def help_of(declared: type[Options | Engine], name: str) -> str:
    """The help text of an option."""
    return {option.name: str(option.metadata["help"]) for option in fields(declared)}[name]


def as_boxes(boxes: Iterable[BoxLike]) -> tuple[Box, ...]:
    """Boxes from any of their spellings.

    Raises:
        OptionError: not a sequence of boxes, not four whole numbers, or a box without pixels.
    """
    if not isinstance(boxes, Iterable):
        raise OptionError(f"boxes must be a list of (left, top, width, height), not {boxes!r}")
    return tuple(_as_box(box) for box in boxes)


def _as_box(box: BoxLike) -> Box:
    try:
        given = (box.left, box.top, box.width, box.height) if isinstance(box, Box) else tuple(box)
        numbers = tuple(int(number) for number in given)
    except (TypeError, ValueError, OverflowError):  # no sequence, no numbers, NaN, infinity
        given, numbers = (), ()
    if len(numbers) != 4 or numbers != given:
        raise OptionError(f"a box is four whole numbers, left, top, width and height, not {box!r}")
    left, top, width, height = numbers
    if width < 1 or height < 1:
        raise OptionError(f"a box must be at least 1x1 pixels, not {width}x{height}")
    return Box(left, top, width, height)
