import hashlib
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from images import noise, png
from lab.cli import app
from lab.prepare import DATASETS, MANIFEST, prepare, square_png
from wavepaint.data.images import find_images
from wavepaint.errors import ImageError, OptionError
from wavepaint.evaluation.testset import read_image

CELEBA = replace(DATASETS["celeba-hq"], counts={"train": 5, "val": 2, "test": 2}, sizes=(16,), smallest=16)
IMAGENET = replace(DATASETS["imagenet"], counts={"train": 4, "val": 2}, sizes=(14, 16))


@pytest.fixture
def celeba(tmp_path):
    """Nine squares, 0.png to 8.png, and 10.png for 9."""
    folder = tmp_path / "celeba"
    folder.mkdir()
    for number in (*range(8), 10):
        (folder / f"{number}.png").write_bytes(png(noise(32, 32, 3, seed=number)))
    return folder


@pytest.fixture
def imagenet(tmp_path):
    """Two classes for training and a flat validation folder, all of different shapes."""
    folder = tmp_path / "imagenet" / "ILSVRC"
    names = ["train/n01/n01_1.png", "train/n01/n01_2.png", "train/n02/n02_1.png", "train/n02/n02_10.png"]
    names += ["val/v_1.png", "val/v_2.png", "test/t_1.png"]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        channels = 1 if number == 1 else 4 if number == 2 else 3
        (folder / name).write_bytes(png(noise(9 + number, 20, channels, seed=number)))
    return folder.parent


def run(dataset, folder, target, **options):
    return sum(prepare(dataset, find_images(folder), target, **options))


def members(path):
    with tarfile.open(path) as shard:
        return shard.getnames()


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_published_numbers():
    assert {name: dict(d.counts) for name, d in DATASETS.items()} == {
        "celeba-hq": {"train": 26_000, "val": 2_000, "test": 2_000},
        "imagenet": {"train": 1_281_167, "val": 50_000},
        "places": {"val": 36_500},
    }
    assert [d.sizes for d in DATASETS.values()] == [(256,), (224, 256), (512,)]


