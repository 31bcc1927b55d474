"""What there is to do: folders, lists, Parquet files and WebDataset shards, as items and as tickets.

An item is one photograph with its mask. A ticket is what one worker does without being asked again: a group of items
that the driver has planned (folders and lists), a row group of a Parquet file, or a shard. Tickets hold references
only, so photographs are read by the workers, and neither the driver's memory nor Ray's object store grows with them.
"""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wavepaint.batch.manifest import Manifest, digest, holds, printable
from wavepaint.batch.storage import Place
from wavepaint.errors import MaskError, OptionError, PhotoError
from wavepaint.image.formats.containers import sniff
from wavepaint.image.photo import FORMAT_OF_SUFFIX, READABLE_SUFFIXES

LISTS = (".txt", ".tsv", ".lst")
PLAN_TICKETS = 512
"""Tickets in one file of the plan."""
MASK_MEMBER = "mask"
"""In a shard, `KEY.mask.png` (or another picture's suffix) is the mask of `KEY.jpg`."""

_SUFFIX_OF_KIND = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif", "gif": ".gif"}
# Binary: the name of a file need not be UTF-8.
_PLAN_SCHEMA = pa.schema([(name, pa.binary()) for name in ("label", "result", "photo", "mask", "problem")])


@dataclass(frozen=True)
class Item:
    """One input.

    Attributes:
        label: what messages and the manifest call it.
        result: where its result goes, below the output folder; no two items of a batch share it.
        photo: path, URL or contents of the picture file; None where there is a `problem`.
        mask: likewise; None where the options say what to fill.
        problem: why it cannot be done, known before it was opened.
    """

    label: str
    result: str
    photo: str | bytes | None
    mask: str | bytes | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Masks:
    """Where masks come from.

    Attributes:
        place: a mask for all, or a folder in which masks have the names of their photographs; None where the inputs
            bring theirs, or the options say what to fill.
        folder: whether it is a folder.
        wanted: False where the options say what to fill.
    """

    place: Place | None
    folder: bool
    wanted: bool

    @classmethod
    def find(cls, text: str | None, wanted: bool) -> Masks:
        """Look at what `--masks` names.

        Raises:
            MaskError: there is no such file or folder.
            OptionError: masks are given although the options say what to fill.
        """
        if text is None:
            return cls(None, False, wanted)
        if not wanted:
            raise OptionError("give either --masks, --box or --alpha, to say what to fill")
        place = Place.of(text)
        folder = place.is_folder()
        if not folder and not place.is_file():
            raise MaskError(f"{text}: no such file or folder")
        return cls(place, folder, wanted)

    @property
    def shared(self) -> str | None:
        """The mask for all."""
        return None if self.place is None or self.folder else self.place.url


