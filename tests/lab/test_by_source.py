import io
import json
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from images import noise, png
from lab.by_source import part_by_source
from lab.cli import app
from wavepaint.errors import OptionError


def write_shard(path: Path, sources: list[str], first: int = 0) -> Path:
    with tarfile.open(path, "w") as tar:
        for number, source in enumerate(sources, first):
            record = json.dumps({"source": source} if source else {}).encode()
            for name, data in (
                (f"{number:04d}.png", png(noise(16, 16, 3, seed=number))),
                (f"{number:04d}.json", record),
            ):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_every_source_gives_as_many_images_and_none_twice(tmp_path: Path) -> None:
    write_shard(tmp_path / "part-0000.tar", ["sun"] * 5 + ["faces"] * 2)
    write_shard(tmp_path / "part-0001.tar", ["faces"] * 3 + ["sun"], first=7)
    pattern = str(tmp_path / "part-{0000..0001}.tar")
    result = CliRunner().invoke(app, ["by-source", pattern, "-o", str(tmp_path / "parted"), "--held-out", "2"])
    assert result.exit_code == 0, result.output
    expected = {"sun": {0, 1, 2, 3, 4, 10}, "faces": {5, 6, 7, 8, 9}}
    for source, numbers in expected.items():
        train, test = (members(tmp_path / "parted" / source / f"{part}.tar") for part in ("train", "test"))
        assert (len(train), len(test)) == (3, 2)
        assert {int(name[:4]) for name in (*train, *test)} <= numbers
        assert not train.keys() & test.keys()
        assert all(data == png(noise(16, 16, 3, seed=int(name[:4]))) for name, data in {**train, **test}.items())
    again = part_by_source([tmp_path / "part-0000.tar", tmp_path / "part-0001.tar"], tmp_path / "again", 2)
    assert again == {"faces": 3, "sun": 3}
    for source in expected:
        assert members(tmp_path / "again" / source / "train.tar") == members(tmp_path / "parted" / source / "train.tar")


def test_what_cannot_be_parted_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "part.tar", ["sun", "sun", "", "faces"])
    with pytest.raises(OptionError, match=r"0002\.png has no 0002\.json that names its source"):
        part_by_source([shard], tmp_path / "parted", 1)
    shard = write_shard(tmp_path / "few.tar", ["sun", "sun", "faces"])
    with pytest.raises(OptionError, match="one has no more than 1 images"):
        part_by_source([shard], tmp_path / "parted", 1)
    assert not (tmp_path / "parted").exists()
    with pytest.raises(OptionError, match="not empty"):
        part_by_source([shard], tmp_path, 1)
