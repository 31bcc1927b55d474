"""Applications to test, with a network that costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

from images import noise, png
from wavepaint.inpainter import Inpainter
from wavepaint.options import Options
from wavepaint.runtime import Runtime
from wavepaint.server.app import Model, create_app
from wavepaint.server.filling import Filler
from wavepaint.server.page import STATIC
from wavepaint.server.settings import Settings

MODEL = Model("default", "onnxruntime")
IMAGE = noise(40, 60, 3, seed=1)
HOLE = np.zeros((40, 60), np.bool_)
HOLE[10:20, 15:30] = True
MASK = (HOLE * 255).astype(np.uint8)[..., None]


class HalfRuntime:
    """Fills every hole with middle grey."""

    name = "onnxruntime"
    multiple = 8
    coarse_levels = 0

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.where(mask > 0, np.float32(0.5), image)


class HalfInpainter(Inpainter):
    def load(self, expected_crops: int | None = None) -> Runtime:
        return HalfRuntime()


def make_app(
    settings: Settings | None = None,
    inpaint: Callable[[bytes, bytes | None, Options], bytes] | None = None,
    page: Path = STATIC,
):
    settings = settings or Settings()
    return create_app(Filler(inpaint or HalfInpainter().fill, settings.limits), MODEL, settings, page=page)


def make_client(
    settings: Settings | None = None,
    inpaint: Callable[[bytes, bytes | None, Options], bytes] | None = None,
    page: Path = STATIC,
) -> TestClient:
    return TestClient(make_app(settings, inpaint, page), base_url="http://127.0.0.1", raise_server_exceptions=False)


def upload() -> dict[str, bytes]:
    """The files of a good request."""
    return {"image": png(IMAGE), "mask": png(MASK)}


def assert_problem(response, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert set(document) == {"type", "title", "status", "detail"}
    assert document["status"] == status
    assert words in document["detail"]
