"""Mutated multipart forms: a form or a refusal, the same however the body is cut, and nothing that was not sent.

Seeded; `WAVEPAINT_FUZZ_SECONDS=600 pytest ...` goes on for longer.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

from fuzzing import seeds
from wavepaint.server.problems import Problem
from wavepaint.server.settings import Limits
from wavepaint.server.uploads import Form, read_form

FILES, FIELDS = frozenset({"image", "mask"}), frozenset({"boxes", "dilate", "format"})
LIMITS = Limits(body_bytes=20_000, field_bytes=64, parts=8)
BOUNDARIES = ("b0", "-", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "b" * 70, "a'()+_,-./:=?z", "\r\n", "b" * 300, "ü")
TOKENS = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"--",
        b"--b0",
        b"--b0--",
        b"\r\n--b0",
        b"\r\n--b0--\r\n",
        b"\0",
        b'"',
        b"\\",
    ),
    *(b"Content-Disposition: form-data; name=", b'; name="image"', b'; name="boxes"', b"; name*=utf-8''image", b";;;="),
    *(
        b"Content-Type: multipart/mixed; boundary=b1",
        b"Content-Transfer-Encoding: base64\r\n",
        b"filename=",
        b": ",
        b":",
    ),
    *(b"x" * 100, b"X-A: " + b"1" * 5000 + b"\r\n", b"A: b\r\n" * 40, "ü€".encode(), b"\xff\xfe\x00", b" " * 20, b"\t"),
)


def valid_body(rng: random.Random, boundary: bytes) -> bytes:
    parts = [(b"image", rng.randbytes(rng.randrange(400)))]
    for name in rng.choices([b"boxes", b"dilate", b"mask", b"other"], [10, 10, 3, 1], k=3):
        parts.append((name, rng.choice([b"1,2,3,4", b"", "ü".encode(), b"5" * 60, rng.randbytes(9)])))
    rng.shuffle(parts)
    body = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (boundary, name, content)
        for name, content in parts
    )
    return body + b"--%b--\r\n" % boundary


def mutated(rng: random.Random, body: bytes) -> bytes:
    data = bytearray(body)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        start = rng.randrange(len(data) + 1)
        stop = min(len(data), start + rng.choice([0, 1, 2, 8, 60, 500]))
        match rng.randrange(5):
            case 0:
                del data[start:stop]
            case 1:
                data[start:stop] = rng.choice(TOKENS)
            case 2:
                data[start:start] = rng.choice(TOKENS)
            case 3:
                data[start:start] = data[start:stop] * rng.choice([1, 2, 50])
            case _ if start < len(data):
                data[start] = rng.randrange(256)
    return bytes(data)


def cut(rng: random.Random, body: bytes) -> list[bytes]:
    edges = sorted({0, len(body), *(rng.randrange(len(body) + 1) for _ in range(rng.choice([1, 4, 60])))})
    return [body[start:stop] for start, stop in pairwise(edges)]


def read(headers: dict[str, str], pieces: Sequence[bytes]) -> Form | int:
    """The form, or the status of the refusal. Anything else that is raised fails the test."""

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    reading = read_form(headers, body(), files=FILES, fields=FIELDS, limits=LIMITS)
    try:
        reading.send(None)
    except StopIteration as end:
        return end.value
    except Problem as problem:
        return problem.status_code
    raise AssertionError("waits for something, though the whole body is there")


def test_mutated_forms():
    # The parser comments on every one.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    accepted = refused = 0
    for seed in seeds(3000):
        rng = random.Random(seed)
        boundary = rng.choice(BOUNDARIES) if seed % 4 == 0 else "b0"
        headers = {"content-type": f'multipart/form-data; boundary="{boundary}"'}
        body = mutated(rng, valid_body(rng, boundary.encode()))
        pieces = cut(rng, body)
        outcome = read(headers, pieces)
        if isinstance(outcome, Form):
            accepted += 1
            assert set(outcome.files) <= FILES, seed
            assert set(outcome.fields) <= FIELDS, seed
            texts = [value.encode() for values in outcome.fields.values() for value in values]
            assert all(content in body for content in (*outcome.files.values(), *texts)), seed
            assert all(len(text) <= LIMITS.field_bytes for text in texts), seed
            assert len(outcome.files) + len(texts) <= LIMITS.parts, seed
            assert len(body) <= LIMITS.body_bytes, seed
            assert read(headers, [body]) == outcome, seed
        else:
            refused += 1
            assert outcome in {400, 413, 415, 422}, seed
            # Which of several faults is met first may depend on the cuts; that there is one does not.
            assert not isinstance(read(headers, [body]), Form), seed
    print(accepted, "accepted,", refused, "refused")
    assert min(accepted, refused) > 20, "one-sided: shows little"
