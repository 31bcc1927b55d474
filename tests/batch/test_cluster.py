"""Batch work without Ray: what there is to do, what is kept, and what is done again."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pictures import noise, pillow
from standin import Recorder, mean_fill, write_standin
from wavepaint import Inpainter
from wavepaint.batch.folder import inpaint_folder, plan_folder
from wavepaint.cli import app
from wavepaint.errors import CheckpointError, MaskError, OptionError, PhotoError, WavepaintError
from wavepaint.options import Engine, Options, as_boxes

pytest.importorskip("ray")
import pyarrow as pa
import pyarrow.parquet as pq

from wavepaint.batch import batch as driver
from wavepaint.batch import storage
from wavepaint.batch import worker as worker_module
from wavepaint.batch.batch import Batch, Cluster, run_batch
from wavepaint.batch.inputs import Columns, Masks, Ticket, make_plan, open_ticket
from wavepaint.batch.manifest import Manifest, Record, digests, holds, read_status
from wavepaint.batch.sharing import SharedRuntime, SharingInpainter
from wavepaint.batch.storage import Place
from wavepaint.batch.worker import Finished, Work, Worker

NAMES = ("one.png", "sub/two.png", "sub/three.jpg", "sub/deep/four.tif", "five.gif")


def box_mask(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width, 1), np.uint8)
    mask[5:12, 7:16] = 255
    return mask


def picture(number: int, name: str) -> bytes:
    kind = {".png": "PNG", ".jpg": "JPEG", ".tif": "TIFF", ".gif": "GIF"}[Path(name).suffix]
    return pillow(noise(30 + number, 41, 3, seed=number), kind)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs in `photos`, their masks in `masks`."""
    for number, name in enumerate(NAMES):
        for folder, file, content in (
            ("photos", name, picture(number, name)),
            ("masks", Path(name).with_suffix(".png"), pillow(box_mask(30 + number, 41), "PNG")),
        ):
            path = tmp_path / folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return tmp_path / "photos"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(model=write_standin(tmp_path / "mean.onnx"), runtime="onnxruntime", threads=1)


@pytest.fixture
def expected(tmp_path: Path, photos: Path, engine: Engine) -> dict[str, bytes]:
    """What folder mode makes of them, by name."""
    inpainter = Inpainter(engine.model, engine.runtime, 1)
    jobs = plan_folder(photos, tmp_path / "masks", tmp_path / "folder")
    assert {outcome.status for outcome in inpaint_folder(inpainter, jobs, Options())} == {"filled"}
    return {job.photo.relative_to(photos).as_posix(): job.target.read_bytes() for job in jobs}


@pytest.fixture(autouse=True)
def tickets(monkeypatch: pytest.MonkeyPatch) -> list[Ticket]:
    """Do tickets in this process instead of a cluster, and remember them."""
    seen: list[Ticket] = []

    @contextmanager
    def workers(todo: list[Ticket], _: Cluster) -> Iterator[driver.Spread]:
        def spread(work: Work) -> Generator[tuple[str, Finished]]:
            worker = Worker(work)
            for ticket in todo:
                seen.append(Ticket.from_json(ticket.to_json()))
                yield ticket.id, worker.do(seen[-1])

        yield spread

    monkeypatch.setattr(driver, "_workers", workers)
    monkeypatch.setattr(storage, "FIRST_PAUSE", 0.001)
    return seen


def do(batch: Batch) -> list[dict[str, Any]]:
    """Run a batch to its end; the rows of its manifest."""
    last = list(run_batch(batch, Cluster()))[-1]
    rows = rows_of(batch.output)
    assert last.total == len(rows) == sum(last.counts.values())
    return rows


def rows_of(output: str) -> list[dict[str, Any]]:
    rows = pq.read_table(io.BytesIO((Place.of(output) / "manifest.parquet").read())).to_pylist()
    return sorted(rows, key=lambda row: row["input"])


def content(output: str, row: dict[str, Any]) -> bytes:
    data = (Place.of(output) / row["result"]).read()
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    return data


def shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


# -- kinds of input ----------------------------------------------------------------------------------------------------


def test_a_folder_gives_the_files_of_folder_mode(
    tmp_path: Path, photos: Path, engine: Engine, expected: dict[str, bytes], tickets: list[Ticket]
) -> None:
    output = str(tmp_path / "out")
    rows = do(Batch(input=str(photos), output=output, masks=str(tmp_path / "masks"), engine=engine, group=2))
    assert [ticket.inputs for ticket in tickets] == [2, 2, 1]
    assert {Path(row["input"]).relative_to(photos).as_posix(): content(output, row) for row in rows} == expected
    assert {row["result"] for row in rows} == {*NAMES[:4], "five.gif.png"}
    assert all(row["status"] == "done" and row["seconds"] > 0 and row["session"] == 1 for row in rows)
    written = {path for path in (tmp_path / "out").rglob("*") if path.is_file() and ".wavepaint" not in path.parts}
    assert len(written) == len(NAMES) + 1


