"""Folders and files on this machine or behind any fsspec URL, with writes that appear whole or not at all."""

from __future__ import annotations

import os
import posixpath
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from wavepaint.errors import OptionError, WavepaintError
from wavepaint.files import replacing

WHOLE_WRITERS = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})
"""Protocols of stores in which an object that is being written cannot be seen."""

FIRST_PAUSE = 0.5
"""Seconds before storage that failed is asked again; doubled with every further try."""
LOCAL_SCHEMES = ("file://", "local://")

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_PATTERN = re.compile(r"[*?\[]|" + _RANGE.pattern)
_Result = TypeVar("_Result")


def attempts(tries: int) -> Iterator[bool]:
    """So many turns with a growing pause between them; each is told whether it is the last."""
    pause = FIRST_PAUSE
    for left in reversed(range(tries)):
        yield left == 0
        if left:
            time.sleep(pause)
            pause *= 2


def persist(act: Callable[[], _Result], tries: int) -> _Result:
    """What `act` returns, called again when storage fails; that something is not there, or is wrong, is an answer.

    Raises:
        WavepaintError, FileNotFoundError: what `act` raised, at once.
        Exception: what it raised the last time.
    """
    for last in attempts(tries):
        try:
            return act()
        except (WavepaintError, FileNotFoundError):
            raise
        except Exception:  # stores raise whatever their libraries do
            if last:
                raise
    raise AssertionError("tries is at least 1")


def reason_of(error: Exception) -> str:
    """One line that says what failed."""
    return getattr(error, "strerror", None) or " ".join(f"{type(error).__name__}: {error}".split())


@dataclass(frozen=True)
class Place:
    """A file or folder.

    Attributes:
        url: an absolute local path, or a URL of any protocol that fsspec knows; see `Place.of`.

    Raises:
        OptionError: from the first use: a protocol that is unknown, or whose package is not installed.
    """

    url: str

    @classmethod
    def of(cls, text: str | Path) -> Place:
        """A place by what a user calls it: relative paths become absolute, because workers run elsewhere."""
        name = os.fspath(text)
        for scheme in LOCAL_SCHEMES:
            name = name.removeprefix(scheme)
        return cls(name.rstrip("/") if "://" in name else os.path.abspath(os.path.expanduser(name)))

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        if "://" not in self.url:
            # Not by fsspec's parser: here "::" is part of a name.
            return LocalFileSystem(), self.url
        try:
            # A listing that is remembered would hide what others have written meanwhile.
            fs, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise OptionError(f"{self.url}: {' '.join(str(error).split())}") from None
        return fs, path

    @property
    def fs(self) -> Any:
        """The fsspec file system it lies in."""
        return self._opened[0]

    @property
    def path(self) -> str:
        """Its path in that file system."""
        return self._opened[1]

    @property
    def local(self) -> Path | None:
        """Its path on this machine; None for a URL."""
        return Path(self.path) if isinstance(self.fs, LocalFileSystem) else None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(self.url)

    def __truediv__(self, name: str) -> Place:
        return Place(posixpath.join(self.url, name))

    def is_file(self) -> bool:
        """Whether a file is there."""
        return bool(self.fs.isfile(self.path))

    def is_folder(self) -> bool:
        """Whether a folder is there."""
        return bool(self.fs.isdir(self.path))

    def open(self) -> Any:
        """The file, to read bytes from."""
        return self.fs.open(self.path, "rb")

    def read(self) -> bytes:
        """The contents of the file; raises `OSError`."""
        return bytes(self.fs.cat_file(self.path))

    def fetch(self, target: Path) -> None:
        """Copy the file to this machine; raises `OSError`."""
        self.fs.get_file(self.path, str(target))

    def write(self, data: bytes) -> None:
        """Make this a file of these contents, at once."""
        if (local := self.local) is not None:
            local.parent.mkdir(parents=True, exist_ok=True)
            with replacing(local) as part:
                part.write_bytes(data)
            return
        with self._whole() as path:
            self.fs.pipe_file(path, data)

    def store(self, source: Path) -> None:
        """Make this a copy of a file on this machine, at once."""
        if (local := self.local) is not None:
            with replacing(local) as part:
                shutil.copyfile(source, part)
            return
        with self._whole() as path:
            self.fs.put_file(str(source), path)

    def _whole(self) -> _Renamed:
        return _Renamed(self.fs, self.path)

    def is_same(self, other: Place) -> bool:
        """Whether both are the same file or folder, by whatever links."""
        if self.local is not None and other.local is not None:
            return os.path.realpath(self.local) == os.path.realpath(other.local)
        return self.url == other.url

    def children(self) -> tuple[list[str], list[str]]:
        """Names of the files and of the folders in this folder, sorted; none where it does not exist.

        Hidden ones are left out. On this machine, links to folders are neither.
        """
        files, folders = [], []
        if (local := self.local) is not None:
            try:
                entries = list(os.scandir(local))
            except FileNotFoundError:
                entries = []
            files = [entry.name for entry in entries if entry.is_file()]
            folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        else:
            try:
                listed = self.fs.ls(self.path, detail=True)
            except FileNotFoundError:
                listed = []
            for entry in listed:
                name = posixpath.basename(entry["name"].rstrip("/"))
                # Some stores list the folder itself, as an empty object.
                if entry["name"].rstrip("/") != self.path.rstrip("/"):
                    (folders if entry["type"] == "directory" else files).append(name)
        visible = (sorted(name for name in names if not name.startswith(".")) for names in (files, folders))
        return next(visible), next(visible)

    def walk(self, apart: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
        """Every folder below, this one first (relative, "" for this one), with the names of its files.

        Memory is that of one folder, and of the folders still to visit.

        Args:
            apart: relative folders that are left out.
        """
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            files, folders = (self / folder if folder else self).children()
            yield folder, files
            inner = (posixpath.join(folder, name) for name in reversed(folders))
            waiting.extend(name for name in inner if name not in apart)

    def remove(self) -> None:
        """Remove a file or folder; there may be none."""
        try:
            self.fs.rm(self.path, recursive=True)
        except FileNotFoundError:
            return

    def expand(self) -> list[Place]:
        """The files that a pattern names, sorted: `*`, `?`, `[...]` and numbers `{0000..0031}`.

        A file of that very name comes first.
        """
        if not _PATTERN.search(self.url) or self.is_file():
            return [self]
        if found := _RANGE.search(self.url):
            first, last = found.groups()
            numbers = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
            places = (Place(self.url[: found.start()] + number + self.url[found.end() :]) for number in numbers)
            return [each for place in places for each in place.expand()]
        remote = self.local is None
        return [Place(self.fs.unstrip_protocol(path) if remote else path) for path in sorted(self.fs.glob(self.path))]


class _Renamed:
    """A path to write to; what is there at the end takes the place of `path` in one step."""

    def __init__(self, fs: Any, path: str) -> None:
        self._fs, self._path = fs, path
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        whole = not protocols.isdisjoint(WHOLE_WRITERS)
        folder, name = posixpath.split(path)
        self._written = path if whole else posixpath.join(folder, f".{name}.{secrets.token_hex(8)}.part")

    def __enter__(self) -> str:
        if self._written != self._path:
            self._fs.makedirs(posixpath.dirname(self._path), exist_ok=True)
        return self._written

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._written == self._path:
            return
        if error is None:
            self._fs.mv(self._written, self._path)
        elif self._fs.exists(self._written):
            self._fs.rm(self._written)
