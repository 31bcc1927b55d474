"""A file to read, on disk or in memory."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeGuard

from wavepaint.cancellation import Cancelled, check_cancelled
from wavepaint.errors import ImageError, WavepaintError, image_error, one_line
from wavepaint.image.types import Source
from wavepaint.image.vips import has_operation, libvips, reason_of


def is_open_file(source: object) -> TypeGuard[IO[Any]]:
    """Whether this is an open file, or anything else that can be read from."""
    return hasattr(source, "read") and hasattr(source, "readable")


def without_stream(source: Any, name: str | None = None) -> Any:
    """Return the contents of what can be read only once: an open file (from where it stands), or the path of a FIFO or
    of `<(command)`; buffers as bytes, and anything else as it is.

    Raises:
        ImageError: it cannot be read, or an open file does not give bytes.
    """
    if is_open_file(source):
        name = name or str(getattr(source, "name", f"the {type(source).__name__}"))
        with image_error(name, OSError, ValueError):  # ValueError: closed, or text that is none
            content = source.read()
        if not isinstance(content, bytes):
            raise ImageError(f"{name}: is open as text: open it in binary mode")
        if not content:
            raise ImageError(f"{name}: there is nothing left to read: seek(0) goes back to its start")
        return content
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    if not isinstance(source, (str, Path)):
        return source
    try:
        mode = os.stat(source).st_mode
    except (OSError, ValueError):  # for whoever opens it
        return source
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)):
        return source
    with image_error(str(name or source), OSError):
        return Path(source).read_bytes()


class StoredFile:
    """An image file, or the bytes of one.

    Attributes:
        name: what messages call it: by default the path as given, or "<bytes>".
    """

    def __init__(self, source: Source, name: str | None = None) -> None:
        self.name = name or ("<bytes>" if isinstance(source, bytes) else str(source) or "the file name")
        self._source: Source = without_stream(source, name)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it for reading; what the system refuses, also later on, is an `ImageError`."""
        with image_error(self.name, OSError), self._open() as stream:
            yield stream

    def _open(self) -> BinaryIO:
        if isinstance(self._source, bytes):
            return io.BytesIO(self._source)
        if not str(self._source):
            raise ImageError(f"{self.name}: is empty")
        with image_error(self.name, ValueError):  # a null character
            return open(self._source, "rb")

    def load(self, loader: str, **options: Any) -> Any:
        """Return a fresh libvips image of the file as it is stored; decodes nothing yet."""
        vips = libvips()
        with self.open() as stream:
            if isinstance(self._source, bytes) or not has_operation(f"{loader}_source"):
                return getattr(vips.Image, loader + "_buffer")(stream.read(), **options)
            # By its descriptor, which libvips duplicates: a name need not be UTF-8, as libvips takes for granted.
            source = vips.Source.new_from_descriptor(stream.fileno())
            return getattr(vips.Image, loader + "_source")(source, **options)

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Turn whatever a damaged file makes the block raise into an `ImageError` that names the file."""
        try:
            yield
        except (WavepaintError, Cancelled):
            raise
        except libvips().Error as error:
            check_cancelled()
            raise ImageError(f"{self.name}: cannot be decoded: {reason_of(error)}") from None
        except MemoryError:
            raise ImageError(f"{self.name}: cannot be decoded: it is too large for the memory") from None
        except Exception as error:
            raise ImageError(f"{self.name}: cannot be decoded: {one_line(error)}") from None
