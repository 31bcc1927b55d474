"""Votes in an SQLite file: written through to the disk before they are answered, one row each."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wavepaint.errors import OptionError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS study (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS votes (
    participant TEXT NOT NULL,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    left_method TEXT NOT NULL,
    right_method TEXT NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('left', 'right', 'tie')),
    milliseconds INTEGER NOT NULL,
    time TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (participant, number)
);
"""


@dataclass(frozen=True)
class Vote:
    """One answer.

    Attributes:
        participant: a random name that the page made up.
        number: place of the question in the participant's order.
        kind, name: of the hole.
        left_method, right_method: what was on which side.
        choice: "left", "right" or "tie".
        milliseconds: from the moment the images were shown.
    """

    participant: str
    number: int
    kind: str
    name: str
    left_method: str
    right_method: str
    choice: str
    milliseconds: int


class Votes:
    """An open file of votes; safe from several threads.

    Args:
        path: the file, made if it is not there.
        identity: what the votes belong to, see `Study.identity`; a file with another one is refused.

    Raises:
        OptionError: a file that is something else, or of another study.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise OptionError(f"{path}: cannot be opened: {error}") from None
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)
            stored = dict(self._database.execute("SELECT key, value FROM study"))
            if not stored:
                self._database.executemany("INSERT OR IGNORE INTO study VALUES (?, ?)", identity.items())
                stored = dict(identity)
        except sqlite3.Error as error:
            self.close()
            raise OptionError(f"{path}: not a file of votes: {error}") from None
        different = [key for key in identity if stored.get(key) != identity[key]]
        if different:
            self.close()
            raise OptionError(f"{path}: belongs to a study with another {', '.join(different)}; name another file")

    def close(self) -> None:
        """Close the file; what was recorded is there already."""
        self._database.close()

    def record(self, vote: Vote) -> None:
        """Keep a vote; a second one on the same question replaces the first."""
        columns = ("participant", "number", "kind", "name", "left_method", "right_method", "choice", "milliseconds")
        values = [getattr(vote, column) for column in columns]
        with self._lock:
            self._database.execute(
                f"INSERT OR REPLACE INTO votes ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", values
            )

    def choices_of(self, participant: str) -> dict[int, str]:
        """What a participant has answered so far, by the place of the question."""
        query = "SELECT number, choice FROM votes WHERE participant = ?"
        with self._lock:
            return dict(self._database.execute(query, (participant,)))


def read_votes(path: str | Path) -> tuple[list[str], list[Vote]]:
    """The methods of a study in their order, and all votes; the file may be in use.

    Raises:
        OptionError: not a file of votes.
    """
    if not Path(path).is_file():
        raise OptionError(f"{path}: no such file")
    try:
        database = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)
        try:
            study = dict(database.execute("SELECT key, value FROM study"))
            rows = database.execute(
                "SELECT participant, number, kind, name, left_method, right_method, choice, milliseconds "
                "FROM votes ORDER BY participant, number"
            ).fetchall()
        finally:
            database.close()
        methods = [line.partition("\t")[0] for line in study["methods"].split("\n")]
    except (sqlite3.Error, KeyError) as error:
        raise OptionError(f"{path}: not a file of votes: {error}") from None
    return methods, [Vote(*row) for row in rows]
