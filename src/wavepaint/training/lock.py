"""One process at a time trains in a folder."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import BinaryIO, ClassVar

from wavepaint.errors import OptionError

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
"""Stays in the folder: what counts is whether a living process holds it, and removing it could let two in."""


class FolderLock:
    """Keeps others from training in a folder until `close`, or until this process is gone, however it ends.

    Where files cannot be locked (Windows, some network file systems) nothing is.

    Args:
        folder: of the run; must exist.

    Raises:
        OptionError: another process, or another run of this one, holds it.
        OSError: the lock's file cannot be opened.
    """

    # Locks are the process's: a second one would be granted to it, and closing that would let go of the first.
    _held: ClassVar[set[Path]] = set()

    def __init__(self, folder: Path) -> None:
        self._path = (folder / LOCK).resolve()
        if self._path in self._held:
            raise OptionError(f"{folder}: another run of this process trains in this folder")
        self._file = self._path.open("ab")
        if not _locked(self._file):
            self._file.close()
            raise OptionError(f"{folder}: another process trains in this folder")
        self._held.add(self._path)

    def close(self) -> None:
        """Let others in."""
        self._held.discard(self._path)
        self._file.close()


def _locked(file: BinaryIO) -> bool:
    """Whether this process holds the file now, or nobody can."""
    if sys.platform == "win32":
        return True
    try:
        # Not flock, whose locks forked loader workers hold, too, for seconds after their parent was killed.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True
