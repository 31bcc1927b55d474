"""What became of every input, in Parquet, written so that a kill at any moment loses nothing that was finished.

Beside the results lies a folder `.wavepaint`:

    batch.json              what the batch computes, and how many drivers have worked on it
    existing.parquet        results that were there before the first driver began: their inputs are skipped
    plan/DRIVER/            the inputs a driver found still to do, in groups; removed when it ends
    plan/total.json         how many inputs there are
    parts/TICKET/           one small Parquet file for each group of inputs that is finished
    parts/TICKET/end        nothing is left to do in that ticket
    tries/                  marks of what was begun, by which inputs that kill their worker are found

The parts are the truth. `manifest.parquet`, all of them in one table, is made from them when a driver ends.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wavepaint.batch.storage import Place, persist, reason_of
from wavepaint.errors import OptionError, WavepaintError

FOLDER = ".wavepaint"
MANIFEST = "manifest.parquet"
STATUSES = ("done", "skipped", "failed")
_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{16}\.part")  # as `atomic.replacing` names them
READERS = 16
"""Parts that are read at a time: on an object store each takes a round trip."""

SCHEMA = pa.schema(
    [
        ("input", pa.string()),
        ("result", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("warnings", pa.string()),
        ("sha256", pa.string()),
        ("seconds", pa.float32()),
        ("finished", pa.timestamp("ms", tz="UTC")),
        ("session", pa.int32()),
        ("node", pa.string()),
    ]
)

_Result = TypeVar("_Result")
Digests = NDArray[np.bytes_]
"""Sorted 16-byte hashes of names, dtype S16: a set of which ten million take 160 MB."""


@dataclass(frozen=True)
class Record:
    """What became of one input.

    Attributes:
        input: its path or URL; of a row `FILE.parquet#ROW`, of a shard's member `SHARD.tar/MEMBER`.
        result: the result's path below the output folder; no two inputs of a batch share one.
        status: one of `STATUSES`; skipped is what had a result before the batch began.
        reason: one line, for failed.
        warnings: one line each, what `wavepaint inpaint` would have warned of.
        sha256: of the result file, in hexadecimal; empty unless done.
        seconds: from reading the input to its stored result.
        finished: UTC, milliseconds since 1970.
        session: which driver it was done for, from 1; where an input was retried, the last one counts.
        node: name of the machine.
    """

    input: str
    result: str
    status: str
    reason: str = ""
    warnings: str = ""
    sha256: str = ""
    seconds: float = 0.0
    finished: int = 0
    session: int = 0
    node: str = ""


def printable(text: str) -> str:
    r"""A text as Parquet can hold it: bytes of a file's name that are not UTF-8 become `\xff`."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def digest(name: str) -> bytes:
    """16 bytes that stand for a name, and for its `printable` form."""
    return hashlib.sha256(printable(name).encode()).digest()[:16]


def digests(names: Iterable[str]) -> Digests:
    """The set of the digests of names."""
    return np.unique(np.fromiter((digest(name) for name in names), "S16"))


def holds(known: Digests, name: str) -> bool:
    """Whether a set holds the digest of a name."""
    # As an array: a single value of it would lose its trailing zeros.
    wanted = np.array([digest(name)], "S16")
    place = int(np.searchsorted(known, wanted)[0])
    return bool((known[place : place + 1] == wanted).any())


