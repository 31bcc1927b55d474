"""The mask editor as its users handle it: in image coordinates, through the page's own controls."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyvips
from playwright.sync_api import Locator, Page, expect

MARGIN = 16
MAX_FITTED_SCALE = 3


def encode(samples: np.ndarray, suffix: str = ".png", **options: object) -> bytes:
    image = pyvips.Image.new_from_array(samples)
    if samples.dtype == np.uint16:
        image = image.copy(interpretation="grey16" if image.bands < 3 else "rgb16")
    return bytes(image.write_to_buffer(suffix, **options))


def decode(data: bytes) -> np.ndarray:
    """(H, W, C) samples as they stand in the file."""
    samples = pyvips.Image.new_from_buffer(data, "").numpy()
    return samples[..., None] if samples.ndim == 2 else samples


class EditorPage:
    def __init__(self, page: Page, url: str, *, fill_on_release: bool = False) -> None:
        self.page = page
        self.size = (0, 0)
        self.source = b""
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        # Of the context, as a service worker makes requests of its own.
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)
        self.fill_on_release(fill_on_release)

    @property
    def stage(self) -> Locator:
        return self.page.get_by_role("application", name="Image")

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def open(self, data: bytes, name: str) -> None:
        """Open an image and wait until it is shown."""
        self.source = data
        self.choose_file("Image file", data, name)
        expect(self.status).to_contain_text(f"Opened {name}", timeout=20_000)
        words = self.page.locator("#image-size").inner_text().split(" × ")
        self.size = (int(words[0]), int(words[1]))

    def choose_file(self, label: str, data: bytes, name: str) -> None:
        file = {"name": name, "mimeType": mimetypes.guess_type(name)[0] or "", "buffer": data}
        self.page.get_by_label(label).set_input_files(file)

    def fill_on_release(self, on: bool) -> None:
        """Set the switch in the menu of options, which is closed."""
        self.page.evaluate("on => { if (document.getElementById('auto').checked !== on) auto.click() }", on)

    def set_brush(self, pixels: int) -> None:
        """Set the diameter of the brush in pixels of the image."""
        number = self.page.get_by_label("Brush size in pixels")
        number.fill(str(pixels))
        number.press("Enter")

    def choose(self, tool: str) -> None:
        self.page.get_by_role("radio", name=tool).check(force=True)

    def to_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of an image is that has not been zoomed or moved."""
        box = self.stage.bounding_box()
        assert box is not None
        width, height = self.size
        scale = min((box["width"] - 2 * MARGIN) / width, (box["height"] - 2 * MARGIN) / height, MAX_FITTED_SCALE)
        return (
            box["x"] + box["width"] / 2 + (x - width / 2) * scale,
            box["y"] + box["height"] / 2 + (y - height / 2) * scale,
        )

    def drag(self, points: Sequence[tuple[float, float]]) -> None:
        """Press at the first point, move along the others, release."""
        mouse = self.page.mouse
        mouse.move(*self.to_screen(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.to_screen(*point), steps=4)
        mouse.up()

    def fill(self) -> None:
        self.button("Fill").click()
        expect(self.status).to_contain_text("Filled in", timeout=30_000)

    def download(self, menu: str, item: str) -> tuple[str, bytes]:
        """Choose an item of a menu; the file's name and contents."""
        self.button(menu).click()
        with self.page.expect_download(timeout=30_000) as download:
            self.page.get_by_role("button", name=item).click()
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()

    def result(self) -> np.ndarray:
        """(H, W, C) samples; where nothing is filled there is nothing to download, and the source is shown as it is."""
        if self.button("Download").is_disabled():
            return decode(self.source)
        return decode(self.download("Download", "Result as PNG")[1])

    def mask(self) -> np.ndarray:
        """(H, W) bool, True = hole."""
        return decode(self.download("Mask", "Download the mask")[1])[..., 0] == 255
