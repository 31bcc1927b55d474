from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from images import SRGB_PROFILE, XMP, decoded, noise, pillow, png, soft, streamed_file, tiff
from wavepaint.box import Box
from wavepaint.errors import ImageError, MaskError, OptionError
from wavepaint.image import encoders
from wavepaint.image.file import ImageFile
from wavepaint.image.formats import jpeg, photoshop, webp
from wavepaint.image.formats.tiff import integer_tags, read_directory

HEIGHT, WIDTH = 70, 45


@pytest.fixture(scope="module", autouse=True)
def without_jpeglib() -> Iterator[None]:
    """What libvips does by itself; `test_jpeg_blocks` has the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wavepaint.image.encoding.can_keep_blocks", lambda: False)
        yield


def patch_of(image: ImageFile, box: Box, seed: int = 9) -> np.ndarray:
    return noise(box.height, box.width, image.channels, image.dtype, seed)


def patched(samples: np.ndarray, patches: list[tuple[Box, np.ndarray]]) -> np.ndarray:
    result = samples.copy()
    for box, patch in patches:
        result[box.slices] = patch
    return result


# -- lossless round trips -------------------------------------------------------------------------------------------

RGB16, GREY, RGBA = noise(HEIGHT, WIDTH, 3, np.uint16), noise(HEIGHT, WIDTH, 1), noise(HEIGHT, WIDTH, 4)
RGBA[:9, :9, 3] = 0
GREY_ALPHA16 = noise(HEIGHT, WIDTH, 2, np.uint16)
PALETTE = Image.fromarray(noise(HEIGHT, WIDTH, 3)).quantize(16)
LOSSLESS = {
    "16-bit RGB TIFF": (tiff(RGB16, iccprofile=SRGB_PROFILE), RGB16, "tiff"),
    "16-bit grey TIFF, big-endian": (tiff(RGB16[..., :1], byteorder=">"), RGB16[..., :1], "tiff"),
    "RGBA BigTIFF": (tiff(RGBA, bigtiff=True), RGBA, "tiff"),
    "planar TIFF": (tiff(RGB16, planarconfig="separate"), RGB16, "tiff"),
    "8-bit grey PNG": (png(GREY), GREY, "png"),
    "16-bit RGB PNG": (png(RGB16), RGB16, "png"),
    "16-bit grey and alpha PNG": (png(GREY_ALPHA16), GREY_ALPHA16, "png"),
    "RGBA PNG": (png(RGBA), RGBA, "png"),
    "palette PNG": (pillow(PALETTE, "PNG"), np.asarray(PALETTE.convert("RGB")), "png"),
    "palette PNG with transparency": (
        pillow(PALETTE, "PNG", transparency=3),
        np.asarray(Image.open(io.BytesIO(pillow(PALETTE, "PNG", transparency=3))).convert("RGBA")),
        "png",
    ),
    "lossless WebP": (pillow(RGBA, "WEBP", lossless=True, exact=True), RGBA, "webp"),
    "1x1 PNG": (png(GREY[:1, :1]), GREY[:1, :1], "png"),
}


@pytest.mark.parametrize("case", LOSSLESS)
def test_lossless_images_come_back_with_every_other_sample(case: str) -> None:
    data, samples, format = LOSSLESS[case]
    image = ImageFile.open(data)
    height, width, channels = samples.shape
    assert (image.height, image.width, image.channels, image.dtype) == (height, width, channels, samples.dtype)
    assert (image.format, image.lossless, image.name) == (format, True, "<bytes>")
    np.testing.assert_array_equal(image.read_all(), samples)

    boxes = [Box(0, 0, 1, 1), Box(max(width - 7, 0), max(height - 5, 0), min(width, 7), min(height, 5))]
    if height > 1:
        boxes += [Box(3, 30, 20, 40), Box(10, 60, 20, 6)]
    patches = [(box, patch_of(image, box, seed)) for seed, box in enumerate(boxes)]
    result = image.encode(patches)
    np.testing.assert_array_equal(decoded(result), patched(samples, patches))
    again = ImageFile.open(result)
    assert (again.format, again.channels, again.dtype) == (format, channels, samples.dtype)
    np.testing.assert_array_equal(image.read_all(), samples, err_msg="the image itself has changed")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 150),
    st.integers(1, 40),
    st.integers(1, 4),
    st.sampled_from([np.uint8, np.uint16]),
    st.sampled_from(["png", "tiff", "tiled"]),
    st.sampled_from(["png", "tiff"]),
    st.booleans(),
    st.data(),
)
def test_any_image_and_patches(
    height: int, width: int, channels: int, dtype: type, source: str, target: str, streamed: bool, data: st.DataObject
) -> None:
    samples = noise(height, width, channels, dtype, seed=height * 41 + width)
    options = {"tile": (16, 16), "compression": "zlib"} if source == "tiled" else {}
    image = streamed_file(png(samples) if source == "png" else tiff(samples, **options), streamed)
    boxes, patches = [], []
    for seed in range(data.draw(st.integers(0, 3))):
        left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        boxes.append(Box(left, top, data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))))
        patches.append((boxes[-1], patch_of(image, boxes[-1], seed)))
    for box, read in zip(boxes, image.read_boxes(boxes), strict=True):
        np.testing.assert_array_equal(read, samples[box.slices])
    np.testing.assert_array_equal(decoded(image.encode(patches, target)), patched(samples, patches))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_few_bits_are_kept_where_patches_allow(depth: int, format: str) -> None:
    levels = noise(20, 21, 1) % 2**depth
    samples = levels * (255 // (2**depth - 1))
    image = ImageFile.open(png(levels, depth))
    np.testing.assert_array_equal(image.read_all(), samples)
    box = Box(2, 3, 4, 5)
    # libvips writes TIFFs of 2 and 4 bits wrongly, so they become 8-bit.
    kept_depth = depth if format == "png" or depth == 1 else 8
    for value, expected in ((255, kept_depth), (100, 8)):
        patch = np.full((5, 4, 1), value, np.uint8)
        result = image.encode([(box, patch)], format)
        bits = result[24] if format == "png" else tifffile.TiffFile(io.BytesIO(result)).pages[0].tags[258].value
        assert bits == expected
        np.testing.assert_array_equal(ImageFile.open(result).read_all(), patched(samples, [(box, patch)]))


def test_thousands_of_patches_in_a_streamed_image() -> None:
    samples = noise(300, 300, 3)
    image = streamed_file(png(samples))
    rng = np.random.default_rng(0)
    boxes = [Box(*(int(v) for v in rng.integers(0, 290, 2)), 10, 10) for _ in range(5000)]
    patches = [(box, patch_of(image, box, seed)) for seed, box in enumerate(boxes)]
    np.testing.assert_array_equal(decoded(image.encode(patches)), patched(samples, patches))


def test_png_above_the_size_for_careful_compression() -> None:
    samples = noise(900, 800, 3, np.uint16)
    image = ImageFile.open(png(samples))
    assert image.decoded_bytes > encoders._FAST_PNG_BYTES
    np.testing.assert_array_equal(decoded(image.encode()), samples)


# -- orientation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "orientation", "streamed"),
    [(format, orientation, False) for format in ("JPEG", "TIFF", "PNG", "WEBP") for orientation in range(1, 9)]
    + [(format, orientation, True) for format in ("JPEG", "TIFF") for orientation in range(1, 9)]
    + [("AVIF", 6, False)],
)
def test_orientation_is_applied_and_reset(format: str, orientation: int, streamed: bool) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    exif[271] = "Maker"
    options = {"lossless": True} if format == "WEBP" else {}
    data = pillow(soft(90, 140), format, exif=exif.tobytes(), **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    image = streamed_file(data, streamed)
    assert (image.height, image.width) == upright.shape[:2]
    tolerance = 8 if format == "AVIF" else 0
    np.testing.assert_allclose(image.read_all().astype(int), upright, atol=tolerance)
    box = Box(5, 30, 40, 45)
    np.testing.assert_allclose(image.read(box).astype(int), upright[box.slices], atol=tolerance)

    patches = [(box, patch_of(image, box))]
    np.testing.assert_array_equal(decoded(image.encode(patches, "png")), patched(image.read_all(), patches))
    result = Image.open(io.BytesIO(image.encode()))
    assert result.getexif().get(274, 1) == 1
    assert result.size == (image.width, image.height)


# -- metadata -------------------------------------------------------------------------------------------------------


def rich_exif() -> Image.Exif:
    exif = Image.Exif()
    exif.update({271: "Maker", 315: "Artist", 33432: "me", 306: "2024:01:02 03:04:05"})
    exif.update({282: 300.0, 283: 300.0, 296: 2, 274: 6})
    exif.get_ifd(0x8769).update(
        {33434: 0.004, 34855: 200, 36867: "2024:01:02 03:04:05", 37500: b"MAKERNOTE\0\1" * 40, 42036: "Lens 24-70"}
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.3), 3: "E", 4: (13.0, 24.0, 5.6)})
    return exif


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("target", [None, "png", "jpeg", "webp", "avif", "tiff"])
def test_exif_profile_and_resolution_survive(source: str, target: str | None) -> None:
    exif = rich_exif()
    data = pillow(soft(30, 40), source, exif=exif.tobytes(), icc_profile=SRGB_PROFILE, dpi=(300, 300))
    result = Image.open(io.BytesIO(ImageFile.open(data).encode(format=target)))
    assert result.info["icc_profile"] == SRGB_PROFILE
    if target in ("png", "jpeg", "tiff"):
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    copied = result.getexif()
    assert copied.get(274, 1) == 1
    for tag in (271, 315, 33432, 306, 282, 283):
        assert copied[tag] == exif[tag]
    for ifd in (0x8769, 0x8825):
        assert exif.get_ifd(ifd).items() <= copied.get_ifd(ifd).items()


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif", "tiff"])
def test_xmp_survives_as_it_is_where_nothing_is_turned(source: str, target: str) -> None:
    packet: dict[str, object] = {"xmp": XMP}
    if source == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        packet = {"pnginfo": info}
    if source == "TIFF":
        packet = {"tiffinfo": {700: XMP}}
    result = Image.open(io.BytesIO(ImageFile.open(pillow(soft(30, 40), source, **packet)).encode(format=target)))
    xmp = result.info.get("xmp") or result.info.get("XML:com.adobe.xmp")
    xmp = xmp if isinstance(xmp, bytes) else str(xmp).encode()
    assert xmp.rstrip(b"\0") == XMP


@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif", "tiff"])
def test_the_orientation_in_xmp_is_reset_with_that_in_exif(target: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    turned = pillow(soft(30, 40), "JPEG", exif=exif, xmp=XMP)
    result = Image.open(io.BytesIO(ImageFile.open(turned).encode(format=target, quality=90)))
    xmp = result.info.get("xmp") or result.info.get("XML:com.adobe.xmp")
    xmp = xmp if isinstance(xmp, bytes) else str(xmp).encode()
    assert xmp.rstrip(b"\0") == XMP.replace(b'Orientation="6"', b'Orientation="1"')


def test_png_texts_colour_chunks_and_resolution() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a note")
    info.add_itxt("Title", "größer, 大きい")
    chunks = {b"gAMA": (100000).to_bytes(4, "big"), b"cICP": bytes([9, 16, 0, 1])}
    for kind, body in chunks.items():
        info.add(kind, body)
    data = pillow(RGBA, "PNG", pnginfo=info, dpi=(240, 240), icc_profile=SRGB_PROFILE)
    result = ImageFile.open(data).encode([(Box(0, 0, 1, 1), RGBA[:1, :1])])
    reopened = Image.open(io.BytesIO(result))
    assert (reopened.info["Comment"], reopened.info["Title"]) == ("a note", "größer, 大きい")
    assert reopened.info["dpi"] == pytest.approx((240, 240), abs=0.01)
    assert reopened.info["icc_profile"] == SRGB_PROFILE
    for kind, body in chunks.items():
        assert result.count(kind + body) == 1
    np.testing.assert_array_equal(decoded(result), RGBA)
    again = ImageFile.open(result).encode()
    assert again.count(b"Comment\0a note") == 1


def test_the_thumbnail_that_still_shows_the_object_is_dropped() -> None:
    thumbnail = pillow(soft(12, 16), "JPEG")
    make = struct.pack("<HHI4s", 271, 2, 4, b"own\0")
    first = struct.pack("<H", 1) + make + struct.pack("<I", 26)
    offset, size = struct.pack("<HHII", 513, 4, 1, 56), struct.pack("<HHII", 514, 4, 1, len(thumbnail))
    second = struct.pack("<H", 2) + offset + size + struct.pack("<I", 0)
    body = b"Exif\0\0" + struct.pack("<2sHI", b"II", 42, 8) + first + second + thumbnail
    data = pillow(soft(30, 40), "JPEG", exif=body)
    assert thumbnail in data
    result = ImageFile.open(data).encode()
    assert b"\xff\xd8\xff" not in result[3:]
    assert Image.open(io.BytesIO(result)).getexif()[271] == "own"


def resource(number: int, body: bytes, name: bytes = b"") -> bytes:
    label = bytes([len(name)]) + name
    label += b"\0" * (len(label) % 2)
    return b"8BIM" + number.to_bytes(2, "big") + label + len(body).to_bytes(4, "big") + body + b"\0" * (len(body) % 2)


@pytest.mark.parametrize("number", [0x0409, 0x040C])
def test_the_thumbnail_among_photoshop_s_resources_is_dropped(number: int) -> None:
    thumbnail = resource(number, b"28 bytes of header........" + pillow(soft(9, 9), "JPEG") + b"odd", b"odd name")
    others = [resource(0x03ED, b"resolution", b"x"), resource(0x0404, b"\x1c\x02\x78\0\7caption")]
    blocks = others[0] + thumbnail + others[1]
    segment = b"Photoshop 3.0\0" + blocks
    jpeg = pillow(soft(16, 16), "JPEG")
    jpeg = jpeg[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]
    for data in (jpeg, tiff(RGB16, extratags=[(34377, 1, len(blocks), blocks, True)])):
        result = ImageFile.open(data).encode()
        assert b"".join(others) in result
        assert b"28 bytes of header" not in result
        assert b"\xff\xd8\xff" not in result[3:]


def test_photoshop_resources_end_where_they_make_no_sense() -> None:
    whole = resource(0x03ED, b"resolution")
    for damaged in (b"8BIM", b"8BIM\4\x0c", resource(0x040C, b"thumbnail")[:-3], b"data of a thumbnail cut in two"):
        assert photoshop.without_thumbnails(whole + damaged).startswith(whole)
        assert b"thumbnail" not in photoshop.without_thumbnails(whole + damaged)
    records = b"\x1c\x02\x78\0\7caption"
    assert photoshop.without_thumbnails(records) == records


@pytest.mark.parametrize("prefix", [b"xmp", b"xap"])
def test_the_thumbnails_in_xmp_are_dropped(prefix: bytes) -> None:
    thumbnails = b"<xmp:Thumbnails><rdf:Alt><rdf:li xmpGImg:image='/9j/\n4AAQ'/></rdf:Alt></xmp:Thumbnails>"
    thumbnails = thumbnails.replace(b"<xmp:", b"<" + prefix + b":").replace(b"</xmp:", b"</" + prefix + b":")
    empty = b"<" + prefix + b":Thumbnails rdf:parseType='Resource'/>"
    filled = XMP.replace(b"</rdf:RDF>", thumbnails + b"<a:b>kept</a:b>" + empty + b"</rdf:RDF>")
    result = ImageFile.open(pillow(soft(16, 16), "JPEG", xmp=filled)).encode()
    assert b"Thumbnails" not in result
    assert b"xmpGImg" not in result
    assert b"<a:b>kept</a:b></rdf:RDF>" in result


@pytest.mark.parametrize("compression", ["zlib", None])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_tiff_keeps_tiles_profile_description_and_unit(compression: str | None, tile: tuple[int, int] | None) -> None:
    data = tiff(
        RGB16,
        compression=compression,
        predictor=compression == "zlib",
        tile=tile,
        iccprofile=SRGB_PROFILE,
        resolution=(118, 118),
        resolutionunit="CENTIMETER",
        description="a scan",
        metadata=None,
    )
    result = ImageFile.open(data).encode()
    before, after = (tifffile.TiffFile(io.BytesIO(d)).pages[0] for d in (data, result))
    for name in ("compression", "predictor", "is_tiled", "resolutionunit", "bitspersample", "description"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.iccprofile == SRGB_PROFILE
    if tile:
        assert (after.tilelength, after.tilewidth) == tile
    assert after.resolution == pytest.approx((118, 118))
    np.testing.assert_array_equal(decoded(result), RGB16)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"])
def test_tiff_keeps_its_lossless_compression(compression: str) -> None:
    result = Image.open(io.BytesIO(ImageFile.open(pillow(RGBA, "TIFF", compression=compression)).encode()))
    assert result.info["compression"] == compression
    np.testing.assert_array_equal(np.asarray(result), RGBA)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_premultiplied_alpha_is_said_and_made_straight(dtype: type) -> None:
    alpha = np.full((20, 30, 1), np.iinfo(dtype).max // 3, dtype)
    straight = noise(20, 30, 3, dtype)
    premultiplied = (straight // 3).astype(dtype)
    image = ImageFile.open(tiff(np.concatenate([premultiplied, alpha], axis=2), extrasamples=["assocalpha"]))
    assert "stored straight" in image.warnings[0]
    np.testing.assert_allclose(image.read_all()[..., :3].astype(int), straight, atol=3)
    np.testing.assert_array_equal(decoded(image.encode()), image.read_all())


def test_jpeg_in_a_tiff_becomes_lossless() -> None:
    image = ImageFile.open(pillow(soft(40, 50), "TIFF", compression="jpeg"))
    assert not image.lossless
    np.testing.assert_array_equal(decoded(image.encode()), image.read_all())


def test_fax_compression_is_kept_while_the_patches_are_black_and_white() -> None:
    holes = noise(40, 50, 1)[..., 0] > 128
    image = ImageFile.open(pillow(holes, "TIFF", compression="group4"))
    for value, compression in ((255, "group4"), (99, "tiff_adobe_deflate")):
        patches = [(Box(3, 4, 5, 6), np.full((6, 5, 1), value, np.uint8))]
        result = image.encode(patches)
        assert Image.open(io.BytesIO(result)).info["compression"] == compression
        samples = np.asarray(Image.open(io.BytesIO(result)).convert("L"))[..., None]
        np.testing.assert_array_equal(samples, patched(holes[..., None] * np.uint8(255), patches))


def test_iptc_survives_in_jpeg_and_tiff() -> None:
    iptc = b"\x1c\x02\x78\x00\x07caption"
    block = b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc
    segment = b"Photoshop 3.0\0" + block
    jpeg = pillow(soft(16, 16), "JPEG")
    jpeg = jpeg[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]
    image = ImageFile.open(jpeg)
    assert iptc in image.encode()
    result = image.encode(format="tiff")
    assert tifffile.TiffFile(io.BytesIO(result)).pages[0].tags[33723].value == iptc
    assert segment in ImageFile.open(result).encode(format="jpeg")


# -- CMYK, JPEG and other lossy formats -----------------------------------------------------------------------------


def cmyk_image() -> Image.Image:
    return Image.fromarray(soft(40, 50, 4), "CMYK")


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_becomes_srgb_with_a_warning(format: str) -> None:
    image = ImageFile.open(pillow(cmyk_image(), format, dpi=(200, 200)))
    assert (image.channels, image.dtype, image.format) == (3, np.uint8, format.lower())
    assert "CMYK is converted to sRGB through the default profile" in image.warnings[0]
    samples = image.read_all()
    naive = np.asarray(cmyk_image().convert("RGB")).astype(int)
    assert np.abs(samples - naive).mean() < 60, "not even the naive conversion comes near"
    box = Box(3, 4, 20, 10)
    patches = [(box, patch_of(image, box))]
    result = image.encode(patches, "png")
    np.testing.assert_array_equal(decoded(result), patched(samples, patches))
    own = Image.open(io.BytesIO(image.encode(patches)))
    assert own.mode == "RGB"
    assert own.info["dpi"] == pytest.approx((200, 200), abs=0.01)
    assert own.info["icc_profile"][16:20] == b"RGB "


@pytest.mark.parametrize("kind", ["Adobe marker", "no Adobe marker", "YCCK", "TIFF"])
def test_white_in_cmyk_stays_white(kind: str) -> None:
    """Without the marker ink is stored inverted all the same, as every decoder has it."""
    ink = np.zeros((32, 48, 4), np.uint8)
    ink[:16, :24] = (0, 220, 220, 0)
    data = pillow(Image.fromarray(ink, "CMYK"), "TIFF" if kind == "TIFF" else "JPEG")
    if kind == "no Adobe marker":
        start = data.index(b"\xff\xee\x00\x0eAdobe")
        data = data[:start] + data[start + 16 :]
    if kind == "YCCK":
        import imagecodecs

        data = imagecodecs.jpeg8_encode(255 - ink, colorspace="CMYK", outcolorspace="YCCK", level=95)
    samples = ImageFile.open(data).read_all()
    assert samples[24:].min() >= 252
    assert np.abs(samples[4:12, 4:12].astype(int) - (235, 55, 45)).max() < 20
    result = ImageFile.open(ImageFile.open(data).encode()).read_all()
    assert result[24:].min() >= 252


def test_cmyk_goes_through_the_profile_of_the_file() -> None:
    pyvips = pytest.importorskip("pyvips")
    profile = pyvips.Image.profile_load("cmyk")
    image = ImageFile.open(pillow(cmyk_image(), "JPEG", icc_profile=profile))
    assert image.warnings == ("<bytes>: CMYK is converted to sRGB through its profile",)
    np.testing.assert_array_equal(image.read_all(), ImageFile.open(pillow(cmyk_image(), "JPEG")).read_all())
    assert image.encode(format="png").count(profile) == 0


@pytest.mark.parametrize("quality", [30, 60, 75, 90, 95, 100])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_keeps_quality_and_subsampling_of_the_two_usual_kinds(
    quality: int, subsampling: str, progressive: bool
) -> None:
    data = pillow(soft(64, 64), "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    assert jpeg.read_encoding(io.BytesIO(data)) == jpeg.JpegEncoding(quality, subsampling)
    image = ImageFile.open(data)
    result = image.encode()
    expected = "4:4:4" if subsampling == "4:2:2" else subsampling
    assert image.conversion_warnings("jpeg") == (
        () if expected == subsampling else ("<bytes>: chroma subsampling 4:2:2 becomes 4:4:4",)
    )
    assert image.conversion_warnings("png") == ()
    assert jpeg.read_encoding(io.BytesIO(result)) == jpeg.JpegEncoding(quality, expected)
    before, after = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(result))
    assert after.quantization == before.quantization
    assert ("progression" in after.info) == progressive


@pytest.mark.parametrize(("quality", "expected"), [(None, (95, "4:4:4")), (90, (90, "4:4:4")), (60, (60, "4:2:0"))])
def test_jpeg_from_another_format(quality: int | None, expected: tuple[int, str]) -> None:
    result = ImageFile.open(png(soft(64, 64))).encode(format="jpeg", quality=quality)
    assert jpeg.read_encoding(io.BytesIO(result)) == jpeg.JpegEncoding(*expected)
    np.testing.assert_allclose(decoded(result).astype(int), soft(64, 64), atol=12)


def test_jpeg_of_grey_stays_grey() -> None:
    result = ImageFile.open(pillow(soft(32, 32, 1), "JPEG", quality=80)).encode()
    assert Image.open(io.BytesIO(result)).mode == "L"
    assert jpeg.read_encoding(io.BytesIO(result)) == jpeg.JpegEncoding(80, "4:4:4")


def test_what_a_jpeg_cannot_hold_is_said_and_converted() -> None:
    rgba = np.concatenate([soft(32, 32), np.zeros((32, 32, 1), np.uint8)], axis=2).astype(np.uint16) * 257
    image = ImageFile.open(png(rgba))
    assert [note.partition(": ")[2] for note in image.conversion_warnings("jpeg")] == [
        "16-bit samples become 8-bit in jpeg",
        "JPEG has no transparency, the image is laid on white",
    ]
    assert image.conversion_warnings("png") == image.conversion_warnings("tiff") == ()
    assert image.conversion_warnings("avif")[0].endswith("16-bit samples become 12-bit in avif")
    assert (decoded(image.encode(format="jpeg")) >= 254).all()
    np.testing.assert_array_equal(decoded(image.encode(format="webp")), rgba // 257)


def test_lossy_webp_stays_lossy_and_lossless_stays_lossless() -> None:
    for lossless in (False, True):
        image = ImageFile.open(pillow(soft(40, 40), "WEBP", lossless=lossless))
        assert image.lossless is lossless
        assert webp.is_lossless(io.BytesIO(image.encode())) is lossless
        assert not webp.is_lossless(io.BytesIO(image.encode(quality=50)))


def test_animated_webp_is_recognised_as_lossless() -> None:
    frames = [Image.fromarray(noise(20, 20, 3, seed=seed)) for seed in range(3)]
    data = pillow(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    image = ImageFile.open(data)
    assert image.lossless
    assert image.warnings == ("<bytes>: has 3 pages, only page 1 is used",)
    np.testing.assert_array_equal(image.read_all()[..., :3], noise(20, 20, 3))


def test_avif_of_a_lossless_image_is_lossless() -> None:
    np.testing.assert_array_equal(ImageFile.open(ImageFile.open(png(RGBA)).encode(format="avif")).read_all(), RGBA)


def test_ten_bit_avif_keeps_its_depth() -> None:
    image = ImageFile.open(ImageFile.open(png(RGB16 // 64 * 64)).encode(format="avif", quality=90))
    assert image.dtype == np.uint16
    again = ImageFile.open(image.encode())
    assert (again.format, again.dtype) == ("avif", np.uint16)


def test_first_frame_of_a_gif_becomes_a_png() -> None:
    frames = [PALETTE, PALETTE.rotate(180)]
    image = ImageFile.open(pillow(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert image.format == "gif"
    assert "only page 1" in image.warnings[0]
    np.testing.assert_array_equal(image.read_all()[..., :3], np.asarray(PALETTE.convert("RGB")))
    assert image.encode().startswith(b"\x89PNG")


def test_pages_of_a_tiff() -> None:
    pages = noise(3, 20, 30)
    stream = io.BytesIO()
    tifffile.imwrite(stream, pages, photometric="minisblack", compression="zlib")
    first = ImageFile.open(stream.getvalue())
    assert first.warnings == ("<bytes>: has 3 pages, only page 1 is used",)
    for page in range(3):
        image = first.at_page(page)
        np.testing.assert_array_equal(image.read_all()[..., 0], pages[page])
        assert image.warnings == ()
        assert len(tifffile.TiffFile(io.BytesIO(image.encode())).pages) == 1


# -- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_result_may_replace_its_source(tmp_path: Path, streamed: bool) -> None:
    path = tmp_path / "a [n=2] ümlaut.png"
    path.write_bytes(png(RGB16))
    image = streamed_file(path, streamed)
    box = Box(1, 2, 3, 66)
    patches = [(box, patch_of(image, box))]
    image.save(path, patches)
    np.testing.assert_array_equal(decoded(path.read_bytes()), patched(RGB16, patches))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("name", "format"),
    [("x.PNG", "png"), ("x.jpeg", "jpeg"), ("x.tif", "tiff"), ("x.webp", "webp"), ("x.avif", "avif"), ("x", "tiff")],
)
def test_format_follows_the_name_of_the_target(tmp_path: Path, name: str, format: str) -> None:
    ImageFile.open(tiff(GREY)).save(tmp_path / name)
    assert ImageFile.open(tmp_path / name).format == format


def test_reading_a_file_that_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for seed in range(2):
        path.write_bytes(png(noise(9, 9, 3, seed=seed)))
        np.testing.assert_array_equal(ImageFile.open(path).read_all(), noise(9, 9, 3, seed=seed))


@pytest.mark.parametrize("streamed", [False, True])
def test_failure_leaves_the_old_target_and_nothing_else(tmp_path: Path, streamed: bool) -> None:
    source, target = tmp_path / "cut.png", tmp_path / "out.png"
    data = png(noise(400, 300, 3))
    source.write_bytes(data[: len(data) // 2])
    target.write_bytes(b"the old result")
    with pytest.raises(ImageError, match=r"^\S*cut\.png: cannot be decoded: [^\n]+$"):
        streamed_file(source, streamed).save(target)
    assert target.read_bytes() == b"the old result"
    assert sorted(os.listdir(tmp_path)) == ["cut.png", "out.png"]


def test_targets_that_cannot_be_written(tmp_path: Path) -> None:
    image = ImageFile.open(png(GREY))
    (tmp_path / "folder.png").mkdir()
    for target in (tmp_path / "none" / "x.png", tmp_path / "folder.png", tmp_path / "x.gif", tmp_path / "x.bmp"):
        with pytest.raises(ImageError, match=rf"^{target}: cannot (be written|write)[^\n]+$"):
            image.save(target)
    assert os.listdir(tmp_path) == ["folder.png"]


def test_options_and_patches_that_make_no_sense() -> None:
    image = ImageFile.open(png(GREY))
    with pytest.raises(OptionError, match="png, jpeg"):
        image.encode(format="svg")
    with pytest.raises(OptionError, match="1 to 100"):
        image.encode(format="jpeg", quality=0)
    for box in (Box(-1, 0, 2, 2), Box(44, 0, 2, 2), Box(0, 0, 0, 5)):
        with pytest.raises(ImageError, match="not inside the 45 x 70 image"):
            image.read(box)
    box = Box(0, 0, 2, 3)
    for patch in (np.zeros((2, 3, 1), np.uint8), np.zeros((3, 2, 1), np.uint16), np.zeros((3, 2), np.uint8)):
        with pytest.raises(ImageError, match="does not fit"):
            image.encode([(box, patch)])


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello, this is no image", "is not a PNG"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "is not a PNG"),
    "pdf": (b"%PDF-1.7 ...............", "is not a PNG"),
    "signature only": (b"\x89PNG\r\n\x1a\n", "cannot be decoded: "),
    "jpeg signature only": (b"\xff\xd8\xff\xe0", "cannot be decoded: "),
    "tiff signature only": (b"II*\0\x08\0\0\0", "cannot be decoded: "),
    "webp signature only": (b"RIFF\x10\0\0\0WEBPVP8 ", "cannot be decoded: "),
    "gif signature only": (b"GIF89a", "cannot be decoded: "),
    "avif signature only": (b"\0\0\0\x18ftypavif\0\0\0\0", "cannot be decoded: "),
    "float": (tiff(GREY.astype(np.float32)), "samples of type float"),
    "32-bit": (tiff(GREY.astype(np.uint32)), "samples of type uint"),
    "signed": (tiff(GREY.astype(np.int16)), "samples of type short"),
    "complex": (tiff(GREY.astype(np.complex64)), "samples of type|cannot be decoded"),
    "five channels": (
        tiff(noise(9, 9, 5), photometric="minisblack", extrasamples=[0, 0, 0, 0]),
        "images of 5 channels",
    ),
    "cielab": (tiff(noise(9, 9, 3), photometric="cielab"), "CIELAB"),
    "camera raw": (tiff(noise(9, 9, 3), extratags=[(50706, 1, 4, b"\1\4\0\0", True)]), ".*camera raw"),
    "raw with a thumbnail first": (tiff(noise(9, 9, 3), subfiletype=1), ".*camera raw"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_clear_line(case: str, tmp_path: Path) -> None:
    data, reason = BAD[case]
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    for source, name in ((path, str(path)), (data, "<bytes>")):
        with pytest.raises(ImageError, match=rf"^{name}: ({reason})[^\n]*$"):
            ImageFile.open(source).read_all()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
@pytest.mark.parametrize("streamed", [False, True])
def test_truncated_files_are_errors(format: str, share: float, streamed: bool) -> None:
    data = pillow(noise(120, 160, 3), format)
    for use in (ImageFile.read_all, ImageFile.encode):
        with pytest.raises(ImageError, match=r"^<bytes>: cannot be decoded: [^\n]+$"):
            use(streamed_file(data[: int(len(data) * share)], streamed))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.png: No such file or directory$"):
        ImageFile.open(tmp_path / "missing.png")
    with pytest.raises(ImageError, match=rf"^{tmp_path}: Is a directory$"):
        ImageFile.open(str(tmp_path))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(png(GREY))
    path.chmod(0)
    with pytest.raises(ImageError, match=r"secret\.png: Permission denied$"):
        ImageFile.open(path)


def test_importing_the_module_loads_no_decoder() -> None:
    code = (
        "import sys, wavepaint.image.file\nprint({'pyvips', 'PIL', 'cv2', 'torch', 'onnxruntime'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


def test_byte_orders_and_pages_of_tiff_tags() -> None:
    for byteorder in "<>":
        for bigtiff in (False, True):
            stream = io.BytesIO()
            with tifffile.TiffWriter(stream, byteorder=byteorder, bigtiff=bigtiff) as writer:
                writer.write(GREY[..., 0], compression="zlib", metadata=None)
                writer.write(GREY[:9, :9, 0], metadata=None)
            first, second = (integer_tags(read_directory(stream, page)) for page in (0, 1))
            assert (first[256], first[257], first[259]) == (WIDTH, HEIGHT, 8)
            assert (second[256], second[257], second[259]) == (9, 9, 1)
            assert read_directory(io.BytesIO(stream.getvalue()[:12])) == {}


# -- transparency ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_alpha_holes(streamed: bool) -> None:
    np.testing.assert_array_equal(streamed_file(png(RGBA), streamed).alpha_holes(), RGBA[..., 3] == 0)
    np.testing.assert_array_equal(streamed_file(png(GREY_ALPHA16), streamed).alpha_holes(), GREY_ALPHA16[..., 1] == 0)
    with pytest.raises(MaskError, match="<bytes>: has no transparency"):
        streamed_file(png(GREY), streamed).alpha_holes()