class _MaskFolder:
    """Finds masks by name in a folder of them; remembers the listing of one sub-folder."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._listed: str | None = None
        self._names: dict[str, list[str]] = {}

    def of(self, label: str, name: str) -> tuple[str | None, str | None]:
        """The mask of the photograph of this relative name, or None and the problem."""
        folder, file = posixpath.split(name)
        place = self._place / folder if folder else self._place
        if folder != self._listed:
            self._listed, self._names = folder, {}
            for candidate in filter(is_picture, place.children()[0]):
                self._names.setdefault(_stem(candidate), []).append(candidate)
        candidates = self._names.get(_stem(file), [])
        if len(candidates) == 1:
            return (place / candidates[0]).url, None
        reason = "no mask" if not candidates else f"{len(candidates)} masks"
        return None, f"{label}: {reason} named {_stem(file)} in {place.url}"


@dataclass(frozen=True)
class Ticket:
    """What one worker does without being asked again.

    Attributes:
        kind: "plan", "parquet" or "shard".
        url: of the file.
        group: row group of a plan or a Parquet file.
        first: number of its first row in the file.
        stem: folder of its results; empty for a plan, whose items name theirs.
        id: names it in the manifest; the same for the same inputs, whichever driver made it.
        inputs: how many there are; None for a shard, which nobody has read yet.
    """

    kind: str
    url: str
    id: str
    group: int = 0
    first: int = 0
    stem: str = ""
    inputs: int | None = None

    def to_json(self) -> str:
        """As text, for a row of a data set."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Ticket:
        """What `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Columns:
    """Names of the columns of Parquet inputs: paths or URLs (strings), or contents of picture files (binary)."""

    photo: str = "photo"
    mask: str = "mask"


@dataclass(frozen=True)
class Plan:
    """All tickets that are left.

    Attributes:
        tickets: what is left to do.
        total: inputs of the batch in all, those recorded before included; None: not known.
        place: the folder with the items of the tickets, this driver's to remove; None where none was needed.
    """

    tickets: list[Ticket]
    total: int | None
    place: Place | None = None


def make_plan(source: str, masks: Masks, manifest: Manifest, columns: Columns, group: int) -> Plan:
    """Decide what is left to do.

    Args:
        source: folder, list, or pattern of Parquet files or shards.
        masks: where masks come from.
        manifest: what is recorded already, and where plans are kept.
        columns: of Parquet files.
        group: items of a ticket, for folders and lists.

    Raises:
        PhotoError: there is nothing there, or a file of it cannot be read.
        OptionError: a list that names a photograph twice or would replace it by its result, or a Parquet file without
            the columns.
    """
    place = Place.of(source)
    suffix = posixpath.splitext(place.name)[1].lower()
    if suffix in (".parquet", ".tar"):
        files = place.expand()
        if not files or not all(file.is_file() for file in files):
            missing = next((file.url for file in files if not file.is_file()), source)
            raise PhotoError(f"{missing}: no such file")
        if masks.folder:
            own = f"column {columns.mask!r}" if suffix == ".parquet" else f"members KEY.{MASK_MEMBER}.png"
            raise OptionError(f"--masks: a folder of masks is for folders and lists; name one for all, or use {own}")
        tickets = _shard_tickets(files) if suffix == ".tar" else _parquet_tickets(files, masks, columns)
        ended = manifest.ended()
        left = [ticket for ticket in tickets if ticket.id not in ended]
        counts = [ticket.inputs for ticket in tickets]
        return Plan(left, None if None in counts else sum(count or 0 for count in counts))
    if suffix in LISTS:
        items = _list_items(place, masks, manifest.output)
    elif place.is_folder():
        items = _folder_items(place, masks, manifest.output)
    else:
        raise PhotoError(f"{source}: neither a folder nor a {', '.join((*LISTS, '.parquet', '.tar'))} file")
    return _plan_items(items, manifest, group, source)


def open_ticket(ticket: Ticket, masks: Masks, columns: Columns) -> Iterator[Item]:
    """The items of a ticket, read one after the other.

    Raises:
        PhotoError: the file is damaged; what lies before is yielded first.
        OSError, or what else the store's library raises: it could not be read this time. Arrow, too, says so of some
            damaged files, by a plain OSError without a number.
    """
    try:
        if ticket.kind == "plan":
            with Place(ticket.url).open() as file:
                for row in pq.ParquetFile(file).read_row_group(ticket.group).to_pylist():
                    yield Item(**{name: _from_bytes(value) for name, value in row.items()})
        elif ticket.kind == "parquet":
            yield from _parquet_items(ticket, masks, columns)
        else:
            yield from _shard_items(ticket, masks)
    except (pa.ArrowException, tarfile.TarError, EOFError) as error:
        raise PhotoError(f"{ticket.url}: damaged: {' '.join(str(error).split())}") from None


def damaged_items(ticket: Ticket, reason: str, given: Collection[str]) -> Iterator[Item]:
    """What is left of a file that is damaged, as items that fail: the rows of a row group, or one for a shard.

    Args:
        ticket: of the file.
        reason: what is wrong with it.
        given: the results of its items before the damage.
    """
    if ticket.inputs is None:
        yield Item(ticket.url, f"{ticket.stem}#{ticket.group}", None, None, reason)
        return
    rows = {posixpath.basename(name).partition(".")[0] for name in given}
    for row in range(ticket.first, ticket.first + ticket.inputs):
        if f"{row:07d}" not in rows:
            yield Item(f"{ticket.url}#{row}", f"{ticket.stem}/{row:07d}.png", None, None, reason)


def is_picture(name: str) -> bool:
    """Whether a file's name is one of a picture that can be read."""
    return PurePosixPath(name).suffix.lower() in READABLE_SUFFIXES and not name.startswith(".")


