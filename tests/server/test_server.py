from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from images import SRGB_PROFILE, decoded, noise, pillow, png, soft, tiff, two_pages
from serving import HOLE, IMAGE, MASK, assert_problem, make_app, make_client, upload
from wavepaint import __version__
from wavepaint.errors import OptionError
from wavepaint.inpainter import Inpainter
from wavepaint.options import FORMATS, Options
from wavepaint.runtime import packaged_network
from wavepaint.server import page
from wavepaint.server.filling import FIELDS
from wavepaint.server.settings import Limits, Settings, check_binding


@pytest.fixture(scope="module")
def client():
    with make_client() as client:
        yield client


# -- filling ---------------------------------------------------------------------------------------------------------


def test_fills_the_hole_and_nothing_else(client):
    response = client.post("/v1/inpaint", files=upload(), data={"grain": "off"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-disposition"] == 'inline; filename="filled.png"'
    assert response.headers["cache-control"] == "no-store"
    filled = decoded(response.content)
    assert np.array_equal(filled[~HOLE], IMAGE[~HOLE])
    assert (filled[HOLE] == 128).all()


def test_answers_what_the_packaged_network_answers():
    inpaint = Inpainter(threads=1).fill
    expected = inpaint(png(IMAGE), png(MASK), Options(dilate=2))
    with make_client(inpaint=inpaint) as client:
        response = client.post("/v1/inpaint", files=upload(), data={"dilate": "2"})
    assert response.content == expected
    assert (decoded(expected)[HOLE] != IMAGE[HOLE]).any()


def test_keeps_depth_and_profile(client):
    samples = noise(40, 60, 3, np.uint16)
    response = client.post("/v1/inpaint", files={"image": tiff(samples, iccprofile=SRGB_PROFILE), "mask": png(MASK)})
    assert response.headers["content-type"] == "image/tiff"
    filled = decoded(response.content)
    assert filled.dtype == np.uint16
    assert np.array_equal(filled[~HOLE], samples[~HOLE])
    assert Image.open(io.BytesIO(response.content)).info["icc_profile"] == SRGB_PROFILE


@pytest.mark.parametrize("format", FORMATS)
def test_format_and_its_media_type(client, format):
    response = client.post("/v1/inpaint", files=upload(), data={"format": format})
    if response.status_code == 422:
        assert f"format {format} cannot be written here" in response.json()["detail"]
        assert format in ("heic", "jxl", "bmp"), "only these may lack their encoder"
        return
    assert response.headers["content-type"] == f"image/{format}"
    assert len(response.content) > 100


def test_options_mean_what_they_mean_elsewhere(client):
    data = {"boxes": ["5,5,10,8", "-4,30,20,20"], "dilate": "3"}
    response = client.post("/v1/inpaint", files={"image": png(IMAGE)}, data=data)
    changed = (decoded(response.content) != IMAGE).any(axis=2)
    assert changed[5:13, 5:15].mean() > 0.95
    assert changed[2:5, 5:15].mean() > 0.9
    assert changed[30:, :16].mean() > 0.9
    assert not changed[20:26].any()
    assert not changed[:, 24:].any()


def test_inverted_mask_and_threshold(client):
    mask = np.full((40, 60, 1), 255, np.uint8)
    mask[10:20, 15:30] = 40
    files = {"image": png(IMAGE), "mask": png(mask)}
    response = client.post("/v1/inpaint", files=files, data={"invert_mask": "true", "threshold": "0.5", "grain": "off"})
    assert (decoded(response.content)[HOLE] == 128).all()
    response = client.post("/v1/inpaint", files=files, data={"invert_mask": "true", "threshold": "0.1", "grain": "off"})
    assert response.content == files["image"], "a mask without a hole returns the very same file"


def test_transparent_pixels(client):
    image = noise(40, 60, 4)
    image[..., 3] = np.where(HOLE, 0, 255)
    response = client.post("/v1/inpaint", files={"image": png(image)}, data={"alpha": "true", "grain": "off"})
    filled = decoded(response.content)
    assert np.array_equal(filled[~HOLE], image[~HOLE])
    assert (filled[HOLE][:, :3] == 128).all()


def test_quality(client):
    files = {"image": pillow(soft(40, 60), "JPEG", quality=90), "mask": png(MASK)}
    sizes = [len(client.post("/v1/inpaint", files=files, data={"quality": quality}).content) for quality in (20, 95)]
    assert sizes[0] < sizes[1]


def test_every_option_has_a_form_field():
    assert set(FIELDS) == {option.name for option in fields(Options)} - {"bgr", "exclude", "no_limits", "progress"}


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "data", "status", "words"),
    [
        ({"mask": png(MASK)}, {}, 422, "no part 'image'"),
        ({"image": png(IMAGE)}, {}, 422, "say what to fill"),
        (upload(), {"boxes": "1,2,3,4"}, 422, "say what to fill"),
        ({"image": png(IMAGE)}, {"alpha": "true"}, 422, "no transparency"),
        ({"image": png(IMAGE)}, {"alpha": "true", "boxes": "1,2,3,4"}, 422, "boxes and alpha"),
        ({"image": b"plain text", "mask": png(MASK)}, {}, 415, "image is not a PNG"),
        ({"image": b"", "mask": png(MASK)}, {}, 415, "image is not a PNG"),
        ({"image": png(IMAGE), "mask": b"%PDF-1.7 \n"}, {}, 415, "mask is not a PNG"),
        ({"image": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "mask": png(MASK)}, {}, 415, "image is not a PNG"),
        ({"image": png(IMAGE)[:-800], "mask": png(MASK)}, {}, 422, "cannot be decoded"),
        ({"image": png(IMAGE)[:20], "mask": png(MASK)}, {}, 422, "the image cannot be used"),
        ({"image": png(IMAGE), "mask": png(MASK[:30])}, {}, 422, "it is 60x30, the image 60x40"),
        ({"image": png(IMAGE), "mask": png(np.full_like(MASK, 255))}, {}, 422, "covers the whole image"),
        (upload(), {"dilate": "many"}, 422, "'dilate' must be a whole number"),
        (upload(), {"dilate": "-1"}, 422, "dilate must be 0 to"),
        (upload(), {"dilate": ["1", "2"]}, 422, "'dilate' is given twice"),
        (upload(), {"threshold": "nan"}, 422, "threshold must be"),
        (upload(), {"invert_mask": "perhaps"}, 422, "'invert_mask' must be true or false"),
        (upload(), {"format": "svg"}, 422, "'format' must be one of png"),
        (upload(), {"format": "../../x.png"}, 422, "'format' must be one of png"),
        (upload(), {"quality": "101"}, 422, "quality must be 1 to 100"),
        ({"image": png(IMAGE)}, {"boxes": "1,2,3"}, 422, "four whole numbers"),
        ({"image": png(IMAGE)}, {"boxes": "1,2,0,4"}, 422, "at least 1x1"),
        ({"image": png(IMAGE)}, {"boxes": "900,2,5,5"}, 422, "outside the image"),
        (upload(), {"model": "/etc/passwd"}, 422, "unknown form field 'model'"),
        (upload(), {"output": "/tmp/x.png"}, 422, "unknown form field 'output'"),
    ],
)
def test_refusals_say_why(client, files, data, status, words):
    assert_problem(client.post("/v1/inpaint", files=files, data=data), status, words)