class Manifest:
    """The folder `.wavepaint` of an output folder.

    Args:
        output: the output folder.
        tries: how often storage is asked by the methods that workers call.
    """

    def __init__(self, output: Place, tries: int = 3) -> None:
        self.output = output
        self._root = output / FOLDER
        self._tries = tries

    def _persist(self, act: Callable[[], _Result]) -> _Result:
        try:
            return persist(act, self._tries)
        except WavepaintError:
            raise
        except Exception as error:
            raise WavepaintError(f"{self._root.url}: {reason_of(error)} ({self._tries} tries)") from None

    # -- the batch -----------------------------------------------------------------------------------------------------

    def check_settings(self, settings: dict[str, Any]) -> None:
        """Refuse to mix results.

        Args:
            settings: in plain values, what the results depend on.

        Raises:
            OptionError: the folder holds a batch with other settings.
        """
        before = self.read_batch()
        if before is None or before["settings"] == settings:
            return
        old = before["settings"]
        name = next(key for key in {**old, **settings} if old.get(key) != settings.get(key))
        raise OptionError(
            f"{self.output.url}: holds a batch in which {name} was {old.get(name)}, not {settings.get(name)}: "
            "name another output folder"
        )

    def begin_session(self, settings: dict[str, Any]) -> int:
        """Note that a driver begins, and what it computes; return its number, from 1."""
        before = self.read_batch()
        if before is None:
            self._write_existing()
        session = 1 if before is None else int(before["sessions"]) + 1
        text = json.dumps({"settings": settings, "sessions": session}, indent=2)
        (self._root / "batch.json").write(text.encode())
        return session

    def read_batch(self) -> dict[str, Any] | None:
        """What `begin_session` noted; None where no batch was begun."""
        try:
            return dict(json.loads((self._root / "batch.json").read()))
        except FileNotFoundError:
            return None

    def _write_existing(self) -> None:
        names = [printable(f"{folder}/{name}".lstrip("/")) for folder, files in self.output.walk() for name in files]
        _write_table(self._root / "existing.parquet", pa.table({"result": pa.array(names, pa.string())}))

    def existing(self) -> Digests:
        """The names of files that were in the output folder before the batch."""
        table = self._persist(lambda: _read_table(self._root / "existing.parquet"))
        return digests(table["result"].to_pylist())

    # -- the plan ------------------------------------------------------------------------------------------------------

    def new_plan(self) -> Place:
        """A folder for the plan of one driver: another may be under way, and its workers read its own."""
        return self._plans / secrets.token_hex(8)

    @property
    def _plans(self) -> Place:
        return self._root / "plan"

    def write_total(self, total: int | None) -> None:
        """Keep how many inputs there are; None where nobody can know yet."""
        (self._plans / "total.json").write(json.dumps(total).encode())

    def read_total(self) -> int | None:
        """What `write_total` kept; None also before that."""
        try:
            total = json.loads((self._plans / "total.json").read())
        except FileNotFoundError:
            return None
        return None if total is None else int(total)

    # -- tickets -------------------------------------------------------------------------------------------------------

    def add(self, ticket: str, records: list[Record]) -> str:
        """Keep what became of some inputs of a ticket, in a part whose name is returned.

        The same inputs again replace it.
        """
        name = f"{digest(chr(10).join(record.result for record in records)).hex()}.parquet"
        self._persist(lambda: _write_table(self._parts / ticket / name, _table(records)))
        return name

    def end(self, ticket: str) -> None:
        """Note that every input of a ticket is recorded."""
        self._persist(lambda: (self._parts / ticket / "end").write(b""))

    def records_of(self, ticket: str) -> list[Record]:
        """What is recorded for a ticket so far, each input once."""
        tables = self._persist(lambda: self._tables_of(ticket))
        records = sorted(_records(tables), key=lambda record: record.session)
        return list({record.result: record for record in records}.values())

    def counts_of(self, ticket: str) -> dict[str, int]:
        """How many inputs of a ticket are recorded so far, by status."""
        return dict(Counter(record.status for record in self.records_of(ticket)))

    def ended(self) -> set[str]:
        """The tickets with nothing left to do."""
        _, tickets = self._parts.children()
        with ThreadPoolExecutor(READERS) as readers:
            ended = readers.map(lambda ticket: (self._parts / ticket / "end").is_file(), tickets)
            return {ticket for ticket, over in zip(tickets, ended, strict=True) if over}

    @property
    def _parts(self) -> Place:
        return self._root / "parts"

    # -- tries ---------------------------------------------------------------------------------------------------------

    def mark(self, name: str) -> int:
        """Note that something is begun; return how often it was begun before."""
        folder = self._root / "tries" / digest(name).hex()
        before = len(self._persist(folder.children)[0])
        self._persist(lambda: (folder / str(before + 1)).write(b""))
        return before

    def forget_tries(self) -> None:
        """Remove the marks: nothing that was begun has to answer for how the driver ended."""
        (self._root / "tries").remove()

    def sweep(self, before: float) -> None:
        """Remove what writers that were killed have left half-written on this machine's file system.

        Args:
            before: seconds since 1970; what was touched later may be under way for another driver.
        """
        if self.output.local is None:
            return
        for folder, _, names in os.walk(self.output.local):
            for path in (Path(folder) / name for name in names if _HALF_WRITTEN.fullmatch(name)):
                if path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)

    # -- all of it -----------------------------------------------------------------------------------------------------

    def tables(self) -> Iterator[pa.Table]:
        """Every part, in no certain order; an input that was retried appears more than once."""
        _, tickets = self._parts.children()
        with ThreadPoolExecutor(READERS) as readers:
            # A few hundred tickets at a time, so that not all of their parts are in memory.
            for start in range(0, len(tickets), 16 * READERS):
                for tables in readers.map(self._tables_of, tickets[start : start + 16 * READERS]):
                    yield from tables

    def _tables_of(self, ticket: str) -> list[pa.Table]:
        folder = self._parts / ticket
        return [_read_table(folder / name) for name in folder.children()[0] if name.endswith(".parquet")]

    def drop_failed(self) -> None:
        """Forget what failed, so that it is tried again."""
        _, tickets = self._parts.children()
        for ticket in tickets:
            records = self.records_of(ticket)
            kept = [record for record in records if record.status != "failed"]
            if len(kept) == len(records):
                continue
            folder = self._parts / ticket
            old = set(folder.children()[0])
            # First written, then removed: a kill between the two loses nothing.
            fresh = {self.add(ticket, kept)} if kept else set()
            for name in old - fresh:
                (folder / name).remove()
        self.forget_tries()

    def latest(self) -> Latest:
        """What became of every input last, as arrays: about 50 bytes an input."""
        keys, sessions, statuses = [np.empty(0, "S16")], [np.empty(0, np.int32)], [np.empty(0, np.int8)]
        for table in self.tables():
            keys.append(_keys(table))
            sessions.append(_sessions(table))
            statuses.append(np.array([STATUSES.index(each) for each in table["status"].to_pylist()], np.int8))
        all_keys, all_sessions, all_statuses = map(np.concatenate, (keys, sessions, statuses))
        # In this order the last driver's record of an input is the last of its run.
        order = np.lexsort((all_sessions, all_keys))
        last = order[np.append(all_keys[order][1:] != all_keys[order][:-1], True)[: len(order)]]
        return Latest(all_keys[last], all_sessions[last], all_statuses[last])

    def write_merged(self) -> None:
        """Make `manifest.parquet`: every input once, with what became of it last."""
        latest = self.latest()
        left = np.ones(len(latest.keys), bool)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / MANIFEST
            with pq.ParquetWriter(path, SCHEMA) as writer:
                for table in self.tables():
                    places = latest.places(table)
                    rows = []
                    for row, place in enumerate(places):
                        if place >= 0 and left[place]:
                            left[place] = False
                            rows.append(row)
                    writer.write_table(table.take(pa.array(rows, pa.int64())))
            (self.output / MANIFEST).store(path)