def result_name(name: str) -> str:
    """The name of the result of a photograph of this name: the same, or with `.png` for formats only read."""
    return name if PurePosixPath(name).suffix.lower() in FORMAT_OF_SUFFIX else f"{name}.png"


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


# -- folders and lists -------------------------------------------------------------------------------------------------


def _folder_items(photos: Place, masks: Masks, output: Place) -> Iterator[Item]:
    """The photographs below a folder, as `folder.plan_folder` finds them, one sub-folder at a time."""
    places = [place for place in (masks.place if masks.folder else None, output) if place is not None]
    inner = (place.url.removeprefix(f"{photos.url}/") for place in places if place.url.startswith(f"{photos.url}/"))
    chooser = _Chooser(masks)
    for folder, files in photos.walk(apart=frozenset(inner)):
        taken: set[str] = set()
        for file in filter(is_picture, files):
            name = posixpath.join(folder, file)
            if (photo := (photos / name).url) == masks.shared:
                continue
            result = result_name(name)
            if printable(result) in taken:
                problem = f"{photo}: another photograph of the folder has a result of the same name, {result}"
                yield Item(photo, f"{name}.{len(taken)}.png", None, None, problem)
                continue
            taken.add(printable(result))
            yield chooser.item(photo, name)


class _Chooser:
    """Gives photographs their masks."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._folder = _MaskFolder(masks.place) if masks.place is not None and masks.folder else None

    def item(self, photo: str, name: str, own: str | None = None) -> Item:
        """The item of a photograph, by its relative name; `own` is the mask that was listed with it."""
        mask, problem = (own, None) if own is not None else (self._masks.shared, None)
        if mask is None and self._folder is not None:
            mask, problem = self._folder.of(photo, name)
        elif mask is None and self._masks.wanted:
            problem = f"{photo}: no mask is listed with it, and there is no --masks"
        return Item(photo, result_name(name), None if problem else photo, mask, problem)


def _list_items(place: Place, masks: Masks, output: Place) -> Iterator[Item]:
    """One photograph a line, after a tab its mask; paths are relative to the list's folder."""
    names = np.sort(np.fromiter((digest(result_name(name)) for _, name, _ in _lines(place)), "S16"))
    repeated = names[1:][names[1:] == names[:-1]]
    chooser = _Chooser(masks)
    for photo, name, mask in _lines(place):
        if len(repeated) and holds(repeated, result_name(name)):
            raise OptionError(f"{place.url}: names {photo} more than once, or another whose result has the same name")
        if (output / result_name(name)).url == Place.of(photo).url:
            raise OptionError(f"{photo}: its result would replace it: name another output folder than {output.url}")
        yield chooser.item(photo, name, mask if masks.wanted else None)


def _lines(place: Place) -> Iterator[tuple[str, str, str | None]]:
    """Photograph, the relative name of its result, mask."""
    try:
        with place.open() as file, io.TextIOWrapper(file, "utf-8-sig", "surrogateescape") as lines:
            for line in lines:
                photo, _, mask = line.rstrip("\r\n").partition("\t")
                if photo:
                    yield _beside(place, photo), _listed_name(place, photo), _beside(place, mask) if mask else None
    except OSError as error:
        raise PhotoError(f"{place.url}: {error.strerror or error}") from None


def _listed_name(place: Place, photo: str) -> str:
    """The relative name of a listed photograph: its relative path; of what is not below the list, its whole path."""
    name = posixpath.normpath(photo)
    if "://" in photo or name.startswith("/") or name.split("/")[0] == "..":
        url = _beside(place, photo)
        # From the root, so that no ".." is left.
        name = posixpath.normpath(f"/{url.partition('://')[2] or url}").lstrip("/")
    return name


