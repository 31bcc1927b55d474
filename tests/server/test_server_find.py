from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from images import png, soft
from serving import MODEL, HalfInpainter, assert_problem
from standin import write_detector
from wavepaint.cancellation import Cancelled, cancellable
from wavepaint.find import Finder
from wavepaint.server.app import create_app
from wavepaint.server.filling import Filler
from wavepaint.server.settings import Limits, Settings
from wavepaint.server.uploads import Form


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    settings = Settings(limits=Limits(pixels=10_000), token=None)
    finder = Finder(write_detector(tmp_path / "detector.onnx"))
    app = create_app(Filler(HalfInpainter().fill, settings.limits, finder.find), MODEL, settings)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def damaged() -> np.ndarray:
    image = soft(60, 80) // 2 + 40
    image[10:12, 5:30], image[40:44, 50:54] = (255, 0, 0), (0, 255, 0)
    return image


def mask_in(response) -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(response.content))) == 255


def test_the_answer_is_a_mask(client: TestClient) -> None:
    image = damaged()
    answer = client.post("/v1/find", files={"image": png(image)}, data={"grow": "0"})
    assert np.array_equal(mask_in(answer), (image == (255, 0, 0)).all(axis=2) | (image == (0, 255, 0)).all(axis=2))
    answer = client.post("/v1/find", files={"image": png(image)}, data={"grow": "0", "kinds": "dust,stamps"})
    assert np.array_equal(mask_in(answer), (image == (0, 255, 0)).all(axis=2))


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        ({"kinds": "hair"}, 422, "kinds must be some of"),
        ({"sensitivity": "2"}, 422, "sensitivity must be 0 to 1"),
        ({"sensitivity": "much"}, 422, "'sensitivity' must be a number"),
        ({"dilate": "2"}, 422, "unknown form field 'dilate'"),
        ({"infrared": "band"}, 422, "unknown form field 'infrared'"),
    ],
)
def test_options_that_make_no_sense(client: TestClient, data: dict[str, str], status: int, words: str) -> None:
    assert_problem(client.post("/v1/find", files={"image": png(damaged())}, data=data), status, words)


def test_files_that_are_refused(client: TestClient) -> None:
    assert_problem(client.post("/v1/find", data={"grow": "1"}, files={}), 415, "multipart")
    assert_problem(client.post("/v1/find", files={"image": b"no image"}), 415, "image is not a PNG")
    assert_problem(client.post("/v1/find", files={"image": png(damaged())[:200]}), 422, "")
    assert_problem(client.post("/v1/find", files={"image": png(soft(200, 200))}), 413, "more than 10000 pixels")


def test_the_form_is_described(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/find"]["post"]
    properties = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(properties) == {"image", "kinds", "sensitivity", "grow"}
    assert properties["kinds"]["default"] == "scratches,dust,stamps"


def test_the_token_is_asked_for(tmp_path: Path) -> None:
    settings = Settings(token="secret")
    finder = Finder(write_detector(tmp_path / "detector.onnx"))
    app = create_app(Filler(HalfInpainter().fill, settings.limits, finder.find), MODEL, settings)
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    assert_problem(client.post("/v1/find", files={"image": png(damaged())}), 401, "send the token")
    allowed = {"Authorization": "Bearer secret"}
    assert mask_in(client.post("/v1/find", files={"image": png(damaged())}, headers=allowed)).any()


def test_work_that_nobody_waits_for_is_given_up(tmp_path: Path) -> None:
    filler = Filler(HalfInpainter().fill, Limits(), Finder(write_detector(tmp_path / "detector.onnx")).find)
    stop = threading.Event()
    work = filler.find(Form({"image": png(damaged())}, {}))
    with cancellable(stop.is_set):
        assert work().media_type == "image/png"
        stop.set()
        with pytest.raises(Cancelled):
            work()
