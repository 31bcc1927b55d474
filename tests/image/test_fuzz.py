"""Mutated files and blocks of metadata: reading them ends, and a file is refused or filled with all else kept.

Seeded, some hundred mutations each; `WAVEPAINT_FUZZ_SECONDS=600 pytest ... -k PNG` goes on for longer.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fuzzing import mutation, seeds
from images import pillow, soft, tiff
from wavepaint.box import Box
from wavepaint.errors import ImageError
from wavepaint.image.file import ImageFile
from wavepaint.image.formats import exif, jpeg, photoshop, signature, webp, xmp
from wavepaint.image.formats import png as png_format
from wavepaint.image.formats import tiff as tiff_format

SAMPLES = soft(40, 50)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        # More often where headers and metadata are.
        most = len(changed) if rng.integers(2) else min(len(changed), 400)
        start = int(rng.integers(most)) if most else 0
        kind = rng.integers(6)
        if kind == 0:
            changed[start : start + 1] = bytes([int(rng.integers(256))])
        elif kind == 1:
            order = "little" if rng.integers(2) else "big"
            changed[start : start + 4] = int(rng.choice([0, 1, 2**15, 2**31 - 1, 2**32 - 1])).to_bytes(4, order)
        elif kind == 2:
            del changed[start:]
        elif kind == 3:
            del changed[start : start + int(rng.integers(1, 30))]
        elif kind == 4:
            changed[start : start + 1] = bytes([changed[start] ^ 1 << int(rng.integers(8))]) if changed else b""
        else:
            changed[start:start] = changed[: int(rng.integers(1, 40))]
    return bytes(changed)


def with_checksums(data: bytes) -> bytes:
    """A PNG in which the checksums of all chunks are right again, so that more than the first is looked at."""
    fixed, position = data[:8], 8
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        chunk = data[position + 4 : position + 8 + size]
        fixed += struct.pack(">I", size) + chunk + struct.pack(">I", zlib.crc32(chunk))
        position += 12 + size
    return fixed + data[position:]


def rich(format: str, **options: object) -> bytes:
    details = Image.Exif()
    details[270], details[271], details[274] = "what it shows", "own", 6
    details.get_ifd(0x8769)[40962] = 50
    return pillow(SAMPLES, format, exif=details, dpi=(300, 300), **options)


def rich_png() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a word", zip=True)
    texts.add_itxt("Author", "ä", "de", "Autor")
    texts.add(b"tIME", b"\x07\xea\1\1\1\1\1")
    texts.add(b"teSt", b"private")
    return rich("PNG", pnginfo=texts)


# -- what is read without libvips -------------------------------------------------------------------------------------


def read_tiff(data: bytes) -> None:
    stream = io.BytesIO(data)
    pages = tiff_format.read_pages(stream)
    for page in pages.directories[:3]:
        directory = tiff_format.read_directory(stream, page)
        tiff_format.integer_tags(directory)
        exif.descriptive(directory)
        exif.resolution(directory)
        exif.block_of(directory)


def read_exif(data: bytes) -> None:
    exif.for_image(data, 1, 50, 40)
    exif.resolution(exif.directory_of(data))
    exif.has_maker_notes(data)


def read_jpeg(data: bytes) -> None:
    for read in (jpeg.read_encoding, jpeg.bytes_behind, jpeg.read_jfif, jpeg.read_extras):
        read(io.BytesIO(data))


def read_png(data: bytes) -> None:
    for read in (png_format.exif, png_format.frames, png_format.colour_type):
        read(io.BytesIO(data))
    chunks = png_format.descriptive_chunks(io.BytesIO(data))
    png_format.states_resolution(chunks)
    png_format.names_of(chunks)


def read_webp(data: bytes) -> None:
    webp.is_lossless(io.BytesIO(data))


def read_texts(data: bytes) -> None:
    photoshop.without_thumbnails(data)
    photoshop.iptc_records(data)
    xmp.of_image_alone(data)
    signature.sniff(data)


TILED = tiff(SAMPLES, bigtiff=True, tile=(16, 16), extratags=[(65000, "H", 3, (1, 2, 3), True)])
READERS: dict[str, tuple[Callable[[bytes], None], bytes]] = {
    "TIFF": (read_tiff, rich("TIFF")),
    "BigTIFF": (read_tiff, TILED),
    "EXIF": (read_exif, Image.open(io.BytesIO(rich("JPEG"))).info["exif"]),
    "JPEG": (read_jpeg, rich("JPEG")),
    "PNG": (read_png, rich_png()),
    "WebP": (read_webp, rich("WEBP")),
    "Photoshop": (read_texts, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x04abcd8BIM\x04\x09\x04name\0\0\0\0\x03xyz\0"),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_of_bytes_end_on_anything(reader: str) -> None:
    """They may find nothing, but raise nothing."""
    read, data = READERS[reader]
    read(data)
    for seed in seeds(600):
        with mutation(seed):
            read(mutated(data, np.random.default_rng([11, seed])))


# -- whole files ------------------------------------------------------------------------------------------------------

FILES = {
    "JPEG": rich("JPEG", quality=88),
    "progressive JPEG": rich("JPEG", progressive=True, subsampling=0),
    "PNG": rich_png(),
    "WebP": rich("WEBP", lossless=True),
    "TIFF": tiff(SAMPLES, compression="lzw", rowsperstrip=8, description="what it shows", resolution=(300, 300)),
    "deflated TIFF": tiff(SAMPLES, compression="zlib", predictor=True, rowsperstrip=8),
    "tiled BigTIFF": TILED,
}
BOX = Box(0, 0, 8, 8)


def filled(data: bytes, format: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    """The samples of a file, and those of the result in which a box is inverted; None if it is refused in one line."""
    try:
        file = ImageFile.open(data)
        before = file.read_all()
        file.conversion_warnings(format or "png")
        result = ImageFile.open(file.encode([(BOX, ~before[BOX.slices])], format))
    except ImageError as error:
        if "\n" in str(error):
            raise
        return None
    return before, result.read_all()


@pytest.mark.parametrize("kind", FILES)
def test_mutated_files_are_refused_or_filled_with_every_other_sample_kept(kind: str) -> None:
    accepted = refused = 0
    for seed in seeds(200):
        rng = np.random.default_rng([13, seed])
        data = mutated(FILES[kind], rng)
        if kind == "PNG" and rng.integers(2):
            data = with_checksums(data)
        format = "png" if rng.integers(2) else None
        with mutation(seed), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outcome = filled(data, format)
        if outcome is None:
            refused += 1
            continue
        accepted += 1
        before, after = outcome
        assert before.shape[:2] == after.shape[:2], seed
        if "JPEG" in kind and format is None:
            # Chroma beside the compressed blocks of the box is smoothed with theirs.
            before, after = before[24:, 24:], after[24:, 24:]
            if any("compressed again" in str(each.message) for each in caught):
                continue
        else:
            before[BOX.slices] = ~before[BOX.slices]
        # Some results need fewer channels or bits than their sources have.
        if before.shape == after.shape and before.dtype == after.dtype:
            assert np.array_equal(before, after), seed
    assert min(accepted, refused) > 5, "one-sided: shows little"