def _beside(place: Place, name: str) -> str:
    """The path or URL that a file names: absolute, or relative to the folder it lies in."""
    if "://" in name or posixpath.isabs(name):
        return name
    head, _, path = place.url.rpartition("://")
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
    return f"{head}://{joined}" if head else joined


def _plan_items(items: Iterator[Item], manifest: Manifest, group: int, source: str) -> Plan:
    """Write the items that are not recorded yet, `group` to a ticket, without holding them all."""
    recorded = manifest.latest().keys
    folder = manifest.new_plan()
    tickets: list[Ticket] = []
    found = fresh = 0

    def left() -> Iterator[Item]:
        nonlocal found, fresh
        for item in items:
            found += 1
            if not holds(recorded, item.result):
                fresh += 1
                yield item

    try:
        for number, some in enumerate(_chunks(left(), PLAN_TICKETS * group)):
            tickets += _write_plan(folder / f"{number:06d}.parquet", list(_chunks(some, group)))
    except BaseException:
        folder.remove()
        raise
    if found == 0:
        raise PhotoError(f"{source}: there are no photographs in it")
    # What was recorded counts even where its photograph is gone since.
    return Plan(tickets, len(recorded) + fresh, folder)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _write_plan(place: Place, groups: list[list[Item]]) -> list[Ticket]:
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, _PLAN_SCHEMA) as writer:
        for items in groups:
            rows = [{name: _to_bytes(value) for name, value in asdict(item).items()} for item in items]
            writer.write_table(pa.Table.from_pylist(rows, _PLAN_SCHEMA))
    place.write(stream.getvalue())
    return [
        Ticket("plan", place.url, _ticket_id("\n".join(item.result for item in items)), number, inputs=len(items))
        for number, items in enumerate(groups)
    ]


def _to_bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def _from_bytes(content: Any) -> Any:
    return None if content is None else content.decode("utf-8", "surrogateescape")


def _ticket_id(text: str) -> str:
    return digest(text).hex()


# -- Parquet -----------------------------------------------------------------------------------------------------------


def _parquet_tickets(files: list[Place], masks: Masks, columns: Columns) -> list[Ticket]:
    tickets = []
    for file, stem in zip(files, _stems(files), strict=True):
        try:
            with file.open() as stream:
                parquet = pq.ParquetFile(stream)
                _check_columns(file, parquet.schema_arrow, masks, columns)
                counts = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        except (OSError, pa.ArrowException) as error:
            raise PhotoError(f"{file.url}: not a Parquet file: {' '.join(str(error).split())}") from None
        first = 0
        for group, count in enumerate(counts):
            name = _ticket_id(f"{file.url}#{group}")
            tickets.append(Ticket("parquet", file.url, name, group, first, stem, count))
            first += count
    return tickets


def _check_columns(file: Place, schema: Any, masks: Masks, columns: Columns) -> None:
    wanted = [columns.photo]
    if masks.wanted and masks.shared is None:
        wanted.append(columns.mask)
    for name in wanted:
        if name not in schema.names:
            raise OptionError(f"{file.url}: has no column {name!r}, only {', '.join(schema.names)}")
        kind = schema.field(name).type
        if not any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, *_BINARY)):
            raise OptionError(f"{file.url}: column {name!r} is {kind}: it must hold paths (string) or files (binary)")


_BINARY = (pa.types.is_binary, pa.types.is_large_binary)


def _parquet_items(ticket: Ticket, masks: Masks, columns: Columns) -> Iterator[Item]:
    file = Place(ticket.url)
    own_masks = masks.wanted and masks.shared is None
    names = [columns.photo, columns.mask] if own_masks else [columns.photo]
    with file.open() as stream:
        row = ticket.first
        # A few rows at a time: with contents of files in them, they are large.
        for table in pq.ParquetFile(stream).iter_batches(8, [ticket.group], names):
            for values in table.to_pylist():
                photo, mask = values[columns.photo], values[columns.mask] if own_masks else masks.shared
                yield _row_item(file, ticket.stem, row, photo, mask, own_masks)
                row += 1


