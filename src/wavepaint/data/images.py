"""Images to train and measure on: a folder, a single image, or WebDataset shards.

A source is only a list of names and where their bytes lie; images are read one at a time, so memory does
not grow with the data set. Everything is reached by index, which is what makes shuffled reading
reproducible and resumable. Shards behind URLs are therefore fetched once, into a cache folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from wavepaint.errors import ImageError, one_line
from wavepaint.files import atomic_write, cache_folder, expand_braces
from wavepaint.image.file import ImageFile
from wavepaint.image.suffixes import IMAGE_SUFFIXES, is_image
from wavepaint.image.vips import libvips
from wavepaint.storage import file_system

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Skipped:
    """An image that could not be used, and why."""

    name: str
    reason: str


class ImageSource:
    """Named images, reached by index; iterating yields `(name, image)` and skips what is broken.

    An image is a uint8 RGB array `(h, w, 3)`: grey is repeated, alpha dropped, 16 bit reduced to 8, CMYK
    converted, the first frame of an animation taken, and the EXIF orientation applied.

    Args:
        names: of the images, which depend neither on the machine nor on where they lie.
        encoded: gives a file's bytes by its position among the names, or raises `OSError`; it can be pickled.
        skipped: what was found broken so far, and why, by name; every `part` shares it.
        positions: of the images among the names, in their order; all of them by default.
    """

    def __init__(
        self,
        names: Sequence[str],
        encoded: Callable[[int], bytes],
        skipped: dict[str, str],
        positions: Iterable[int] | None = None,
    ) -> None:
        self._names, self._encoded, self._skipped = names, encoded, skipped
        self._positions: Sequence[int] = range(len(names)) if positions is None else array("q", positions)

    def __len__(self) -> int:
        """Return how many images there are, broken ones included."""
        return len(self._positions)

    def name(self, index: int) -> str:
        """Return the name of one image."""
        return self._names[self._positions[index]]

    def encoded(self, index: int) -> bytes:
        """Return the file's bytes; raises `OSError`."""
        return self._encoded(self._positions[index])

    def part(self, indices: Iterable[int]) -> ImageSource:
        """Return a source of some of the images, in the order of `indices`."""
        return ImageSource(
            self._names, self._encoded, self._skipped, (self._positions[int(index)] for index in indices)
        )

    def read(self, index: int, max_pixels: int | None = None) -> RGB:
        """Return one image, reduced to about `max_pixels` if it has more; raises `ImageError`.

        A failure is added to `skipped`.
        """
        name = printable(self.name(index))
        try:
            return decode_rgb(self.encoded(index), max_pixels)
        except (OSError, ImageError) as error:
            reason = str(error) if isinstance(error, ImageError) else (error.strerror or str(error))
            self._skipped[name] = reason
            raise ImageError(f"{name}: {reason}") from None

    def read_if_whole(self, index: int, max_pixels: int | None = None) -> RGB | None:
        """Return what `read` does, but None for what is broken."""
        with suppress(ImageError):
            return self.read(index, max_pixels)
        return None

    def __iter__(self) -> Iterator[tuple[str, RGB]]:
        return self.readable()

    def readable(self, max_pixels: int | None = None) -> Iterator[tuple[str, RGB]]:
        """Yield names and images, reduced as `read` does; what is broken is skipped."""
        for index in range(len(self)):
            if (image := self.read_if_whole(index, max_pixels)) is not None:
                yield self.name(index), image

    @property
    def skipped(self) -> list[Skipped]:
        """What this process found broken so far, each once, in the order of discovery, names fit to be printed."""
        return [Skipped(name, reason) for name, reason in self._skipped.items()]

    def digest(self) -> str:
        """Return a SHA-256 of all names in their order, in hexadecimal digits."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            digest.update(_bytes_of(self.name(index)) + b"\0")
        return digest.hexdigest()

    def split(self, share: float, at_least: int = 0) -> tuple[ImageSource, ImageSource]:
        """Return the training and the validation part.

        An image belongs to the validation part by the SHA-256 of its name alone (`name_share`), so that it never
        moves when images are added: `share` of all, and at least so many, up to a quarter of all; with share 0 none.
        """
        shares = np.array([name_share(self.name(index)) for index in range(len(self))])
        fewest = min(at_least, len(self) // 4) if share > 0 else 0
        held_out = shares < share
        held_out[np.argsort(shares, kind="stable")[:fewest]] = True
        return self.part(np.flatnonzero(~held_out)), self.part(np.flatnonzero(held_out))


def _folder(root: Path, names: Sequence[str] | None = None) -> ImageSource:
    """All images below a folder, by extension, sorted by relative path, or those of some names.

    Hidden files are left out. Links to folders are followed, each folder once. Folders that cannot be read stand in
    `skipped`.
    """
    skipped: dict[str, str] = {}

    def skip(error: OSError) -> None:
        folder = Path(error.filename).relative_to(root).as_posix()
        skipped[printable(folder)] = f"folder cannot be read: {error.strerror}"

    names = sorted(_images_below(root, skip)) if names is None else names
    return ImageSource(names, partial(_read_below, root, names), skipped)


def _images_below(root: Path, skip: Callable[[OSError], None]) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()
    starts = [root]
    # Linked folders come last: a folder that also lies below the root itself goes by that name.
    for start in starts:
        for folder, subfolders, names in os.walk(start, onerror=skip):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                subfolders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            starts.extend(path for name in subfolders if (path := Path(folder, name)).is_symlink())
            yield from (Path(folder, name).relative_to(root).as_posix() for name in names if is_image(name))


def _read_below(root: Path, names: Sequence[str], position: int) -> bytes:
    return (root / names[position]).read_bytes()


def _shards(paths: Sequence[Path]) -> ImageSource:
    """The images of local tar files in WebDataset's layout, called `SHARD.tar/MEMBER`; other members are ignored.

    Only the tar headers are read. A shard that is cut short yields what lies before the cut and stands in `skipped`,
    as does a file that is no tar at all.
    """
    names: list[str] = []
    skipped: dict[str, str] = {}
    extents = array("q")  # of every member its shard's number, where its bytes begin, and how many there are
    for number, path in enumerate(paths):
        reason = "not a tar file (a compressed one has to be unpacked)"
        try:
            with tarfile.open(path, "r:") as shard:
                reason = "not a whole tar file"
                for member in shard:
                    if member.isfile() and is_image(member.name):
                        names.append(f"{path.name}/{member.name}")
                        extents.extend((number, member.offset_data, member.size))
        except tarfile.TarError as error:
            skipped[printable(path.name)] = f"{reason}: {error}"
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror}") from None
    return ImageSource(names, partial(_read_member, paths, extents), skipped)


def _read_member(paths: Sequence[Path], extents: Sequence[int], position: int) -> bytes:
    number, start, size = extents[3 * position : 3 * position + 3]
    with paths[number].open("rb") as shard:
        shard.seek(start)
        return shard.read(size)


def find_images(source: str | Path, cache: Path | None = None) -> ImageSource:
    """Return the images of `source`.

    `source` is a folder (searched recursively, links to folders followed), one image, or `.tar` shards: a path
    or a URL that fsspec knows, with braces such as `train-{0000..0008}.tar` for several. Shards behind URLs are fetched
    once, into `cache`, each URL into a folder of its own there; by default below `files.cache_folder()`. Raises
    `ImageError` when there is nothing there.
    """
    text = os.fspath(source)
    path = Path(text).expanduser()
    if path.is_dir():
        images = _folder(path)
    elif _names_shards(text):
        folder = cache or cache_folder() / "shards"
        names = expand_braces(text)
        images = _shards([_fetched(name, folder) if "://" in name else Path(name).expanduser() for name in names])
    elif path.is_file() and is_image(path.name):
        images = _folder(path.parent, [path.name])
    elif path.exists():
        raise ImageError(f"{source}: neither a folder, an image nor a .tar shard")
    else:
        raise ImageError(f"{source}: no such file or folder")
    if len(images) == 0:
        raise ImageError(f"{source}: {_why_empty(path, images)}")
    return images


def name_share(name: str) -> float:
    """Return a number from 0 to 1 that follows from the SHA-256 of a name alone."""
    return float(int.from_bytes(hashlib.sha256(_bytes_of(name)).digest()[:8], "big") / 2**64)


def printable(name: str) -> str:
    """Return a file's name with `\\xff` for bytes that are not UTF-8, which no output stream would take."""
    return _bytes_of(name).decode("utf-8", "backslashreplace")