def test_names_in_natural_order_are_cut_into_splits(celeba, tmp_path):
    assert run(CELEBA, celeba, tmp_path / "out", shard_size=3) == 9
    shards = [
        members(tmp_path / "out" / "16" / f"{n}.tar") for n in ("train-0000", "train-0001", "val-0000", "test-0000")
    ]
    assert shards == [["0.png", "1.png", "2.png"], ["3.png", "4.png"], ["5.png", "6.png"], ["7.png", "10.png"]]
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["complete"] is True
    for split, digest in manifest["lists_sha256"].items():
        assert hashlib.sha256((tmp_path / "out" / f"{split}.txt").read_bytes()).hexdigest() == digest
    assert len(manifest["shards_sha256"]) == 4
    for name, digest in manifest["shards_sha256"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest


def test_folders_are_splits_and_every_size_is_made(imagenet, tmp_path):
    assert run(IMAGENET, imagenet, tmp_path / "out") == 12
    for size in (14, 16):
        folder = tmp_path / "out" / str(size)
        assert [name.rpartition("/")[2] for name in members(folder / "train-0000.tar")] == [
            *("n01_1.png", "n01_2.png", "n02_1.png", "n02_10.png")
        ]
        for split, count in IMAGENET.counts.items():
            images = list(find_images(folder / f"{split}-0000.tar"))
            assert [image.shape for _, image in images] == [(size, size, 3)] * count


def test_a_image_of_the_right_size_keeps_its_samples_and_a_larger_one_its_middle(tmp_path):
    samples = noise(16, 16, 3)
    (tmp_path / "same.png").write_bytes(square_png(png(samples), "same", 16))
    assert (read_image(tmp_path / "same.png") == samples).all()
    wide = np.concatenate([np.zeros((16, 8, 3), np.uint8), samples, np.zeros((16, 8, 3), np.uint8)], axis=1)
    (tmp_path / "wide.png").write_bytes(square_png(png(wide), "wide", 16))
    assert (read_image(tmp_path / "wide.png") == samples).all()


def test_an_interrupted_preparation_resumes_and_gives_the_same_bytes(celeba, tmp_path):
    run(CELEBA, celeba, tmp_path / "whole", shard_size=2)
    going = prepare(CELEBA, find_images(celeba), tmp_path / "cut", shard_size=2)
    for _ in range(3):
        next(going)
    going.close()
    left = files_below(tmp_path / "cut")
    assert json.loads(left[MANIFEST])["complete"] is False
    assert [name for name in left if name.endswith(".tar")] == ["16/train-0000.tar"]
    changed = (tmp_path / "cut" / "16" / "train-0000.tar").stat().st_mtime_ns
    (tmp_path / "cut" / "16" / "train-0001.tar").write_bytes(b"damaged")
    assert run(CELEBA, celeba, tmp_path / "cut", shard_size=2) == 9
    assert (tmp_path / "cut" / "16" / "train-0000.tar").stat().st_mtime_ns == changed
    assert files_below(tmp_path / "cut") == files_below(tmp_path / "whole")


def test_lists_choose_other_splits(celeba, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text("10.jpg\n/data/3.png\n5\n0.png\n1.png\n")
    (lists / "val.txt").write_text("2.png\n4.png\n")
    (lists / "test.txt").write_text("6.png\n7.png\n")
    run(CELEBA, celeba, tmp_path / "out", lists=lists)
    assert members(tmp_path / "out" / "16" / "train-0000.tar") == ["10.png", "3.png", "5.png", "0.png", "1.png"]
    with pytest.raises(OptionError, match="prepared with other lists_sha256"):
        run(CELEBA, celeba, tmp_path / "out")
    for text, reason in (
        ("2.png\n", r"val\.txt: has 1 names, CelebA-HQ has 2 images in val"),
        ("2.png\n99.png\n", "99 is not in the source"),
        ("2.png\n10.png\n", r"10\.png is listed 2 times"),
    ):
        (lists / "val.txt").write_text(text)
        with pytest.raises(OptionError, match=reason):
            run(CELEBA, celeba, tmp_path / "wrong", lists=lists)
    (lists / "val.txt").unlink()
    with pytest.raises(OptionError, match=r"val\.txt: cannot be read"):
        run(CELEBA, celeba, tmp_path / "wrong", lists=lists)
    assert not (tmp_path / "wrong").exists()


def test_what_is_not_the_published_set_is_refused(celeba, imagenet, tmp_path):
    with pytest.raises(OptionError, match="CelebA-HQ has 30,000 images, but the source 9"):
        run(DATASETS["celeba-hq"], celeba, tmp_path / "out")
    (imagenet / "ILSVRC" / "val" / "v_2.png").unlink()
    with pytest.raises(OptionError, match="2 images in val, but the source 1"):
        run(IMAGENET, imagenet, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "diary.txt").write_text("mine")
    with pytest.raises(OptionError, match="not written to"):
        run(CELEBA, celeba, tmp_path / "precious")


def test_small_and_broken_images_end_it_and_leave_no_part_of_a_shard(celeba, tmp_path):
    with pytest.raises(ImageError, match=r"0\.png: is 32x32, smaller than published \(64\)"):
        run(replace(CELEBA, smallest=64), celeba, tmp_path / "out")
    good = (celeba / "6.png").read_bytes()
    (celeba / "6.png").write_bytes(good[:1000])
    with pytest.raises(ImageError, match=r"6\.png: cannot be read"):
        run(CELEBA, celeba, tmp_path / "out2")
    assert sorted(path.name for path in (tmp_path / "out2" / "16").iterdir()) == ["train-0000.tar"]
    (celeba / "6.png").write_bytes(good)
    assert run(CELEBA, celeba, tmp_path / "out2") == 9


def test_the_command_refuses_in_one_line(celeba, tmp_path):
    for arguments, reason in (
        (("celebs", celeba), "unknown data set 'celebs'; known: celeba-hq, imagenet, places"),
        (("places", celeba), "Places2 validation has 36,500 images, but the source 9"),
        (("places", tmp_path / "none"), "no such file or folder"),
    ):
        done = CliRunner().invoke(app, ["prepare", *map(str, arguments), "-o", str(tmp_path / "out")])
        assert done.exit_code == 2
        assert reason in done.output
        assert len(done.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
