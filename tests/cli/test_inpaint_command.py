from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import wavepaint
from commands import HOLE, IMAGE, MASK, SAMPLES, check_filled, files_in, run, samples_of
from images import noise, pillow, png, soft, tiff
from standin import Recorder
from wavepaint import Inpainter, inpainter
from wavepaint.batch.folder import inpaint_folder
from wavepaint.batch.plan import make_plan
from wavepaint.errors import ImageError, MaskError
from wavepaint.image.comparison import GAP, write_comparison
from wavepaint.image.suffixes import can_write
from wavepaint.options import Options

# -- one image ------------------------------------------------------------------------------------------------------


def test_an_image_and_a_mask(here: Path, model: Path) -> None:
    (here / f".{'0' * 16}.part").touch()  # of a run that was killed
    result = run("inpaint", "image.png", "mask.png", "-o", "out.png", "--model", model)
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.fullmatch(r"out\.png: 7\.5 % filled in \d+\.\d s\n", result.stderr)
    check_filled(here / "out.png")
    assert sorted(os.listdir(here)) == ["image.png", "mask.png", "out.png"]


def test_boxes_instead_of_a_mask(here: Path, model: Path) -> None:
    hole = HOLE.copy()
    hole[:5, 45:] = True
    result = run("inpaint", "image.png", "--box", "15,10,15,10", "--box=45,-5,99,10", "-o", "out.png", "--model", model)
    assert result.exit_code == 0
    check_filled(here / "out.png", hole)


def test_transparent_pixels_instead_of_a_mask(here: Path, model: Path) -> None:
    samples = np.dstack((SAMPLES, np.where(HOLE, 0, 255).astype(np.uint8)))
    (here / "clear.png").write_bytes(pillow(samples, "PNG"))
    assert run("inpaint", "clear.png", "--alpha", "-o", "out.png", "--model", model).exit_code == 0
    result = samples_of(here / "out.png")
    assert np.array_equal(result[~HOLE], samples[~HOLE])
    assert (result[..., 3] == 255).all()


def test_mask_options_mean_what_they_do_in_python(here: Path, model: Path) -> None:
    levels = np.where(HOLE, 60, 200).astype(np.uint8)
    (here / "levels.png").write_bytes(pillow(levels, "PNG"))
    options = ["--threshold", 0.3, "--invert-mask", "--dilate", 2]
    assert run("inpaint", "image.png", "levels.png", *options, "-o", "out.png", "--model", model).exit_code == 0
    expected = wavepaint.inpaint(SAMPLES, levels, threshold=0.3, invert_mask=True, dilate=2, model=model)
    assert np.array_equal(samples_of(here / "out.png"), expected)


@pytest.mark.parametrize(
    ("arguments", "stdin", "output"),
    [
        (["-", "mask.png", "-o", "-"], IMAGE, None),
        (["image.png", "-", "-o", "-"], MASK, None),
        (["-", "mask.png", "-o", "out.png"], IMAGE, "out.png"),
    ],
)
def test_standard_streams(here: Path, model: Path, arguments: list[str], stdin: bytes, output: str | None) -> None:
    result = run("inpaint", *arguments, "--model", model, stdin=stdin)
    assert result.exit_code == 0
    check_filled(here / output if output else result.stdout_bytes)


def test_the_format_of_standard_output_can_be_chosen(here: Path, model: Path) -> None:
    result = run("inpaint", "image.png", "mask.png", "-o", "-", "--format", "tiff", "--model", model)
    assert Image.open(io.BytesIO(result.stdout_bytes)).format == "TIFF"
    check_filled(result.stdout_bytes)


