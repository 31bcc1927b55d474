from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wavepaint.errors import OptionError
from wavepaint.files import atomic_dir, atomic_write, replaceable_mode, sweep_parts


def write(target: Path, text: str = "new") -> None:
    with atomic_write(target) as unfinished:
        unfinished.write_text(text)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file"

    def give_up() -> None:
        with atomic_write(target) as unfinished:
            unfinished.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert os.listdir(tmp_path) == []
    write(target)
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_what_replaces_a_file_has_its_permissions(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    target.chmod(mode)
    with atomic_write(target) as unfinished:
        assert unfinished.stat().st_mode & 0o077 == 0
        unfinished.write_text("new")
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write(tmp_path / "file")
    (tmp_path / "other").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_of_a_symbolic_link_the_file_behind_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("old")
    for link, place in (("link", "folder/file"), ("dangling", "folder/none")):
        (tmp_path / link).symlink_to(place)
        write(tmp_path / link)
        assert (tmp_path / link).is_symlink()
        assert not (tmp_path / place).is_symlink()
        assert (tmp_path / place).read_text() == "new"
    assert sorted(os.listdir(tmp_path / "folder")) == ["file", "none"]


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in (
        ("pipe", "not a regular file"),
        ("link", "not a regular file"),
        ("folder", "is a directory"),
        ("loop", "symbolic links"),
        ("a\0b", "null"),
        ("x" * 256, "too long"),
    ):
        with pytest.raises(OSError, match=reason):
            write(tmp_path / name)
        with pytest.raises(OSError, match=reason):
            replaceable_mode(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "loop", "pipe"]


def test_what_has_to_survive_a_power_cut_is_on_the_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    replace, fsync = os.replace, os.fsync

    def replaced(source: Path, target: Path) -> None:
        done.append("replace")
        replace(source, target)

    def flushed(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "fsync", flushed)
    write(tmp_path / "quick")
    assert done == ["replace"]
    with atomic_write(tmp_path / "safe", durable=True) as unfinished:
        unfinished.write_text("new")
    assert done == ["replace", "file", "replace", "folder"]
    assert (tmp_path / "safe").read_text() == "new"


def test_what_cannot_be_opened_again_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a umask that forbids to read what one writes, or when no descriptor is left."""
    create = os.open

    def refuse_to_reopen(path: str | Path, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT:
            return create(path, flags, *rest)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", refuse_to_reopen)
    write(tmp_path / "file")
    with (
        pytest.raises(OptionError, match="cannot be made: Too many open files"),
        atomic_dir(tmp_path / "set", "marker"),
    ):
        pytest.fail("is not reached")
    monkeypatch.undo()
    assert (tmp_path / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


KILLED = """
import os, signal, sys
from pathlib import Path
from wavepaint.files import atomic_dir, atomic_write, scratch_folder
target = Path(sys.argv[1])
with scratch_folder(), atomic_write(target / "a.png") as part, atomic_dir(target / "set", "marker") as made:
    part.write_bytes(b"half")
    (made / "marker").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_was_writing_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path]).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3
    with atomic_dir(tmp_path / "other", "marker") as made:
        (made / "marker").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_folder_that_was_being_replaced_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / f".{'0' * 16}.part" / "old" / "results").mkdir(parents=True)
    (tmp_path / f".{'1' * 16}.part" / "new").mkdir(parents=True)
    (tmp_path / ".hidden.part").touch()
    sweep_parts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f".{'0' * 16}.part", ".hidden.part"}
