"""Names that `--method` and `--metric` understand; a program that brings its own adds them before it evaluates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from wavepaint.errors import OptionError

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of names in the order in which they were added.

    Args:
        kind: what an entry is called in errors.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> None:
        """Add an entry; `ValueError` when the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self._kind} {name!r} is there already")
        self._entries[name] = entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __getitem__(self, name: str) -> T:
        """The entry of a name; `OptionError` that lists the known names when there is none."""
        if name not in self._entries:
            raise OptionError(f"unknown {self._kind} {name!r}; known: {', '.join(self._entries)}")
        return self._entries[name]
