"""What a file says about its image besides the samples, and how it comes into the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, BinaryIO

from wavepaint.image.formats import photoshop, png, tiff, xmp
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.vips import bytes_field, has_field, libvips

# Fields of libvips that travel from the source to the result as they are.
_CARRIED_FIELDS = ("icc-profile-data", "image-description", "resolution-unit")


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
        resolution: pixels a millimetre, horizontal and vertical.
        png_chunks: chunks of a PNG that describe its image.
    """

    container: str
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    photoshop: bytes | None = None
    fields: dict[str, tuple[int, Any]] = field(default_factory=dict)
    resolution: tuple[float, float] = (1.0, 1.0)
    png_chunks: bytes = b""

    def attach(self, image: Any, format: str, interpretation: str, orientation: int | None) -> Any:
        """Return the image of an encoder with the metadata that libvips writes.

        Args:
            image: to encode.
            format: one of `options.FORMATS`.
            interpretation: of its samples.
            orientation: EXIF orientation of its samples; None where the source has none to say.
        """
        image = image.copy(interpretation=interpretation, xres=self.resolution[0], yres=self.resolution[1])
        blob = libvips().GValue.blob_type
        if self.exif is not None:
            # libvips parses the block at this point, takes the resolution from it and goes by the parsed fields.
            image.set_type(blob, "exif-data", tiff.without_thumbnail(self.exif))
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

    def complete(self, stream: BinaryIO, format: str) -> None:
        """Add to an encoded file, open for reading and writing, the metadata that libvips cannot write."""
        if format == "png" and self.png_chunks:
            png.insert_chunks(stream, self.png_chunks)
        if format == "tiff":
            if self.exif is not None:
                tiff.append_exif(stream, self.exif)
            if self.iptc is not None:
                records = photoshop.iptc_records(self.iptc)
                tiff.append_tags(stream, {tiff.IPTC: tiff.Value(tiff.UNDEFINED, records)})


def metadata_of(raw: Any, upright: Any, container: str, directory: tiff.Directory, file: StoredFile) -> Metadata:
    """Gather the metadata of a file.

    Args:
        raw: libvips image of its samples as they are stored.
        upright: the same, upright and in the colours in which it is handed out, with the profile for them.
        container: what kind of file it is.
        directory: tags of a TIFF.
        file: to read what libvips does not.
    """
    chunks = b""
    if container == "png":
        with file.open() as stream:
            chunks = png.descriptive_chunks(stream)
    return Metadata(
        container=container,
        exif=tiff.exif_block(directory) or bytes_field(raw, "exif-data"),
        xmp=bytes_field(raw, "xmp-data"),
        iptc=bytes_field(raw, "iptc-data"),
        photoshop=bytes_field(raw, "photoshop-data"),
        fields={
            name: (upright.get_typeof(name), upright.get(name)) for name in _CARRIED_FIELDS if has_field(upright, name)
        },
        resolution=(upright.xres, upright.yres),
        png_chunks=chunks,
    )
