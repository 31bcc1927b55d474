"""What a file says about its image besides the samples, and how it comes into the result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from wavepaint.image.formats import exif, jpeg, photoshop, png, tiff, webp, xmp
from wavepaint.image.vips import bytes_field, has_field, libvips

# Fields of libvips that travel from the source to the result as they are.
_CARRIED_FIELDS = ("icc-profile-data", "resolution-unit")
_HEIF = ("avif", "heic")
_KINDS_OF_TAGS = {
    "GeoTIFF": {33550, 33922, 34264, 34735, 34736, 34737},
    "GDAL": {42112, 42113},
    "ImageJ": {50838, 50839},
}
_MULTIPLIED, _STRAIGHT, _NO_UNIT, _ORIENTATION = 1, 2, 1, 274


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of one image.

    Attributes:
        container: of the file that it is from.
        exif: EXIF block.
        xmp: XMP packet.
        iptc: IPTC records, in the Photoshop resources of a JPEG or not.
        photoshop: resources of a TIFF.
        fields: of libvips, that travel as they are: type and value.
        resolution: pixels a millimetre, horizontal and vertical, if the file states it.
        png_chunks: chunks of a PNG that describe its image.
        png_samples: depth and colour type of a PNG.
        jfif: segment of a JPEG.
        comments: segments of a JPEG.
        segments: names of those of a JPEG that are not passed on.
        tags: of a TIFF, all.
    """

    container: str
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    photoshop: bytes | None = None
    fields: dict[str, tuple[int, Any]] = field(default_factory=dict)
    resolution: tuple[float, float] | None = None
    png_chunks: list[png.Chunk] = field(default_factory=list)
    png_samples: bytes = b""
    jfif: bytes | None = None
    comments: bytes = b""
    segments: tuple[str, ...] = ()
    tags: tiff.Directory = field(default_factory=dict)

    @property
    def is_turned(self) -> bool:
        """Whether the EXIF block states that the samples are turned."""
        return self.exif is not None and tiff.integer_tags(exif.directory_of(self.exif)).get(_ORIENTATION, 1) != 1

    def attach(self, image: Any, format: str, interpretation: str, orientation: int | None) -> Any:
        """Return the image of an encoder with the metadata that libvips writes.

        Args:
            image: to encode.
            format: one of `options.FORMATS`.
            interpretation: of its samples.
            orientation: EXIF orientation of its samples; None where the source has none to say.
        """
        across, down = self.resolution or (1.0, 1.0)
        image = image.copy(interpretation=interpretation, xres=across, yres=down)
        blob = libvips().GValue.blob_type
        if self.exif is not None and format in _HEIF:
            # libvips goes by the tags that it understands; `complete` puts the block itself in their place.
            image.set_type(blob, "exif-data", exif.placeholder(len(self.exif)))
        for name, (kind, value) in self.fields.items():
            image.set_type(kind, name, value)
        if orientation is not None:
            image.set_type(libvips().GValue.gint_type, "orientation", orientation)
        if self.xmp is not None:
            packet = self.xmp if orientation is None else xmp.with_orientation(self.xmp, orientation)
            image.set_type(blob, "xmp-data", xmp.of_image_alone(packet))
        if self.iptc is not None and format != "tiff":
            resources = photoshop.iptc_for_jpeg(self.iptc)
            image.set_type(blob, "iptc-data", photoshop.without_thumbnails(resources))
        if self.photoshop is not None:
            image.set_type(blob, "photoshop-data", photoshop.without_thumbnails(self.photoshop))
        return image

    def complete(self, stream: BinaryIO, format: str, image: Any, orientation: int | None) -> None:
        """Add to an encoded file the metadata that libvips cannot write.

        Args:
            stream: open for reading and writing.
            format: of the file, one of `options.FORMATS`.
            image: the libvips image that has been encoded.
            orientation: as in `attach`.
        """
        block = None
        if self.exif is not None:
            block = exif.for_image(self.exif, orientation, image.width, image.height)
        if format == "jpeg":
            jfif = self.jfif or jpeg.jfif_segment(self.resolution)
            fitting = block if len(block or b"") <= jpeg.MAX_EXIF_BYTES else None
            jpeg.insert_segments(stream, jfif, fitting, self.comments)
        elif format == "png":
            chunks = self.png_chunks + ([] if block is None else [png.chunk(b"eXIf", block)])
            same_samples = png.colour_type(stream) == self.png_samples
            png.insert_chunks(stream, chunks, same_samples, drop_resolution=self.resolution is None)
        elif format == "webp" and block is not None:
            webp.append_exif(stream, block, image.width, image.height, image.hasalpha())
        elif format in _HEIF and block is not None:
            exif.fill_placeholder(stream, block)
        elif format == "tiff":
            self._complete_tiff(stream)

    def _complete_tiff(self, stream: BinaryIO) -> None:
        if self.resolution is None:
            tiff.set_integers(stream, tiff.RESOLUTION[2], [_NO_UNIT])
        # What was multiplied by its transparency is stored straight.
        extra = tiff.integers(self.tags.get(tiff.EXTRA_SAMPLES)).tolist()
        tiff.set_integers(stream, tiff.EXTRA_SAMPLES, [_STRAIGHT if each == _MULTIPLIED else each for each in extra])
        if self.container == "tiff":
            tiff.append_tags(stream, exif.descriptive(self.tags))
        elif self.exif is not None:
            tiff.append_tags(stream, exif.descriptive(exif.directory_of(self.exif)))
        if self.iptc is not None:
            records = photoshop.iptc_records(self.iptc)
            tiff.append_tags(stream, {tiff.IPTC: tiff.Value(tiff.UNDEFINED, records)})

    def losses(self, format: str) -> Iterator[str]:
        """Name what a file of that format has no place for, in parts of sentences."""
        if self.iptc is not None and format not in ("jpeg", "tiff"):
            yield f"IPTC records are left out in {format}"
        if format in ("jxl", "bmp") and (self.exif is not None or self.xmp is not None):
            yield f"EXIF and XMP are left out in {format}"
        if self.exif is not None and format == "jpeg" and len(self.exif) > jpeg.MAX_EXIF_BYTES:
            yield f"{len(self.exif)} bytes of EXIF are left out, too many for a JPEG"
        if format != "png" and (names := png.names_of(self.png_chunks)):
            yield f"{', '.join(names)} of the PNG left out in {format}"
        if self.comments and format != "jpeg":
            yield f"comments of the JPEG left out in {format}"
        if self.segments:
            yield f"{', '.join(self.segments)} of the JPEG left out"
        if tiff.LAYERS in self.tags:
            yield "Photoshop's layers are left out: they show the image as it was"
        if format != "tiff" and (private := set(exif.private_tags(exif.descriptive(self.tags)))):
            kinds = [kind for kind, tags in _KINDS_OF_TAGS.items() if private & tags]
            others = private.difference(*_KINDS_OF_TAGS.values())
            names = kinds + ([f"private tags ({', '.join(map(str, sorted(others)))})"] if others else [])
            yield f"{' and '.join(names)} of the TIFF left out in {format}"
        if "tiff" in (self.container, format) and self.exif is not None and exif.has_maker_notes(self.exif):
            yield "maker notes move within the file: those that point to their own place lose what they point to"