def test_refusals_outside_the_form(client):
    assert_problem(client.get("/nowhere"), 404, "nothing at this address")
    assert_problem(client.delete("/v1/inpaint"), 405, "does not answer to that method")
    assert_problem(client.get("/v1/inpaint"), 405, "does not answer to that method")
    assert_problem(client.post("/v1/inpaint", json={}), 415, "multipart/form-data")
    assert_problem(client.post("/v1/inpaint"), 415, "multipart/form-data")
    gzipped = {"Content-Encoding": "gzip"}
    assert_problem(client.post("/v1/inpaint", files=upload(), headers=gzipped), 415, "compressed")


def test_limits_are_checked_before_decoding():
    def inpaint(image: bytes, mask: bytes | None, options: Options) -> bytes:
        raise AssertionError("came as far as the main path")

    with make_client(Settings(limits=Limits(pixels=40 * 60 - 1)), inpaint) as client:
        assert_problem(client.post("/v1/inpaint", files=upload()), 413, "the image is 60x40: more than 2399 pixels")
        files = {"image": png(IMAGE[:30]), "mask": png(MASK)}
        assert_problem(client.post("/v1/inpaint", files=files), 413, "the mask is 60x40")
    frames = [Image.fromarray(noise(16, 16, 1, seed=seed)[..., 0]) for seed in range(4)]
    animated = {
        "gif": pillow(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "tiff": pillow(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "webp": pillow(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
    }
    with make_client(Settings(limits=Limits(frames=3)), inpaint) as client:
        for content in animated.values():
            response = client.post("/v1/inpaint", files={"image": content}, data={"boxes": "1,1,4,4"})
            assert_problem(response, 413, "the image has 4 frames: more than 3")
    with make_client(Settings(limits=Limits(frames=4))) as client:
        for content in animated.values():
            response = client.post("/v1/inpaint", files={"image": content}, data={"boxes": "1,1,4,4"})
            assert response.status_code == 200


@pytest.mark.parametrize("part", ["image", "mask"])
def test_every_page_counts_against_the_pixel_limit(part):
    """Page 1 has the size that is allowed, page 2 claims 900 megapixels in a header of a few bytes."""

    def inpaint(image: bytes, mask: bytes | None, options: Options) -> bytes:
        raise AssertionError("came as far as the main path")

    pages = two_pages(noise(40, 60, 1), second=(30_000, 30_000))
    files = upload() | {part: pages}
    with make_client(inpaint=inpaint) as client:
        problem = f"page 2 of the {part} is 30000x30000: more than 64000000 pixels"
        assert_problem(client.post("/v1/inpaint", files=files), 413, problem)


def test_pages_together_are_bounded():
    page = noise(40, 60, 1)
    pages = [Image.fromarray(page[..., 0])] * 5
    content = pillow(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    settings = Settings(limits=Limits(pixels=page.size))
    with make_client(settings) as client:
        response = client.post("/v1/inpaint", files={"image": content}, data={"boxes": "1,1,4,4"})
        assert_problem(response, 413, "the pages of the image have 12000 pixels together: more than 9600")
        content = pillow(pages[0], "TIFF", save_all=True, append_images=pages[2:])
        response = client.post("/v1/inpaint", files={"image": content}, data={"boxes": "1,1,4,4"})
        assert response.status_code == 200
        assert Image.open(io.BytesIO(response.content)).n_frames == 4


def test_a_defect_is_a_problem_without_details():
    def inpaint(image: bytes, mask: bytes | None, options: Options) -> bytes:
        raise ZeroDivisionError("secret")

    with make_client(inpaint=inpaint) as client:
        response = client.post("/v1/inpaint", files=upload())
        assert_problem(response, 500, "its log says more")
        assert "secret" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
        assert 'status="500"' in client.get("/metrics").text


def test_a_polyglot_comes_back_as_the_image_alone(client):
    archive = b"PK\x03\x04 and <script>alert(1)</script>"
    for image in (png(IMAGE), pillow(IMAGE, "JPEG"), pillow(IMAGE, "WEBP", lossless=True), tiff(IMAGE)):
        response = client.post("/v1/inpaint", files={"image": image + archive, "mask": png(MASK)})
        assert response.status_code in (200, 422)
        assert b"<script>" not in response.content
        assert response.headers["x-content-type-options"] == "nosniff"


# -- access ----------------------------------------------------------------------------------------------------------


def test_token():
    with make_client(Settings(token="open sesame")) as client:
        for path in ("/v1/models", "/metrics"):
            response = client.get(path)
            assert_problem(response, 401, "Authorization: Bearer")
            assert response.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer open", "Bearer", "Basic open sesame", "Bearer öpen sesame", "open sesame"):
            headers = {"Authorization": wrong.encode("latin-1")}
            assert_problem(client.post("/v1/inpaint", files=upload(), headers=headers), 401, "Bearer")
        headers = {"Authorization": "Bearer open sesame"}
        assert client.post("/v1/inpaint", files=upload(), headers=headers).status_code == 200
        assert client.get("/v1/models", headers=headers).status_code == 200
        for path in ("/", "/openapi.json", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        schemes = client.get("/openapi.json").json()["components"]["securitySchemes"]
        assert next(iter(schemes.values()))["scheme"] == "bearer"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_token(host):
    check_binding(host, None, insecure_no_token=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_other_hosts_need_a_token(host):
    with pytest.raises(OptionError, match="--token"):
        check_binding(host, None, insecure_no_token=False)
    check_binding(host, "secret", insecure_no_token=False)
    check_binding(host, None, insecure_no_token=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"workers": 0}, "workers"), ({"queue": -1}, "queue"), ({"token": ""}, "token"), ({"token": "a\nb"}, "token")],
)
def test_settings_that_make_no_sense(change, words):
    with pytest.raises(OptionError, match=words):
        Settings(**change)


def test_limits_that_make_no_sense():
    with pytest.raises(OptionError, match="seconds must be positive"):
        Limits(seconds=0)


def test_pages_of_other_sites_are_kept_out(client):
    origin = "https://example.org"
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    response = client.post("/v1/inpaint", files=upload(), headers=headers)
    assert_problem(response, 403, "other sites")
    assert "access-control-allow-origin" not in response.headers
    assert client.post("/v1/inpaint", files=upload(), headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_cors_only_when_asked_for():
    origin = "https://example.org"
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    with make_client(Settings(cors_origins=(origin,))) as client:
        response = client.post("/v1/inpaint", files=upload(), headers=headers)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == origin
        headers["Origin"] = "https://example.com"
        assert client.post("/v1/inpaint", files=upload(), headers=headers).status_code == 403


# -- pages and operations --------------------------------------------------------------------------------------------


def test_models(client):
    expected = {"models": [{"name": "default", "runtime": "onnxruntime", "default": True}]}
    assert client.get("/v1/models").json() == expected


def test_health_and_readiness():
    app = make_app()
    from starlette.testclient import TestClient

    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        assert client.get("/readyz").json() == {"status": "ready"}
        app.state.pool.draining = True
        assert client.get("/healthz").status_code == 200
        response = client.get("/readyz")
        assert_problem(response, 503, "shutting down")
        assert response.headers["connection"] == "close"
        response = client.post("/v1/inpaint", files=upload())
        assert_problem(response, 503, "shutting down")
        assert int(response.headers["retry-after"]) > 0


def test_metrics_count(client):
    before = client.get("/metrics").text
    client.post("/v1/inpaint", files=upload())
    client.get("/made/up/path")
    client.request("FROBNICATE", "/v1/models")
    after = client.get("/metrics")
    assert after.headers["content-type"].startswith("text/plain; version=")

    def value(text: str, series: str) -> float:
        match = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(match[1]) if match else 0.0

    filled = 'wavepaint_requests_total{method="POST",route="/v1/inpaint",status="200"}'
    assert value(after.text, filled) == value(before, filled) + 1
    assert "made/up" not in after.text
    assert "FROBNICATE" not in after.text
    assert value(after.text, "wavepaint_work_running") == 0
    assert value(after.text, "wavepaint_work_places_taken") == 0
    assert value(after.text, "process_resident_memory_bytes") > 0


def test_access_log_has_no_content(client, caplog):
    with caplog.at_level("INFO", "wavepaint.access"):
        client.post("/v1/inpaint?token=in-the-query", files=upload())
        client.get("/a%0d%0aforged 200")
    lines = [record.getMessage() for record in caplog.records if record.name == "wavepaint.access"]
    assert re.fullmatch(r"- POST /v1/inpaint 200 \d+\.\d{3}s in=\d+ out=\d+", lines[0])
    assert "\n" not in lines[1]
    assert "/a%0D%0Aforged%20200 404" in lines[1]


def test_every_answer_has_the_security_headers(client):
    answers = [client.get(path) for path in ("/", "/openapi.json", "/nowhere", "/metrics")]
    answers += [client.post("/v1/inpaint"), client.post("/v1/inpaint", files=upload())]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_there_is_no_page_that_describes_the_interface(client):
    """The description is for tools; pages that show it load scripts from elsewhere."""
    for path in ("/docs", "/redoc"):
        assert_problem(client.get(path), 404, "nothing at this address")
    assert client.get("/openapi.json").json()["info"]["version"] == __version__


def test_description_names_every_option_with_its_default(client):
    schema = client.get("/openapi.json").json()["paths"]["/v1/inpaint"]["post"]["requestBody"]
    properties = schema["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(properties) == {"image", "mask", "exclude", *FIELDS}
    assert properties["threshold"]["default"] == Options().threshold
    assert properties["dilate"]["default"] == Options().dilate


def test_hint_without_a_built_page(tmp_path):
    (asset,) = page.load_page(tmp_path).values()
    assert asset.headers["Content-Type"].startswith("text/plain")
    assert b"npm" in asset.content


def test_built_page(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>editor</title>")
    (tmp_path / "assets" / "main-1234.js").write_text("export {};")
    (tmp_path / ".hidden").write_text("no")
    with make_client(page=tmp_path) as client:
        index = client.get("/")
        assert index.headers["content-type"] == "text/html; charset=utf-8"
        assert "editor" in index.text
        assert index.headers["cache-control"] == "no-cache"
        again = client.get("/", headers={"If-None-Match": index.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head("/").status_code == 200
        script = client.get("/assets/main-1234.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        network = client.get("/model.onnx")
        assert network.headers["content-type"] == "application/octet-stream"
        assert network.content == packaged_network()
        assert "immutable" in script.headers["cache-control"]
        for path in ("/.hidden", "/assets", "/assets/../index.html/", "/%2e%2e/settings.py"):
            assert client.get(path).status_code == 404, path


# -- imports ---------------------------------------------------------------------------------------------------------


def test_settings_for_the_command_line_are_light():
    code = "import sys, wavepaint.server.settings; print(sorted(sys.modules))"
    modules = ast.literal_eval(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.decode()
    )
    assert not {"fastapi", "starlette", "uvicorn", "numpy", "pyvips", "onnxruntime"} & set(modules)
