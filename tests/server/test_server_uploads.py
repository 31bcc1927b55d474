from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavepaint.server.problems import Problem
from wavepaint.server.settings import Limits
from wavepaint.server.uploads import Form, read_form

HEADERS = {"content-type": "multipart/form-data; boundary=b0"}
IMAGE_PART = b'--b0\r\nContent-Disposition: form-data; name="image"; filename="x"\r\nContent-Type: image/png\r\n\r\n'
FIELD_PART = b'--b0\r\nContent-Disposition: form-data; name="boxes"\r\n\r\n'
END = b"\r\n--b0--\r\n"


def read(body: bytes | list[bytes], headers: Mapping[str, str] = HEADERS, limits: Limits | None = None) -> Form:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in [body] if isinstance(body, bytes) else body:
            yield piece

    files, fields = frozenset({"image", "mask"}), frozenset({"boxes", "dilate"})
    return asyncio.run(read_form(headers, pieces(), files=files, fields=fields, limits=limits or Limits()))


@given(
    image=st.binary(max_size=300),
    boxes=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3),
    cuts=st.lists(st.integers(0, 900), max_size=12),
)
def test_any_content_in_any_pieces(image, boxes, cuts):
    parts = [IMAGE_PART + image, *(FIELD_PART + box.encode() for box in boxes)]
    body = b"\r\n".join(parts) + END
    if body.count(b"\r\n--b0") != len(parts):
        return  # the content holds the boundary
    edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    form = read([body[start:stop] for start, stop in pairwise(edges)])
    assert form.files == {"image": image}
    assert form.fields == ({"boxes": tuple(boxes)} if boxes else {})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "closing boundary"),
        (IMAGE_PART + b"abc", 400, "closing boundary"),
        (IMAGE_PART + b"abc" + END[:-4], 400, "closing boundary"),
        (b"no boundary at all", 400, "malformed"),
        (b"\r[" + IMAGE_PART + b"abc" + END, 400, "malformed"),
        (b"--b1\r\n\r\nabc\r\n--b1--", 400, "malformed"),
        (b"--b0\r\nBad header\r\n\r\nabc" + END, 400, "malformed"),
        (b"--b0\r\n\r\nabc" + END, 400, "no name"),
        (b"--b0\r\nContent-Disposition: form-data\r\n\r\nabc" + END, 400, "no name"),
        (b'--b0\r\nContent-Disposition: attachment; name="image"\r\n\r\nabc' + END, 400, "no name"),
        (b"--b0\r\n" + b"X-A: 1\r\n" * 99 + b"\r\nabc" + END, 400, "malformed"),
        (b"--b0\r\nX-A: " + b"1" * 9999 + b"\r\n\r\nabc" + END, 400, "malformed"),
        (b'--b0\r\nContent-Disposition: form-data; name="path"\r\n\r\nabc' + END, 422, "unknown form field 'path'"),
        (IMAGE_PART + b"a\r\n" + IMAGE_PART + b"b" + END, 422, "'image' is given twice"),
        (FIELD_PART + b"\xff\xfe" + END, 422, "not UTF-8"),
        (FIELD_PART + b"1" * 1025 + END, 413, "'boxes' is longer than 1024 bytes"),
        (b"\r\n".join([FIELD_PART + b"1"] * 65) + END, 413, "more than 64 parts"),
    ],
)
def test_malformed_forms(body, status, words):
    with pytest.raises(Problem, match=words) as problem:
        read(body)
    assert problem.value.status_code == status


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({}, 415, "multipart"),
        ({"content-type": ""}, 415, "multipart"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "multipart"),
        ({"content-type": "multipart/form-data"}, 400, "no boundary"),
        ({"content-type": "multipart/form-data; boundary="}, 400, "no boundary"),
        ({"content-type": f"multipart/form-data; boundary={'b' * 300}"}, 400, "malformed"),
        ({"content-type": 'multipart/form-data; boundary="a\r\nb"'}, 400, "RFC 2046"),
        ({"content-type": 'multipart/form-data; boundary="b0 "'}, 400, "RFC 2046"),
        ({"content-type": "multipart/form-data; boundary=\xfc"}, 400, "RFC 2046"),
        ({**HEADERS, "content-encoding": "gzip"}, 415, "compressed"),
        ({**HEADERS, "content-length": "999999999999"}, 413, "larger than"),
    ],
)
def test_unfit_headers(headers, status, words):
    with pytest.raises(Problem, match=words) as problem:
        read(IMAGE_PART + b"abc" + END, headers)
    assert problem.value.status_code == status


def test_reading_stops_at_the_limit_whatever_length_is_declared():
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield IMAGE_PART
        while True:
            taken += 1000
            yield b"x" * 1000

    headers = {**HEADERS, "content-length": "10"}
    read = read_form(headers, endless(), files=frozenset({"image"}), fields=frozenset(), limits=Limits(body_bytes=5000))
    with pytest.raises(Problem, match="larger than 5000 bytes"):
        asyncio.run(read)
    assert taken <= 5000


@pytest.mark.parametrize("cut", range(5))
def test_line_breaks_before_the_first_boundary(cut):
    body = b"\r\n\n" + IMAGE_PART + b"abc" + END
    assert read([body[:cut], body[cut:]]).files == {"image": b"abc"}


def test_exactly_the_limit_is_accepted():
    body = IMAGE_PART + b"abc" + END
    assert read(body, limits=Limits(body_bytes=len(body))).files == {"image": b"abc"}
    with pytest.raises(Problem, match="larger"):
        read(body, limits=Limits(body_bytes=len(body) - 1))
