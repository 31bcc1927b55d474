"""From an uploaded form to a filled image: what the form asks for, what its headers admit to, and the work itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from wavepaint.cancellation import check_cancelled
from wavepaint.errors import ImageError, OptionError, WavepaintError
from wavepaint.find import Finder, Mask, encode_mask
from wavepaint.image.encoders import HEIF_COMPRESSION
from wavepaint.image.file import ImageFile
from wavepaint.image.formats.signature import sniff
from wavepaint.image.limits import changed_limits
from wavepaint.options import Declared, Finding, Options, declared
from wavepaint.server.problems import Problem
from wavepaint.server.settings import Limits
from wavepaint.server.uploads import Form

T = TypeVar("T")
IMAGE = "image"
MASK = "mask"
EXCLUDE = "exclude"
FILE_PARTS = {
    IMAGE: "The image file.",
    MASK: "An image file of the same size, white where the image is to be filled.",
    EXCLUDE: "An image file of the same size, white where nothing is to be copied from.",
}
"""The files of a form, and what they are."""
LARGEST_PAGES = 4
"""All pages of a file together may have as many pixels as this many of the largest: the result lies in memory."""
FIELDS = {option.name: option for option in declared(Options, "server")}
FINDING_FIELDS = {option.name: option for option in declared(Finding, "server")}


@dataclass(frozen=True)
class Answer:
    """A file to send: its contents, media type and usual suffix."""

    content: bytes
    media_type: str
    suffix: str


Work = Callable[[], Answer]
"""Done in whichever thread calls it; it asks `cancellation.check_cancelled` whether to continue.

Raises:
    Problem: 413 or 422, with the reason.
