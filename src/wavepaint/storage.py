"""Files by their paths on this machine, and anywhere else by any URL that fsspec knows."""

from __future__ import annotations

import glob
import os
import posixpath
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from wavepaint.errors import OptionError, needs_extra, one_line
from wavepaint.files import atomic_write, expand_braces, is_part, sweep, sweep_scratch

WHOLE_WRITERS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})
"""Protocols of stores in which an object that is being written cannot be seen."""


class _Local:
    """The little of an fsspec file system that is used here, for paths; the core install has no fsspec."""

    isdir, isfile = staticmethod(os.path.isdir), staticmethod(os.path.isfile)
    open, glob, rm_file = staticmethod(open), staticmethod(glob.glob), staticmethod(os.unlink)
    unstrip_protocol = str

    @staticmethod
    def find(folder: str) -> Iterator[str]:
        for inner, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (posixpath.join(inner, name) for name in files)


def file_system(name: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path in it; `OptionError` for a protocol that cannot be used."""
    if "://" not in name:
        return _Local, name
    with needs_extra(f"{name}: a URL", "cluster"):
        from fsspec.core import url_to_fs
    try:
        # A listing that is remembered would hide what others have written since.
        fs, path = url_to_fs(name, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise OptionError(f"{name}: {one_line(error)}") from None
    return fs, path.rstrip("/")


def absolute(name: str) -> str:
    """A name that means the same on every machine: an absolute path, or a URL without a slash at its end."""
    name = name.removeprefix("file://").removeprefix("local://")
    return name.rstrip("/") if "://" in name else os.path.abspath(os.path.expanduser(name))


def real(name: str) -> str:
    """`absolute`, without links in a path: folders with equal names are the same."""
    return absolute(name) if "://" in name else os.path.realpath(absolute(name))


def is_folder(name: str) -> bool:
    """Whether there is a folder of this name."""
    fs, path = file_system(name)
    return bool(fs.isdir(path))


def open_file(name: str) -> Any:
    """A file, to read bytes from; raises `OSError`."""
    fs, path = file_system(name)
    return fs.open(path, "rb")


def read(name: str) -> bytes:
    """The contents of a file; raises `OSError`."""
    with open_file(name) as file:
        return bytes(file.read())


def write(name: str, content: bytes) -> None:
    """Make a file of this content; it appears whole or not at all."""
    fs, path = file_system(name)
    folder = posixpath.dirname(path)
    if fs is _Local:
        os.makedirs(folder, exist_ok=True)
        with atomic_write(path) as part:
            part.write_bytes(content)
    elif not WHOLE_WRITERS.isdisjoint([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol):
        fs.pipe_file(path, content)
    else:
        fs.makedirs(folder, exist_ok=True)
        written = f"{folder}/.{secrets.token_hex(8)}.part"
        fs.pipe_file(written, content)
        fs.mv(written, path)


def remove(name: str) -> None:
    """Remove a file; there may be none."""
    fs, path = file_system(name)
    with suppress(FileNotFoundError):
        fs.rm_file(path)


def walk(folder: str) -> list[str]:
    """The relative names of all files below a folder, but for those in hidden folders; none if it is missing."""
    fs, root = file_system(folder)
    names = (name[len(root) :].lstrip("/") for name in fs.find(root))
    return sorted(name for name in names if name and "/." not in f"/{posixpath.dirname(name)}")


def results_in(output: str) -> set[str]:
    """The files in an output folder, once what killed runs have left half-written on this machine is removed."""
    sweep_scratch()
    names = walk(output)
    for name in names if "://" not in output else ():
        if is_part(posixpath.basename(name)):
            sweep(posixpath.join(output, name))
    return set(names)


def expand(pattern: str) -> list[str]:
    """The files that a pattern names, sorted: `*`, `?`, `[...]` and `{0000..0031}`; first of all a file so named."""
    if file_system(pattern)[0].isfile(file_system(pattern)[1]):
        return [pattern]
    if len(patterns := expand_braces(pattern)) > 1:
        return [name for each in patterns for name in expand(each)]
    fs, path = file_system(patterns[0])
    return [fs.unstrip_protocol(name) for name in sorted(fs.glob(path))]
