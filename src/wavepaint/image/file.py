"""Images as files: samples and metadata in, samples and metadata out, everything else unchanged.

`ImageFile` opens an image file, hands out its samples as people see them (orientation applied), and writes it again
with some rectangles replaced. Where format and depth allow it, every other sample comes back bit for bit; EXIF, ICC,
XMP, IPTC, resolution and PNG comments come back too, as far as the format has a place for them.

Small images are decoded once and held. Larger ones (`limits.ImageLimits`) are streamed: one pass reads the rectangles
that are asked for, another writes the result strip by strip, and memory does not grow with the image.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from wavepaint.box import Box
from wavepaint.errors import ImageError
from wavepaint.image.decoding import Decoder
from wavepaint.image.encoding import Encoder, writing
from wavepaint.image.formats import tiff
from wavepaint.image.formats.palette import Colour, label_base
from wavepaint.image.header import check_inside, read_header
from wavepaint.image.stored_file import StoredFile
from wavepaint.image.suffixes import can_write, format_of_name, writable_suffixes
from wavepaint.image.types import Patch, ReadableImage, Samples, Source, Strips


class ImageFile(ReadableImage):
    """One image: a file, or the bytes of one, opened but decoded only when samples are asked for.

    Made by `ImageFile.open`. Width, height and all boxes refer to the upright image, as viewers show it. Colours are
    not multiplied by their alpha; palettes are resolved and CMYK is converted to sRGB. Samples are uint8 or uint16:
    those of 1, 2 and 4 bits are spread over 0-255, of 10 and 12 over 0-65535. The file must not change while the object
    is in use.

    Attributes, besides those of `ReadableImage`:
        format: "png", "jpeg", "webp", "tiff", "avif", "heic" or "gif".
        pages: images in the file: pages of a TIFF, without pyramid levels and previews; frames of an animation.
        decoded_bytes: of all samples.
        lossless: whether the file stores its samples exactly, so that it is worth writing them exactly again.
        warnings: what a user should know about how the file was read, one line each.
    """

    def __init__(self, file: StoredFile, page: int | None = None, tiff_pages: tiff.Pages | None = None) -> None:
        self._file = file
        self._header, metadata, self.warnings = read_header(file, page, tiff_pages)
        self._decoder = Decoder(file, self._header)
        self._encoder = Encoder(file, self._header, self._decoder, metadata)
        header = self._header
        self.name, self.format, self.pages = file.name, header.format, header.pages
        self.width, self.height, self.channels, self.dtype = header.width, header.height, header.channels, header.dtype
        self.orientation, self.has_alpha = header.orientation, header.has_alpha
        self.decoded_bytes, self.lossless = header.decoded_bytes, header.lossless

    @classmethod
    def open(cls, source: Source, *, name: str | None = None) -> ImageFile:
        """Open an image file, or the bytes of one, and read its header.

        Of the `pages` of a TIFF, GIF, animated WebP or AVIF it is the first. The others are neither read nor written;
        `warnings` says so.

        Args:
            source: path or file contents: PNG, JPEG, WebP, TIFF, GIF, and AVIF or HEIC if libvips has the decoder.
            name: what messages call it.

        Raises:
            ImageError: the file is missing, empty, unreadable, damaged or of an unsupported kind (float, 32-bit or
                complex samples, CIELAB, more than four channels, camera raw, formats that are not for images).
                Damage further inside shows later, as the same error, from whatever decodes the samples.
        """
        return cls(StoredFile(source, name))

    def at_page(self, page: int) -> ImageFile:
        """Open a page of the same file, from 0, for whoever opens them all: no warning about the others; see `open`."""
        # What the pages are is read once: to read it for each would take the square of their number.
        return ImageFile(self._file, page, self._header.tiff_pages)

    def read(self, box: Box) -> Samples:
        """Return the samples of one box, (height, width, channels) of `dtype`, exact; an array of its own.

        Raises `ImageError` for a damaged file and for a box that reaches outside the image.
        """
        return self.read_boxes([box])[0]

    def read_boxes(self, boxes: Sequence[Box]) -> list[Samples]:
        """Return the samples of several boxes, like `read`, in one pass over the file."""
        for box in boxes:
            check_inside(self.name, box, self._header)
        return self._decoder.read_boxes(boxes)

    def read_all(self) -> Samples:
        """Return all samples, (height, width, channels) of `dtype`; an array of its own."""
        return self.read(self._header.box)

    def strips(self, hold: bool = True) -> Strips:
        """Yield what can be seen of the image, colours and transparency, in strips of full width from top to bottom.

        They are (box, samples), not writable. Without `hold` they are decoded anew each time and never held, however
        small the image. Raises `ImageError` for a damaged file.
        """
        strips = self._decoder.strips(self.height, hold)
        if self.has_alpha or self.channels in (1, 3):
            return strips
        return ((box, samples[..., :-1]) for box, samples in strips)

    def label_base(self) -> Colour | None:
        """The colour of index 0, if the image has a palette that is more than greys."""
        with self._file.open() as stream:
            return label_base(stream, self.format, self._header.directory)

    def conversion_warnings(self, format: str, quality: int | None = None) -> tuple[str, ...]:
        """Name what this image gives up when `encode` writes it so, one line each; empty if nothing.

        Compression artefacts of a lossy format are not mentioned: whoever asks for a JPEG knows.
        """
        return tuple(self._encoder.conversion_warnings(format, quality))

    def output_format(self, target: str | Path) -> str:
        """Return the format a file of that name gets: by its suffix, else the image's own (PNG for a GIF).

        Raises `ImageError` for a suffix, or a format, that cannot be written.
        """
        format = format_of_name(target) or self._own_format
        if not can_write(format):
            raise ImageError(f"{target}: {format} cannot be written here; name it {writable_suffixes()}")
        return format

    def encode(self, patches: Iterable[Patch] = (), format: str | None = None, quality: int | None = None) -> bytes:
        """Return the image as the bytes of a file, with some boxes replaced.

        Args:
            patches: (box, samples) with samples (box.height, box.width, channels) of `dtype`; where boxes overlap,
                the later one counts.
            format: one of the values of `FORMAT_OF_SUFFIX`; None for the image's own (PNG for a GIF, whose 256
                colours have no room for new ones).
            quality: 1-100, for the lossy formats. None keeps the quality of a JPEG that becomes a JPEG, writes lossless
                sources without loss where the format can, and uses the qualities of `image.encoders` otherwise.

        PNG and TIFF store every sample exactly, and so do WebP and AVIF for 8-bit images from lossless sources. Grey
        images of 1, 2 or 4 bits (in TIFF: of 1 bit) keep their depth if all patches fit it, and become 8-bit
        otherwise. A palette becomes RGB. TIFF keeps a lossless kind of compression and its tiles. Of a JPEG that
        becomes a JPEG the chroma subsampling is kept if it is 4:4:4 or 4:2:0, and becomes 4:4:4 otherwise, which
        `conversion_warnings` names. With jpeglib installed and without a `quality`, only the blocks of a JPEG in which
        a sample has changed are compressed again, and a turned JPEG stays turned; where a file does not allow it, an
        `ImageWarning` says why. Without jpeglib another says what would keep the blocks.

        Raises:
            ImageError: the source is damaged, a patch does not fit, or the format cannot hold the image.
            OptionError: an unknown format or a quality outside 1-100.
        """
        stream = io.BytesIO()
        format = self._own_format if format is None else format
        self._encoder.write(stream, self.name, list(patches), format, quality)
        return stream.getvalue()

    def save(
        self,
        target: str | Path,
        patches: Iterable[Patch] = (),
        quality: int | None = None,
        bigtiff: bool = False,
        name: str | None = None,
    ) -> None:
        """Write the image to a file, with some boxes replaced, in the format of `output_format(target)`.

        The file is complete or not there: it is written beside the target and renamed. `target` may be the file the
        image was opened from. For `patches`, `quality` and what is kept see `encode`. With `bigtiff` a TIFF becomes a
        BigTIFF even if it is small and its source is none. Errors call the file `name`, by default the target.

        Raises `ImageError` and `OptionError` like `encode`, and `ImageError` if the target cannot be written.
        """
        name, format = name or str(target), self.output_format(target)
        with writing(target, name) as unfinished, open(unfinished, "r+b") as file:
            self._encoder.write(file, name, list(patches), format, quality, bigtiff)

    def copy(self, target: str | Path) -> None:
        """Write the image to a file as it is, byte for byte; whole or not at all, and errors like `save`."""
        with writing(target, str(target)) as unfinished, open(unfinished, "wb") as file:
            self.copy_into(file)

    def copy_into(self, stream: BinaryIO) -> None:
        """Write the image to a stream as it is, byte for byte."""
        with self._file.open() as source:
            shutil.copyfileobj(source, stream)

    @property
    def _own_format(self) -> str:
        return "png" if self.format == "gif" else self.format