def metadata_of(raw: Any, upright: Any, container: str, stream: BinaryIO, tags: tiff.Directory) -> Metadata:
    """Gather the metadata of a file.

    Args:
        raw: libvips image of its samples as they are stored.
        upright: the same, upright and in the colours in which it is handed out, with the profile for them.
        container: what kind of file it is.
        stream: the file, to read what libvips does not.
        tags: of the page of a TIFF.
    """
    own: dict[str, Any] = {}
    block, is_stated = bytes_field(raw, "exif-data"), False
    if container == "png":
        own = {"png_chunks": png.descriptive_chunks(stream), "png_samples": png.colour_type(stream)}
        block, is_stated = png.exif(stream) or block, png.states_resolution(own["png_chunks"])
    elif container == "jpeg":
        own["jfif"] = jpeg.read_jfif(stream)
        own["comments"], own["segments"] = jpeg.read_extras(stream)
        is_stated = jpeg.states_resolution(own["jfif"])
    resolution = (upright.xres, upright.yres) if is_stated else None
    if container == "tiff":
        resolution = exif.resolution(tags)
        unstated = tiff.RESOLUTION if resolution is None else ()
        block = exif.block_of({tag: value for tag, value in tags.items() if tag not in unstated}) or block
    elif resolution is None and block is not None:
        resolution = exif.resolution(exif.directory_of(block))
    return Metadata(
        container=container,
        exif=block,
        xmp=bytes_field(raw, "xmp-data"),
        iptc=bytes_field(raw, "iptc-data"),
        photoshop=bytes_field(raw, "photoshop-data"),
        fields={
            name: (upright.get_typeof(name), upright.get(name)) for name in _CARRIED_FIELDS if has_field(upright, name)
        },
        resolution=resolution,
        tags=tags,
        **own,
    )
