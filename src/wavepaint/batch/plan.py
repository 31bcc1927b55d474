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
from functools import partial
from itertools import chain, groupby
from pathlib import PurePosixPath
from typing import IO, NamedTuple, cast

from wavepaint.errors import ImageError, MaskError, OptionError, one_line
from wavepaint.image.formats.signature import suffix_of
from wavepaint.image.suffixes import is_image, result_name
from wavepaint.storage import absolute, expand, is_folder, open_file, read, real, walk

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


Part = Callable[[], Iterator[Row]]  # reads the rows of a Parquet file or a shard; can be pickled


class Plan(NamedTuple):
    """The rows of a folder or a list in their order, or parts; `others` are visible files but no images."""

    rows: list[Row]
    parts: list[Part]
    others: list[str]


class _Masks(NamedTuple):
    """One mask for all, or a folder of them; `own` where the inputs have to bring theirs."""

    shared: str | None
    folder: str | None
    own: bool


def make_plan(
    source: str,
    masks: str | None,
    output: str,
    columns: tuple[str, str] = ("image", "mask"),
    needs_mask: bool = True,
    format: str | None = None,
) -> Plan:
    """Find what there is to do.

    Args:
        source: a folder; a list (.txt, .tsv, .lst); or .parquet files or .tar shards, by name or pattern.
        masks: a mask for all; or a folder with the masks of a folder's images, named as `_masks_of` says, which may be
            the folder of the images itself; or None where the inputs bring theirs.
        output: folder for the results: the same sub-folders and names, with `.png` for formats that are only read.
        columns: of Parquet files, for images and masks: paths or URLs (strings), or contents of files (binary).
        needs_mask: False where the options say what to fill.
        format: of all results of a folder, one of `options.FORMATS`; by default what their names say.

    Raises:
        ImageError, MaskError: there is no such input, no image in it, or no such mask.
        OptionError: results would replace inputs, an input is listed twice, a column is missing.
    """
    folder = masks if masks is not None and is_folder(masks) else None
    what = _Masks(masks if folder is None else None, folder, needs_mask and masks is None)
    if what.shared is not None and expand(what.shared) != [what.shared]:
        raise MaskError(f"{masks}: no such file or folder")
    if real(output) in {real(name) for name in (source, masks) if name is not None}:
        raise OptionError(f"{output}: holds inputs, which results would replace: name another output folder")
    if is_folder(source):
        rows, others = _folder_rows(source, what, output, format)
    elif folder is not None and expand(source):
        raise OptionError(f"{folder}: a folder of masks is for a folder of images; these inputs bring their own")
    elif source.endswith((".txt", ".tsv", ".lst")):
        rows, others = list(_list_rows(source, what)), []
    else:
        return Plan([], list(_parts(source, what, columns)), [])
    if not rows:
        raise ImageError(f"{source}: there are no images in it")
    inputs = {real(name) for row in rows for name in (row.image, row.mask) if isinstance(name, str)}
    for row in rows:
        if real(posixpath.join(output, row.result)) in inputs:
            raise OptionError(f"{row.input}: a result would replace an input: name another output than {output}")
    return Plan(rows, [], others)


def _folder_rows(source: str, masks: _Masks, output: str, format: str | None) -> tuple[list[Row], list[str]]:
    """The rows of a folder, and the names of other files in it; masks and results inside are neither."""
    root = real(source)
    apart = [real(name) for name in (output, *masks[:2]) if name is not None]
    inner = tuple(f"{name.removeprefix(f'{root}/')}/" for name in apart if name != root)
    files = [name for name in walk(source) if "/." not in f"/{name}" and not f"{name}/".startswith(inner)]
    names, others = list(filter(is_image, files)), [name for name in files if not is_image(name)]
    if masks.folder is not None:
        candidates = set(filter(is_image, walk(masks.folder)))
        if root in apart:  # images and masks in one folder
            names = _without_masks(names)
            candidates -= set(names)
        masks_of = _masks_of(names, candidates)
    rows: dict[str, Row] = {}
    for number, name in enumerate(names):
        image, result, mask, problem = posixpath.join(source, name), result_name(name, format), masks.shared, ""
        if masks.folder is not None:
            count, where = len(masks_of[name]), posixpath.dirname(posixpath.join(masks.folder, name))
            mask, many = posixpath.join(masks.folder, *masks_of[name]), f"{count} masks" if count else "no mask"
            problem = f"{image}: {many} named {PurePosixPath(name).stem} in {where}" if count != 1 else ""
        if result in rows:
            problem = f"{image}: its result would replace that of {rows[result].input}, {output}/{result}"
            result = f"{result}.{number}"
        rows[result] = Row(image, result, None, None, problem) if problem else Row(image, result, image, mask)
    return list(rows.values()), others


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


def _masks_of(names: list[str], masks: set[str]) -> dict[str, set[str]]:
    """The masks of each image: of `a.jpg` those called `a.png`, `a.jpg.png`, `a_mask.png`, `a-mask.png`, `a_mask0.png`.

    Composed and decomposed Unicode is the same name. A mask with the very name of another image is that one's.
    """
    stems = {_keys(name)[0] for name in names}
    by_key: dict[str, set[str]] = defaultdict(set)
    for mask in masks:
        stem, short = _keys(mask)
        by_key[stem].add(mask)
        if stem not in stems:
            by_key[short].add(mask)
    keys = {name: {_keys(name)[0], *{unicodedata.normalize("NFC", name)} - stems} for name in names}
    return {name: set().union(*(by_key[key] for key in keys[name])) for name in names}


