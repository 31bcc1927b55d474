"""What runs on the machines of a cluster: one ticket after the other, with a network that is loaded once."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from wavepaint.batch.inputs import Columns, Item, Masks, Ticket, damaged_items, open_ticket
from wavepaint.batch.manifest import Digests, Manifest, Record, holds, printable
from wavepaint.batch.sharing import SharingInpainter
from wavepaint.batch.storage import Place, attempts, persist, reason_of
from wavepaint.errors import MaskError, PhotoError, WavepaintError
from wavepaint.inpainter import Inpainter
from wavepaint.options import Options, RuntimeName

MAX_REASONS = 10
"""Reasons of failures that a worker tells the driver, for each ticket; the manifest has them all."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every worker is told, once.

    Attributes:
        output: the output folder.
        masks, columns: see `inputs`.
        options: of every photograph.
        model: name and contents of a network's file; None for the packaged network.
        runtime: never "auto": all workers, and those of a later driver, must compute the same.
        threads: of the network.
        group: inputs whose records are kept together.
        together: photographs under way at a time.
        tries: how often an input may take its worker down, or storage may fail, until it is set aside.
        deadline: seconds that one photograph may take; then its worker is ended, and that counts as a try.
        overwrite: replace results that were there before the batch.
        session: of the driver.
    """

    output: Place
    masks: Masks
    columns: Columns
    options: Options
    model: tuple[str, bytes] | None
    runtime: RuntimeName
    threads: int
    group: int
    together: int
    tries: int
    deadline: float
    overwrite: bool
    session: int


@dataclass(frozen=True)
class Finished:
    """What became of a ticket.

    Attributes:
        counts: inputs by status.
        reasons: why inputs failed, a few of them.
        seconds: that it took this worker.
        unread: why its file could not be read to its end this time; what is left is for another driver.
    """

    counts: dict[str, int]
    reasons: list[str]
    seconds: float
    unread: str = ""


class Worker:
    """Does tickets. Photographs and results go between storage and this machine; nothing of them passes through Ray.

    Args:
        work: see `Work`.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._manifest = Manifest(work.output, work.tries)

    def do(self, ticket: Ticket) -> Finished:
        """Do what is not recorded yet of a ticket, and record it.

        Whether it is the first to try or the tenth makes no difference to the outcome: what is recorded is not done
        again, and the same photograph and mask give the same bytes under the same name. A ticket that was begun
        before and not ended has perhaps taken a worker down; it is then done one input at a time, each of them marked
        before it is begun, so that the one to blame is known if it happens again.

        Raises:
            CheckpointError, MissingExtraError: the network cannot be loaded here.
            WavepaintError: the manifest cannot be written or read.
        """
        begun = time.monotonic()
        self._prepare()
        records = self._manifest.records_of(ticket.id)
        careful = self._manifest.mark(ticket.id) > 0
        unread: list[str] = []
        items = self._items(ticket, {record.result for record in records}, unread)
        while group := list(islice(items, 1 if careful else self._work.group)):
            done = [self._do_marked(group[0])] if careful else self._do_group(group)
            self._manifest.add(ticket.id, done)
            records += done
        if ticket.kind != "plan" and not unread:
            self._manifest.end(ticket.id)
        return _finished(records, begun, unread)

    def _prepare(self) -> None:
        """Get what all photographs need, once, and before one of them could be blamed for what is missing or slow."""
        self._inpainter.load()
        import_module("pyvips")
        if self._work.masks.shared is not None:
            try:
                persist(lambda: self._shared_mask, self._work.tries)
            except OSError as error:
                raise MaskError(f"{self._work.masks.shared}: {error.strerror or error}") from None

    def _items(self, ticket: Ticket, recorded: set[str], unread: list[str]) -> Iterator[Item]:
        """The items of a ticket that are not recorded; what is damaged is among them, and fails.

        Args:
            ticket: whose items.
            recorded: results that are recorded already.
            unread: where to say why the file could not be read to its end, unless it is damaged.
        """
        given = set(recorded)

        def fresh(items: Iterator[Item]) -> Iterator[Item]:
            for item in items:
                if (name := printable(item.result)) not in given:
                    given.add(name)
                    yield item

        for last in attempts(self._work.tries):
            try:
                yield from fresh(open_ticket(ticket, self._work.masks, self._work.columns))
                return
            except Exception as error:  # stores raise whatever their libraries do
                # Of some damaged files Arrow raises a plain OSError, without a number; else it may be well next time.
                damaged = isinstance(error, PhotoError) or (last and type(error) is OSError and error.errno is None)
                if not damaged and not last and not isinstance(error, FileNotFoundError):
                    continue
                reason = str(error) if isinstance(error, PhotoError) else f"{ticket.url}: {reason_of(error)}"
            # A plan is this package's own: of its inputs nothing is known.
            if damaged and ticket.kind != "plan":
                yield from fresh(damaged_items(ticket, reason, frozenset(given)))
            else:
                unread.append(reason)
            return

    def _do_marked(self, item: Item) -> Record:
        before = self._manifest.mark(item.result)
        # The try in which nobody knew which input it was is counted too.
        if before + 1 >= self._work.tries:
            reason = f"{item.label}: set aside: {before + 1} tries ended with the end of their worker"
            return self._record(item, "failed", reason=reason)
        return self._do_item(item)

    def _do_group(self, group: list[Item]) -> list[Record]:
        if self._work.together == 1:
            return [self._do_item(item) for item in group]
        with ThreadPoolExecutor(self._work.together) as threads:
            return list(threads.map(self._do_item, group))

    def _do_item(self, item: Item) -> Record:
        begun = time.monotonic()
        with _heard_warnings() as heard, _deadline(self._work.deadline):
            record = self._attempt(item)
        return replace(record, seconds=time.monotonic() - begun, warnings="\n".join(heard))

    def _attempt(self, item: Item) -> Record:
        if holds(self._existing, item.result):
            return self._record(item, "skipped")
        if item.problem is not None:
            return self._record(item, "failed", reason=item.problem)
        tries = self._work.tries
        try:
            return self._record(item, "done", sha256=persist(lambda: self._fill(item), tries))
        except (PhotoError, MaskError) as error:
            return self._record(item, "failed", reason=str(error))
        except WavepaintError:  # of the installation or the options, not of this input
            raise
        except FileNotFoundError as error:
            return self._record(item, "failed", reason=f"{error.filename or item.label}: no such file")
        except Exception as error:  # stores raise whatever their libraries do
            return self._record(item, "failed", reason=f"{item.label}: {reason_of(error)} ({tries} tries)")

    def _fill(self, item: Item) -> str:
        """Write the result of one item; return the hash of its file."""
        assert item.photo is not None
        target = self._work.output / item.result
        for picture in (item.photo, item.mask):
            if isinstance(picture, str) and Place.of(picture).is_same(target):
                raise PhotoError(f"{item.label}: its result would replace {picture}")
        with tempfile.TemporaryDirectory(prefix="wavepaint-") as folder:
            photo = self._local(item.photo, Path(folder) / f"photo{PurePosixPath(item.result).suffix}")
            mask = self._local_mask(item.mask, Path(folder) / "mask")
            written = target.local or Path(folder) / f"result{PurePosixPath(item.result).suffix}"
            written.parent.mkdir(parents=True, exist_ok=True)
            names = {str(photo): item.label, str(written): target.url}
            if isinstance(mask, Path):
                names[str(mask)] = item.mask if isinstance(item.mask, str) else f"the mask of {item.label}"
            with _renaming(names):
                self._inpainter.fill(photo, mask, self._work.options, written)
            if target.local is None:
                target.store(written)
            with open(written, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

    def _local(self, picture: str | bytes, name: Path) -> Path:
        """A picture as a file on this machine: itself if it is one, else a copy of that name."""
        if isinstance(picture, bytes):
            name.write_bytes(picture)
            return name
        place = Place.of(picture)
        if place.local is not None:
            return place.local
        place.fetch(name)
        return name

    def _local_mask(self, mask: str | bytes | None, name: Path) -> Path | bytes | None:
        if mask is None:
            return None
        return self._shared_mask if mask == self._work.masks.shared else self._local(mask, name)

    @cached_property
    def _shared_mask(self) -> Path | bytes:
        """The mask for all: a file on this machine, or what was fetched, once."""
        assert self._work.masks.shared is not None
        place = Place.of(self._work.masks.shared)
        return place.local or place.read()

    @cached_property
    def _existing(self) -> Digests:
        """The names of results that count as there; none with `overwrite`."""
        return self._manifest.existing()[: 0 if self._work.overwrite else None]

    @cached_property
    def _inpainter(self) -> Inpainter:
        # The workers are the parallelism: libvips reads this when it is first loaded.
        os.environ.setdefault("VIPS_CONCURRENCY", str(self._work.threads))
        kind = SharingInpainter if self._work.together > 1 else Inpainter
        if self._work.model is None:
            return kind(None, self._work.runtime, self._work.threads)
        name, content = self._work.model
        # Nothing stays on the disk: Ray ends workers without a word.
        with tempfile.TemporaryDirectory(prefix="wavepaint-") as folder:
            model = Path(folder) / name
            model.write_bytes(content)
            inpainter = kind(model, self._work.runtime, self._work.threads)
            inpainter.load()
        return inpainter

    def _record(self, item: Item, status: str, **more: Any) -> Record:
        return Record(
            item.label,
            item.result,
            status,
            finished=time.time_ns() // 1_000_000,
            session=self._work.session,
            node=platform.node(),
            **more,
        )


def _finished(records: list[Record], begun: float, unread: list[str]) -> Finished:
    counts = Counter(record.status for record in records)
    reasons = [printable(record.reason) for record in records if record.status == "failed"]
    return Finished(dict(counts), reasons[:MAX_REASONS], time.monotonic() - begun, printable("; ".join(unread)))


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer: nothing else stops a decoder or a file system that hangs."""
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_heard = threading.local()


@contextmanager
def _heard_warnings() -> Iterator[list[str]]:
    """What is warned of in this thread, each line once."""
    lines: list[str] = []
    _heard.lines = lines
    try:
        yield lines
    finally:
        del _heard.lines


@contextmanager
def _renaming(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors and warnings about copies on this machine name what they are copies of."""

    def renamed(message: str) -> str:
        for copy, name in names.items():
            message = message.replace(copy, name)
        return " ".join(message.splitlines())

    try:
        yield
    except (PhotoError, MaskError) as error:
        raise type(error)(renamed(str(error))) from None
    finally:
        _heard.lines[:] = map(renamed, _heard.lines)


def hear_warnings() -> None:
    """Keep warnings for the record of the photograph that they are about, from now on and in the whole process."""
    warnings.simplefilter("always")
    warnings.showwarning = _hear


def _hear(message: Warning | str, *where: Any, **more: Any) -> None:
    lines = getattr(_heard, "lines", None)
    if lines is not None and str(message) not in lines:
        lines.append(str(message))