@dataclass(frozen=True, eq=False)
class Latest:
    """The last record of every input.

    Attributes:
        keys: (N,) S16, sorted: `digest` of the result's name.
        sessions: (N,) int32: the driver it was done for.
        statuses: (N,) int8: index into `STATUSES`.
    """

    keys: Digests
    sessions: NDArray[np.int32]
    statuses: NDArray[np.int8]

    def places(self, table: pa.Table) -> NDArray[np.int64]:
        """(rows,) where each record of a part stands here; -1 for one that a later driver's has replaced."""
        if not len(self.keys):
            return np.full(len(table), -1)
        keys = _keys(table)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        current = (self.keys[places] == keys) & (self.sessions[places] == _sessions(table))
        return np.where(current, places, -1)


@dataclass(frozen=True)
class Status:
    """How far a batch is.

    Attributes:
        counts: inputs by status.
        waiting: inputs that are known and not recorded yet; None where shards are left, which nobody has counted.
        sessions: drivers so far.
        first, last: when the first and the last record was made, UTC milliseconds; None where there is none.
        failures: records of what failed, at most as many as asked for.
        seconds: of work, summed over all inputs.
    """

    counts: dict[str, int]
    waiting: int | None
    sessions: int
    first: int | None
    last: int | None
    failures: list[Record]
    seconds: float


def read_status(output: Place, failures: int = 10) -> Status:
    """How far the batch in an output folder is.

    Raises:
        OptionError: there is none.
    """
    manifest = Manifest(output)
    batch = manifest.read_batch()
    if batch is None:
        raise OptionError(f"{output.url}: no batch was begun in this folder")
    latest = manifest.latest()
    counts = np.bincount(latest.statuses, minlength=len(STATUSES))
    failed: list[Record] = []
    first, last, seconds = [], [], 0.0
    for table in manifest.tables():
        if not len(table):
            continue
        records = list(_records([table]))
        first.append(min(record.finished for record in records))
        last.append(max(record.finished for record in records))
        seconds += sum(record.seconds for record in records)
        current = latest.places(table) >= 0
        failed += [
            record for record, is_last in zip(records, current, strict=True) if is_last and record.status == "failed"
        ]
        del failed[failures:]
    total = manifest.read_total()
    return Status(
        counts={status: int(count) for status, count in zip(STATUSES, counts, strict=True)},
        waiting=None if total is None else max(0, total - len(latest.keys)),
        sessions=batch["sessions"],
        first=min(first, default=None),
        last=max(last, default=None),
        failures=failed,
        seconds=seconds,
    )


def _records(tables: Iterable[pa.Table]) -> Iterator[Record]:
    for table in tables:
        for row in table.set_column(
            table.schema.get_field_index("finished"), "finished", table["finished"].cast(pa.int64())
        ).to_pylist():
            yield Record(**row)


def _keys(table: pa.Table) -> Digests:
    return np.array([digest(name) for name in table["result"].to_pylist()], "S16")


def _sessions(table: pa.Table) -> NDArray[np.int32]:
    return np.asarray(table["session"].to_numpy(), np.int32)


def _table(records: list[Record]) -> pa.Table:
    rows = [
        {name: printable(value) if isinstance(value, str) else value for name, value in asdict(record).items()}
        for record in records
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def _write_table(place: Place, table: pa.Table) -> None:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    place.write(stream.getvalue())


def _read_table(place: Place) -> pa.Table:
    return pq.read_table(io.BytesIO(place.read()))
