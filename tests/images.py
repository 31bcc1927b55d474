"""Small images of every kind, made from seeded noise; written by encoders other than the library's."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

from wavepaint.image.file import ImageFile
from wavepaint.image.limits import changed_limits
from wavepaint.image.types import Source

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def noise(height: int, width: int, channels: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)


def soft(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Slow waves, which survive lossy compression nearly unchanged."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [127.5 + 100 * np.sin(rows / 17 + k) * np.cos(columns / 23 - k) for k in range(channels)]
    return np.stack(waves, axis=2).astype(np.uint8)


def streamed_file(source: Source, streamed: bool = True) -> ImageFile:
    """A file that is read as if it were too large to be held, or not."""
    with changed_limits(held_bytes=0 if streamed else 2**40):
        return ImageFile.open(source)


def pillow(samples: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    image = samples if isinstance(samples, Image.Image) else Image.fromarray(samples.squeeze())
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def png(samples: np.ndarray, depth: int | None = None) -> bytes:
    """A PNG of 1 to 4 channels and 8 or 16 bits; grey also with `depth` 1, 2 or 4, values 0 to 2**depth - 1."""
    height, width, channels = samples.shape
    depth = depth or 8 * samples.dtype.itemsize
    if depth < 8:
        bits = np.unpackbits(samples[..., 0][..., None], axis=2)[..., -depth:]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    else:
        rows = samples.astype(samples.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    data = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def tiff(samples: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    channels = samples.shape[2]
    options = {"photometric": "rgb" if channels >= 3 else "minisblack", **options}
    if channels in (2, 4) and "extrasamples" not in options and options["photometric"] != "separated":
        options["extrasamples"] = ["unassalpha"]
    if channels == 1:
        samples = samples[..., 0]
    elif options.setdefault("planarconfig", "contig") == "separate":
        samples = np.moveaxis(samples, 2, 0)
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


def two_pages(first: np.ndarray, second: tuple[int, int]) -> bytes:
    """A grey TIFF whose second page is a header alone, which claims (width, height) pixels in one strip of 16 bytes."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(first[..., 0], photometric="minisblack", metadata=None)
        writer.write(np.zeros((4, 4), np.uint8), photometric="minisblack", metadata=None)
    content = bytearray(stream.getvalue())
    start = tifffile.TiffFile(io.BytesIO(content)).pages[1].offset
    (count,) = struct.unpack_from("<H", content, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", content, entry)
        if tag in (256, 257, 278):
            struct.pack_into("<HII", content, entry + 2, 4, 1, second[0] if tag == 256 else second[1])
    return bytes(content)


def decoded(data: bytes) -> np.ndarray:
    """(height, width, channels) as decoders other than the library's see it, orientation not applied."""
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        samples = tifffile.imread(io.BytesIO(data))
    elif data.startswith(b"\x89PNG") and data[24] == 16:
        samples = _decoded_png16(data)
    else:
        samples = np.asarray(Image.open(io.BytesIO(data)))
        if samples.dtype == np.bool_:
            samples = samples.astype(np.uint8) * 255
    return samples if samples.ndim == 3 else samples[..., None]


def _decoded_png16(data: bytes) -> np.ndarray:
    import cv2

    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples.ndim == 3:
        order = cv2.COLOR_BGRA2RGBA if samples.shape[2] == 4 else cv2.COLOR_BGR2RGB
        samples = cv2.cvtColor(samples, order)
    if data[25] == 4:
        # OpenCV spreads grey with alpha over four channels.
        samples = samples[..., [0, 3]]
    return samples
