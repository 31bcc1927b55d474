"""What there is to do, for a folder on this machine and for a cluster alike: rows of an image, its mask, its result.

Folders and lists are planned whole. Of Parquet files and WebDataset shards the plan names the parts, and whoever does
them reads their rows. Everything may lie at any URL that fsspec knows.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import groupby
from pathlib import PurePosixPath
from typing import NamedTuple

from wavepaint.batch.storage import absolute, expand, file_system, is_folder, open_file, read, real, walk
from wavepaint.errors import ImageError, MaskError, OptionError
from wavepaint.image.formats.signature import sniff
from wavepaint.image.suffixes import FORMAT_OF_SUFFIX, READABLE_SUFFIXES

IMAGE_SUFFIXES = READABLE_SUFFIXES | {".jfif"}
"""Of files that are taken for images; where this build of libvips cannot read one, that one fails, by name."""
_SUFFIX_OF_KIND = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif", "gif": ".gif", "heif": ".heic"}
_MASK_ENDING = re.compile(r"[_-]mask\d*$", re.IGNORECASE)


class Row(NamedTuple):
    """One input: what messages call it, where its result goes in the output folder, and its files.

    `image` and `mask` are paths, URLs or contents of files; None where a `problem` was seen before they were opened.
    """

    input: str
    result: str
    image: str | bytes | None
    mask: str | bytes | None = None
    problem: str = ""


Part = Callable[[], Iterator[Row]]
"""Reads the rows of a row group of a Parquet file, or of a shard; can be pickled."""


class Plan(NamedTuple):
    """The rows of a folder or a list in order of their names, or parts; `others` are visible files but no images."""

    rows: list[Row]
    parts: list[Part]
    others: list[str]


class _Masks(NamedTuple):
    """One mask for all, or a folder of them; `own` where the inputs have to bring theirs."""

    shared: str | None
    folder: str | None
    own: bool


def make_plan(
    source: str, masks: str | None, output: str, columns: tuple[str, str] = ("image", "mask"), needs_mask: bool = True
) -> Plan:
    """Find what there is to do.

    Args:
        source: a folder; a list (.txt, .tsv, .lst: an image a line and after a tab its mask); or .parquet files or .tar
            shards, by name or pattern.
        masks: a mask for all; or a folder with the masks of a folder's images, named as `_MaskFinder` says, which may
            be the folder of the images itself; or None where the inputs bring theirs.
        output: folder for the results: the same sub-folders and names, with `.png` for formats that are only read.
        columns: of Parquet files, for images and masks: paths or URLs (strings), or contents of files (binary).
        needs_mask: False where the options say what to fill.

    Raises:
        ImageError, MaskError: there is no such input, no image in it, or no such mask.
        OptionError: results would replace inputs, an input is listed twice, a column is missing.
    """
    folder = masks if masks is not None and is_folder(masks) else None
    what = _Masks(masks if folder is None else None, folder, needs_mask and masks is None)
    if what.shared is not None and not file_system(what.shared)[0].isfile(file_system(what.shared)[1]):
        raise MaskError(f"{masks}: no such file or folder")
    if real(output) in {real(name) for name in (source, masks) if name is not None}:
        raise OptionError(f"{output}: holds inputs, which results would replace: name another output folder")
    others: list[str] = []
    if is_folder(source):
        rows = list(_folder_rows(source, what, output, others))
    elif folder is not None and expand(source):
        raise OptionError(f"{folder}: a folder of masks is for a folder of images; these inputs bring their own")
    elif source.endswith((".txt", ".tsv", ".lst")):
        rows = list(_list_rows(source, what))
    else:
        return Plan([], list(_parts(source, what, columns)), [])
    if not rows:
        raise ImageError(f"{source}: there are no images in it")
    inputs = {_real_file(name) for row in rows for name in (row.image, row.mask) if isinstance(name, str)}
    for row in rows:
        if _real_file(posixpath.join(output, row.result)) in inputs:
            raise OptionError(f"{row.input}: a result would replace an input: name another output than {output}")
    return Plan(rows, [], others)


def is_image(name: str) -> bool:
    """Whether a file's name is one of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def result_name(name: str) -> str:
    """The name of the result of an image, with `.png` for formats that are only read; it never leads upwards."""
    name = posixpath.normpath(f"/{name}").lstrip("/")
    return name if PurePosixPath(name).suffix.lower() in FORMAT_OF_SUFFIX else f"{name}.png"


# -- folders and lists -------------------------------------------------------------------------------------------------

_real_folder = lru_cache(16)(real)


def _real_file(name: str) -> str:
    return posixpath.join(_real_folder(posixpath.dirname(name)), posixpath.basename(name))


