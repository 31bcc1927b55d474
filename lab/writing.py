"""JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wavepaint.errors import OptionError
from wavepaint.files import atomic_write


def write_json(target: Path, values: Any) -> None:
    """Write values as JSON, whole or not at all.

    Raises:
        OptionError: the file cannot be written.
    """
    try:
        with atomic_write(target) as unfinished:
            text = json.dumps(values, indent=1, ensure_ascii=False)
            unfinished.write_text(text + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise OptionError(f"{target}: cannot be written: {error.strerror or error}") from None