def _bytes_of(name: str) -> bytes:
    """Return the bytes of a name; Python keeps those that are not UTF-8 as lone surrogates."""
    return name.encode("utf-8", "surrogateescape")


def _names_shards(source: str) -> bool:
    path = re.split(r"[?#]", source, maxsplit=1)[0] if "://" in source else source
    return path.endswith(".tar")


def _why_empty(path: Path, images: ImageSource) -> str:
    if images.skipped:
        return f"no images in it; {images.skipped[0].name}: {images.skipped[0].reason}"
    shards = sorted(path.glob("*.tar")) if path.is_dir() else []
    if shards:
        return f"no images in it, but shards: use '{_pattern(shards)}'"
    return f"no images in it ({', '.join(sorted(IMAGE_SUFFIXES))})"


def _pattern(shards: Sequence[Path]) -> str:
    """Return what names shards of one folder: `DIR/train-{0000..0008}.tar` if they are numbered."""
    stems = [shard.stem for shard in shards]
    numbers = [re.search(r"\d*$", stem)[0] for stem in stems]  # type: ignore[index]  # which always matches
    prefixes = {stem[: len(stem) - len(number)] for stem, number in zip(stems, numbers, strict=True)}
    if len(stems) == 1:
        inside = stems[0]
    elif len(prefixes) == 1 and all(numbers) and int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1:
        inside = f"{prefixes.pop()}{{{numbers[0]}..{numbers[-1]}}}"
    else:
        inside = f"{{{','.join(stems)}}}"
    return f"{shards[0].parent}/{inside}.tar"