def _folder_rows(source: str, masks: _Masks, output: str, others: list[str]) -> Iterator[Row]:
    root, finder = real(source), None
    # Masks and results inside are no images.
    apart = [real(name) for name in (output, *masks[:2]) if name is not None]
    inner = tuple(f"{name.removeprefix(f'{root}/')}/" for name in apart if name != root)
    names = sorted(walk(source), key=lambda name: name.split("/"))
    names = [name for name in names if "/." not in f"/{name}" and not f"{name}/".startswith(inner)]
    others += (name for name in names if not is_image(name))
    names = [name for name in names if is_image(name)]
    if masks.folder is not None:
        together = real(masks.folder) == root
        names = _without_masks(names) if together else names
        finder = _MaskFinder(masks.folder, names, together)
    first_of: dict[str, str] = {}
    for number, name in enumerate(names):
        image, result = posixpath.join(source, name), result_name(name)
        first = first_of.setdefault(result, image)
        if first != image:
            problem = f"{image}: its result would replace that of {first}, {posixpath.join(output, result)}"
            yield Row(image, f"{result}.{number}", None, None, problem)
        else:
            mask, problem = (masks.shared, "") if finder is None else finder.find(name, image)
            yield Row(image, result, None if problem else image, mask, problem)


def _keys(name: str) -> tuple[str, str]:
    """A file's name without its suffix, then also without `_mask000`; names that look the same are the same."""
    stem = posixpath.splitext(unicodedata.normalize("NFC", name))[0]
    return stem, _MASK_ENDING.sub("", stem)


def _without_masks(names: list[str]) -> list[str]:
    """The images in a folder that holds their masks too."""
    whole = {unicodedata.normalize("NFC", name) for name in names}
    keys = {name: _keys(name) for name in names}
    known = whole | {stem for stem, _ in keys.values()}
    return [name for name, (stem, short) in keys.items() if stem not in whole and (short == stem or short not in known)]


class _MaskFinder:
    """Finds the mask of `a.jpg` by its name: `a.png`, `a.jpg.png`, `a_mask.png`, `a-mask.png`, `a_mask000.png`.

    Composed and decomposed Unicode is the same name. A mask with the very name of another image is that one's.
    """

    def __init__(self, folder: str, images: list[str], together: bool) -> None:
        self._folder = folder
        self._stems = {_keys(name)[0] for name in images}
        self._masks: dict[str, list[str]] = defaultdict(list)
        apart = set(images) if together else ()
        for name in walk(folder):
            if is_image(name) and name not in apart and "/." not in f"/{name}":
                for key in set(_keys(name)):
                    self._masks[key].append(name)

    def find(self, name: str, image: str) -> tuple[str | None, str]:
        """The mask of an image, or None and the problem."""
        stem = _keys(name)[0]
        masks = {mask for key in (stem, unicodedata.normalize("NFC", name)) for mask in self._masks.get(key, ())}
        masks = {mask for mask in masks if (other := _keys(mask)[0]) == stem or other not in self._stems}
        if len(masks) == 1:
            return posixpath.join(self._folder, masks.pop()), ""
        folder = posixpath.join(self._folder, posixpath.dirname(name)).rstrip("/")
        count = f"{len(masks)} masks" if masks else "no mask"
        return None, f"{image}: {count} named {PurePosixPath(name).stem} in {folder}"


def _list_rows(source: str, masks: _Masks) -> Iterator[Row]:
    """An image a line, after a tab its mask; relative paths are below the list's folder, others keep all their path."""
    try:
        lines = read(source).decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").split("\n")
    except OSError as error:
        raise ImageError(f"{source}: {error.strerror or error}") from None
    seen = set()
    for name, _, own in (line.partition("\t") for line in lines if line):
        image, short = _beside(source, name), posixpath.normpath(name)
        below = short if "://" not in name and not short.startswith(("/", "../")) else absolute(image).split("://")[-1]
        result = result_name(below)
        if result in seen:
            raise OptionError(f"{source}: names {image} more than once, or another whose result has the same name")
        seen.add(result)
        mask = _beside(source, own) if own and masks.own else masks.shared
        problem = f"{image}: no mask is listed with it, and there is none for all" if masks.own and not own else ""
        yield Row(image, result, None if problem else image, mask, problem)


def _beside(source: str, name: str) -> str:
    """The path or URL that a file names: absolute, or relative to the folder it lies in."""
    if "://" in name or posixpath.isabs(name):
        return name
    head, mark, path = source.rpartition("://")
    return f"{head}{mark}{posixpath.normpath(posixpath.join(posixpath.dirname(path), name))}"


# -- Parquet files and shards ------------------------------------------------------------------------------------------


def _parts(source: str, masks: _Masks, columns: tuple[str, str]) -> Iterator[Part]:
    files = expand(source)
    if not files:
        raise ImageError(f"{source}: no such file or folder")
    common = posixpath.commonpath([posixpath.dirname(file) for file in files])
    for file in files:
        # For each file a folder of its own.
        stem = posixpath.splitext(posixpath.relpath(file, common))[0]
        if file.endswith(".parquet"):
            yield from _row_groups(file, stem, masks, columns if masks.own else columns[:1])
        elif file.endswith(".tar"):
            yield partial(_shard_rows, file, stem, masks)
        else:
            raise ImageError(f"{file}: neither a folder, a list (.txt, .tsv, .lst), a .parquet nor a .tar file")


