"""multipart/form-data into memory, piece by piece, within limits.

Nothing is trusted: the declared length, the number of parts, their names, their sizes. Whatever is too much is
refused as soon as it shows, so that an oversized upload never lies in memory as a whole. None is written to a file.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from wavepaint.server.problems import Problem
from wavepaint.server.settings import Limits

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


@dataclass(frozen=True)
class Form:
    """The parts of an upload.

    Attributes:
        files: contents of the image parts by name, not decoded.
        fields: values of the text parts by name, in the order they came.
    """

    files: Mapping[str, bytes]
    fields: Mapping[str, tuple[str, ...]]


async def read_form(
    headers: Mapping[str, str],
    body: AsyncIterable[bytes],
    *,
    files: Collection[str],
    fields: Collection[str],
    limits: Limits,
) -> Form:
    """Read a multipart form.

    Args:
        headers: of the request, case-insensitive.
        body: the request body in pieces.
        files: names of the parts that hold an image, each allowed once.
        fields: names of the text parts; each may be repeated.
        limits: of the body, of a text field and of the number of parts.

    Raises:
        Problem: 400 malformed, 413 over a limit, 415 not a plain multipart form, 422 unknown or repeated names.
    """
    declared = headers.get("content-length", "")
    _check_size(int(declared) if declared.isdecimal() else 0, limits)
    collector = _Collector(files, fields, limits)
    try:
        parser = MultipartParser(_boundary(headers), collector.callbacks())
        received, begun = 0, False
        async for piece in body:
            received += len(piece)
            _check_size(received, limits)
            # Line breaks may precede the first boundary; the parser skips them, and more, by how the body is cut.
            rest = piece if begun else piece.lstrip(b"\r\n")
            begun = begun or bool(rest)
            if rest:
                parser.write(rest)
    except FormParserError as error:
        raise Problem(400, f"the multipart form is malformed: {error}") from error
    if not collector.complete:
        raise Problem(400, "the multipart form ends before its closing boundary")
    return Form(collector.files, collector.fields)


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.body_bytes:
        raise Problem(413, f"the request is larger than {limits.body_bytes} bytes")


def _boundary(headers: Mapping[str, str]) -> bytes:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "compressed request bodies are not accepted")
    media_type, parameters = parse_options_header(headers.get("content-type"))
    if media_type != b"multipart/form-data":
        raise Problem(415, "send the image as multipart/form-data")
    boundary = parameters.get(b"boundary", b"")
    if not boundary:
        raise Problem(400, "the multipart form has no boundary")
    if not _BOUNDARY.fullmatch(boundary):
        # With others, what the parser makes of a body depends on how it is cut into pieces.
        raise Problem(400, "the multipart form is malformed: its boundary is not one by RFC 2046")
    return boundary


class _Collector:
    """What the parser calls back; one form."""

    def __init__(self, files: Collection[str], fields: Collection[str], limits: Limits) -> None:
        self.complete = False
        self._file_names = files
        self._field_names = fields
        self._limits = limits
        self._parts = 0
        self.files: dict[str, bytes] = {}
        self.fields: dict[str, tuple[str, ...]] = {}
        self._header_name = b""
        self._header_value = b""
        self._disposition: bytes | None = None
        self._name = ""
        self._content = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._extend_header_name,
            "on_header_value": self._extend_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._extend_part,
            "on_part_end": self._end_part,
            "on_end": self._end_form,
        }

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise Problem(413, f"the form has more than {self._limits.parts} parts")
        self._disposition = None

    def _extend_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _extend_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        kind, parameters = parse_options_header((self._disposition or b"").decode("latin-1"))
        if kind != b"form-data" or b"name" not in parameters:
            raise Problem(400, "a part of the form has no name")
        # The file name that a client may add is not even looked at: nothing of a request names a file here.
        self._name = parameters[b"name"].decode("latin-1")
        known = {*self._file_names, *self._field_names}
        if self._name not in known:
            raise Problem(422, f"unknown form field {self._name[:40]!r}; known are {', '.join(sorted(known))}")
        if self._name in self.files:
            raise Problem(422, f"form field {self._name!r} is given twice")

    def _extend_part(self, data: bytes, start: int, end: int) -> None:
        self._content += memoryview(data)[start:end]
        if self._name in self._field_names and len(self._content) > self._limits.field_bytes:
            raise Problem(413, f"form field {self._name!r} is longer than {self._limits.field_bytes} bytes")

    def _end_part(self) -> None:
        if self._name in self._file_names:
            self.files[self._name] = bytes(self._content)
        else:
            try:
                text = self._content.decode()
            except UnicodeDecodeError as error:
                raise Problem(422, f"form field {self._name!r} is not UTF-8 text") from error
            self.fields[self._name] = (*self.fields.get(self._name, ()), text)
        self._content = bytearray()

    def _end_form(self) -> None:
        self.complete = True