def _row_item(file: Place, stem: str, row: int, photo: Any, mask: Any, own_mask: bool) -> Item:
    label = f"{file.url}#{row}"
    # By the row, not by a name in it: that would be free to repeat, or to lead out of the folder.
    name = f"{stem}/{row:07d}"
    if photo is None:
        return Item(label, f"{name}.png", None, None, f"{label}: there is no photograph in this row")
    if isinstance(photo, bytes):
        suffix = _suffix_of(photo)
    else:
        suffix, photo = posixpath.splitext(photo)[1], _beside(file, photo)
    result = result_name(name + suffix)
    if own_mask and mask is None:
        return Item(label, result, None, None, f"{label}: there is no mask in this row")
    return Item(label, result, photo, _beside(file, mask) if own_mask and isinstance(mask, str) else mask)


def _suffix_of(content: bytes) -> str:
    kind = sniff(content[:16])
    if kind == "heif":
        return ".avif" if content[8:12] in (b"avif", b"avis") else ".heic"
    return _SUFFIX_OF_KIND.get(kind or "", ".png")


# -- shards ------------------------------------------------------------------------------------------------------------


def _shard_tickets(files: list[Place]) -> list[Ticket]:
    pairs = zip(files, _stems(files), strict=True)
    return [Ticket("shard", file.url, _ticket_id(file.url), stem=stem) for file, stem in pairs]


def _shard_items(ticket: Ticket, masks: Masks) -> Iterator[Item]:
    """The samples of a shard: members that follow each other and have the same key."""
    seen: Counter[str] = Counter()
    with Place(ticket.url).open() as stream, tarfile.open(fileobj=stream, mode="r|") as shard:
        members = ((_key_of(member.name), member) for member in shard if member.isfile())
        for key, group in groupby(members, key=lambda pair: pair[0][0]):
            files = {}
            for (_, extension), member in group:
                content = shard.extractfile(member)
                if content is not None and is_picture(f"x.{extension}"):
                    files[extension] = content.read()
            if files:
                seen[key] += 1
                yield _sample_item(ticket, key, files, masks, seen[key])


def _key_of(name: str) -> tuple[str, str]:
    """WebDataset's division of a member's name: up to the first dot of its last part, and what follows.

    Names that lead to the same file, such as `./a/0.jpg` and `a/0.jpg`, have the same key.
    """
    folder, file = posixpath.split(posixpath.normpath(name).lstrip("/"))
    key, _, extension = file.partition(".")
    return posixpath.join(folder, key), extension.lower()


def _sample_item(ticket: Ticket, key: str, files: dict[str, bytes], masks: Masks, occurrence: int) -> Item:
    found = {name: content for name, content in files.items() if name.split(".")[0] == MASK_MEMBER}
    photos = {name: content for name, content in files.items() if name not in found}
    label = f"{ticket.url}/{key}"
    inner = key
    own = masks.wanted and masks.shared is None
    problem = None
    if inner.split("/")[0] == "..":
        inner, problem = digest(key).hex(), f"{label}: its name leads out of the output folder"
    elif occurrence > 1:
        inner, problem = f"{inner}~{occurrence}", f"{label}: the shard holds this key more than once"
    elif len(photos) != 1 or (own and len(found) > 1):
        problem = f"{label}: {len(photos)} photographs and {len(found)} masks have this key"
    elif own and not found:
        problem = f"{label}: there is no mask, KEY.{MASK_MEMBER}.png, beside it"
    if problem is not None:
        return Item(label, f"{ticket.stem}/{inner}.png", None, None, problem)
    ((extension, photo),) = photos.items()
    mask: str | bytes | None = next(iter(found.values())) if own else masks.shared
    return Item(f"{label}.{extension}", result_name(f"{ticket.stem}/{inner}.{extension}"), photo, mask)


def _stems(files: list[Place]) -> list[str]:
    """For each file a folder of its own: its path below what all have in common, without suffix."""
    common = posixpath.commonpath([posixpath.dirname(file.path) for file in files])
    return [posixpath.splitext(posixpath.relpath(file.path, common))[0] for file in files]