def _row_groups(file: str, stem: str, masks: _Masks, columns: tuple[str, ...]) -> Iterator[Part]:
    import pyarrow.parquet as pq

    try:
        with open_file(file) as stream:
            parquet = pq.ParquetFile(stream)
    except (OSError, ValueError) as error:  # of which Arrow's errors are kinds
        raise ImageError(f"{file}: not a Parquet file: {' '.join(str(error).split())}") from None
    if missing := [name for name in columns if name not in parquet.schema_arrow.names]:
        raise OptionError(f"{file}: has no column {missing[0]!r}, only {', '.join(parquet.schema_arrow.names)}")
    first = 0
    for group in range(parquet.metadata.num_row_groups):
        numbers = range(first, first + parquet.metadata.row_group(group).num_rows)
        yield partial(_parquet_rows, file, stem, masks, columns, group, numbers)
        first = numbers.stop


def _parquet_rows(
    file: str, stem: str, masks: _Masks, columns: tuple[str, ...], group: int, numbers: range
) -> Iterator[Row]:
    """Rows, named by their numbers, as a name in a row would be free to repeat; those that cannot be read fail."""
    import pyarrow.parquet as pq

    left, problem = iter(numbers), "there is nothing in this row"
    try:
        with open_file(file) as stream:
            # A few rows at a time: with the contents of files in them they are large.
            for batch in pq.ParquetFile(stream).iter_batches(8, [group], list(columns)):
                for row in batch.to_pylist():
                    values = [_beside(file, row[name]) if isinstance(row[name], str) else row[name] for name in columns]
                    number = next(left)
                    label, result = f"{file}#{number}", result_name(f"{stem}/{number:07d}{_suffix_of(values[0])}")
                    if missing := [name for name, value in zip(columns, values, strict=True) if value is None]:
                        yield Row(label, result, None, None, f"{label}: there is no {missing[0]} in this row")
                    else:
                        yield Row(label, result, values[0], values[1] if masks.own else masks.shared)
    except Exception as error:  # Arrow and stores raise whatever they do
        problem = f"cannot be read: {' '.join(str(error).split())}"
    for number in left:
        yield Row(f"{file}#{number}", f"{stem}/{number:07d}.png", None, None, f"{file}#{number}: {problem}")


def _suffix_of(image: str | bytes | None) -> str:
    if isinstance(image, bytes):
        return ".avif" if image[8:12] in (b"avif", b"avis") else _SUFFIX_OF_KIND.get(sniff(image[:16]) or "", ".png")
    return posixpath.splitext(image or ".png")[1]


def _shard_rows(file: str, stem: str, masks: _Masks) -> Iterator[Row]:
    """The samples of a shard, as WebDataset has them: members that follow each other and have the same key."""
    seen: Counter[str] = Counter()
    try:
        with open_file(file) as stream, tarfile.open(fileobj=stream, mode="r|") as shard:
            for key, group in groupby(
                (member for member in shard if member.isfile()), key=lambda each: _key(each.name)
            ):
                named = ((member.name.rpartition("/")[2].partition(".")[2], member) for member in group)
                opened = ((name.lower(), shard.extractfile(member)) for name, member in named if is_image(f"x.{name}"))
                files = {name: content.read() for name, content in opened if content is not None}
                if files:
                    seen[key] += 1
                    yield _sample_row(file, stem, masks, f"{key}~{seen[key]}" if seen[key] > 1 else key, files)
    except Exception as error:  # tarfile and stores raise whatever they do; what came before is done
        reason = " ".join(str(error).split()) or type(error).__name__
        yield Row(file, f"{stem}/rest", None, None, f"{file}: cannot be read to its end: {reason}")


def _key(name: str) -> str:
    """A member's name up to the first dot of its last part."""
    folder, file = posixpath.split(posixpath.normpath(f"/{name}").lstrip("/"))
    return posixpath.join(folder, file.partition(".")[0])


def _sample_row(file: str, stem: str, masks: _Masks, key: str, files: dict[str, bytes]) -> Row:
    """`KEY.jpg` with its mask `KEY.mask.png`; a key that comes again has its number at the end."""
    images = {name: content for name, content in files.items() if name.split(".")[0] != "mask"}
    own = [content for name, content in files.items() if name not in images]
    label, problem = f"{file}/{key}", ""
    if len(images) != 1 or (masks.own and len(own) != 1):
        problem = f"{label}: {len(images)} images and {len(own)} masks, KEY.mask.png, have this key"
    extension, image = next(iter(images.items()), ("png", None))
    mask = own[0] if masks.own and own else masks.shared
    return Row(label, result_name(f"{stem}/{key}.{extension}"), None if problem else image, mask, problem)
