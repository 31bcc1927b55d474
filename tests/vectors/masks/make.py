"""Make the vectors of mask reading: images, masks of every kind, and the hole that each must give.

Python (`tests/image/test_mask_vectors.py`) and the browser (`web/tests/mask_vectors.test.ts`) read the same table,
`vectors.json`. Every image is drawn here; the expected holes are what was drawn, except for lossy copies, whose holes
are what the reader gives, within the bounds that `Case.fits` sets.

    python tests/vectors/masks/make.py
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from PIL import Image, ImageDraw, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[2]))

from images import png

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 120, 80
RED, MARKER = (255, 0, 0), (237, 28, 36)


# -- images ------------------------------------------------------------------------------------------------------------


def natural_image() -> np.ndarray:
    """(H, W, 3) uint8: shades, texture, edges, and some black and white."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    rng = np.random.default_rng(1)
    sky = np.stack([90 + rows, 120 + rows, 200 - rows / 2], axis=2) + 12 * np.sin(columns / 9)[..., None]
    ground = np.stack([120 - rows / 2, 110 - rows / 3, 60 + columns / 4], axis=2)
    ground += rng.normal(0, 14, (HEIGHT, WIDTH, 1))
    samples = np.where((rows > 45 + 6 * np.sin(columns / 11))[..., None], ground, sky)
    samples[20:40, 80:100] = (250, 250, 248)
    samples[60:75, 10:30] = (6, 8, 5)
    return np.clip(samples + rng.normal(0, 2, samples.shape), 0, 255).astype(np.uint8)


def document() -> np.ndarray:
    """(H, W) uint8: a white page with lines of dark words, their edges smooth."""
    page = Image.new("L", (4 * WIDTH, 4 * HEIGHT), 255)
    draw = ImageDraw.Draw(page)
    rng = np.random.default_rng(2)
    for top in range(24, 4 * HEIGHT - 30, 40):
        left = 30
        while left < 4 * WIDTH - 60:
            length = int(rng.integers(4, 22))
            draw.line([(left, top + int(rng.integers(0, 16))), (left + length, top + int(rng.integers(0, 16)))], 20, 5)
            left += length + 6
    return np.asarray(page.resize((WIDTH, HEIGHT), Image.Resampling.BOX))


def night() -> np.ndarray:
    """(H, W, 3) uint8: black, with stars and a faint glow."""
    rows = np.arange(HEIGHT)[:, None]
    samples = np.zeros((HEIGHT, WIDTH, 3))
    samples += 70 * np.exp(-((rows - HEIGHT) ** 2) / 500)[..., None] * np.array([0.6, 0.8, 1.0])
    rng = np.random.default_rng(3)
    for _ in range(40):
        samples[int(rng.integers(0, HEIGHT)), int(rng.integers(0, WIDTH))] = rng.integers(120, 256)
    return np.clip(samples, 0, 255).astype(np.uint8)


NATURAL, DOCUMENT, NIGHT = natural_image(), document(), night()
GREY = NATURAL[..., 1]
DEEP = (NATURAL.astype(np.uint16) * 257 + np.random.default_rng(4).integers(-90, 90, NATURAL.shape)).astype(np.uint16)


def shape(draw_on: Image.Image, colour: Any) -> Image.Image:
    """Draw what all masks mark: a stroke and a disc."""
    draw = ImageDraw.Draw(draw_on)
    draw.line([(15, 12), (60, 55), (75, 20)], fill=colour, width=7)
    draw.ellipse([88, 45, 108, 65], fill=colour)
    return draw_on


