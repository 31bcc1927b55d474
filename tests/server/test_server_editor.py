"""What the editor asks of the server: conversions, places not to copy from, files that it was started with."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("fastapi")

from starlette.testclient import TestClient

from commands import run
from images import noise, png
from serving import IMAGE, MASK, MODEL, assert_problem, make_client, upload
from wavepaint.image.file import ImageFile
from wavepaint.options import Options
from wavepaint.server import run as server_run
from wavepaint.server.app import create_app
from wavepaint.server.filling import Filler
from wavepaint.server.settings import Settings


def test_a_mask_that_marks_nothing_only_converts() -> None:
    deep = noise(40, 60, 3, seed=2, dtype=np.uint16)
    nothing = png(np.zeros((1, 1, 1), np.uint8))
    options = {"resize_mask": "true"}
    files = {"image": png(deep), "mask": nothing}
    tiff = make_client().post("/v1/inpaint", files=files, data={**options, "format": "tiff"})
    assert tiff.headers["content-type"] == "image/tiff"
    files = {"image": tiff.content, "mask": nothing}
    back = make_client().post("/v1/inpaint", files=files, data={**options, "format": "png"})
    np.testing.assert_array_equal(ImageFile.open(back.content).read_all(), deep)


def test_what_not_to_copy_from_reaches_the_fill() -> None:
    seen = []

    def inpaint(image: bytes, mask: bytes | None, options: Options) -> bytes:
        seen.append((options.exclude, options.seed))
        return image

    client = make_client(inpaint=inpaint)
    exclude = png(255 - MASK)
    assert client.post("/v1/inpaint", files={**upload(), "exclude": exclude}, data={"seed": "3"}).status_code == 200
    assert client.post("/v1/inpaint", files=upload()).status_code == 200
    assert seen == [(exclude, 3), (None, 0)]
    small = client.post("/v1/inpaint", files={**upload(), "exclude": png(MASK[:20])})
    assert_problem(small, 422, "the exclude has another size than the image: it is 60x20, the image 60x40")
    assert_problem(client.post("/v1/inpaint", files={**upload(), "exclude": b"no"}), 415, "exclude is not a PNG")


def test_files_that_the_server_was_started_with(tmp_path) -> None:
    path = tmp_path / "my cat.png"
    path.write_bytes(png(IMAGE))
    app = create_app(Filler(lambda *_: b"", Settings().limits), MODEL, Settings(token="secret"), [path])
    client = TestClient(app, base_url="http://127.0.0.1")
    bearer = {"Authorization": "Bearer secret"}
    assert client.get("/opened/0/my%20cat.png").status_code == 401
    assert client.get("/opened/0/my%20cat.png", headers=bearer).content == path.read_bytes()
    # Only the number counts: a name in an address reaches no file.
    assert client.get("/opened/0/passwd", headers=bearer).content == path.read_bytes()
    for address in ("/opened/1/my%20cat.png", "/opened/-1/my%20cat.png"):
        assert client.get(address, headers=bearer).status_code == 404
    path.unlink()
    assert_problem(client.get("/opened/0/x", headers=bearer), 404, "my cat.png cannot be read: No such file")


def test_the_address_of_the_page(tmp_path) -> None:
    address = server_run.page_address
    assert address("127.0.0.1", 8000, []) == "http://127.0.0.1:8000/"
    assert address("0.0.0.0", 80, [tmp_path / "a b.png"]) == "http://127.0.0.1:80/?open=opened%2F0%2Fa%2520b.png"
    assert address("::1", 1, []) == "http://[::1]:1/"


def test_a_missing_image_is_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_run, "listen", lambda *_: pytest.fail("it listens"))
    result = run("serve", "none.jpg")
    assert result.exit_code == 2
    assert result.stderr.startswith("wavepaint: none.jpg: ")
    assert result.stderr.count("\n") == 1