def _fetched(url: str, cache: Path) -> Path:
    # A folder for each: shards at several addresses may have one file name, which names their images.
    folder = cache / hashlib.sha256(_bytes_of(url)).hexdigest()[:16]
    target = folder / Path(urlsplit(url).path).name
    try:
        if not target.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            fs, path = file_system(url)
            with atomic_write(target) as unfinished:
                fs.get_file(path, str(unfinished))
    except Exception as error:  # stores raise whatever they do
        raise ImageError(f"{url}: {one_line(error)}") from None
    return target


def decode_rgb(data: bytes, max_pixels: int | None = None) -> RGB:
    """Decode one image file to 8-bit RGB `(h, w, 3)`; the `ImageError` holds the reason only."""
    if data.startswith(b"BM"):
        return _decode_bmp(data)
    try:
        file = ImageFile.open(data)
        if max_pixels is not None and file.width * file.height > max_pixels:
            return _decode_reduced(file, data, max_pixels)
        samples = file.read_all()
    except ImageError as error:
        raise ImageError(str(error).removeprefix("<bytes>: ")) from None
    if samples.dtype == np.uint16:
        samples = samples >> 8
    colours = samples[:, :, :3] if file.channels >= 3 else np.repeat(samples[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(colours, dtype=np.uint8)


def _decode_reduced(file: ImageFile, data: bytes, max_pixels: int) -> RGB:
    """Decode at a lower resolution, which for JPEG and WebP takes a fraction of the time."""
    vips = libvips()

    scale = (max_pixels / (file.width * file.height)) ** 0.5
    width, height = (max(1, round(scale * side)) for side in (file.width, file.height))
    try:
        if file.format in ("tiff", "heic"):
            # libvips itself would turn damaged tiles black, and need not decode HEIC.
            image = vips.Image.new_from_array(file.read_all())
            image = image.thumbnail_image(width, height=height, size="down").colourspace("srgb")
        else:
            image = vips.Image.thumbnail_buffer(
                data, width, height=height, size="down", export_profile="srgb", fail_on="truncated"
            ).colourspace("srgb")
        if image.bands < 3:
            image = image[0].bandjoin([image[0], image[0]])
        return np.asarray(image[:3].cast("uchar").numpy(), dtype=np.uint8)
    except vips.Error as error:
        raise ImageError(one_line(error)) from None


def _decode_bmp(data: bytes) -> RGB:
    """Decode the one format that libvips leaves to others."""
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError("not a whole BMP file")
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8, copy=False)
