"""Results that are stored beside this file as `NAME.json`, and how pages quote them.

A page quotes one table with

    <!-- results:NAME/TABLE -->
    ...
    <!-- /results -->

and what stands between the two lines is written from the JSON, never by hand. A file holds a title, the question, the
command, the seed, the machine, the version, the hash of the network, the conclusion, and tables: an `id`, a `title`,
`columns` (label and digits) and `rows`, in which a cell is a number, `[mean, low, high]`, text or null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavepaint.errors import OptionError
from wavepaint.files import atomic_write

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PAGE = Path("docs", "results.md")
FACTS = ("command", "seed", "machine", "wavepaint", "network")

_QUOTE = re.compile(r"(<!-- results:([\w-]+)/([\w-]+) -->\n).*?(<!-- /results -->)", re.DOTALL)
_INTRODUCTION = """# Results

Written by `python -m lab results` from the JSON files in `lab/results/`; a test compares this page, and every table
that another page quotes, with them. Brackets hold 95 % intervals. Scores do not depend on the machine, times do.
"""


@dataclass(frozen=True)
class Result:
    """One stored result; `content` is the JSON object."""

    name: str
    content: Mapping[str, Any]

    def table(self, name: str) -> str:
        """One of its tables as Markdown; `OptionError` lists the known ones."""
        tables = {each["id"]: each for each in self.content["tables"]}
        if name not in tables:
            raise OptionError(f"{self.name}.json has no table {name!r}; known: {', '.join(tables)}")
        return _markdown(tables[name])

    def section(self) -> str:
        """The result as a section of `PAGE`."""
        parts = [f"## {self.content['title']}", self.content["question"]]
        parts.append("\n".join(f"- {fact}: {self._fact(fact)}" for fact in FACTS if self.content.get(fact) is not None))
        for table in self.content["tables"]:
            parts.append(f"**{table['title']}**\n\n{_markdown(table).rstrip()}")
        parts.append(self.content["conclusion"])
        return "\n\n".join(parts) + "\n"

    def _fact(self, name: str) -> str:
        value = self.content[name]
        if name == "command":
            return "; ".join(f"`{command}`" for command in ([value] if isinstance(value, str) else value))
        return f"SHA-256 `{value}`" if name == "network" else str(value)


def stored_results(folder: Path = FOLDER) -> dict[str, Result]:
    """All results by name; `OptionError` for a file that is not one."""
    results = {}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            results[path.stem] = Result(path.stem, content)
            results[path.stem].section()
        except (ValueError, KeyError, TypeError) as error:
            raise OptionError(f"{path}: not a stored result: {type(error).__name__}: {error}") from None
    return results


def quoted(text: str, results: Mapping[str, Result]) -> str:
    """A page with every quotation written anew.

    Raises:
        OptionError: an unknown result or table, or a quotation without its end.
    """
    if text.count("<!-- results:") != len(_QUOTE.findall(text)):
        raise OptionError("a quotation <!-- results:NAME/TABLE --> lacks its end <!-- /results -->")

    def write(match: re.Match[str]) -> str:
        start, name, table, end = match.groups()
        if name not in results:
            raise OptionError(f"no stored result {name!r}; known: {', '.join(results)}")
        return f"{start}\n{results[name].table(table)}\n{end}"

    return _QUOTE.sub(write, text)


def page(results: Mapping[str, Result]) -> str:
    """The whole of `PAGE`."""
    return "\n".join((_INTRODUCTION, *(result.section() for result in results.values())))


def stale_pages(root: Path = ROOT) -> dict[Path, str]:
    """Pages that differ from what the stored results say, with what they should hold."""
    results = stored_results()
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "lab" / "notes").glob("*.md")]
    pages += (root / "src" / "wavepaint" / "weights").glob("*.md")
    own = root / PAGE
    current = {path: path.read_text(encoding="utf-8") for path in pages if path != own}
    updated = {path: quoted(text, results) for path, text in current.items()}
    current[own] = own.read_text(encoding="utf-8") if own.is_file() else ""
    updated[own] = page(results)
    return {path: text for path, text in updated.items() if text != current[path]}


def write_pages(root: Path = ROOT) -> list[Path]:
    """Bring all pages up to date; the paths that changed."""
    stale = stale_pages(root)
    for path, text in stale.items():
        with atomic_write(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8", newline="\n")
    return list(stale)


def _markdown(table: Mapping[str, Any]) -> str:
    columns: Sequence[tuple[str, int]] = table["columns"]
    lines = ["| " + " | ".join(("", *(label for label, _ in columns))) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, cells in table["rows"].items():
        shown = (_cell(cell, digits) for cell, (_, digits) in zip(cells, columns, strict=True))
        lines.append("| " + " | ".join((name, *shown)) + " |")
    return "\n".join(lines) + "\n"


def _cell(cell: Any, digits: int) -> str:
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, list):
        middle, low, high = cell
        return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{cell:.{digits}f}"
