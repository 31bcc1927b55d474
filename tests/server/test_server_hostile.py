"""Damaged and dishonest uploads: never a crash, never a 5xx, never much memory."""

from __future__ import annotations

import re
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from images import noise, pillow, png, soft, tiff
from serving import assert_problem, make_client
from wavepaint.server.settings import Limits, Settings

SIDE = 48
MUTATIONS = 20
MEMORY = 200 * 2**20
REFUSALS = {413, 415, 422}

bounded = pytest.mark.usefixtures(*(["bounded_memory"] if sys.platform == "linux" else []))


def valid_files() -> dict[str, bytes]:
    image, deep, alpha = soft(SIDE, SIDE), noise(SIDE, SIDE, 3, np.uint16), noise(SIDE, SIDE, 4)
    return {
        "png": png(image),
        "png16": png(deep),
        "png-alpha": png(alpha),
        "jpeg": pillow(image, "JPEG", quality=90),
        "jpeg-progressive": pillow(image, "JPEG", progressive=True),
        "webp": pillow(image, "WEBP"),
        "webp-lossless": pillow(alpha, "WEBP", lossless=True),
        "tiff": tiff(image),
        "tiff-deflate-tiles": tiff(deep, compression="zlib", tile=(16, 16)),
        "bigtiff": tiff(image, bigtiff=True),
        "gif": pillow(image, "GIF"),
        "avif": pillow(image, "AVIF"),
    }


def mutations(content: bytes, seed: int) -> Iterator[bytes]:
    """`MUTATIONS` damaged versions of a file: cut short, bits flipped, overwritten, repeated, with huge numbers."""
    rng = np.random.default_rng(seed)
    for index in range(MUTATIONS):
        data = bytearray(content)
        # Half of the damage goes to the header, where the numbers stand that a decoder believes.
        reach = min(len(data), 128) if index % 2 else len(data)
        start = int(rng.integers(4, reach))
        length = int(rng.integers(1, 24))
        match index % 8:
            case 0:
                del data[start:]
            case 1:
                for position in rng.integers(4, reach, 4):
                    data[position] ^= 1 << int(rng.integers(8))
            case 2:
                data[start : start + length] = bytes(length)
            case 3:
                data[start : start + 4] = b"\xff\xff\xff\x7f"
            case 4:
                data[start : start + length] = rng.bytes(length)
            case 5:
                del data[start : start + length]
            case 6:
                data[start:start] = data[: start + length]
            case _:
                data[start:start] = b"<?xml version='1.0'?><svg/>%PDF-1.4"
        yield bytes(data)


def png_header(width: int, height: int, data: bytes = b"") -> bytes:
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """Fail a test during which the process' resident memory rises by more than `MEMORY`."""
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    yield
    assert _memory("VmHWM") - before < MEMORY


def _memory(line: str) -> int:
    match = re.search(rf"^{line}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) * 1024


@pytest.fixture(scope="module")
def client():
    with make_client(Settings(limits=Limits(pixels=1_000_000))) as client:
        yield client


def test_valid_files_are_filled(client):
    for name, content in valid_files().items():
        response = client.post("/v1/inpaint", files={"image": content}, data={"boxes": "10,12,9,8"})
        assert response.status_code == 200, name


@pytest.mark.parametrize("part", ["image", "mask"])
@bounded
def test_damaged_files(client, part):
    sent, refused = 0, 0
    for seed, (name, content) in enumerate(valid_files().items()):
        for index, damaged in enumerate(mutations(content, seed)):
            if part == "image":
                response = client.post("/v1/inpaint", files={"image": damaged}, data={"boxes": "10,12,9,8"})
            else:
                response = client.post("/v1/inpaint", files={"image": content, "mask": damaged}, data={"dilate": "1"})
            assert response.status_code in {200, *REFUSALS}, (name, index, response.text)
            if response.status_code != 200:
                assert_problem(response, response.status_code, "")
                refused += 1
            sent += 1
    assert sent >= 200
    assert refused >= sent // 4, "the damage is too gentle to show anything"


@pytest.mark.parametrize(
    ("width", "height"), [(60_000, 60_000), (1_000_001, 1), (1, 10_000_000), (2**31 - 1, 2**31 - 1)]
)
@bounded
def test_decompression_bombs(client, width, height):
    bomb = png_header(width, height, zlib.compress(bytes(10_000_000), 9))
    response = client.post("/v1/inpaint", files={"image": bomb}, data={"boxes": "1,1,2,2"})
    assert response.status_code in REFUSALS
    response = client.post("/v1/inpaint", files={"image": png(soft(8, 8)), "mask": bomb})
    assert response.status_code in REFUSALS


@bounded
def test_a_tile_much_larger_than_its_image(client):
    content = bytearray(tiff(noise(SIDE, SIDE, 3), tile=(16, 16)))
    for tag in (322, 323):
        entry = re.search(struct.pack("<H", tag) + b"[\x03\x04]\0\x01\0\0\0", content)
        assert entry
        content[entry.start() : entry.start() + 12] = struct.pack("<HHII", tag, 4, 1, 1 << 20)
    response = client.post("/v1/inpaint", files={"image": bytes(content)}, data={"boxes": "1,1,2,2"})
    assert response.status_code in REFUSALS


@bounded
def test_a_text_chunk_that_inflates(client):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    mebi = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    text = b"Comment\0\0" + b"\x78\x9c" + mebi * 1000
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    content = png(soft(SIDE, SIDE))
    image = content[:33] + chunk + content[33:]
    response = client.post("/v1/inpaint", files={"image": image}, data={"boxes": "1,1,2,2"})
    assert response.status_code in {200, *REFUSALS}