"""


@dataclass(frozen=True)
class Filler:
    """Makes work of forms.

    Attributes:
        inpaint: (image, mask, options) -> the filled image, encoded; what it raises of `WavepaintError` is the
            client's fault.
        limits: of pixels and frames.
        find_damage: (image, finding) -> (H, W) bool, True = damage; by default with the packaged network.
    """

    inpaint: Callable[[bytes, bytes | None, Options], bytes]
    limits: Limits
    find_damage: Callable[[bytes, Finding], Mask] = field(default_factory=lambda: Finder().find)

    def fill(self, form: Form) -> Work:
        """Fill the hole of an image.

        Raises:
            Problem: 415 for a file that is no image, 422 for a missing part or an option that makes no sense.
        """
        options = read_options(form, Options, FIELDS, exclude=form.files.get(EXCLUDE))
        image, mask = form.files[IMAGE], form.files.get(MASK)
        if sum((mask is not None, bool(options.boxes), options.alpha)) != 1:
            raise Problem(422, "say what to fill by one of: the part 'mask', boxes, alpha")

        def filled() -> bytes:
            check_headers(image, mask, options, self.limits)
            check_cancelled()
            return self.inpaint(image, mask, options)

        return partial(_answer, filled)

    def find(self, form: Form) -> Work:
        """Find the damage of an image, as a mask, white = damage; errors as those of `fill`."""
        finding = read_options(form, Finding, FINDING_FIELDS)

        def mask() -> bytes:
            _open(IMAGE, form.files[IMAGE], self.limits)
            return encode_mask(self.find_damage(form.files[IMAGE], finding))

        return partial(_answer, mask)


def read_options(form: Form, kind: Callable[..., T], fields: Mapping[str, Declared], **more: Any) -> T:
    """The options of a form with an image; raises what `Filler.fill` does."""
    if IMAGE not in form.files:
        raise Problem(422, "the form has no part 'image'")
    for name, content in form.files.items():
        if sniff(content[:16]) in (None, "bmp"):  # which would be read by ImageMagick
            raise Problem(415, f"{name} is not a PNG, JPEG, WebP, TIFF, AVIF, HEIC, GIF or JPEG XL image")
    try:
        return kind(**{name: _parse(fields[name], values) for name, values in form.fields.items()}, **more)
    except OptionError as error:
        raise Problem(422, str(error)) from error


def _answer(make: Callable[[], bytes]) -> Answer:
    """The encoded image that `make` returns, with the media type of what it really is."""
    try:
        content = make()
    except WavepaintError as error:
        raise Problem(422, _reason(error)) from error
    kind = sniff(content[:16])
    if kind == "heif":
        kind = "avif" if content[8:12] in (b"avif", b"avis") else "heic"
    if kind is None:
        raise ValueError("not an encoded image")
    return Answer(content, f"image/{kind}", "jpg" if kind == "jpeg" else kind)


def _reason(error: WavepaintError) -> str:
    """The message without the name that stands for uploaded bytes."""
    return str(error).removeprefix("<bytes>: ")


def check_headers(image: bytes, mask: bytes | None, options: Options, limits: Limits) -> None:
    """Look at what the files say about themselves, before a sample is decoded.

    Raises:
        Problem: 413 for too many pixels or frames, 422 for a damaged file or a mask of another size.
    """
    header = _open(IMAGE, image, limits)
    for name, content, remedy in ((MASK, mask, "; resize_mask fits it"), (EXCLUDE, options.exclude, "")):
        if content is None:
            continue
        other = _open(name, content, limits)
        fits = (other.width, other.height) == (header.width, header.height)
        if not fits and not (name == MASK and options.resize_mask):
            sizes = f"{other.width}x{other.height}, the image {header.width}x{header.height}"
            raise Problem(422, f"the {name} has another size than the image: it is {sizes}{remedy}")
    format = options.format or header.format
    if format in HEIF_COMPRESSION and header.width * header.height > limits.heif_pixels:
        raise Problem(413, f"a result in {format} may have {limits.heif_pixels} pixels: ask for another format")


def _open(name: str, content: bytes, limits: Limits) -> ImageFile:
    try:
        # The limits here are the server's own.
        with changed_limits(lifted=True):
            file = ImageFile.open(content)
            if file.pages > limits.frames:
                raise Problem(413, f"the {name} has {file.pages} frames: more than {limits.frames}")
            _check_pixels(name, file, limits)
    except ImageError as error:
        raise Problem(422, f"the {name} cannot be used: {_reason(error)}") from error
    return file


def _check_pixels(name: str, file: ImageFile, limits: Limits) -> None:
    """Refuse a file by the sizes of all its pages; of an animation, all frames have the size of the first."""
    pages = file.pages if file.format == "tiff" else 1
    total = 0
    for page in range(pages):
        check_cancelled()
        header = file.at_page(page) if page else file
        where = f"page {page + 1} of the {name}" if pages > 1 else f"the {name}"
        pixels = header.width * header.height
        if pixels > limits.pixels:
            raise Problem(413, f"{where} is {header.width}x{header.height}: more than {limits.pixels} pixels")
        total += pixels
    if total > (most := LARGEST_PAGES * limits.pixels):
        raise Problem(413, f"the pages of the {name} have {total} pixels together: more than {most}")


# -- options as text fields ------------------------------------------------------------------------------------------


def _read_text(option: Declared, text: str) -> Any:
    """The value of an option, or one of its values; `ValueError` says what it must be."""
    if option.option.parse is not None:
        return option.option.parse(text)
    if option.choices:
        if text not in option.choices:
            raise ValueError(f"one of {', '.join(option.choices)}")
        return text
    if option.kind is bool:
        if text not in ("true", "false"):
            raise ValueError("true or false")
        return text == "true"
    if option.kind is int:
        # int() alone would take spaces, underscores and other alphabets' digits too.
        if not re.fullmatch("-?[0-9]{1,9}", text):
            raise ValueError("a whole number")
        return int(text)
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _parse(option: Declared, values: tuple[str, ...]) -> Any:
    name = option.name
    if len(values) > 1 and not option.repeated:
        raise Problem(422, f"form field {name!r} is given twice")
    try:
        parsed = tuple(_read_text(option, value) for value in values)
    except ValueError as error:
        raise Problem(422, f"form field {name!r} must be {error}") from error
    return parsed if option.repeated else parsed[0]


_TYPES = {bool: "boolean", int: "integer", float: "number"}


def _schema_of(option: Declared) -> dict[str, Any]:
    """The JSON schema of a field: its type, limits, choices, default and help."""
    schema: dict[str, Any] = {"type": _TYPES.get(option.kind, "string")}
    if option.choices:
        schema["enum"] = list(option.choices)
    if option.option.pattern is not None:
        schema |= {"pattern": f"^{option.option.pattern}$", "examples": [option.option.example]}
    limits = {"minimum": option.option.least, "maximum": option.option.most}
    schema |= {key: limit for key, limit in limits.items() if limit is not None}
    if option.repeated:
        schema = {"type": "array", "items": schema}
    schema["description"] = option.help
    if option.default not in (None, ()):
        schema["default"] = option.default
    return schema


def form_schema(files: Iterable[str], fields: Mapping[str, Declared]) -> dict[str, Any]:
    """The JSON schema of a form with some of `FILE_PARTS`, from the declaration of the options."""
    properties: dict[str, Any] = {
        name: {"type": "string", "format": "binary", "description": FILE_PARTS[name]} for name in files
    }
    properties |= {name: _schema_of(option) for name, option in fields.items()}
    return {"type": "object", "required": [IMAGE], "additionalProperties": False, "properties": properties}
