"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from wavepaint.errors import OptionError

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows, where nothing is swept
    fcntl = None

SCRATCH = "wavepaint-scratch-"
_ASIDE = "old"
_PART = re.compile(r"\.[0-9a-f]{16}\.part")


@contextmanager
def atomic_write(target: str | Path, durable: bool = False) -> Iterator[Path]:
    """An empty file beside `target` to write to; it becomes `target` when the block ends without an error.

    Otherwise, Ctrl-C included, it is removed and an old `target` stays as it was. What replaces an old file has its
    permissions; of a symbolic link, the file that it names is replaced.

    Args:
        target: of the file.
        durable: have it on the disk before continuing, so that a power cut leaves the old file or the new one, whole.

    Raises:
        OSError: a `target` that cannot be written, or is something else than a file (a directory, a device, a pipe).
    """
    mode = replaceable_mode(target)
    path = Path(os.path.realpath(target))

    def new_part() -> tuple[Path, int]:
        part = _part_beside(path)
        # Restricted from the start: nobody may read it who could not read the old file.
        return part, os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600)

    with _locked(new_part) as temporary:
        yield temporary
        if mode is not None:
            os.chmod(temporary, mode)
        if durable:
            _flush_to_disk(temporary)
        os.replace(temporary, path)
        if durable and os.name == "posix":  # elsewhere folders cannot be opened
            _flush_to_disk(path.parent)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, removed when the block ends, or by a later `sweep_scratch` if this process is killed."""
    with _locked(lambda: _opened(Path(tempfile.mkdtemp(prefix=SCRATCH)))) as folder:
        yield folder


@contextmanager
def _locked(make: Callable[[], tuple[Path, int | None]]) -> Iterator[Path]:
    """A new file or folder that `sweep` keeps away from until the block ends; what is still there then is removed.

    make: returns it with a descriptor to lock, which is closed in the end.
    """
    while True:
        path, descriptor = make()
        lock = _lock(descriptor)
        if path.exists():
            break
        _close(lock)  # swept before it was locked
    try:
        yield path
    finally:
        _close(lock)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_part(name: str) -> bool:
    """Whether a file of this name is one that `atomic_write` writes to."""
    return _PART.fullmatch(name) is not None


def sweep_scratch() -> None:
    """Remove the scratch folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        sweep(folder)


def sweep_parts(folder: str | Path) -> None:
    """Remove what killed processes have left half-written in a folder, not in those below it, and `sweep_scratch`."""
    sweep_scratch()
    with suppress(OSError):
        for name in filter(is_part, os.listdir(folder)):
            sweep(os.path.join(folder, name))


def sweep(path: str | Path) -> None:
    """Remove a part or a scratch folder whose writer was killed; one that is still being written stays.

    Its writer holds a lock, which ends with the process. Whatever goes wrong, the file stays; so does a folder that
    holds what `atomic_dir` was about to replace.
    """
    if fcntl is None:
        return
    with suppress(OSError):
        lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.isdir(path):
                os.unlink(path)
            elif not os.path.exists(os.path.join(path, _ASIDE)):
                shutil.rmtree(path)
        finally:
            os.close(lock)


def _part_beside(target: Path) -> Path:
    return target.with_name(f".{secrets.token_hex(8)}.part")


def _opened(folder: Path) -> tuple[Path, int | None]:
    """A new folder with a descriptor to lock; removed where it cannot be opened."""
    try:
        return folder, None if fcntl is None else os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # swept before it was opened
        return folder, None
    except OSError:
        folder.rmdir()
        raise


def _lock(descriptor: int | None) -> int | None:
    if fcntl is None or descriptor is None:
        _close(descriptor)  # Windows does not rename open files
        return None
    with suppress(OSError):  # file systems without locks: there `sweep` fails as well
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _close(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


@contextmanager
def atomic_dir(target: Path, marker: str) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place when the block ends without an error.

    Args:
        target: a folder that does not exist, is empty, or is an earlier output of the same kind.
        marker: file by which an earlier output is recognised; such a folder is replaced.

    Raises:
        OptionError: `target` holds something else, or cannot be made.
    """
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / marker).is_file()):
        raise OptionError(f"{target}: exists and holds no {marker}; not overwritten")
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep_parts(target.parent)
            workplace = stack.enter_context(_locked(lambda: _opened(_new_folder(target))))
        except OSError as error:
            raise OptionError(f"{target}: cannot be made: {error.strerror}") from None
        made = workplace / "new"
        made.mkdir()
        yield made
        _replace(made, target, workplace / _ASIDE)


def _new_folder(target: Path) -> Path:
    part = _part_beside(target)
    part.mkdir(mode=0o700)
    return part


def _replace(made: Path, target: Path, aside: Path) -> None:
    """Put `made` where `target` is; a target that cannot be replaced stays as it was."""
    if not target.is_dir():
        made.rename(target)
        return
    target.rename(aside)
    try:
        made.rename(target)
    except OSError:
        aside.rename(target)
        raise


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
        status = os.stat(target)
    except FileNotFoundError:
        return None
    except ValueError as error:  # a null character
        raise OSError(errno.EINVAL, str(error)) from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file")
    return stat.S_IMODE(status.st_mode)


def expand_braces(pattern: str) -> list[str]:
    """What braces stand for: `{0000..0008}` for numbers of one width, `{a,b}` for words; several combine."""
    match = re.search(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}", pattern)
    if match is None:
        return [pattern]
    first, last, words = match.groups()
    numbers = [] if first is None else range(int(first), int(last) + 1)
    parts = [str(number).zfill(len(first)) for number in numbers] if words is None else words.split(",")
    return [each for part in parts for each in expand_braces(pattern[: match.start()] + part + pattern[match.end() :])]


def cache_folder() -> Path:
    """`$WAVEPAINT_CACHE`, else `$XDG_CACHE_HOME/wavepaint`, else `~/.cache/wavepaint`."""
    if chosen := os.environ.get("WAVEPAINT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavepaint"