HOLE = np.asarray(shape(Image.new("L", (WIDTH, HEIGHT)), 255)) > 0
SOFT = np.asarray(Image.fromarray(HOLE.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(1.5)))
LEFT = np.zeros_like(HOLE)
LEFT[:, : WIDTH * 7 // 10] = True
MOST = np.ones_like(HOLE)
MOST[:2, :30] = False
LABELS = np.zeros((HEIGHT, WIDTH), np.uint8)
LABELS[10:30, 10:50], LABELS[40:70, 60:110] = 8, 15


def voc_palette() -> list[int]:
    """The palette of the PASCAL VOC label maps: the bits of a label, spread over the colours."""
    palette = []
    for label in range(256):
        bits = [(label >> bit) & 1 for bit in range(8)]
        palette += [
            sum(bits[3 * digit + channel] << (7 - digit) for digit in range(3) if 3 * digit + channel < 8)
            for channel in range(3)
        ]
    return palette


# -- files -------------------------------------------------------------------------------------------------------------


def encoded(samples: np.ndarray | Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """The bytes of a file."""
    image = samples if isinstance(samples, Image.Image) else Image.fromarray(samples)
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def palette_png(indices: np.ndarray, palette: list[int], **options: Any) -> bytes:
    """An indexed PNG."""
    image = Image.fromarray(indices, "P")
    image.putpalette(palette)
    return encoded(image, **options)


def with_alpha(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W, C + 1)."""
    return np.dstack([colours, alpha])


def painted(samples: np.ndarray, colour: Any, hole: np.ndarray = HOLE) -> np.ndarray:
    """A copy with the hole painted over."""
    marked = samples.copy() if np.ndim(colour) == 0 or samples.ndim == 3 else np.dstack([samples] * 3)
    marked[hole] = colour
    return marked


def solid(colour: Any) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (HEIGHT, WIDTH, 3)).copy()


def on_black(colour: Any) -> np.ndarray:
    return painted(solid((0, 0, 0)), colour)


IMAGES = {
    "image.png": encoded(NATURAL),
    "grey.png": encoded(GREY),
    "deep.png": png(DEEP),
    "document.png": encoded(DOCUMENT),
    "night.png": encoded(NIGHT),
    "two-tone.png": encoded(HOLE.astype(np.uint8) * 255),
    "cutout.png": encoded(with_alpha(NATURAL, np.where(LEFT, 255, 0).astype(np.uint8))),
}


def turned_image() -> bytes:
    """An image on its side, whose orientation tag says so: upright it is WIDTH x HEIGHT."""
    exif = Image.Exif()
    exif[274] = 6
    return encoded(np.rot90(NATURAL, 1), exif=exif.tobytes())


IMAGES["turned.png"] = turned_image()


@dataclass(frozen=True)
class Case:
    """One mask and what must come of it.

    Attributes:
        name: of the case.
        mask: the file's bytes.
        hole: expected, (H, W) bool; None where an error is.
        image: name of the image that it belongs to.
        options: as in `wavepaint.options.Options`.
        warnings: kinds of messages.
        error: kind of error.
        suffix: of the file.
        lossy: the hole is what the reader gives, near `hole`.
    """

    name: str
    mask: bytes
    hole: np.ndarray | None = field(default_factory=lambda: HOLE)
    image: str = "image.png"
    options: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str | None = None
    suffix: str = ".png"
    lossy: bool = False

    def fits(self, hole: np.ndarray) -> bool:
        """Whether a hole of a lossy copy is near enough: 97 % of what was drawn, and nothing further away than 8."""
        assert self.hole is not None
        drawn = Image.fromarray(self.hole.astype(np.uint8) * 255)
        around = np.asarray(drawn.filter(ImageFilter.MaxFilter(17))) > 0
        return bool(hole[self.hole].mean() >= 0.97 and not hole[~around].any())


def cases() -> Iterator[Case]:
    """All cases; names say what is special."""
    yield from two_tones()
    yield from colours()
    yield from palettes()
    yield from copies()
    yield from shares()
    yield from sizes()


NOTHING = np.zeros_like(HOLE)


def two_tones() -> Iterator[Case]:
    grey = HOLE.astype(np.uint8) * 255
    yield Case("grey-8-bit", encoded(grey))
    yield Case("grey-1-bit", encoded(Image.fromarray(HOLE)))
    yield Case("grey-2-bit", few_bits(2))
    yield Case("grey-4-bit", few_bits(4))
    yield Case("grey-16-bit", encoded(HOLE.astype(np.uint16) * 65535))
    yield Case("grey-16-bit-half", encoded(np.where(HOLE, 32768, 32767).astype(np.uint16)))
    yield Case("grey-8-bits-in-16", encoded(HOLE.astype(np.uint16) * 255))
    yield Case("zeros-and-ones", encoded(HOLE.astype(np.uint8)))
    yield Case("interlaced", interlaced())
    yield Case("soft", encoded(SOFT), SOFT > 127)
    yield Case("soft-on-night", encoded(SOFT), SOFT > 127, "night.png")
    yield Case("grey-jpeg", encoded(grey, "JPEG", quality=80), decoded_jpeg(grey, 80) > 127, suffix=".jpg")
    yield Case("faint", encoded(HOLE.astype(np.uint8) * 100), NOTHING, warnings=("nothing",))
    yield Case("faint-threshold", encoded(HOLE.astype(np.uint8) * 100), options={"threshold": 0.2})
    yield Case("on-night", encoded(grey), image="night.png")
    yield Case("on-document", encoded(grey), image="document.png")
    yield Case("on-two-tone", encoded(np.asarray(grey)[::-1]), HOLE[::-1], "two-tone.png")


def few_bits(depth: int) -> bytes:
    """A grey PNG of 2 or 4 bits, its levels not only black and white."""
    most = 2**depth - 1
    return png(np.where(HOLE, most // 2 + 1, most // 2).astype(np.uint8)[..., None], depth)


def interlaced() -> bytes:
    """An interlaced PNG; made by libvips, as Pillow does not write them."""
    grey = HOLE.astype(np.uint8) * 255
    return bytes(pyvips.Image.new_from_array(grey, interpretation="b-w").pngsave_buffer(interlace=True))


def decoded_jpeg(samples: np.ndarray, quality: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded(samples, "JPEG", quality=quality))))


def colours() -> Iterator[Case]:
    grey = HOLE.astype(np.uint8) * 255
    yield Case("red-on-black", encoded(on_black(RED)))
    yield Case("marker-on-black", encoded(on_black(MARKER)))
    yield Case("blue-on-black", encoded(on_black((0, 0, 200))))
    yield Case("dark-red-on-black", encoded(on_black((120, 0, 0))), NOTHING, warnings=("nothing",))
    yield Case("two-colours-on-black", encoded(np.where(LEFT[..., None], on_black(RED), on_black((0, 200, 9)))))
    yield Case("red-on-black-opaque", encoded(with_alpha(on_black(RED), np.full_like(grey, 255))))
    yield Case("black-on-nothing", encoded(with_alpha(solid(0), grey)))
    yield Case("red-on-nothing", encoded(with_alpha(solid(RED), grey)))
    yield Case("white-on-nothing", encoded(with_alpha(solid(255), grey)))
    yield Case("red-on-nothing-soft", encoded(with_alpha(solid(RED), SOFT)), SOFT > 127)
    unlike = np.where((SOFT < 40)[..., None], np.random.default_rng(5).integers(0, 256, NATURAL.shape), solid(RED))
    yield Case("red-on-nothing-rounded", encoded(with_alpha(unlike.astype(np.uint8), SOFT)), SOFT > 127)
    yield Case("grey-and-alpha", encoded(Image.merge("LA", [Image.new("L", (WIDTH, HEIGHT)), Image.fromarray(grey)])))
    yield Case(
        "black-and-white-on-nothing",
        encoded(with_alpha(np.where(LEFT[..., None], solid(255), solid(0)), grey)),
        HOLE & LEFT,
    )
    yield Case(
        "nothing-visible", encoded(with_alpha(solid(255), NOTHING.astype(np.uint8))), NOTHING, warnings=("nothing",)
    )
    yield Case("transparent-colour", encoded(Image.fromarray(255 - grey), transparency=255))
    yield Case(
        "alpha-insisted",
        encoded(with_alpha(on_black(RED), 255 - grey)),
        ~HOLE,
        options={"mask_from": "alpha"},
        warnings=("half",),
    )
    yield Case("alpha-without-alpha", encoded(grey), None, options={"mask_from": "alpha"}, error="alpha")


def palettes() -> Iterator[Case]:
    voc = voc_palette()
    yield Case("label-map", palette_png(LABELS, voc), LABELS > 0, warnings=("labels",))
    yield Case("label-map-brightness", palette_png(LABELS, voc), LABELS == 15, options={"mask_from": "brightness"})
    yield Case("label-map-4-bit", palette_png(LABELS, voc[:48], bits=4), LABELS > 0, warnings=("labels",))
    yield Case("label-map-empty", palette_png(LABELS * 0, voc), NOTHING, warnings=("labels", "nothing"))
    yield Case("label-map-transparent", palette_png(LABELS, voc, transparency=0), LABELS > 0, warnings=("labels",))
    yield Case("label-map-gif", gif(LABELS, voc), LABELS > 0, warnings=("labels",), suffix=".gif")
    yield Case(
        "palette-of-greys", palette_png(HOLE.astype(np.uint8), [255, 255, 255, 0, 0, 0]), ~HOLE, warnings=("half",)
    )
    yield Case("palette-white-on-black", palette_png(HOLE.astype(np.uint8), [0, 0, 0, 255, 255, 255]))
    yield Case("palette-red-on-nothing", palette_png(1 - HOLE.astype(np.uint8), [255, 0, 0, 9, 9, 9], transparency=1))
    yield Case("labels-without-palette", encoded(on_black(RED)), None, options={"mask_from": "labels"}, error="labels")


def gif(indices: np.ndarray, palette: list[int]) -> bytes:
    image = Image.fromarray(indices, "P")
    image.putpalette(palette)
    return encoded(image, "GIF", optimize=False)


def copies() -> Iterator[Case]:
    copy = ("copy",)
    opaque = np.full((HEIGHT, WIDTH), 255, np.uint8)
    erased = np.where(HOLE, 0, 255).astype(np.uint8)
    yield Case("copy-red", encoded(painted(NATURAL, RED)), warnings=copy)
    yield Case("copy-marker", encoded(painted(NATURAL, MARKER)), warnings=copy)
    yield Case("copy-white", encoded(painted(NATURAL, 255)), warnings=copy)
    yield Case("copy-black", encoded(painted(NATURAL, 0)), warnings=copy)
    yield Case("copy-opaque", encoded(with_alpha(painted(NATURAL, RED), opaque)), warnings=copy)
    yield Case("copy-erased", encoded(with_alpha(painted(NATURAL, 0), erased)), warnings=copy)
    yield Case("copy-erased-colours-stay", encoded(with_alpha(NATURAL, erased)), warnings=copy)
    yield Case("copy-erased-soft", encoded(with_alpha(NATURAL, 255 - SOFT)), SOFT > 0, warnings=copy)
    yield Case("copy-of-grey", encoded(painted(GREY, RED)), image="grey.png", warnings=copy)
    yield Case("copy-of-grey-in-grey", encoded(painted(GREY, 255)), image="grey.png", warnings=copy)
    yield Case("copy-of-16-bit", png(painted(DEEP, 65535)), image="deep.png", warnings=copy)
    yield Case("copy-of-document", encoded(painted(DOCUMENT, RED)), image="document.png", warnings=copy)
    yield Case("copy-of-night", encoded(painted(NIGHT, MARKER)), image="night.png", warnings=copy)
    cutout = with_alpha(painted(NATURAL, RED), np.where(LEFT | HOLE, 255, 0).astype(np.uint8))
    yield Case("copy-of-cutout", encoded(cutout), image="cutout.png", warnings=copy)
    yield Case("copy-with-palette", palette_copy(), warnings=copy, lossy=True)
    yield Case("copy-without-marks", encoded(NATURAL), NOTHING, warnings=("nothing",))
    yield Case(
        "copy-insisted-brightness",
        encoded(painted(NIGHT, 255)),
        (NIGHT.max(axis=2) > 127) | HOLE,
        image="night.png",
        options={"mask_from": "brightness"},
    )
    mostly = with_alpha(NATURAL, np.where(LEFT, 0, 255).astype(np.uint8))
    yield Case("copy-mostly-erased", encoded(mostly), LEFT, options={"marked": True}, warnings=("copy", "half"))
    yield Case(
        "difference-insisted",
        encoded(painted(DOCUMENT, 0)),
        image="document.png",
        hole=HOLE & (DOCUMENT > 0),
        options={"mask_from": "difference"},
        warnings=copy,
    )
    for quality in (95, 85, 75, 50):
        yield Case(
            f"copy-jpeg-{quality}",
            encoded(painted(NATURAL, RED), "JPEG", quality=quality),
            warnings=copy,
            suffix=".jpg",
            lossy=True,
        )
    yield Case(
        "copy-jpeg-of-document",
        encoded(painted(DOCUMENT, RED), "JPEG", quality=75),
        image="document.png",
        warnings=copy,
        suffix=".jpg",
        lossy=True,
    )
    yield Case(
        "swapped", encoded(NATURAL), NATURAL.max(axis=2) > 127, image="two-tone.png", warnings=("half", "swapped")
    )


def palette_copy() -> bytes:
    """A marked copy reduced to 256 colours."""
    return encoded(Image.fromarray(painted(NATURAL, RED)).quantize(256, dither=Image.Dither.NONE))


def shares() -> Iterator[Case]:
    def white(hole: np.ndarray) -> bytes:
        return encoded(hole.astype(np.uint8) * 255)

    yield Case("nothing", white(NOTHING), NOTHING, warnings=("nothing",))
    yield Case("more-than-half", white(LEFT), LEFT, warnings=("half",))
    yield Case("inverted", white(~HOLE), options={"invert_mask": True})
    yield Case("inverted-by-mistake", white(HOLE), ~HOLE, options={"invert_mask": True}, warnings=("half",))
    yield Case("inverted-nothing", white(~NOTHING), NOTHING, options={"invert_mask": True}, warnings=("nothing",))
    yield Case("nearly-all", white(MOST), None, error="most")
    yield Case("nearly-all-insisted", white(MOST), MOST, options={"mask_from": "brightness"}, warnings=("half",))
    yield Case("nearly-all-inverted", white(MOST), ~MOST, options={"invert_mask": True})
    yield Case("all", white(~NOTHING), None, error="all")
    yield Case("all-inverted", white(NOTHING), None, options={"invert_mask": True}, error="all")


def sizes() -> Iterator[Case]:
    half = HOLE[::2, ::2]
    odd = np.asarray(Image.fromarray(HOLE).resize((50, 31), Image.Resampling.NEAREST))
    large = np.repeat(np.repeat(HOLE, 3, axis=0), 3, axis=1)
    yield Case("half-size", encoded(Image.fromarray(half)), None, error="size")
    yield Case(
        "half-size-resized",
        encoded(Image.fromarray(half)),
        np.repeat(np.repeat(half, 2, 0), 2, 1),
        options={"resize_mask": True},
    )
    yield Case("three-times-resized", encoded(Image.fromarray(large)), options={"resize_mask": True})
    rows, columns = (2 * np.arange(HEIGHT) + 1) * 31 // (2 * HEIGHT), (2 * np.arange(WIDTH) + 1) * 50 // (2 * WIDTH)
    yield Case("odd-size-resized", encoded(Image.fromarray(odd)), odd[rows][:, columns], options={"resize_mask": True})
    on_side = encoded(Image.fromarray(np.ascontiguousarray(np.rot90(HOLE, 1))))
    yield Case("turned-image", encoded(Image.fromarray(HOLE)), image="turned.png")
    yield Case("turned-image-stored-mask", on_side, None, image="turned.png", error="size")
    yield Case("turned-image-stored-mask-resized", on_side, image="turned.png", options={"resize_mask": True})
    yield Case("copy-of-turned-image", encoded(painted(NATURAL, RED)), image="turned.png", warnings=("copy",))


CASES = tuple(cases())


def hole_bytes(hole: np.ndarray) -> bytes:
    """A PNG of one bit a pixel."""
    return encoded(Image.fromarray(np.ascontiguousarray(hole)), optimize=True)


def main() -> None:
    """Write all files, and remove what no case needs any more."""
    from wavepaint.image.mask import find_hole
    from wavepaint.image.sources import open_image
    from wavepaint.options import Options

    written = {Path(__file__), FOLDER / "vectors.json"}

    def write(name: str, content: bytes) -> str:
        (FOLDER / name).write_bytes(content)
        written.add(FOLDER / name)
        return name

    for name, content in IMAGES.items():
        write(name, content)
    table = []
    for case in CASES:
        row: dict[str, Any] = {
            "name": case.name,
            "image": case.image,
            "mask": write(case.name + case.suffix, case.mask),
        }
        if case.suffix != ".png":
            decoded = Image.open(io.BytesIO(case.mask))
            mode = "RGB" if decoded.mode == "P" else decoded.mode
            row["decoded"] = write(f"{case.name}-decoded.png", encoded(decoded.convert(mode)))
        row |= {"options": case.options, "warnings": sorted(case.warnings)}
        if case.error:
            row["error"] = case.error
        else:
            hole = case.hole
            if case.lossy:
                hole = find_hole(open_image(IMAGES[case.image]), case.mask, Options(**case.options))
                assert case.fits(hole), case.name
            assert hole is not None
            row["hole"] = write(f"{case.name}-hole.png", hole_bytes(hole))
        table.append(row)
    lines = ",\n".join(json.dumps(row) for row in table)
    (FOLDER / "vectors.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    for path in set(FOLDER.glob("*.*")) - written:
        path.unlink()


if __name__ == "__main__":
    main()