def _list_rows(source: str, masks: _Masks) -> Iterator[Row]:
    """An image a line, after a tab its mask; relative paths are below the list's folder, others keep all their path."""
    try:
        lines = read(source).decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").split("\n")
    except OSError as error:
        raise ImageError(f"{source}: {one_line(error)}") from None
    seen = set()
    for name, _, own in (line.partition("\t") for line in lines if line):
        image, short = _beside(source, name), posixpath.normpath(name)
        below = short if "://" not in name and not short.startswith(("/", "../")) else absolute(image).split("://")[-1]
        if (result := result_name(below)) in seen:
            raise OptionError(f"{source}: names {image} more than once, or another whose result has the same name")
        seen.add(result)
        mask = _beside(source, own) if own and masks.own else masks.shared
        problem = f"{image}: no mask is listed with it, and there is none for all" if masks.own and not own else ""
        yield Row(image, result, None if problem else image, mask, problem)


def _beside(source: str, name: str) -> str:
    """The path or URL that a file names: absolute, or relative to the folder it lies in."""
    return name if "://" in name else posixpath.join(posixpath.dirname(source), name)


def _parts(source: str, masks: _Masks, columns: tuple[str, ...]) -> Iterator[Part]:
    files = expand(source)
    if not files:
        raise ImageError(f"{source}: no such file or folder")
    common = posixpath.commonpath([posixpath.dirname(file) for file in files])
    columns = columns if masks.own else columns[:1]
    for file in files:
        stem, suffix = posixpath.splitext(posixpath.relpath(file, common))  # for each file a folder of its own
        if suffix == ".parquet":
            yield partial(_parquet_rows, file, stem, masks, columns, _rows_in(file, columns))
        elif suffix == ".tar":
            yield partial(_shard_rows, file, stem, masks)
        else:
            raise ImageError(f"{file}: neither a folder, a list (.txt, .tsv, .lst), a .parquet nor a .tar file")


def _rows_in(file: str, columns: tuple[str, ...]) -> int:
    """How many rows a Parquet file has, if it has the columns."""
    import pyarrow.parquet as pq

    try:
        with open_file(file) as stream:
            metadata = pq.read_metadata(stream)
    except (OSError, ValueError) as error:  # of which Arrow's errors are kinds
        raise ImageError(f"{file}: not a Parquet file: {one_line(error)}") from None
    if missing := set(columns).difference(names := metadata.schema.to_arrow_schema().names):
        raise OptionError(f"{file}: has no column {min(missing)!r}, only {', '.join(names)}")
    return int(metadata.num_rows)


def _parquet_rows(file: str, stem: str, masks: _Masks, columns: tuple[str, ...], count: int) -> Iterator[Row]:
    """Rows, named by their numbers, as a name in a row would be free to repeat; those that cannot be read fail."""
    import pyarrow.parquet as pq

    left = iter(range(count))
    try:
        with open_file(file) as stream:
            parquet = pq.ParquetFile(stream)
            # A few rows at a time: with the contents of files in them they are large.
            groups = (parquet.iter_batches(8, [group], list(columns)) for group in range(parquet.num_row_groups))
            for batch in chain.from_iterable(groups):
                for row, number in zip(batch.to_pylist(), left, strict=False):
                    values = [_beside(file, row[name]) if isinstance(row[name], str) else row[name] for name in columns]
                    label, result = f"{file}#{number}", result_name(f"{stem}/{number:07d}{suffix_of(values[0] or '')}")
                    missing = [f"{label}: there is no {name} in this row" for name in columns if row[name] is None]
                    image, mask = (*values, masks.shared)[:2]
                    yield Row(label, result, None if missing else image, mask, *missing[:1])
    except Exception as error:  # Arrow and stores raise whatever they do
        for label, number in ((f"{file}#{number}", number) for number in left):
            yield Row(label, f"{stem}/{number:07d}.png", None, None, f"{label}: cannot be read: {one_line(error)}")


def _shard_rows(file: str, stem: str, masks: _Masks) -> Iterator[Row]:
    """The samples of a shard, as WebDataset has them: members that follow each other and have the same key."""
    seen: Counter[str] = Counter()
    try:
        with open_file(file) as stream, tarfile.open(fileobj=stream, mode="r|") as shard:
            members = ((*_key(member.name), member) for member in shard if member.isfile())
            for key, group in groupby(members, key=lambda each: each[0]):
                opened = ((name, shard.extractfile(each)) for _, name, each in group if is_image(f"x.{name}"))
                files = {name: cast(IO[bytes], member).read() for name, member in opened}
                if files:
                    seen[key] += 1
                    yield _sample_row(file, stem, masks, f"{key}~{seen[key]}" if seen[key] > 1 else key, files)
    except Exception as error:  # tarfile and stores raise whatever they do; what came before is done
        yield Row(file, f"{stem}/rest", None, None, f"{file}: cannot be read to its end: {one_line(error)}")


def _key(name: str) -> tuple[str, str]:
    """A member's name up to the first dot of its last part, and what follows, in lower case."""
    folder, file = posixpath.split(posixpath.normpath(f"/{name}").lstrip("/"))
    key, _, extension = file.partition(".")
    return posixpath.join(folder, key), extension.lower()


def _sample_row(file: str, stem: str, masks: _Masks, key: str, files: dict[str, bytes]) -> Row:
    """`KEY.jpg` with its mask `KEY.mask.png`; a key that comes again has its number at the end."""
    images = [name for name in files if name.split(".")[0] != "mask"]
    own = [files[name] for name in files if name not in images]
    label, result = f"{file}/{key}", result_name(f"{stem}/{key}.{[*images, 'png'][0]}")
    if len(images) != 1 or (masks.own and len(own) != 1):
        problem = f"{label}: {len(images)} images and {len(own)} masks, KEY.mask.png, have this key"
        return Row(label, result, None, None, problem)
    return Row(label, result, files[images[0]], own[0] if masks.own else masks.shared)
