from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile

from images import noise, pillow
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.errors import ImageError, ImageWarning, MaskError
from wavepaint.image.limits import changed_limits


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    return Inpainter(write_standin(tmp_path_factory.mktemp("model") / "mean.onnx"), "onnxruntime", 1)


def book(pages: list[np.ndarray], **options: object) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for number, page in enumerate(pages):
            photometric = "rgb" if page.ndim == 3 else "minisblack"
            writer.write(page, photometric=photometric, description=f"page {number}", metadata=None, **options)
    return stream.getvalue()


def read(data: bytes | Path) -> list[np.ndarray]:
    with tifffile.TiffFile(io.BytesIO(data) if isinstance(data, bytes) else data) as file:
        return [page.asarray() for page in file.pages]


PAGES = [
    noise(40, 60, 3, seed=1),
    noise(40, 60, 1, np.uint16, seed=2)[..., 0],
    noise(40, 60, 3, np.uint16, seed=3),
    noise(40, 60, 1, seed=4)[..., 0],
]


def mask_page(left: int) -> np.ndarray:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, left : left + 9] = 255
    return mask


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 3}])
def test_every_page_is_filled_with_one_mask(fill: Inpainter, tmp_path: Path, options: dict[str, object]) -> None:
    data, mask = book(PAGES, **options), mask_page(30)
    path = tmp_path / "scan.tif"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fill(path, mask)
    assert result == tmp_path / "scan-filled.tif"
    written = read(result)
    assert [page.dtype for page in written] == [page.dtype for page in PAGES]
    for before, after in zip(PAGES, written, strict=True):
        assert np.array_equal(after, fill(before, mask))
        assert np.array_equal(after[mask == 0], before[mask == 0])
    with tifffile.TiffFile(result) as file:
        assert [page.description for page in file.pages] == [f"page {number}" for number in range(4)]
    assert [page.tobytes() for page in read(fill(data, mask))] == [page.tobytes() for page in written]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scan-filled.tif", "scan.tif"]


def test_one_mask_per_page(fill: Inpainter, tmp_path: Path) -> None:
    masks = [mask_page(5), mask_page(20), np.zeros((40, 60), np.uint8), mask_page(48)]
    (tmp_path / "mask.tif").write_bytes(book(masks))
    with pytest.warns(ImageWarning, match="marks nothing"):
        result = read(fill(book(PAGES), tmp_path / "mask.tif"))
    for before, after, mask in zip(PAGES, result, masks, strict=True):
        assert np.array_equal(after, fill(before, mask) if mask.any() else before)
        assert np.array_equal(after[mask == 0], before[mask == 0])
    with pytest.raises(MaskError, match="the mask has 2 pages, but <bytes> has 4"):
        fill(book(PAGES), book(masks[:2]))


def test_pages_may_differ_in_size_where_boxes_say_what_to_fill(fill: Inpainter) -> None:
    pages = [noise(40, 60, 3), noise(90, 30, 3), noise(200, 300, 3)]
    result = read(fill(book(pages), boxes=[(3, 4, 10, 12)]))
    for before, after in zip(pages, result, strict=True):
        assert np.array_equal(after, fill(before, boxes=[(3, 4, 10, 12)]))
    with pytest.raises(MaskError, match="page 2: mask: the mask is 60x40 pixels, but <bytes> is 30x90"):
        fill(book(pages), mask_page(3))


def test_a_bad_page_leaves_no_file(fill: Inpainter, tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    data = book([noise(90, 90, 3, seed=page) for page in range(3)], compression="zlib")
    path.write_bytes(data[:-9000])
    with pytest.raises(ImageError, match=r"scan\.tif"):
        fill(path, boxes=[(1, 1, 9, 9)])
    assert [file.name for file in tmp_path.iterdir()] == ["scan.tif"]


def test_another_format_takes_the_first_page_and_says_so(fill: Inpainter, tmp_path: Path) -> None:
    with pytest.warns(ImageWarning, match="has 4 pages, only page 1 is used"):
        fill(book(PAGES), mask_page(30), output=tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_a_mask_of_one_image_serves_all_pages(fill: Inpainter) -> None:
    mask = pillow(mask_page(30), "PNG")
    assert [page.tobytes() for page in read(fill(book(PAGES), mask))] == [
        page.tobytes() for page in read(fill(book(PAGES), mask_page(30)))
    ]


# -- reduced copies --------------------------------------------------------------------------------------------------


def with_preview() -> bytes:
    """Two pages, each followed by a preview."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for page in (PAGES[0], PAGES[2]):
            writer.write(page, photometric="rgb", metadata=None)
            writer.write(page[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"subifd": True}, {"bigtiff": True}])
def test_a_pyramid_is_one_page_and_its_levels_are_left_out(fill: Inpainter, options: dict[str, bool]) -> None:
    samples = noise(150, 200, 3)
    image = pyvips.Image.new_from_array(samples)
    data = image.tiffsave_buffer(tile=True, tile_width=32, tile_height=32, pyramid=True, **options)
    mask = np.zeros((150, 200), np.uint8)
    mask[30:60, 80:120] = 255
    with pytest.warns(ImageWarning, match="reduced copies, such as .*, are left out") as said:
        result = fill(data, mask)
    assert len(said) == 1
    (page,) = read(result)
    assert np.array_equal(page, fill(samples, mask))
    assert fill(data, np.zeros_like(mask)) == data


def test_previews_are_not_pages(fill: Inpainter, tmp_path: Path) -> None:
    data, masks = with_preview(), [mask_page(5), mask_page(30)]
    with pytest.warns(ImageWarning, match="reduced copies, such as .*, are left out") as said:
        result = read(fill(data, book(masks)))
    assert len(said) == 1
    for before, after, mask in zip((PAGES[0], PAGES[2]), result, masks, strict=True):
        assert np.array_equal(after, fill(before, mask))
    with pytest.raises(MaskError, match="the mask has 2 pages, but <bytes> has 4"):
        fill(book(PAGES), with_preview())
    path = tmp_path / "scan.tif"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="mask: marks nothing")
        assert fill(path, np.zeros((40, 60), np.uint8)).read_bytes() == data


# -- BigTIFF ---------------------------------------------------------------------------------------------------------


def test_pages_that_are_large_only_together_become_a_bigtiff(fill: Inpainter) -> None:
    sizes = [page.nbytes for page in PAGES]
    for limit, big in ((max(sizes), True), (sum(sizes) - 1, True), (sum(sizes), False)):
        with changed_limits(tiff_bytes=limit):
            result = fill(book(PAGES), mask_page(30))
        assert result.startswith(b"II+\0" if big else b"II*\0")
        assert np.array_equal(read(result)[3], fill(PAGES[3], mask_page(30)))


def test_a_bigtiff_stays_one(fill: Inpainter) -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, bigtiff=True) as writer:
        for page in PAGES[:2]:
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", metadata=None)
    result = fill(stream.getvalue(), mask_page(30))
    assert result.startswith(b"II+\0")
    for before, after in zip(PAGES, read(result), strict=False):
        assert np.array_equal(after, fill(before, mask_page(30)))
