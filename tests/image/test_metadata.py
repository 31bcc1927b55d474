"""Metadata pass on byte for byte where the format has a place for them; what has none is named."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from images import noise, pillow, png, soft, tiff
from wavepaint.box import Box
from wavepaint.errors import ImageError
from wavepaint.image.file import ImageFile

BOX = Box(4, 4, 8, 8)
SAMPLES = soft(30, 40)


def filled(data: bytes, format: str | None = None) -> bytes:
    file = ImageFile.open(data)
    return file.encode([(BOX, 255 - file.read(BOX))], format)


def block_of(data: bytes) -> bytes:
    return bytes(Image.open(io.BytesIO(data)).info["exif"])


def rare_exif() -> bytes:
    exif = Image.Exif()
    exif[316], exif[0x4746], exif[0x4749] = "iPhone 15 Pro", 4, 75
    exif[270], exif[271] = "caption", "Apple"
    exif[40091] = "Title\0".encode("utf-16-le")
    exif.get_ifd(0x8769)[0x9400] = 20.0
    return exif.tobytes()


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP"])
def test_an_exif_block_passes_on_as_it_is(source: str, target: str) -> None:
    block = rare_exif()
    result = block_of(filled(pillow(SAMPLES, source, exif=block), target))
    assert result.removeprefix(b"Exif\0\0").rstrip(b"\0") == block.removeprefix(b"Exif\0\0").rstrip(b"\0")


def test_rare_tags_come_into_a_tiff_and_out_again() -> None:
    written = filled(pillow(SAMPLES, "JPEG", exif=rare_exif()), "tiff")
    for data in (written, filled(written), filled(written, "jpeg")):
        tags = Image.open(io.BytesIO(data)).getexif()
        assert [tags[tag] for tag in (316, 0x4746, 0x4749, 270, 271)] == ["iPhone 15 Pro", 4, 75, "caption", "Apple"]


def test_maker_notes_stay_where_they_are() -> None:
    note = b"Maker" + bytes(range(200))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[37500] = note
    block = exif.tobytes()
    data = pillow(SAMPLES, "JPEG", exif=block)
    result = block_of(filled(data, "png")).removeprefix(b"Exif\0\0")
    assert result.find(note) == block.removeprefix(b"Exif\0\0").find(note)
    assert not any("maker notes" in note for note in ImageFile.open(data).conversion_warnings("png"))
    assert any("maker notes move" in note for note in ImageFile.open(data).conversion_warnings("tiff"))


def test_the_size_and_orientation_in_exif_are_those_of_the_result() -> None:
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(0x8769)[40962], exif.get_ifd(0x8769)[40963] = 40, 30
    result = Image.open(io.BytesIO(filled(pillow(SAMPLES, "JPEG", exif=exif), "png"))).getexif()
    assert result[274] == 1
    assert (result.get_ifd(0x8769)[40962], result.get_ifd(0x8769)[40963]) == (30, 40)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, position = [], 8
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        assert zlib.crc32(data[position + 4 : position + 8 + size]) == int.from_bytes(
            data[position + 8 + size : position + 12 + size], "big"
        )
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + size]))
        position += 12 + size
    return chunks


RARE_CHUNKS = [
    (b"sBIT", bytes([8, 8, 8])),
    (b"bKGD", bytes(6)),
    (b"tIME", bytes([7, 230, 1, 2, 3, 4, 5])),
    (b"oFFs", bytes(9)),
    (b"sPLT", b"name\0\x08" + bytes(6)),
    (b"pCAL", b"x\0" + bytes(10) + b"m\0" + b"1"),
    (b"sTER", b"\0"),
    (b"prIv", b"private"),
    (b"pHYs", bytes([0, 0, 0, 2, 0, 0, 0, 1, 0])),
    (b"tEXt", "Überschrift\0Text".encode("latin-1")),
]


def test_rare_chunks_of_a_png_pass_on() -> None:
    plain = png(SAMPLES)
    data = plain[:33] + b"".join(chunk(*each) for each in RARE_CHUNKS) + plain[33:]
    result = chunks_of(filled(data))
    for each in RARE_CHUNKS:
        assert each in result
    assert [kind for kind, _ in result].count(b"pHYs") == 1


@pytest.mark.parametrize("target", ["jpeg", "webp", "tiff", "avif"])
def test_texts_and_chunks_of_a_png_without_a_place_are_named(target: str) -> None:
    plain = png(SAMPLES)
    data = plain[:33] + b"".join(chunk(*each) for each in RARE_CHUNKS) + plain[33:]
    note = f"<bytes>: texts, oFFs, pCAL, prIv, sPLT, sTER of the PNG left out in {target}"
    assert ImageFile.open(data).conversion_warnings(target) == (note,)
    assert ImageFile.open(data).conversion_warnings("png") == ()
    usual = chunk(b"sRGB", b"\0") + chunk(b"gAMA", (45455).to_bytes(4, "big")) + chunk(b"bKGD", bytes(6))
    assert ImageFile.open(plain[:33] + usual + plain[33:]).conversion_warnings(target) == ()
    linear = chunk(b"gAMA", (100_000).to_bytes(4, "big"))
    (note,) = ImageFile.open(plain[:33] + linear + plain[33:]).conversion_warnings(target)
    assert note == f"<bytes>: gAMA of the PNG left out in {target}"


def test_chunks_about_samples_go_with_them() -> None:
    grey = png(np.zeros((30, 40, 1), np.uint8), depth=1)
    data = grey[:33] + chunk(b"sBIT", b"\x01") + chunk(b"bKGD", bytes(2)) + grey[33:]
    file = ImageFile.open(data)
    kinds = [kind for kind, _ in chunks_of(file.encode([(BOX, np.full((8, 8, 1), 99, np.uint8))]))]
    assert not {b"sBIT", b"bKGD"} & set(kinds)


def test_a_keyword_in_latin_1_is_no_obstacle() -> None:
    plain = png(SAMPLES)
    text = chunk(b"tEXt", "Überschrift\0Ä".encode("latin-1"))
    data = plain[:33] + text + plain[33:]
    assert np.array_equal(ImageFile.open(data).read_all(), SAMPLES)
    assert text in filled(data)


def test_exif_behind_the_samples_of_a_png() -> None:
    plain = png(SAMPLES)
    block = rare_exif().removeprefix(b"Exif\0\0")
    result = chunks_of(filled(plain[:-12] + chunk(b"eXIf", block) + plain[-12:]))
    assert (b"eXIf", block) in result


@pytest.mark.parametrize("target", ["png", "webp", "avif"])
def test_iptc_without_a_place_is_named(target: str) -> None:
    records = b"\x1c\x02\x78\0\7caption"
    resource = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + len(records).to_bytes(4, "big") + records
    jpeg = pillow(SAMPLES, "JPEG")
    data = jpeg[:2] + b"\xff\xed" + (len(resource) + 2).to_bytes(2, "big") + resource + jpeg[2:]
    assert ImageFile.open(data).conversion_warnings(target) == (f"<bytes>: IPTC records are left out in {target}",)
    assert ImageFile.open(data).conversion_warnings("tiff") == ()


@pytest.mark.parametrize("keeps_blocks", [True, False])
def test_a_jfif_segment_loses_its_thumbnail(keeps_blocks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavepaint.image.encoding.can_keep_blocks", lambda: keeps_blocks)
    jpeg = pillow(SAMPLES, "JPEG", dpi=(300, 300))
    data = jpeg[:2] + b"\xff\xe0\x00\x1c" + jpeg[6:18] + b"\x02\x02" + bytes(12) + jpeg[20:]
    assert Image.open(io.BytesIO(data)).size == (40, 30)
    result = filled(data)
    assert result[2:20] == jpeg[2:20]
    assert result[20] == 0xFF
    assert ImageFile.open(result).read_all().shape == SAMPLES.shape


@pytest.mark.parametrize("keeps_blocks", [True, False])
def test_comments_of_a_jpeg_stay_and_what_has_no_place_is_named(
    keeps_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavepaint.image.encoding.can_keep_blocks", lambda: keeps_blocks)
    jpeg = pillow(SAMPLES, "JPEG", comment="Größe".encode("latin-1"))
    private = b"\xff\xe3\x00\x0bMETA\0abcd" + b"\xff\xe5\x00\x03\0"
    file = ImageFile.open(jpeg[:2] + private + jpeg[2:])
    assert file.conversion_warnings("jpeg") == ("<bytes>: META, APP5 of the JPEG left out",)
    assert file.conversion_warnings("png")[0] == "<bytes>: comments of the JPEG left out in png"
    result = filled(jpeg, "jpeg")
    assert Image.open(io.BytesIO(result)).info["comment"] == "Größe".encode("latin-1")
    assert result.count(b"\xff\xfe\x00\x07") == 1


@pytest.mark.parametrize("target", ["jpeg", "png", "tiff", "webp"])
def test_nothing_is_invented(target: str) -> None:
    result = Image.open(io.BytesIO(filled(png(SAMPLES), target)))
    assert "dpi" not in result.info or result.info["dpi"] == (1, 1)
    exif = result.getexif()
    assert exif.get(296, 1) == 1
    if target != "tiff":
        assert not exif
    assert 40961 not in exif.get_ifd(0x8769)


def test_the_resolution_in_exif_is_that_of_the_file() -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 300.0, 300.0, 2
    result = Image.open(io.BytesIO(filled(pillow(SAMPLES, "WEBP", lossless=True, exif=exif), "png")))
    assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_an_animated_avif_is_a_warning() -> None:
    frames = [Image.fromarray(noise(32, 32, 3, seed=seed)) for seed in range(4)]
    data = pillow(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    (note,) = ImageFile.open(data).warnings
    assert "only" in note
    assert ImageFile.open(pillow(frames[0], "AVIF")).warnings == ()


# -- TIFF -------------------------------------------------------------------------------------------------------------

PRIVATE = [
    (33550, "d", 3, (1.0, 1.0, 0.0), True),
    (34735, "H", 4, (1, 1, 0, 0), True),
    (42113, "s", 0, "-9999", True),
    (65000, "B", 50_000, bytes(range(250)) * 200, True),
]


@pytest.mark.parametrize("bigtiff", [False, True])
def test_geotiff_gdal_and_private_tags_stay(bigtiff: bool) -> None:
    data = tiff(SAMPLES, extratags=PRIVATE, bigtiff=bigtiff)
    before = tifffile.TiffFile(io.BytesIO(data)).pages[0].tags
    after = tifffile.TiffFile(io.BytesIO(filled(data))).pages[0].tags
    for code, *_ in PRIVATE:
        assert after[code].value == before[code].value
    assert ImageFile.open(data).conversion_warnings("tiff") == ()


def test_tags_without_a_place_are_named() -> None:
    (note,) = ImageFile.open(tiff(SAMPLES, extratags=PRIVATE)).conversion_warnings("png")
    assert note == "<bytes>: GeoTIFF and GDAL and private tags (65000) of the TIFF left out in png"


def test_imagej_s_description_and_tags_stay() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, noise(30, 40, 1, np.uint16)[..., 0], imagej=True, metadata={"Info": "a note"})
    result = tifffile.TiffFile(io.BytesIO(filled(stream.getvalue())))
    assert result.is_imagej
    assert result.imagej_metadata is not None
    assert result.imagej_metadata["Info"] == "a note"


def test_a_description_in_latin_1_stays() -> None:
    text = "Größe".encode("latin-1")
    data = tiff(SAMPLES, extratags=[(270, 2, len(text) + 1, text + b"\0", True)], metadata=None)
    assert text in data
    assert text in filled(data)


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw"])
def test_ycbcr_outside_a_jpeg_is_refused(compression: str | None) -> None:
    stream = io.BytesIO()
    Image.fromarray(SAMPLES).convert("YCbCr").save(
        stream, "TIFF", compression={"zlib": "tiff_deflate", "lzw": "tiff_lzw"}.get(compression or "")
    )
    with pytest.raises(ImageError, match="YCbCr outside JPEG compression is not supported"):
        ImageFile.open(stream.getvalue())


def test_ycbcr_inside_a_jpeg_is_converted() -> None:
    samples = np.full((32, 32, 3), (198, 60, 28), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(samples).save(stream, "TIFF", compression="jpeg")
    assert np.abs(ImageFile.open(stream.getvalue()).read_all().astype(int) - samples).max() <= 3


def test_an_unspecified_channel_stays_unspecified() -> None:
    data = tiff(noise(30, 40, 4), extrasamples=["unspecified"])
    file = ImageFile.open(data)
    assert (file.warnings, file.has_alpha) == ((), False)
    page = tifffile.TiffFile(io.BytesIO(filled(data))).pages[0]
    assert page.tags["ExtraSamples"].value == (0,) or page.tags["ExtraSamples"].value == 0
    assert np.array_equal(page.asarray()[..., 3][20:], file.read_all()[..., 3][20:])
