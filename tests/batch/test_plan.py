"""What there is to do: every kind of input, and which mask is whose."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any, ClassVar

import pytest
from batch_inputs import NAMES, write_shard

from wavepaint import storage
from wavepaint.batch.plan import Row, make_plan
from wavepaint.errors import ImageError, MaskError, OptionError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def masks_of(rows: list[Row], folder: Path) -> dict[str, str | None]:
    return {
        row.result: None if row.mask is None else Path(str(row.mask)).relative_to(folder).as_posix() for row in rows
    }


def rows_of(source: str | Path, masks: str | Path | None, output: str | Path, **more: Any) -> list[Row]:
    plan = make_plan(str(source), None if masks is None else str(masks), str(output), **more)
    return [*plan.rows, *(row for part in plan.parts for row in part())]


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_folder_without_what_is_hidden_or_is_a_mask_or_a_result(tmp_path: Path) -> None:
    images = tmp_path / "images"
    touch(images, "a.png", "b/c.JPG", ".hidden.png", ".git/x.png", "masks/a.png", "masks/b/c.png", "out/old.png")
    touch(images, "notes.txt", "b/Thumbs.db")
    plan = make_plan(str(images), str(images / "masks"), str(images / "out"))
    assert [row.result for row in plan.rows] == ["a.png", "b/c.JPG"]
    assert masks_of(plan.rows, images / "masks") == {"a.png": "a.png", "b/c.JPG": "b/c.png"}
    assert plan.others == ["b/Thumbs.db", "notes.txt"]
    shared = make_plan(str(images), str(images / "a.png"), str(images / "out")).rows
    assert [row.result for row in shared] == ["b/c.JPG", "masks/a.png", "masks/b/c.png"]
    assert {row.mask for row in shared} == {str(images / "a.png")}


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "bmp", "jxl", "avif", "HEIC", "webp", "tif"])
def test_suffixes_of_images(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path / "images", f"a.{suffix}", "a.txt")
    plan = make_plan(str(tmp_path / "images"), None, str(tmp_path / "out"), needs_mask=False)
    assert ([Path(row.input).name for row in plan.rows], plan.others) == ([f"a.{suffix}"], ["a.txt"])


def test_two_images_with_one_result(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.gif", "a.gif.png")
    first, second = rows_of(tmp_path / "images", None, tmp_path / "out", needs_mask=False)
    assert first == Row(str(tmp_path / "images/a.gif"), "a.gif.png", str(tmp_path / "images/a.gif"))
    assert second.image is None
    assert second.problem.startswith(f"{tmp_path}/images/a.gif.png: its result would replace that of {first.input}")
    assert second.result != first.result


@pytest.mark.parametrize(
    "mask", ["a.png", "a.gif", "a.jpg.png", "a_mask.png", "a-mask.png", "a_mask000.png", "a_mask001.png", "a_MASK.tif"]
)
def test_names_of_masks(tmp_path: Path, mask: str) -> None:
    touch(tmp_path / "images", "sub/a.jpg", "sub/other.jpg")
    touch(tmp_path / "masks", f"sub/{mask}", "a.png", "sub/.a.png")
    row, other = rows_of(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert row.mask == str(tmp_path / "masks/sub" / mask)
    assert other.problem == f"{tmp_path}/images/sub/other.jpg: no mask named other in {tmp_path}/masks/sub"
    touch(tmp_path / "masks", "sub/a_mask7.webp")
    row, _ = rows_of(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert (row.image, row.mask) == (None, None)
    assert row.problem == f"{tmp_path}/images/sub/a.jpg: 2 masks named a in {tmp_path}/masks/sub"


@pytest.mark.parametrize(("one", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_composed_and_decomposed_names_are_the_same(tmp_path: Path, one: Any, other: Any) -> None:
    touch(tmp_path / "images", unicodedata.normalize(one, "Übung.jpg"))
    touch(tmp_path / "masks", unicodedata.normalize(other, "Übung_mask.png"))
    (row,) = rows_of(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert row.mask == str(tmp_path / "masks" / unicodedata.normalize(other, "Übung_mask.png"))
    assert row.result == unicodedata.normalize(one, "Übung.jpg")


def test_a_mask_with_the_name_of_another_image_is_that_ones(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.jpg", "a_mask.jpg")
    touch(tmp_path / "masks", "a.png", "a_mask.png")
    rows = rows_of(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert masks_of(rows, tmp_path / "masks") == {"a.jpg": "a.png", "a_mask.jpg": "a_mask.png"}
    (tmp_path / "masks/a.png").unlink()
    assert "no mask named a in" in rows_of(tmp_path / "images", tmp_path / "masks", tmp_path / "out")[0].problem


def test_images_and_masks_in_one_folder(tmp_path: Path) -> None:
    """The layout of `masks make`, and others like it."""
    touch(tmp_path / "set", "thin/a.png", "thin/a_mask000.png", "b.jpg", "b.jpg.png", "c.jpg", "c-mask.png")
    touch(tmp_path / "set", "odd_mask.png", "manifest.json")
    rows = rows_of(tmp_path / "set", tmp_path / "set", tmp_path / "out")
    assert masks_of(rows, tmp_path / "set") == {
        "b.jpg": "b.jpg.png",
        "c.jpg": "c-mask.png",
        "odd_mask.png": None,
        "thin/a.png": "thin/a_mask000.png",
    }
    assert [row.problem for row in rows if row.problem] == [
        f"{tmp_path}/set/odd_mask.png: no mask named odd_mask in {tmp_path}/set"
    ]


def test_results_never_replace_inputs(tmp_path: Path) -> None:
    images = tmp_path / "images"
    touch(images, "a.png")
    touch(tmp_path / "masks", "a.png")
    (tmp_path / "link").symlink_to(images)
    (tmp_path / "same").symlink_to(tmp_path / "masks")
    for output in (images, tmp_path / "link", f"{images}/", tmp_path / "masks", tmp_path / "same"):
        with pytest.raises(OptionError, match="holds inputs, which results would replace"):
            make_plan(str(images), str(tmp_path / "masks"), str(output))
    touch(images, "images/a.png", "images/images/a.png")
    with pytest.raises(OptionError, match="a result would replace an input"):
        make_plan(str(images / "images"), str(tmp_path / "masks/a.png"), str(images))
    (tmp_path / "list.txt").write_text("images/a.png\n")
    with pytest.raises(OptionError, match="a result would replace an input"):
        make_plan(str(tmp_path / "list.txt"), str(tmp_path / "masks/a.png"), str(tmp_path))


def test_what_is_missing(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.png")
    (tmp_path / "empty").mkdir()
    for source, masks, error, message in (
        ("none", "images", ImageError, "none: no such file or folder"),
        ("images", "none", MaskError, "none: no such file or folder"),
        ("empty", None, ImageError, "empty: there are no images in it"),
        ("images/a.png", None, ImageError, "neither a folder, a list"),
        ("none.txt", None, ImageError, "none.txt: No such file"),
    ):
        with pytest.raises(error, match=message):
            make_plan(str(tmp_path / source), masks and str(tmp_path / masks), str(tmp_path / "out"), needs_mask=False)


# -- lists -------------------------------------------------------------------------------------------------------------


def test_a_list_names_images_and_masks(tmp_path: Path, images: Path) -> None:
    lines = [
        "\ufeffimages/one.png\tmasks/one.png",  # with the mark that Windows editors put first
        "",
        f"{images}/sub/two.png\t{tmp_path}/masks/sub/two.png",
        "images/five.gif",
        "../elsewhere.png\tmasks/one.png",
        "s3://bucket/../a/b.jpg\tmasks/one.png",
    ]
    (tmp_path / "all.txt").write_text("\r\n".join(lines))
    rows = {row.result: row for row in rows_of(tmp_path / "all.txt", None, tmp_path / "out")}
    assert rows.pop("images/one.png")[2:] == (f"{images}/one.png", f"{tmp_path}/masks/one.png", "")
    assert rows.pop(f"{images}/sub/two.png".lstrip("/")).mask == f"{tmp_path}/masks/sub/two.png"
    assert "no mask is listed" in rows.pop("images/five.gif.png").problem
    # No listed name leads out of the output folder.
    assert set(rows) == {f"{tmp_path.parent}/elsewhere.png".lstrip("/"), "a/b.jpg"}
    for pair in ("images/one.png\n./images/one.png\n", f"{images}/one.png\n{images}/sub/../one.png\n"):
        (tmp_path / "all.txt").write_text(pair)
        with pytest.raises(OptionError, match=r"all\.txt: names .*one\.png more than once"):
            rows_of(tmp_path / "all.txt", tmp_path / "masks/one.png", tmp_path / "out")
    with pytest.raises(OptionError, match="a folder of masks is for a folder of images"):
        rows_of(tmp_path / "all.txt", tmp_path / "masks", tmp_path / "out")


# -- Parquet files and shards ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["paths", "contents"])
def test_parquet_holds_paths_or_contents(tmp_path: Path, images: Path, kind: str) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    files: list[Any] = [f"images/{name}" for name in NAMES]
    masks: list[Any] = [f"masks/{Path(name).with_suffix('.png')}" for name in NAMES]
    if kind == "contents":
        files, masks = ([(tmp_path / name).read_bytes() for name in names] for names in (files, masks))
    table = pa.table({"hole": [*masks, None, masks[0]], "scan": [*files, files[0], None]})
    for name in ("a.parquet", "b.parquet"):
        pq.write_table(table, tmp_path / name, row_group_size=3)
    rows = rows_of(tmp_path / "*.parquet", None, tmp_path / "out", columns=("scan", "hole"))
    assert [row.input for row in rows] == [f"{tmp_path}/{file}.parquet#{n}" for file in "ab" for n in range(7)]
    for number, row in enumerate(rows):
        assert row.result.startswith(f"{'ab'[number // 7]}/{number % 7:07d}.")
        if number % 7 < 5:
            name = NAMES[number % 7]
            image, mask = (each if isinstance(each, bytes) else Path(str(each)).read_bytes() for each in row[2:4])
            assert image == (images / name).read_bytes()
            assert mask == (tmp_path / "masks" / Path(name).with_suffix(".png")).read_bytes()
            assert row.result.endswith(Path(name).suffix.replace(".gif", ".gif.png"))
        else:
            assert row.problem.endswith(f"there is no {('hole', 'scan')[number % 7 - 5]} in this row")
    with pytest.raises(OptionError, match=r"a\.parquet: has no column 'image', only hole, scan"):
        rows_of(tmp_path / "*.parquet", None, tmp_path / "out")
    (tmp_path / "c.parquet").write_bytes(b"x")
    with pytest.raises(ImageError, match=r"c\.parquet: not a Parquet file"):
        rows_of(tmp_path / "c.parquet", None, tmp_path / "out")


def test_every_row_of_a_damaged_row_group_fails_by_name(tmp_path: Path, images: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.table({"image": [(images / "one.png").read_bytes()] * 4}), path, row_group_size=2, use_dictionary=False
    )
    data = bytearray(path.read_bytes())
    begin = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[begin : begin + 40] = b"\xff" * 40
    path.write_bytes(data)
    rows = rows_of(path, None, tmp_path / "out", needs_mask=False)
    assert [row.problem.partition(": cannot be read")[0] for row in rows] == ["", "", f"{path}#2", f"{path}#3"]


def test_shards_hold_images_with_masks(tmp_path: Path, images: Path) -> None:
    image, mask = (images / "one.png").read_bytes(), (tmp_path / "masks/one.png").read_bytes()
    good = {f"{key}.{end}": data for key in "ab" for end, data in (("json", b"{}"), ("mask.png", mask), ("png", image))}
    write_shard(tmp_path / "s-000.tar", good)
    odd = {"a/0.jpg": image, "a/0.mask.png": mask, "b.txt": b"", "./a/0.jpg": image, "./a/0.mask.png": mask}
    write_shard(tmp_path / "s-001.tar", {**odd, "../../out.png": image, "bare.png": image, "x.txt": b""})
    (tmp_path / "s-002.tar").write_bytes((tmp_path / "s-000.tar").read_bytes()[:3000])
    rows = {row.result: row for row in rows_of(tmp_path / "s-{000..002}.tar", None, tmp_path / "out")}
    # No member's name leads out of the output folder.
    assert (rows["s-001/out.png"].image, rows["s-001/out.png"].mask) == (None, None)
    for result in ("s-000/a.png", "s-000/b.png", "s-001/a/0.jpg", "s-001/a/0~2.jpg", "s-002/a.png"):
        row = rows.pop(result, None)
        if result == "s-002/a.png" and row is None:
            continue  # cut before its end
        assert row is not None
        assert (row.image, row.mask, row.problem) == (image, mask, "")
    problems = {row.problem for row in rows.values()}
    assert any("s-001.tar/out: 1 images and 0 masks" in problem for problem in problems)
    assert any("s-001.tar/bare: 1 images and 0 masks" in problem for problem in problems)
    assert any("s-002.tar: cannot be read to its end" in problem for problem in problems)
    assert len(problems) == len(rows) == 3
    assert not any(row.result.startswith("..") for row in rows.values())


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "t-08.tar", "t-09.tar", "t-10.tar", "x[1]/s.tar", "x1/s.tar", "y{1..2}.tar")
    monkeypatch.chdir(tmp_path)
    for pattern, names in (
        ("t-{08..10}.tar", ["t-08.tar", "t-09.tar", "t-10.tar"]),
        ("t-0?.tar", ["t-08.tar", "t-09.tar"]),
        ("x[1]/s.tar", ["x[1]/s.tar"]),
        ("x[12]/s.tar", ["x1/s.tar"]),
        ("y{1..2}.tar", ["y{1..2}.tar"]),
    ):
        assert storage.expand(pattern) == names


# -- storage -----------------------------------------------------------------------------------------------------------


def test_everything_may_lie_in_s3(s3: str, tmp_path: Path, images: Path) -> None:
    for path in [*images.rglob("*.*"), *(tmp_path / "masks").rglob("*.*")]:
        storage.write(f"{s3}/plan/{path.relative_to(tmp_path)}", path.read_bytes())
    storage.write(f"{s3}/plan/images/.hidden/x.png", b"x")
    storage.write(f"{s3}/plan/images/notes.txt", b"x")
    here = make_plan(str(images), str(tmp_path / "masks"), str(tmp_path / "out"))
    there = make_plan(f"{s3}/plan/images", f"{s3}/plan/masks", f"{s3}/plan/out")
    assert there.others == ["notes.txt"]
    assert [str(row).replace(f"{s3}/plan", str(tmp_path)) for row in there.rows] == [str(row) for row in here.rows]
    write_shard(tmp_path / "s-0.tar", {"a.png": b"x", "a.mask.png": b"y"})
    storage.write(f"{s3}/plan/s-0.tar", (tmp_path / "s-0.tar").read_bytes())
    for pattern in (f"{s3}/plan/*.tar", f"{s3}/plan/s-{{0..0}}.tar"):
        (row,) = rows_of(pattern, None, f"{s3}/plan/out")
        assert row == Row(f"{s3}/plan/s-0.tar/a", "s-0/a.png", b"x", b"y")
    with pytest.raises(OptionError, match="holds inputs"):
        make_plan(f"{s3}/plan/images", None, f"{s3}/plan/images/")


def test_writes_appear_whole_where_the_store_does_not_see_to_it(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.local import LocalFileSystem

    class Plain(LocalFileSystem):  # like SFTP: a file that is being written can be seen
        protocol = "plain"
        seen: ClassVar[list[str]] = []

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(LocalFileSystem._strip_protocol(path.removeprefix("plain://")))

        def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
            Path(path).write_bytes(value)
            self.seen += [each.name for each in (tmp_path / "store/sub").iterdir()]

    fsspec.register_implementation("plain", Plain, clobber=True)
    name = f"plain://{tmp_path}/store/sub/a.bin"
    storage.write(name, b"whole")
    assert len(Plain.seen) == 1
    assert Plain.seen[0].endswith(".part")
    assert [path.name for path in (tmp_path / "store/sub").iterdir()] == ["a.bin"]
    assert storage.read(name) == b"whole"
    assert storage.walk(f"plain://{tmp_path}/store") == ["sub/a.bin"]


def test_protocols_that_cannot_be_used_are_named() -> None:
    with pytest.raises(OptionError, match=r"nosuch://x: .*nosuch"):
        storage.read("nosuch://x")
