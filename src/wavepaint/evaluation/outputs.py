"""Output folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wavepaint.errors import OptionError


@contextmanager
def whole_folder(target: Path, marker: str) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place when the block ends without an error.

    Args:
        target: a folder that does not exist, is empty, or is an earlier output of the same kind.
        marker: file by which an earlier output is recognised; such a folder is replaced.

    Raises:
        OptionError: `target` holds something else, or cannot be made.
    """
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / marker).is_file()):
        raise OptionError(f"{target}: exists and holds no {marker}; not overwritten")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise OptionError(f"{target}: cannot be made: {error.strerror}") from None
    try:
        made = workplace / "new"
        made.mkdir()
        yield made
        _replace(made, target, workplace / "old")
    finally:
        shutil.rmtree(workplace)


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
