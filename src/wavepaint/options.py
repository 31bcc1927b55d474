"""Every option of the main job, declared once: name, type, default, limits, choices and help.

A field of `Options` or `Engine` is the whole declaration. The signatures of the Python interface, the command line, the
form of the server and the batch are made from it (`declared`, `take_options`), and so is its check.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from wavepaint.box import Box
from wavepaint.errors import OptionError

BoxLike: TypeAlias = Box | Sequence[int]
"""A `Box`, or its left, top, width and height in pixels."""
Detail: TypeAlias = Literal["image", "grain", "network"]
MaskFrom: TypeAlias = Literal["alpha", "brightness", "difference", "labels"]
Grain: TypeAlias = Literal["auto", "off"]
Progress: TypeAlias = Callable[[float], bool | None]
Format: TypeAlias = Literal["png", "jpeg", "jpg", "webp", "tiff", "tif", "avif", "heic", "jxl", "bmp"]
RuntimeName: TypeAlias = Literal["auto", "onnxruntime", "openvino", "torch"]
DamageKind: TypeAlias = Literal["scratches", "dust", "stamps"]

Door: TypeAlias = Literal["api", "cli", "server", "batch"]
"""A way into the package that takes options."""
DOORS: tuple[Door, ...] = get_args(Door)

RUNTIMES: tuple[str, ...] = get_args(RuntimeName)
_FORMAT_OF_SYNONYM = {"jpg": "jpeg", "tif": "tiff"}
FORMATS: tuple[str, ...] = tuple(name for name in get_args(Format) if name not in _FORMAT_OF_SYNONYM)
RECIPES = (
    *("default", "finetune", "film", "stamps", "faces", "damage"),
    *("published", "published-celeba", "published-imagenet"),
)
"""Recipes of training that come with the package."""

Function = TypeVar("Function", bound=Callable[..., Any])
P = ParamSpec("P")


@dataclass(frozen=True)
class Option:
    """What is declared of an option beside its name, type and default.

    Attributes:
        help: what it does, one or two sentences.
        least, most: limits of a number, both inclusive.
        doors: where it can be given.
        flags: how a command line spells it, if not by its name.
        metavar: what stands for its value in the help of a command line.
        parse: makes its value (or one of its values, if it is repeated) of text; `OptionError` if it cannot.
        pattern, example: of such a text.
        variable: the environment variable that a command line reads it from.
    """

    help: str
    least: float | None = None
    most: float | None = None
    doors: tuple[Door, ...] = DOORS
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    parse: Callable[[str], Any] | None = None
    pattern: str | None = None
    example: str | None = None
    variable: str | None = None


def _field_with(kind: Callable[P, Option]) -> Callable[Concatenate[Any, P], Any]:
    def declare(default: Any, /, *args: P.args, **more: P.kwargs) -> Any:
        return field(default=default, metadata={"option": kind(*args, **more)})

    return declare


option = _field_with(Option)
"""A field of a dataclass that is an option: its default, `dataclasses.MISSING` for none, then as for `Option`."""


@dataclass(frozen=True)
class Declared:
    """A declaration as it is read back.

    Attributes:
        name: of the option.
        annotation: its type as declared.
        kind: that type, or that of one value if the option is `repeated`, without None.
        optional: whether None is a value.
        repeated: whether it holds any number of values.
        default: `dataclasses.MISSING` if it must be given.
        option: the rest.
    """

    name: str
    annotation: Any
    kind: Any
    optional: bool
    repeated: bool
    default: Any
    option: Option

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a closed choice; empty for other options."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def limits(self) -> str:
        """The limits of a number in words; empty for other options."""
        least, most = self.option.least, self.option.most
        if least is None:
            return ""
        return f"at least {least:g}" if most is None else f"{least:g} to {most:g}"

    @property
    def help(self) -> str:
        """The help text, with the limits of a number."""
        return f"{self.option.help} {self.limits.capitalize()}." if self.limits else self.option.help

    def check(self, value: Any) -> None:
        """Refuse a value of another type or outside the limits: `OptionError`."""
        if self.option.parse is not None or (self.optional and value is None):
            return
        if self.choices:
            fits, expected = value in self.choices, f"one of {', '.join(map(str, self.choices))}"
        elif self.kind is bool:
            fits, expected = value in (False, True), "True or False"
        else:
            fits, expected = self._is_within(value), f"{self.limits}{', a whole number' * (self.kind is int)}"
        if not fits:
            raise OptionError(f"{self.name} must be {expected}, got {value!r}")

    def _is_within(self, value: Any) -> bool:
        least, most = self.option.least, self.option.most
        if least is None:
            return True
        number: Any = Integral if self.kind is int else Real
        return isinstance(value, number) and least <= value and (most is None or value <= most)


@functools.cache
def declared(kind: type, door: Door | None = None) -> tuple[Declared, ...]:
    """The options that a dataclass declares, in order; `door` leaves out those that cannot be given there."""
    hints: dict[str, Any] = get_type_hints(kind)
    options = []
    for each in fields(kind):
        declaration: Option | None = each.metadata.get("option")
        if declaration is None or not (door is None or door in declaration.doors):
            continue
        annotation = hints[each.name]
        parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
        repeated = get_origin(parts[0]) in (Sequence, tuple)
        one = get_args(parts[0])[0] if repeated else parts[0]
        optional = types.NoneType in parts
        options.append(Declared(each.name, annotation, one, optional, repeated, each.default, declaration))
    return tuple(options)


def check(values: Any) -> None:
    """Check every option of an instance of a dataclass that declares some: `OptionError`."""
    for each in declared(values.__class__):  # to mypy, what `type` returns is not hashable
        each.check(getattr(values, each.name))


_BOX_PATTERN = "-?[0-9]{1,6},-?[0-9]{1,6},[0-9]{1,6},[0-9]{1,6}"


def parse_box(text: str) -> Box:
    """A box from LEFT,TOP,WIDTH,HEIGHT; `OptionError` for anything else."""
    if not re.fullmatch(_BOX_PATTERN, text):
        raise OptionError(f"a box must be X,Y,W,H, four whole numbers, not {text!r}")
    return as_boxes([tuple(map(int, text.split(",")))])[0]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to fill in one image, and how to write it.

    `threshold` becomes a share, `boxes` a tuple of `Box`, and `format` one of `FORMATS`, whatever they were given as.

    Raises:
        OptionError: a value that makes no sense.
    """

    boxes: Sequence[BoxLike] = option(
        (),
        "Fill this rectangle: left, top, width and height in pixels. It may reach outside the image.",
        flags=("--box",),
        metavar="X,Y,W,H",
        parse=parse_box,
        pattern=_BOX_PATTERN,
        example="100,100,80,60",
    )
    alpha: bool = option(False, "Fill the fully transparent pixels.")
    threshold: float = option(
        0.5,
        "Mask values above this are hole: below 1 it is a share of their range, from 1 on a level of 255. A mask "
        "of zeros and ones stays as it is.",
        least=0,
        most=254,
    )
    marked: bool = option(
        False, "The mask is a copy of the image, with the hole painted over or erased to transparency."
    )
    mask_from: MaskFrom | None = option(
        None,
        "What of the mask is the hole: what is opaque (alpha), bright (brightness), different from the image "
        "(difference), or of any colour but the first of its palette (labels); by default what it looks like.",
    )
    resize_mask: bool = option(
        False, "Fit a mask of another size to the image: turned as the image is, or else stretched."
    )
    no_limits: bool = option(
        False, "Decode files that claim far more pixels than is usual for their size, too.", doors=("api", "cli")
    )
    invert_mask: bool = option(False, "Fill what the mask leaves out, and keep what it marks.")
    dilate: int = option(0, "Grow the hole by this many pixels in every direction.", least=0, most=500, metavar="PX")
    detail: Detail = option(
        "image",
        "Where detail comes from: image copies it from the image itself, grain adds only noise like that of the "
        "surroundings, network adds nothing.",
    )
    seed: int = option(0, "Another number gives another plausible result, for detail image.", least=0)
    exclude: Any = option(
        None,
        "Mask of what not to copy from, for detail image; of the size of the image.",
        doors=("api", "cli"),
        metavar="MASK",
        parse=Path,
    )
    bgr: bool = option(
        False, "The channels of arrays and tensors are blue, green, red, as OpenCV has them.", doors=("api",)
    )
    progress: Progress | None = option(
        None,
        "A function called with the share done, 0 to 1; it may return False to stop, which raises `Cancelled`.",
        doors=("api",),
    )
    grain: Grain | None = option(None, 'Deprecated: auto is detail="grain", off is detail="network".')
    format: Format | None = option(
        None,
        "Format of results without a file name, or of all in a folder; by default that of the image.",
        doors=("api", "cli", "server"),
    )
    quality: int | None = option(
        None, "Quality of a lossy result; by default that of the image where it has one.", least=1, most=100
    )

    def __post_init__(self) -> None:
        check(self)
        object.__setattr__(self, "boxes", as_boxes(self.boxes))
        if self.boxes and self.alpha:
            raise OptionError("boxes and alpha both say what to fill: give only one of them")
        if self.grain is not None:
            # The level above whoever builds the options: the caller of the dataclass's own __init__.
            advice = 'grain is deprecated: use detail="grain" or detail="network"'
            warnings.warn(advice, DeprecationWarning, stacklevel=4)
            object.__setattr__(self, "detail", "grain" if self.grain == "auto" else "network")
        if self.marked and self.mask_from not in (None, "difference"):
            raise OptionError(f"marked reads the mask's difference from the image, and mask_from its {self.mask_from}")
        if self.threshold >= 1:
            object.__setattr__(self, "threshold", self.threshold / 255)
        if self.format is not None:
            object.__setattr__(self, "format", _FORMAT_OF_SYNONYM.get(self.format, self.format))


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Which network runs, and where.

    Raises:
        OptionError: a value that makes no sense; whether the model exists is for `runtime.load_runtime` to say.
    """

    model: str | Path | None = option(
        None,
        "An ONNX file or a checkpoint; by default the network that comes with the package.",
        parse=str,
        metavar="FILE",
    )
    runtime: RuntimeName = option("auto", "What runs the network.")
    threads: int | None = option(
        None, "Threads for the network; by default every core.", least=1, doors=("api", "cli", "server")
    )

    def __post_init__(self) -> None:
        check(self)
        if not isinstance(self.model, (str, Path, types.NoneType)):
            raise OptionError(f"model must be the path of a file, not {self.model!r}")


DAMAGE_KINDS: tuple[DamageKind, ...] = get_args(DamageKind)


def parse_kinds(text: str | Sequence[str]) -> tuple[DamageKind, ...]:
    """Kinds of damage, separated by commas or one by one; `OptionError` for anything else."""
    names = text.split(",") if isinstance(text, str) else list(text)
    kinds = tuple(kind for kind in DAMAGE_KINDS if kind in [name.strip() for name in names])
    if not kinds or len(kinds) < len(set(names)):
        raise OptionError(f"kinds must be some of {', '.join(DAMAGE_KINDS)}, got {text!r}")
    return kinds


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What damage to look for in an image, and how eagerly; `kinds` becomes a tuple.

    Raises:
        OptionError: a value that makes no sense.
    """

    kinds: str | Sequence[DamageKind] = option(
        ",".join(DAMAGE_KINDS),
        "What to look for: scratches (and hairs, fibres, cracks, folds), dust (specks, spots, stains), stamps "
        "(printed dates, captions, watermarks); separated by commas.",
        parse=str,
        metavar="KIND,...",
    )
    sensitivity: float = option(
        0.5, "How eagerly: more finds fainter damage, and takes more that is none for it.", least=0, most=1
    )
    grow: int = option(2, "Grow what is found by this many pixels, for soft edges.", least=0, most=50, metavar="PX")
    infrared: Any = option(
        None,
        "Infrared channel of a film scan, which shows dust and scratches alone: an image of the same size, or "
        '"band" for the fourth channel of the image itself. The network is not used then.',
        doors=("api", "cli"),
        parse=str,
        metavar="FILE|band",
    )

    def __post_init__(self) -> None:
        check(self)
        object.__setattr__(self, "kinds", parse_kinds(self.kinds))


def take_options(kind: type) -> Callable[[Function], Function]:
    """Give a function of `**options` the signature and docstring that a dataclass declares for the Python interface.

    "{options}" in its docstring becomes the list of them, indented like the line that it stands in.
    """

    def decorate(function: Function) -> Function:
        taken = declared(kind, "api")
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        keyword = inspect.Parameter.KEYWORD_ONLY
        given = [
            inspect.Parameter(each.name, keyword, default=each.default, annotation=each.annotation) for each in taken
        ]
        function.__signature__ = signature.replace(parameters=[*own, *given])  # type: ignore[attr-defined]
        lines = [f"{each.name}: {each.help}" for each in taken]
        text = function.__doc__ or ""
        indent = text.partition("{options}")[0].rpartition("\n")[2]
        function.__doc__ = text.replace("{options}", f"\n{indent}".join(lines))
        return function

    return decorate


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
