"""Long work asks, between its pieces, whether to continue; without `cancellable` it always does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from images import noise, pillow, png
from serving import HalfInpainter
from wavepaint.box import Box
from wavepaint.cancellation import Cancelled, cancellable, check_cancelled
from wavepaint.fill.dilation import dilate
from wavepaint.image.file import ImageFile
from wavepaint.options import Options

LARGE = noise(1200, 800, 3)


def pages(count: int) -> bytes:
    page = Image.fromarray(noise(40, 60, 3))
    return pillow(page, "TIFF", save_all=True, append_images=[page] * (count - 1))


def corner_mask(height: int, width: int) -> bytes:
    mask = np.zeros((height, width, 1), np.uint8)
    mask[2:6, 2:6] = 255
    return png(mask)


def scattered() -> np.ndarray:
    mask = np.zeros(LARGE.shape[:2], np.bool_)
    mask[20::300, 20::300] = True
    return mask


def dots() -> np.ndarray:
    mask = np.zeros((3000, 1000), np.bool_)
    mask[::500, ::500] = True
    return mask


ENCODINGS = {
    f"encoding {format}": lambda format=format: ImageFile.open(png(LARGE)).encode([], format)
    for format in ("png", "jpeg", "tiff", "webp", "avif")
}
LOOPS: dict[str, Callable[[], object]] = {
    "dilation": lambda: dilate(dots(), 400),
    "mask": lambda: list(ImageFile.open(png(LARGE)).strips(hold=False)),
    "pages": lambda: HalfInpainter().fill(pages(9), corner_mask(40, 60), Options()),
    "crops": lambda: HalfInpainter().fill(LARGE, scattered(), Options()),
}
WORK = {**LOOPS, **ENCODINGS, "decoding": lambda: ImageFile.open(png(LARGE)).read(Box(0, 0, 5, 5))}


class Count:
    """Says no until it was asked `limit` times; then yes."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.limit


@pytest.mark.parametrize("name", LOOPS)
def test_long_work_is_given_up_in_the_middle(name):
    whole = Count(float("inf"))
    with cancellable(whole):
        LOOPS[name]()
    assert whole.asked >= 4, "asked too rarely to end soon"
    half = Count(whole.asked // 2)
    with cancellable(half), pytest.raises(Cancelled):
        LOOPS[name]()
    # Threads that read ahead may have asked once more.
    assert abs(half.asked - (whole.asked // 2 + 1)) <= 1


@pytest.mark.parametrize("name", WORK)
def test_nothing_comes_of_cancelled_work(name):
    with cancellable(lambda: True), pytest.raises(Cancelled):
        WORK[name]()
    WORK[name]()


@pytest.mark.parametrize("format", ["webp", "tiff"])
def test_an_encoder_is_interrupted(format):
    """The rows of these samples are handed over soon; their compression takes a multiple of that."""
    image = ImageFile.open(png(noise(1500, 1500, 3)))
    image.read(Box(0, 0, 1, 1))
    start = time.process_time()
    image.encode([], format)
    whole = time.process_time() - start
    start = time.process_time()
    with cancellable(lambda: True), pytest.raises(Cancelled):
        image.encode([], format)
    assert time.process_time() - start < whole / 2


def test_nothing_is_cancelled_outside_the_block_or_in_other_threads():
    with cancellable(lambda: True):
        with pytest.raises(Cancelled):
            check_cancelled()
        with ThreadPoolExecutor(1) as other:
            other.submit(check_cancelled).result()
        stop = threading.Event()
        with cancellable(stop.is_set):
            check_cancelled()
        with pytest.raises(Cancelled):
            check_cancelled()
    check_cancelled()
