"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: str | Path, durable: bool = False) -> Iterator[Path]:
    """An empty file beside `target` to write to; it becomes `target` when the block ends without an error.

    Otherwise, Ctrl-C included, it is removed and an old `target` stays as it was. What replaces an old file has its
    permissions; of a symbolic link, the file that it names is replaced.

    Args:
        target: of the file.
        durable: have it on the disk before going on, so that a power cut leaves the old file or the new one, whole.

    Raises:
        OSError: a `target` that cannot be written, or is something else than a file (a directory, a device, a pipe).
    """
    mode = replaceable_mode(target)
    place = Path(os.path.realpath(target))
    temporary = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        # Restricted from the start: nobody may read it who could not read the old file.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600))
        yield temporary
        if mode is not None:
            os.chmod(temporary, mode)
        if durable:
            _flush_to_disk(temporary)
        os.replace(temporary, place)
        if durable and os.name == "posix":  # elsewhere folders cannot be opened
            _flush_to_disk(place.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replaceable_mode(target: str | Path) -> int | None:
    """The permissions of a file that may be replaced; None where there is none yet.

    Raises:
        OSError: something else than a file is there, or no file can have that name.
    """
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    except ValueError as error:  # a null character
        raise OSError(errno.EINVAL, str(error)) from None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file")
    return stat.S_IMODE(found.st_mode)


def cache_folder() -> Path:
    """`$WAVEPAINT_CACHE`, else `$XDG_CACHE_HOME/wavepaint`, else `~/.cache/wavepaint`."""
    if chosen := os.environ.get("WAVEPAINT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavepaint"