def test_a_folder_is_planned_like_folder_mode(tmp_path: Path, photos: Path) -> None:
    """Hidden files, other files, masks inside, results inside, masks that are missing or two."""
    masks, output = photos / "masks", photos / "out"
    for name in (".hidden.png", ".git/x.png", "notes.txt", "masks/one.png", "masks/sub/two.png", "out/old.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"x")
    (masks / "sub/two.jpg").write_bytes(b"x")
    (photos / "unreadable.png").symlink_to(tmp_path / "nowhere")
    plan = make_plan(str(photos), Masks.find(str(masks), True), Manifest(Place.of(output)), Columns(), 2)
    items = [item for ticket in plan.tickets for item in open_ticket(ticket, Masks(None, False, True), Columns())]
    found = {(item.label, item.mask, str(output / item.result), item.problem) for item in items}
    jobs = plan_folder(photos, masks, output)
    assert found == {(str(job.photo), job.mask and str(job.mask), str(job.target), job.problem) for job in jobs}
    assert sum(item.problem is None for item in items) == 1
    assert plan.total == len(jobs) == len(NAMES)


def test_a_list_names_photographs_and_masks(
    tmp_path: Path, photos: Path, engine: Engine, expected: dict[str, bytes]
) -> None:
    masks = tmp_path / "masks"
    lines = [
        f"photos/one.png\t{masks / 'one.png'}",
        "",
        f"{photos}/sub/two.png\tmasks/sub/two.png",
        "./photos/sub/three.jpg\tmasks/sub/three.png",
        "photos/sub/deep/four.tif",
        "photos/nowhere.png\tmasks/one.png",
    ]
    (tmp_path / "all.txt").write_text("\n".join(lines))
    output = str(tmp_path / "out")
    rows = {row["result"]: row for row in do(Batch(input=str(tmp_path / "all.txt"), output=output, engine=engine))}
    whole_path = f"{photos}/sub/two.png".lstrip("/")
    for result, name in (
        ("photos/one.png", "one.png"),
        (whole_path, "sub/two.png"),
        ("photos/sub/three.jpg", "sub/three.jpg"),
    ):
        assert content(output, rows[result]) == expected[name]
    assert "no mask is listed with it" in rows["photos/sub/deep/four.tif"]["reason"]
    assert "nowhere.png" in rows["photos/nowhere.png"]["reason"]
    assert len(rows) == 5

    again = Batch(
        input=str(tmp_path / "all.txt"), output=str(tmp_path / "b"), masks=str(masks / "one.png"), engine=engine
    )
    for pair in (
        "photos/one.png\n./photos/one.png\n",
        f"{photos}/one.png\n{photos}/./one.png\n",
        f"{photos}/one.png\n{photos}/sub/../one.png\n",
        f"{photos}/one.png\nfile://{photos}/one.png\n",
    ):
        (tmp_path / "all.txt").write_text(pair)
        with pytest.raises(OptionError, match=r"all\.txt: names .*one\.png more than once"):
            do(again)


def test_no_listed_name_leads_out_of_the_output_folder(tmp_path: Path, photos: Path, engine: Engine) -> None:
    (tmp_path / "lists/q").mkdir(parents=True)
    # With the mark that Windows editors put before the first line.
    lines = ["\ufeffq/../../photos/one.png", f"/../{photos}/sub/two.png", "local:///../../nowhere.png"]
    (tmp_path / "lists/all.txt").write_text("\n".join(lines))
    output = tmp_path / "deep/out"
    batch = Batch(
        input=str(tmp_path / "lists/all.txt"), output=str(output), masks=f"{tmp_path}/masks/one.png", engine=engine
    )
    rows = do(batch)
    whole = str(photos).lstrip("/")
    assert {row["result"] for row in rows} == {f"{whole}/one.png", f"{whole}/sub/two.png", "nowhere.png"}
    assert {row["status"] for row in rows if row["result"].endswith("one.png")} == {"done"}
    written = {path for path in tmp_path.rglob("*.png") if not path.is_relative_to(output)}
    assert written == {*photos.rglob("*.png"), *(tmp_path / "masks").rglob("*.png")}


@pytest.mark.parametrize("kind", ["paths", "contents"])
def test_parquet_holds_paths_or_contents(
    tmp_path: Path, photos: Path, engine: Engine, expected: dict[str, bytes], kind: str
) -> None:
    pictures: list[Any] = [f"photos/{name}" for name in NAMES]
    masks: list[Any] = [f"masks/{Path(name).with_suffix('.png')}" for name in NAMES]
    if kind == "contents":
        pictures, masks = ([(tmp_path / name).read_bytes() for name in names] for names in (pictures, masks))
    table = pa.table({"scan": [*pictures, None], "hole": [*masks, masks[0]]})
    for name in ("a.parquet", "b.parquet"):
        pq.write_table(table, tmp_path / name, row_group_size=4)
    output = str(tmp_path / "out")
    batch = Batch(
        input=str(tmp_path / "*.parquet"), output=output, engine=engine, group=3, columns=Columns("scan", "hole")
    )
    rows = do(batch)
    assert [row["input"] for row in rows] == [f"{tmp_path}/{f}.parquet#{n}" for f in "ab" for n in range(6)]
    for number, row in enumerate(rows):
        if number % 6 == 5:
            assert "no photograph in this row" in row["reason"]
        else:
            assert row["result"].startswith(f"{'ab'[number // 6]}/{number % 6:07d}.")
            assert content(output, row) == expected[NAMES[number % 6]]
    with pytest.raises(OptionError, match=r"a\.parquet: has no column 'photo', only scan, hole"):
        do(replace(batch, columns=Columns(), output=str(tmp_path / "b")))


def test_shards_hold_photographs_with_masks(
    tmp_path: Path, photos: Path, engine: Engine, expected: dict[str, bytes], tickets: list[Ticket]
) -> None:
    def members(names: tuple[str, ...]) -> dict[str, bytes]:
        made = {}
        for name in names:
            key, suffix = Path(name).stem, Path(name).suffix
            made[f"{key}.json"] = b"{}"
            made[f"{key}.mask.png"] = (tmp_path / "masks" / Path(name).with_suffix(".png")).read_bytes()
            made[f"{key}{suffix}"] = (photos / name).read_bytes()
        return made

    shard(tmp_path / "s-000.tar", members(NAMES[:2]))
    twice = {"a/0.png": b"", "./b.txt": b"", "./a/0.png": b""}
    odd = {**twice, "../../out.png": b"", "bare.png": (photos / "one.png").read_bytes(), "two.png": b"", "x.txt": b""}
    shard(tmp_path / "s-001.tar", {**members(NAMES[2:]), **odd})
    with open(tmp_path / "s-002.tar", "wb") as cut:
        cut.write((tmp_path / "s-000.tar").read_bytes()[:2000])
    output = str(tmp_path / "out")
    batch = Batch(input=str(tmp_path / "s-{000..002}.tar"), output=output, engine=engine, group=2)
    rows = {row["result"]: row for row in do(batch)}
    for number, name in enumerate(NAMES):
        suffix = ".gif.png" if name.endswith(".gif") else Path(name).suffix
        result = f"s-{0 if number < 2 else 1:03d}/{Path(name).stem}{suffix}"
        assert content(output, rows[result]) == expected[name]
    failed = {row["reason"] for row in rows.values() if row["status"] == "failed"}
    assert any("../../out: its name leads out of the output folder" in reason for reason in failed)
    assert any("bare: there is no mask" in reason for reason in failed)
    assert any("s-002.tar: damaged" in reason for reason in failed)
    assert any("s-001.tar/a/0: the shard holds this key more than once" in reason for reason in failed)
    assert len(rows) == len(NAMES) + 6
    assert not (tmp_path / "out.png").exists()

    before = len(tickets)
    assert len(do(batch)) == len(rows)
    assert len(tickets) == before, "shards that are through are not opened again"


@pytest.fixture(scope="module")
def s3(module_monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server of this process; gives a bucket's URL."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        module_monkeypatch.setenv(name, value)
    Place("s3://scans").fs.mkdir("scans")
    yield "s3://scans"
    server.stop()


@pytest.fixture(scope="module")
def module_monkeypatch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_everything_may_lie_in_s3(
    s3: str, tmp_path: Path, photos: Path, engine: Engine, expected: dict[str, bytes]
) -> None:
    for path in [*photos.rglob("*.*"), *(tmp_path / "masks").rglob("*.*")]:
        Place(f"{s3}/in/{path.relative_to(tmp_path)}").write(path.read_bytes())
    Place(f"{s3}/in/photos/bad.png").write(b"no picture")
    Place(f"{s3}/in/masks/bad.png").write(b"no picture")
    batch = Batch(input=f"{s3}/in/photos", output=f"{s3}/out", masks=f"{s3}/in/masks/", engine=engine, group=2)
    rows = {row["input"].removeprefix(f"{s3}/in/photos/"): row for row in do(batch)}
    bad = rows.pop("bad.png")
    assert bad["reason"].startswith(f"{s3}/in/photos/bad.png: ")
    assert {name: content(batch.output, row) for name, row in rows.items()} == expected
    assert [row["session"] for row in do(batch)] == [1] * 6
    assert read_status(Place(batch.output)).counts == {"done": 5, "skipped": 0, "failed": 1}

    pq.write_table(pa.table({"photo": [f"{s3}/in/photos/one.png"]}), tmp_path / "rows.parquet")
    Place(f"{s3}/rows.parquet").write((tmp_path / "rows.parquet").read_bytes())
    (row,) = do(Batch(input=f"{s3}/*.parquet", output=f"{s3}/b", masks=f"{s3}/in/masks/one.png", engine=engine))
    assert content(f"{s3}/b", row) == expected["one.png"]


# -- nothing lost, nothing twice ---------------------------------------------------------------------------------------


@pytest.fixture
def batch(tmp_path: Path, photos: Path, engine: Engine) -> Batch:
    return Batch(input=str(photos), output=str(tmp_path / "out"), masks=str(tmp_path / "masks"), engine=engine, group=2)


def test_a_driver_goes_on_where_the_last_one_stopped(batch: Batch, photos: Path, tickets: list[Ticket]) -> None:
    steps = run_batch(batch, Cluster())
    assert next(steps).counts == {"done": 0, "skipped": 0, "failed": 0}
    assert next(steps).counts == {"done": 2, "skipped": 0, "failed": 0}
    assert read_status(Place.of(batch.output)).waiting == 3
    steps.close()
    assert len(rows_of(batch.output)) == 2
    stamps = {path: path.stat().st_mtime_ns for path in Path(batch.output).rglob("*.[pt][ni][gf]")}
    assert len(stamps) == 2
    left = Path(batch.output) / "sub/.0123456789abcdef.part"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half of a picture")
    os.utime(left, (1e9, 1e9))
    (photos / "new.png").write_bytes((photos / "one.png").read_bytes())
    rows = do(batch)
    assert not left.exists()
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert sorted(row["session"] for row in rows) == [1, 1, 2, 2, 2, 2]
    assert [row["reason"].partition(": ")[2].split(" in ")[0] for row in rows if row["reason"]] == ["no mask named new"]
    assert [ticket.inputs for ticket in tickets] == [2, 2, 2]
    do(batch)
    assert len(tickets) == 3


def test_two_drivers_at_once_do_everything_once_each_in_its_own_groups(
    batch: Batch, expected: dict[str, bytes], tickets: list[Ticket]
) -> None:
    first = run_batch(batch, Cluster())
    next(first)
    assert sum(next(first).counts.values()) == 2
    second = run_batch(replace(batch, group=3), Cluster())
    assert sum(next(second).counts.values()) == 2
    assert sum(next(first).counts.values()) == 4
    for driver_left in (second, first):
        assert list(driver_left)[-1].counts == {"done": 5, "skipped": 0, "failed": 0}
    rows = rows_of(batch.output)
    assert {row["input"].removeprefix(f"{batch.input}/"): content(batch.output, row) for row in rows} == expected
    assert not [path for path in (Path(batch.output) / ".wavepaint/plan").iterdir() if path.is_dir()]
    assert {ticket.inputs for ticket in tickets} == {1, 2, 3}


def test_a_driver_that_cannot_account_for_all_inputs_says_so(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = run_batch(batch, Cluster())
    next(steps)
    (plan,) = (path for path in (Path(batch.output) / ".wavepaint/plan").rglob("*.parquet"))
    plan.unlink()
    with pytest.raises(WavepaintError, match=r"only 0 of 5 inputs are recorded: .*No such file.*again goes on"):
        list(steps)
    assert rows_of(batch.output) == []
    assert len(do(batch)) == len(NAMES)

    monkeypatch.setattr(Manifest, "add", lambda *_: "")
    with pytest.raises(WavepaintError, match="only 0 of 5 inputs are recorded; the same command again goes on"):
        do(replace(batch, output=f"{batch.output}2"))


def test_inputs_that_are_gone_stay_recorded(batch: Batch, photos: Path) -> None:
    do(batch)
    (photos / "one.png").unlink()
    (photos / "new.png").write_bytes((photos / "sub/two.png").read_bytes())
    assert len(do(batch)) == len(NAMES) + 1
    assert read_status(Place.of(batch.output)).waiting == 0


def test_giving_up_is_not_held_against_what_was_under_way(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = Worker._fill

    def interrupted(self: Worker, item: Any) -> str:
        raise KeyboardInterrupt

    for _ in range(4):
        monkeypatch.setattr(Worker, "_fill", interrupted)
        with pytest.raises(KeyboardInterrupt):
            do(batch)
        monkeypatch.setattr(Worker, "_fill", fill)
        with closing(run_batch(replace(batch, group=1), Cluster())) as steps:
            next(steps)
    assert {row["status"] for row in do(batch)} == {"done"}


def test_another_batch_does_not_mix_with_it(batch: Batch, tmp_path: Path) -> None:
    do(batch)
    with pytest.raises(OptionError, match=r"holds a batch in which threshold was 0\.5, not 0\.25"):
        do(replace(batch, options=Options(threshold=0.25)))
    with pytest.raises(OptionError, match="in which input was"):
        do(replace(batch, input=str(tmp_path / "masks")))
    steps = run_batch(batch, Cluster(gpus=1))
    with pytest.raises(OptionError, match="in which device was cpu, not gpu"):
        next(steps)


def test_results_of_two_packaged_networks_do_not_mix(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = replace(batch, engine=Engine(runtime="onnxruntime"), group=1)
    with closing(run_batch(batch, Cluster())) as steps:
        next(steps)
    monkeypatch.setattr("wavepaint.batch.batch.packaged_network", lambda: b"another network under the same version")
    with pytest.raises(OptionError, match=r"in which model was [0-9a-f]{64}, not [0-9a-f]{64}: name another output"):
        do(batch)
    monkeypatch.undo()
    assert {row["status"] for row in do(batch)} == {"done"}


def test_what_auto_was_decided_to_be_stays(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed where the next driver runs."""
    asked: list[str] = []

    def load(model: Any, name: str, *_: Any) -> Any:
        asked.append(name)
        return SimpleNamespace(name="onnxruntime")

    monkeypatch.setattr(driver, "load_runtime", load)
    auto = replace(batch, engine=Engine(model=batch.engine.model, runtime="auto"))
    do(auto)
    do(auto)
    assert asked == ["auto", "onnxruntime"]


def test_results_replace_neither_photographs_nor_masks(
    batch: Batch, tmp_path: Path, photos: Path, engine: Engine
) -> None:
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "all.txt").write_text("photos/sub/two.png\n")
    mask = str(tmp_path / "masks/one.png")
    for wrong, words in (
        ({"output": str(photos)}, "is INPUT and the output folder"),
        ({"output": str(tmp_path / "link")}, "is INPUT and the output folder"),
        ({"output": str(tmp_path / "masks")}, "is --masks and the output folder"),
        ({"input": str(tmp_path / "all.txt"), "output": str(tmp_path), "masks": mask}, "its result would replace it"),
    ):
        with pytest.raises(OptionError, match=words):
            do(replace(batch, overwrite=True, **wrong))
    before = (photos / "one.png").read_bytes()
    (tmp_path / "out/t").mkdir(parents=True)
    (tmp_path / "out/t/0000000.png").symlink_to(photos / "one.png")
    pq.write_table(pa.table({"photo": [str(photos / "one.png")]}), tmp_path / "t.parquet")
    (row,) = do(
        replace(batch, input=str(tmp_path / "t.parquet"), output=f"{tmp_path}/out/t/..", masks=mask, overwrite=True)
    )
    assert (row["status"], (photos / "one.png").read_bytes()) == ("failed", before)
    assert "its result would replace" in row["reason"]


def test_names_need_not_be_utf8(tmp_path: Path, batch: Batch, photos: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (photos / name).write_bytes((photos / "one.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (photos / os.fsdecode(b"bad\xe9.png")).write_bytes(b"no picture")
    wanted = replace(batch, masks=str(tmp_path / "masks/one.png"))
    for _ in range(2):
        rows = {row["result"]: row for row in do(wanted)}
        assert rows["caf\\xe9.png"]["status"] == "done"
        assert rows["caf\\xe9.png"]["session"] == 1
        assert "bad\\xe9.png: " in rows["bad\\xe9.png"]["reason"]
    assert (Path(batch.output) / name).is_file()

    (tmp_path / "all.lst").write_bytes(b"photos/caf\xe9.png\n")
    (row,) = do(replace(wanted, input=str(tmp_path / "all.lst"), output=str(tmp_path / "b")))
    assert (row["result"], row["status"]) == ("photos/caf\\xe9.png", "done")


def test_what_cannot_begin_leaves_nothing_behind(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for wrong, error, words in (
        ({"input": str(tmp_path / "nowhere")}, PhotoError, "neither a folder nor"),
        ({"input": str(tmp_path / "empty")}, PhotoError, "no photographs in it"),
        ({"input": str(tmp_path / "x-{0..3}.tar")}, PhotoError, r"x-0\.tar: no such file"),
        ({"masks": str(tmp_path / "nowhere")}, MaskError, "no such file or folder"),
        ({"options": Options(alpha=True)}, OptionError, "either --masks, --box or --alpha"),
        ({"engine": Engine(model=tmp_path / "none.onnx")}, CheckpointError, "no such file"),
        ({"output": "nosuch://bucket/x"}, OptionError, "nosuch"),
    ):
        with pytest.raises(error, match=words):
            do(replace(batch, **wrong))
    assert len(do(batch)) == len(NAMES)
    for values in ({"group": 0}, {"tries": 1}, {"deadline": 0}, {"options": Options(format="png")}):
        with pytest.raises(OptionError):
            replace(batch, **values)


@pytest.mark.parametrize("overwrite", [False, True])
def test_results_that_were_there_before_are_skipped(batch: Batch, overwrite: bool) -> None:
    old = Path(batch.output) / "sub/two.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    rows = {row["result"]: row["status"] for row in do(replace(batch, overwrite=overwrite))}
    assert rows.pop("sub/two.png") == ("done" if overwrite else "skipped")
    assert set(rows.values()) == {"done"}
    assert (old.read_bytes() == b"old") is not overwrite


def test_failures_are_kept_and_can_be_retried(batch: Batch, photos: Path, tmp_path: Path) -> None:
    good = (photos / "one.png").read_bytes()
    (photos / "one.png").write_bytes(good[:60])
    (tmp_path / "masks/sub/two.png").write_bytes(pillow(box_mask(9, 9), "PNG"))
    rows = {row["result"]: row for row in do(batch)}
    assert rows["one.png"]["reason"].startswith(f"{photos}/one.png: ")
    assert "the mask is 9x9 pixels" in rows["sub/two.png"]["reason"]
    status = read_status(Place.of(batch.output), failures=1)
    assert status.counts == {"done": 3, "skipped": 0, "failed": 2}
    assert len(status.failures) == 1
    (photos / "one.png").write_bytes(good)
    assert {row["session"] for row in do(batch)} == {1}, "what failed is settled until it is asked for again"
    rows = {row["result"]: row for row in do(replace(batch, retry_failed=True))}
    assert (rows["one.png"]["status"], rows["one.png"]["session"]) == ("done", 3)
    assert (rows["sub/two.png"]["status"], rows["sub/two.png"]["session"]) == ("failed", 3)
    assert read_status(Place.of(batch.output)).counts == {"done": 4, "skipped": 0, "failed": 1}


def test_storage_that_fails_for_a_moment_is_asked_again(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = {"sub/two.png": 1, "one.png": 9}
    fill = Worker._fill

    def shaky(self: Worker, item: Any) -> str:
        if fails.get(item.result, 0) > 0:
            fails[item.result] -= 1
            raise ConnectionResetError(104, "Connection reset by peer")
        return fill(self, item)

    monkeypatch.setattr(Worker, "_fill", shaky)
    rows = {row["result"]: row for row in do(batch)}
    assert rows["sub/two.png"]["status"] == "done"
    assert rows["one.png"]["reason"].endswith("one.png: Connection reset by peer (3 tries)")
    assert fails == {"sub/two.png": 0, "one.png": 6}


@pytest.mark.parametrize("kind", ["shard", "parquet", "plan"])
@pytest.mark.parametrize("breaks", [2, 3])
def test_a_read_that_breaks_loses_nothing(
    tmp_path: Path, photos: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch, kind: str, breaks: int
) -> None:
    """After one item; three breaks are more than `tries` allow."""
    contents = [(photos / name).read_bytes() for name in ("one.png", "sub/two.png", "one.png")]
    if kind == "shard":
        shard(tmp_path / "s.tar", {f"{n}.png": data for n, data in enumerate(contents)})
    elif kind == "parquet":
        pq.write_table(pa.table({"photo": contents}), tmp_path / "s.parquet")
    source = {"shard": tmp_path / "s.tar", "parquet": tmp_path / "s.parquet", "plan": photos}[kind]
    wanted = replace(batch, input=str(source), masks=None, options=Options(boxes=as_boxes([(3, 3, 5, 5)])), group=9)
    left, given = [breaks], []

    def shaky(ticket: Ticket, masks: Masks, columns: Columns) -> Iterator[Any]:
        for number, item in enumerate(open_ticket(ticket, masks, columns)):
            if number == 1 and left[0]:
                left[0] -= 1
                raise ConnectionResetError(104, "Connection reset by peer")
            given.append(item.result)
            yield item

    monkeypatch.setattr(worker_module, "open_ticket", shaky)
    if breaks == 3:
        with pytest.raises(WavepaintError, match=r"are recorded: .*: Connection reset by peer; the same command"):
            do(wanted)
        assert len(rows_of(wanted.output)) == 1, "what was read is done"
    rows = do(wanted)
    assert {row["status"] for row in rows} == {"done"}
    assert len(rows) == len(set(given)) == (5 if kind == "plan" else 3)


def test_every_row_of_a_damaged_row_group_fails(tmp_path: Path, photos: Path, batch: Batch) -> None:
    path = tmp_path / "rows.parquet"
    picture = (photos / "one.png").read_bytes()
    pq.write_table(pa.table({"photo": [picture] * 4}), path, row_group_size=2, use_dictionary=False)
    data = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[place : place + 40] = b"\xff" * 40
    path.write_bytes(data)
    wanted = replace(batch, input=str(path), masks=None, options=Options(boxes=as_boxes([(3, 3, 5, 5)])))
    assert [row["status"] for row in do(wanted)] == ["done", "done", "failed", "failed"]


def test_a_manifest_that_cannot_be_written_for_a_moment_is_written_later(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, children = Place.write, Place.children
    fails: Counter[str] = Counter()

    def shaky(place: Place, act: Callable[[], Any]) -> Any:
        if "/parts/" in place.url or "/tries/" in place.url:
            fails[place.url] += 1
            if fails[place.url] == 1:
                raise OSError(5, "Input/output error")
        return act()

    monkeypatch.setattr(Place, "write", lambda self, data: shaky(self, lambda: write(self, data)))
    monkeypatch.setattr(Place, "children", lambda self: shaky(self, lambda: children(self)))
    assert {row["status"] for row in do(batch)} == {"done"}
    assert len(fails) >= 4 * 3

    def broken(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Manifest, "_tables_of", broken)
    with pytest.raises(WavepaintError, match=r"/\.wavepaint: No space left on device \(3 tries\)"):
        Manifest(Place.of(batch.output)).records_of("any")


CRASHING = """
import os, sys
from wavepaint.batch.inputs import Columns, Masks, Ticket
from wavepaint.batch.storage import Place
from wavepaint.batch.worker import Work, Worker
from wavepaint.options import Options, as_boxes

class Crashing(Worker):
    def _fill(self, item):
        if item.result.endswith("poison.png"):
            os._exit(11)
        return super()._fill(item)

output, model, ticket = sys.argv[1:]
options = Options(boxes=as_boxes([(3, 3, 5, 5)]))
work = Work(output=Place(output), masks=Masks(None, False, False), columns=Columns(), options=options,
            model=("mean.onnx", open(model, "rb").read()), runtime="onnxruntime", threads=1, group=4, together=1,
            tries=3, deadline=60.0, overwrite=False, session=1)
Crashing(work).do(Ticket.from_json(ticket))
"""


def test_an_input_that_takes_its_workers_down_is_set_aside(tmp_path: Path, photos: Path, engine: Engine) -> None:
    lines = [*(f"photos/{name}" for name in NAMES[:2]), "poison.png", f"photos/{NAMES[2]}"]
    (tmp_path / "all.txt").write_text("\n".join(lines))
    output = tmp_path / "out"
    manifest = Manifest(Place.of(output))
    plan = make_plan(str(tmp_path / "all.txt"), Masks.find(None, False), manifest, Columns(), 4)
    manifest.begin_session({})
    (ticket,) = plan.tickets
    command = [sys.executable, "-c", CRASHING, str(output), str(engine.model), ticket.to_json()]
    statuses = [subprocess.run(command, check=False, timeout=120).returncode for _ in range(4)]
    assert statuses == [11, 11, 11, 0], "three tries, and one that leaves it out"
    records = {record.result: record for record in manifest.records_of(ticket.id)}
    assert "poison.png: set aside: 3 tries" in records.pop("poison.png").reason
    assert {record.status for record in records.values()} == {"done"}
    assert len(records) == 3


def test_a_photograph_past_its_deadline_ends_the_process() -> None:
    """Its input is then found like one that crashes."""
    code = """
import time
from wavepaint.batch.worker import _deadline
with _deadline(30): pass
with _deadline(0.1): time.sleep(30)
"""
    begun = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 1
    assert time.monotonic() - begun < 30


def test_records_of_two_drivers_are_merged(tmp_path: Path) -> None:
    """The worker of a driver that was killed may end its ticket after the next driver has begun."""
    output = Place.of(tmp_path / "out")
    manifest = Manifest(output)
    old = [Record(f"in/{n}", f"{n}.png", "failed", "why", session=1, finished=n) for n in range(300)]
    new = [Record(f"in/{n}", f"{n}.png", "done", session=2, finished=n, seconds=0.5) for n in range(100, 400)]
    manifest.begin_session({})
    manifest.begin_session({})
    for start in range(0, 300, 50):
        manifest.add(f"old{start}", old[start : start + 50])
        manifest.add(f"new{start}", new[start : start + 50])
        manifest.add(f"again{start}", new[start : start + 50])
    manifest.write_merged()
    rows = pq.read_table(tmp_path / "out/manifest.parquet").to_pylist()
    assert sorted(row["input"] for row in rows) == sorted(f"in/{n}" for n in range(400))
    assert {row["input"] for row in rows if row["status"] == "failed"} == {f"in/{n}" for n in range(100)}
    status = read_status(output, failures=1000)
    assert status.counts == {"done": 300, "skipped": 0, "failed": 100}
    assert len(status.failures) == 100
    assert (status.sessions, status.waiting) == (2, None)
    assert pq.read_schema(tmp_path / "out/manifest.parquet").field("finished").type == pa.timestamp("ms", "UTC")


def test_sets_of_digests_hold_what_was_put_in() -> None:
    known = digests(f"name {number}" for number in range(1000))
    assert all(holds(known, f"name {number}") for number in range(1000))
    assert not any(holds(known, f"name {number}") for number in range(1000, 3000))
    assert not holds(digests([]), "name")


# -- storage -----------------------------------------------------------------------------------------------------------


def test_writes_appear_whole_where_the_store_does_not_see_to_it(tmp_path: Path) -> None:
    """The `file` file system behind a chained URL stands for SFTP and the like."""
    place = Place(f"dir::file://{tmp_path}/store") / "sub/a.bin"

    def broken_off() -> None:
        with place._whole() as path:
            assert path != place.path
            place.fs.pipe_file(path, b"half")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        broken_off()
    assert place.children() == ([], [])
    place.write(b"whole")
    assert place.read() == b"whole"
    assert [path.name for path in (tmp_path / "store/sub").iterdir()] == ["a.bin"]


def test_places_are_absolute_and_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Place.of("x/../a").url == str(tmp_path / "a")
    assert Place.of(f"file://{tmp_path}/a/").url == str(tmp_path / "a")
    assert Place.of("s3://bucket/a/").url == "s3://bucket/a"
    for name in ("t-08.tar", "t-09.tar", "t-10.tar"):
        (tmp_path / name).touch()
    assert [place.name for place in Place.of("t-{08..10}.tar").expand()] == ["t-08.tar", "t-09.tar", "t-10.tar"]
    assert [place.name for place in Place.of("t-0?.tar").expand()] == ["t-08.tar", "t-09.tar"]


def test_a_file_of_that_very_name_is_no_pattern(tmp_path: Path) -> None:
    for name in ("x[1]/s.tar", "x1/s.tar", "y{1..2}.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("x[1]/s.tar", "y{1..2}.tar"):
        assert [place.url for place in Place.of(tmp_path / name).expand()] == [str(tmp_path / name)]
    assert [place.url for place in Place.of(tmp_path / "x[12]/s.tar").expand()] == [str(tmp_path / "x1/s.tar")]
    assert Place.of(f"local://{tmp_path}/x1/s.tar").read() == b""
    (tmp_path / "a::b.png").write_bytes(b"here")
    assert Place.of(tmp_path / "a::b.png").read() == b"here"


# -- the command -------------------------------------------------------------------------------------------------------


def test_exit_status_and_the_status_command(batch: Batch, photos: Path) -> None:
    def call(*words: str) -> Any:
        return CliRunner().invoke(app, ["batch", *words])

    words = [batch.input, "-o", batch.output, "--masks", str(batch.masks), "--model", str(batch.engine.model)]
    words += ["--runtime", "onnxruntime"]
    good = call(*words)
    assert (good.exit_code, good.stderr.splitlines()[-1]) == (0, "5 done, 0 skipped, 0 failed")
    (photos / "new.png").write_bytes(b"no picture")
    bad = call(*words)
    assert (bad.exit_code, bad.stderr.splitlines()[-1]) == (1, "5 done, 0 skipped, 1 failed")
    status = call("status", batch.output)
    assert status.exit_code == 0
    lines = dict(line.rsplit(maxsplit=1) for line in status.stdout.splitlines()[:5])
    assert lines == {"done": "5", "skipped": "0", "failed": "1", "waiting": "0", "drivers": "2"}
    assert status.stdout.splitlines()[-1].startswith(f"  {photos}/new.png: ")
    assert "wavepaint batch status OUTPUT" in call("--help").stdout


@pytest.mark.parametrize(
    ("address", "words"),
    [("127.0.0.1:1", "no Ray cluster to work on: Connection refused"), ("somewhere", "HOST:PORT or auto")],
)
def test_an_address_where_nobody_answers_ends_it_at_once(batch: Batch, address: str, words: str) -> None:
    steps = run_batch(batch, Cluster(address=address))
    with pytest.raises(OptionError, match=f"^{address}: .*{words}"):
        next(steps)
    assert not Path(batch.output).exists()


def test_a_cluster_without_room_leaves_the_output_folder_free(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def full(*_: Any) -> Iterator[Any]:
        raise OptionError("no room")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(driver, "_workers", full)
        with pytest.raises(OptionError, match="no room"):
            do(batch)
    assert not [path for path in Path(batch.output).rglob("*") if path.is_file()]
    assert len(do(replace(batch, options=Options(threshold=0.25)))) == len(NAMES)


# -- photographs that share runs ---------------------------------------------------------------------------------------


def crops(number: int, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.random((number, 3, side, side), np.float32)
    return image, (rng.random((number, 1, side, side)) < 0.3).astype(np.float32)


def in_threads(calls: list[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = [None] * len(calls)

    def call(number: int) -> None:
        try:
            results[number] = calls[number]()
        except RuntimeError as error:
            results[number] = error

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join(20)
    return results


class Slow(Recorder):
    """Holds the first run until the others have gathered."""

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        time.sleep(0.3 if not self.runs else 0)
        if image.shape[2] == 48:
            raise RuntimeError("broken")
        return super().__call__(image, mask)


def test_waiting_crops_of_one_size_run_together() -> None:
    inner = Slow()
    shared = SharedRuntime(inner)
    given = [crops(1, 32, 0), crops(1, 32, 1), crops(2, 32, 2), crops(1, 64, 3), crops(1, 48, 4), crops(1, 32, 5)]
    results = in_threads([lambda pair=pair: shared(*pair) for pair in given])
    assert isinstance(results[4], RuntimeError)
    for number in (0, 1, 2, 3, 5):
        assert np.array_equal(results[number], mean_fill(*given[number]))
    assert sorted(image.shape[0] for image, _ in inner.runs) == [1, 1, 4]


def test_sharing_changes_no_byte(tmp_path: Path, batch: Batch, expected: dict[str, bytes]) -> None:
    rows = do(replace(batch, together=3, group=5))
    assert {Path(row["input"]).relative_to(batch.input).as_posix(): content(batch.output, row) for row in rows} == (
        expected
    )


def test_the_packaged_network_computes_the_same_in_company() -> None:
    alone = Inpainter(runtime="onnxruntime", threads=1)
    shared = SharingInpainter(runtime="onnxruntime", threads=1)
    images = [noise(96, 96, 3, seed=seed) for seed in range(4)]
    options = Options(boxes=as_boxes([(30, 30, 20, 20)]))
    together = in_threads([lambda image=image: shared.fill(image, None, options) for image in images])
    for image, result in zip(images, together, strict=True):
        assert np.array_equal(result, alone.fill(image, None, options))