def test_a_warning_is_one_line_and_no_failure(here: Path, model: Path) -> None:
    (here / "print.jpg").write_bytes(pillow(Image.new("CMYK", (40, 30), (10, 90, 30, 0)), "JPEG"))
    result = run("inpaint", "print.jpg", "--box", "2,2,5,5", "-q", "-o", "out.png", "--model", model)
    assert result.exit_code == 0
    assert result.stderr.startswith("wavepaint: warning: print.jpg: CMYK is converted to sRGB")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none.png", "mask.png", "-o", "out.png"], "none.png: No such file"),
        (["image.png", "none.png", "-o", "out.png"], "none.png: No such file"),
        (["image.png", "small.png", "-o", "out.png"], "small.png: the mask is 9x7 pixels, but image.png is 50x40"),
        (["image.png", "full.png", "-o", "out.png"], "image.png: the mask covers the whole image"),
        (["broken.png", "mask.png", "-o", "out.png"], "broken.png: cannot be decoded"),
        (["image.png", "mask.png", "-o", "none/out.png"], "none/out.png: there is no directory none"),
        (["image.png", "mask.png", "-o", "out.xcf"], "out.xcf: cannot write .xcf files"),
        (["image.png", "-o", "out.png"], "give MASK, --mask, --box or --alpha, to say what to fill"),
        (["", "mask.png", "-o", "out"], "IMAGE or MASK is empty"),
        (["image.png", "", "-o", "out.png"], "MASK is empty"),
        (["image.png", "mask.png", "-o", ""], "--output is empty"),
        (["x" * 300 + ".png", "mask.png", "-o", "out.png"], "x.png: File name too long"),
        (["image.png", "x" * 300 + ".png", "-o", "out.png"], "x.png: File name too long"),
        (["image.png", "mask.png", "-o", "x" * 300 + ".png"], "x.png: cannot be written: File name too long"),
        (["image.png", "mask.png", "-o", "pipe"], "pipe: cannot be written: is not a regular file"),
        (["broken.png", "mask.png", "-o", "-"], "broken.png: cannot be decoded"),
        (["image.png", "--alpha", "-o", "-"], "image.png: has no transparency"),
        (["image.png", "mask.png", "--dilate", "abc", "-o", "out.png"], "'--dilate'"),
        (["image.png", "mask.png", "--blur", "9", "-o", "out.png"], "--blur"),
        (
            ["image.png", "mask.png", "--model", "image.png", "-o", "out.png"],
            "image.png: neither a WavePaint checkpoint",
        ),
        (
            ["image.png", "mask.png", "--format", "svg", "-o", "-"],
            "'--format': 'svg' is not one of 'png', 'jpeg'",
        ),
        (["line\nbreak.png", "mask.png", "-o", "out.png"], "line break.png: No such file"),
        (["image.png", "mask.png", "--alpha", "-o", "out.png"], "give only one of MASK and --alpha"),
        (["image.png", "mask.png", "--box", "1,2,3,4", "-o", "out.png"], "give only one of MASK and --box"),
        (["image.png", "-m", "mask.png", "--box", "1,2,3,4", "-o", "out.png"], "give only one of --mask and --box"),
        (["image.png", "--alpha", "--box", "1,2,3,4", "-o", "out.png"], "give only one of them"),
        (["image.png", "image.png", "mask.png", "-o", "out"], "give --mask, --box or --alpha for several images"),
        (["image.png", "image.png", "image.png", "-m", "mask.png", "-o", "out.png"], "out.png: is no folder"),
        (["image.png", "image.png", "-m", "mask.png", "-o", "out"], "two of the results would have the same name"),
        (["image.png", "-", "-m", "mask.png", "-o", "out"], "standard input is one image"),
        (["image.png", "mask.png", "-o", "image.png"], "image.png: is the image itself: --in-place writes over it"),
        (["image.png", "mask.png", "-o", "."], "image.png: is the image itself"),
        (["image.png", "mask.png", "-o", "link.png"], "link.png: is the image itself"),
        (["image.png", "mask.png", "-o", "mask.png"], "mask.png: is the mask"),
        (["image.png", "mask.png", "-o", "out.png", "--in-place"], "give either --output or --in-place"),
        (["-", "mask.png", "--in-place"], "--in-place is for files"),
        (["image.png", "mask.png", "-o", "out.png", "--compare", "a.xcf"], "a.xcf: cannot write .xcf"),
        (["image.png", "mask.png", "-o", "out.png", "--compare", ""], "--compare is empty"),
        (["image.png", "image.png", "-m", "mask.png", "-o", "out", "--compare", "a.png"], "--compare is for one image"),
        (["image.png", "mask.png", "--threshold", "255", "-o", "out.png"], "threshold must be 0 to 254"),
        (["image.png", "--alpha", "-o", "out.png"], "image.png: has no transparency"),
        (["image.png", "--box", "1,2,3", "-o", "out.png"], "a box must be X,Y,W,H, four whole numbers, not '1,2,3'"),
        (["image.png", "--box", "1,2,3,x", "-o", "out.png"], "a box must be X,Y,W,H, four whole numbers"),
        (["image.png", "--box", "90,0,5,5", "-o", "out.png"], "lies outside the image of 50x40"),
        (["image.png", "mask.png", "--dilate", "-1", "-o", "out.png"], "dilate must be 0 to"),
        (["image.png", "mask.png", "--quality", "0", "-o", "out.png"], "quality must be 1 to 100"),
        (["image.png", "mask.png", "--format", "tiff", "-o", "out.png"], "--format is for standard output and folders"),
        (
            ["image.png", "mask.png", "--runtime", "x", "-o", "out.png"],
            "'--runtime': 'x' is not one of 'auto'",
        ),
        (["image.png", "mask.png", "--model", "none.pth", "-o", "out.png"], "none.pth: no such file"),
        (["-", "-", "-o", "out.png"], "only one of image and mask"),
        (["none.png", "mask.png", "-o", "-"], "none.png: No such file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(here: Path, model: Path, arguments: list[str], reason: str) -> None:
    (here / "small.png").write_bytes(pillow(noise(7, 9, 1), "PNG"))
    os.mkfifo(here / "pipe")
    (here / "link.png").symlink_to("image.png")
    (here / "full.png").write_bytes(pillow(np.full((40, 50, 1), 255, np.uint8), "PNG"))
    (here / "broken.png").write_bytes(IMAGE[: len(IMAGE) // 2])
    before = sorted(os.listdir(here))
    chosen = [] if "--model" in arguments else ["--model", model]
    result = run("inpaint", *arguments, *chosen)
    assert result.exit_code == 2
    assert result.stderr.startswith("wavepaint: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert sorted(os.listdir(here)) == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["inpaint", "image.png", "mask.png"], "give either --output or --in-place"),
        (["--fast"], "--fast"),
        (["inflate"], "inflate"),
    ],
)
def test_a_command_that_makes_no_sense_is_one_line_too(here: Path, arguments: list[str], reason: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("wavepaint: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_mask_that_marks_nothing_is_a_warning(here: Path, model: Path) -> None:
    (here / "faint.png").write_bytes(pillow(HOLE.astype(np.uint8) * 100, "PNG"))
    result = run("inpaint", "image.png", "faint.png", "-o", "out.png", "--model", model, "-q")
    assert result.exit_code == 0
    assert result.stderr.startswith("wavepaint: warning: faint.png: marks nothing: its largest value is 100 of 255")
    assert "--threshold" in result.stderr
    assert result.stderr.count("\n") == 1
    assert (here / "out.png").read_bytes() == IMAGE


def test_bytes_from_standard_input_are_named_so(here: Path, model: Path) -> None:
    result = run("inpaint", "-", "mask.png", "-o", "out.png", "--model", model, stdin=b"no image at all")
    assert (result.exit_code, result.stderr.startswith("wavepaint: standard input: is not a PNG")) == (2, True)


def test_the_mask_is_an_option_too_and_quiet_is_quiet(here: Path, model: Path) -> None:
    expected = run("inpaint", "image.png", "mask.png", "-o", "-", "--model", model)
    assert expected.stderr.startswith("standard output: 7.5 % filled in ")
    for name in ("-m", "--mask"):
        result = run("inpaint", "image.png", name, "mask.png", "-o", "out.png", "--quiet", "--model", model)
        assert (result.exit_code, result.output) == (0, "")
        assert (here / "out.png").read_bytes() == expected.stdout_bytes
    result = run("inpaint", "image.png", "mask.png", "-o", "out.png", "-v", "--model", model)
    assert "image.png: the network runs in onnxruntime" in result.stderr
    (here / "large.png").write_bytes(pillow(noise(300, 400, 3), "PNG"))
    result = run("inpaint", "large.png", "--box", "0,0,5,5", "-o", "out.png", "--model", model)
    assert result.stderr.startswith("out.png: less than 0.1 % filled in ")


def test_several_images_in_one_call(here: Path, model: Path) -> None:
    (here / "second.gif").write_bytes(pillow(SAMPLES, "GIF"))
    (here / "broken.png").write_bytes(IMAGE[:200])
    result = run(
        "inpaint", "image.png", "broken.png", "second.gif", "-m", "mask.png", "-o", "out/deep", "--model", model
    )
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert [line.partition(" filled in ")[0] for line in lines[::2]] == [
        "out/deep/image.png: 7.5 %",
        "out/deep/second.png: 7.5 %",
    ]
    assert lines[1].startswith("wavepaint: broken.png: ")
    check_filled(here / "out/deep/image.png")
    assert files_in(here / "out") == ["deep/image.png", "deep/second.png"]


def test_one_image_into_a_folder_takes_its_name(here: Path, model: Path) -> None:
    (here / "out").mkdir()
    for output in ("out", "out/", "new/"):
        assert run("inpaint", "image.png", "mask.png", "-o", output, "--model", model).exit_code == 0
        check_filled(here / output / "image.png")


def test_in_place_writes_over_the_image(here: Path, model: Path) -> None:
    result = run("inpaint", "image.png", "mask.png", "--in-place", "--compare", "both.png", "--model", model)
    assert (result.exit_code, result.stderr.startswith("image.png: 7.5 % filled")) == (0, True)
    check_filled(here / "image.png")
    assert np.array_equal(samples_of(here / "both.png")[:, :50], SAMPLES)
    assert run("inpaint", str(here), "-m", "mask.png", "--in-place").exit_code == 2


@pytest.mark.parametrize("ends", [["image.png", "-o", "out.png"], ["image.png", "-o", "-"], ["-", "-o", "out.png"]])
def test_a_comparison_shows_before_and_after(here: Path, model: Path, ends: list[str]) -> None:
    result = run("inpaint", *ends, "-m", "mask.png", "--compare", "both.png", "--model", model, stdin=IMAGE)
    assert result.exit_code == 0
    both = samples_of(here / "both.png")
    assert both.shape == (40, 50 + GAP + 50, 3)
    assert np.array_equal(both[:, :50], SAMPLES)
    assert (both[:, 50 : 50 + GAP] == 255).all()
    assert np.array_equal(both[:, 50 + GAP :], samples_of(result.stdout_bytes or here / "out.png"))


def test_a_comparison_is_turned_and_in_srgb(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = np.dstack((noise(30, 20, 3, np.uint16), np.full((30, 20), 65535, np.uint16)))
    write_comparison(
        pillow(soft(30, 20), "JPEG", exif=turned, quality=95), png(deep.swapaxes(0, 1)), tmp_path / "both.jpg"
    )
    assert Image.open(tmp_path / "both.jpg").size == (30 + GAP + 30, 20)
    film = tiff(np.dstack((soft(30, 20), np.zeros((30, 20, 1), np.uint8))), extrasamples=[0])
    for path in (tmp_path / "both.png", tmp_path / "both.tif"):
        write_comparison(film, film, path)
        assert np.array_equal(samples_of(path)[:, :20], soft(30, 20))
        path.unlink()
    with pytest.raises(ImageError, match="is not a PNG"):
        write_comparison(b"not an image", b"nor this", tmp_path / "both.png")
    assert files_in(tmp_path) == ["both.jpg"]


def test_a_level_of_255_is_a_threshold(here: Path, model: Path) -> None:
    (here / "levels.png").write_bytes(pillow(np.where(HOLE, 130, 125).astype(np.uint8), "PNG"))
    for threshold in ("128", "0.502"):
        arguments = ["image.png", "levels.png", "--threshold", threshold, "-o", "out.png", "--model", model]
        assert run("inpaint", *arguments).exit_code == 0
        check_filled(here / "out.png")


def test_a_deprecated_option_says_so(here: Path, model: Path) -> None:
    arguments = ["image.png", "mask.png", "-q", "-o", "out.png", "--model", str(model), "--grain", "off"]
    command = [sys.executable, "-m", "wavepaint", "inpaint", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == 'wavepaint: warning: grain is deprecated: use detail="grain" or detail="network"\n'


def test_jpg_is_a_format(here: Path, model: Path) -> None:
    result = run("inpaint", "image.png", "mask.png", "-o", "-", "--format", "jpg", "--model", model)
    assert Image.open(io.BytesIO(result.stdout_bytes)).format == "JPEG"


@pytest.mark.parametrize(
    ("redirection", "status", "line"),
    [
        ("<&-", 2, "wavepaint: standard input is closed"),
        (">&-", 2, "wavepaint: standard output is closed"),
        (">/dev/full", 2, "wavepaint: standard output: cannot be written: No space left on device"),
        ("2>&-", 0, ""),
    ],
)
def test_closed_and_full_streams(here: Path, model: Path, redirection: str, status: int, line: str) -> None:
    if "/dev/full" in redirection and not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    image = "-" if "<" in redirection else "image.png"
    command = f'"{sys.executable}" -m wavepaint inpaint {image} -m mask.png -o - --model "{model}" {redirection}'
    done = subprocess.run(command, shell=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == status
    errors = done.stderr.decode()
    assert errors.startswith(line)
    assert errors.count("\n") == (1 if line else 0)
    if status == 0:
        check_filled(done.stdout)


def test_short_writes_to_a_pipe_lose_nothing(here: Path, model: Path) -> None:
    """Unbuffered and not blocking, a pipe takes a part of a file at a time."""
    (here / "large.png").write_bytes(pillow(noise(300, 400, 3), "PNG"))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [sys.executable, "-u", "-m", "wavepaint", "inpaint", "large.png", "--box", "5,5,9,9", "-o", "-"]
    with subprocess.Popen([*command, "--model", str(model)], stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        time.sleep(1)
        with open(reading, "rb") as pipe:
            received = pipe.read()
    assert process.returncode == 0
    assert samples_of(received).shape == (300, 400, 3)
    assert len(received) > 2**18


# -- folders --------------------------------------------------------------------------------------------------------


@pytest.fixture
def images(here: Path) -> Path:
    """images/: a.png, sub/b.png, sub/deep/a.tif, a broken c.png, notes.txt; masks/: one for each, as GIF or PNG."""
    for name in ("a.png", "sub/b.png", "sub/deep/a.tif"):
        image, mask = here / "images" / name, (here / "masks" / name).with_suffix(".gif")
        image.parent.mkdir(parents=True, exist_ok=True)
        mask.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(pillow(SAMPLES, "TIFF" if name.endswith("tif") else "PNG"))
        mask.write_bytes(pillow(HOLE.astype(np.uint8) * 255, "GIF"))
    (here / "images/notes.txt").write_text("not an image")
    (here / "images/.hidden.png").write_bytes(IMAGE)
    return here / "images"


def test_a_folder_with_a_mask_for_each(here: Path, images: Path, model: Path) -> None:
    result = run("inpaint", "images", "masks", "-o", "out", "--model", model)
    assert result.exit_code == 0
    assert result.stderr.startswith("wavepaint: 1 file is not an image: notes.txt\n3 filled, 0 skipped, 0 failed in ")
    assert files_in(here / "out") == ["a.png", "sub/b.png", "sub/deep/a.tif"]
    for name in files_in(here / "out"):
        check_filled(here / "out" / name)


@pytest.mark.parametrize("what", [["mask.png"], ["--box", "15,10,15,10"]])
def test_a_folder_with_one_mask_for_all(here: Path, images: Path, model: Path, what: list[str]) -> None:
    assert run("inpaint", "images", *what, "-o", "out", "--model", model).exit_code == 0
    for name in ("a.png", "sub/b.png", "sub/deep/a.tif"):
        check_filled(here / "out" / name)


def test_existing_results_are_skipped_without_overwrite(here: Path, images: Path, model: Path) -> None:
    (here / "out").mkdir()
    (here / "out/a.png").write_bytes(b"mine")
    result = run("inpaint", "images", "masks", "-o", "out", "--model", model)
    assert result.exit_code == 0
    assert "2 filled, 1 skipped, 0 failed" in result.stderr
    assert (here / "out/a.png").read_bytes() == b"mine"
    result = run("inpaint", "images", "masks", "-o", "out", "--overwrite", "--model", model)
    assert "3 filled, 0 skipped, 0 failed" in result.stderr
    check_filled(here / "out/a.png")


def test_one_bad_file_does_not_stop_the_rest(here: Path, images: Path, model: Path) -> None:
    (images / "broken.png").write_bytes(IMAGE[:200])
    (here / "masks/broken.png").write_bytes(MASK)
    (images / "sub/alone.png").write_bytes(IMAGE)
    (images / "twice.png").write_bytes(IMAGE)
    (here / "masks/twice.png").write_bytes(MASK)
    (here / "masks/twice.gif").write_bytes(MASK)
    result = run("inpaint", "images", "masks", "-o", "out", "--model", model)
    assert result.exit_code == 1
    _, *lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("wavepaint: images/broken.png: cannot be decoded")
    assert lines[1] == "wavepaint: images/sub/alone.png: no mask named alone in masks/sub"
    assert lines[2] == "wavepaint: images/twice.png: 2 masks named twice in masks"
    assert lines[3].startswith("3 filled, 0 skipped, 3 failed in ")
    assert files_in(here / "out") == ["a.png", "sub/b.png", "sub/deep/a.tif"]


def test_masks_and_results_inside_the_folder_are_no_images(here: Path, images: Path, model: Path) -> None:
    (here / "masks").rename(images / "masks")
    arguments = ["inpaint", "images", "images/masks", "-o", "images/out", "--model", model]
    assert "3 filled, 0 skipped" in run(*arguments).stderr
    assert "0 filled, 3 skipped" in run(*arguments).stderr


def test_results_may_go_above_the_folder_and_gifs_become_pngs(images: Path, here: Path) -> None:
    (images / "g.gif").write_bytes(pillow(SAMPLES, "GIF"))
    rows = make_plan(str(images), None, str(here), needs_mask=False).rows
    assert [row.result for row in rows] == ["a.png", "g.gif.png", "sub/b.png", "sub/deep/a.tif"]


def test_folders_that_cannot_be_used(here: Path, images: Path, model: Path) -> None:
    (here / "nothing").mkdir()
    with pytest.raises(ImageError, match="nothing: there are no images"):
        make_plan("nothing", None, "out")
    with pytest.raises(MaskError, match="none: no such file or folder"):
        make_plan(str(images), "none", "out")
    for arguments in (
        ["images", "-", "-o", "out"],
        ["images", "masks", "-o", "-"],
        ["images", "masks", "--in-place", "--format", "png"],
    ):
        assert run("inpaint", *arguments).exit_code == 2
    if not can_write("jxl"):
        result = run("inpaint", "images", "masks", "-o", "out", "--format", "jxl")
        assert (result.exit_code, result.stderr) == (2, "wavepaint: format jxl cannot be written here\n")
        assert not (here / "out").exists()


def test_the_format_of_a_whole_folder(here: Path, images: Path, model: Path) -> None:
    (here / "images/a.tiff").write_bytes(pillow(SAMPLES, "TIFF"))
    result = run("inpaint", "images", "-m", "mask.png", "-o", "out", "--format", "tif", "--model", model)
    assert (result.exit_code, "failed" in result.stderr) == (0, True)
    assert files_in(here / "out") == ["a.tif", "a.tiff", "sub/b.tif", "sub/deep/a.tif"]
    for name in files_in(here / "out"):
        assert (here / "out" / name).read_bytes().startswith((b"II*\0", b"MM\0*"))
        check_filled(here / "out" / name)
    result = run("inpaint", "images", "-m", "mask.png", "-o", "png", "--format", "png", "--model", model)
    assert result.exit_code == 1
    assert re.search(r"images/a\.tiff: its result would replace that of images/a\.png", result.stderr)


def test_the_format_of_several_images(here: Path, model: Path) -> None:
    (here / "second.gif").write_bytes(pillow(SAMPLES, "GIF"))
    arguments = ["image.png", "second.gif", "-m", "mask.png", "-o", "out", "--format", "webp", "--quality", "80"]
    assert run("inpaint", *arguments, "--model", model).exit_code == 0
    assert files_in(here / "out") == ["image.webp", "second.webp"]


def test_the_network_knows_how_long_the_job_is(images: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected_crops: list[object] = []

    def load(*arguments: object) -> Recorder:
        expected_crops.append(arguments[-1])
        return Recorder()

    monkeypatch.setattr(inpainter, "load_runtime", load)
    rows = make_plan(str(images), str(here / "mask.png"), "out").rows
    statuses = [outcome.status for outcome in inpaint_folder(Inpainter(), rows, "out", Options())]
    assert statuses == ["filled"] * 3
    assert expected_crops == [3 * inpainter.CROPS_PER_IMAGE]
    assert [outcome.status for outcome in inpaint_folder(Inpainter(), rows, "out", Options())] == ["skipped"] * 3
    assert len(expected_crops) == 1


# -- whole processes ------------------------------------------------------------------------------------------------


def test_the_command_with_the_packaged_network(here: Path) -> None:
    command = [sys.executable, "-m", "wavepaint", "inpaint", "image.png", "mask.png", "-o", "out.png", "--threads", "1"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (0, "", 1)
    assert result.stderr.startswith("out.png: 7.5 % filled in ")
    check_filled(here / "out.png")


def test_an_interrupt_leaves_whole_files_only(here: Path, model: Path) -> None:
    (here / "images").mkdir()
    for index in range(300):
        (here / "images" / f"{index:03}.png").write_bytes(IMAGE)
    command = [sys.executable, "-m", "wavepaint", "inpaint", "images", "mask.png", "-o", "out", "--model", str(model)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(here.glob("out/*.png")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    written = files_in(here / "out")
    assert 0 < len(written) < 300
    for name in written:
        check_filled(here / "out" / name)
