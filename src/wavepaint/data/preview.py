"""What the mask presets look like and measure: the sheet and the table of `wavepaint masks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from wavepaint.data.lettering import Pen
from wavepaint.data.masks import MaskStatistics, find_preset, mask_statistics
from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError
from wavepaint.files import atomic_write
from wavepaint.image.vips import encode_png

_CELL = 128
_GAP = 4
_LABEL = 168
_GREY = 96


def preview_sheet(presets: Sequence[str], count: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    """Return a grey sheet `(h, w)` uint8: a labelled row of `count` masks for each preset, holes white.

    The masks are drawn at the preset's own side and shown smaller, every k-th pixel. Raises `OptionError` for an
    unknown preset.
    """
    if count < 1 or not presets:
        raise OptionError("a preview needs at least one preset and one mask of each")
    rows = []
    for name in presets:
        preset = find_preset(name)
        cells = [_label(name)]
        for item in range(count):
            mask = preset.draw((preset.side, preset.side), rng_for(seed, str(item)))
            step = preset.side // _CELL
            cells.append(np.where(mask[::step, ::step], np.uint8(255), np.uint8(0)))
        rows.append(np.hstack([np.pad(cell, _GAP // 2, constant_values=_GREY) for cell in cells]))
    return np.vstack(rows)


def write_preview(path: Path, sheet: NDArray[np.uint8]) -> None:
    """Write a sheet as PNG, whole or not at all; raises `OptionError` if it cannot be written."""
    if path.suffix.lower() != ".png":
        raise OptionError(f"{path}: the preview is written as .png")
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(encode_png(sheet))
    except OSError as error:
        raise OptionError(f"{path}: cannot be written: {error.strerror}") from None


def measure_presets(presets: Sequence[str], count: int = 1000, seed: int = 0) -> dict[str, MaskStatistics]:
    """Return the statistics of each preset, drawn at its own side."""
    sides = {name: find_preset(name).side for name in presets}
    return {name: mask_statistics(name, (side, side), count, seed) for name, side in sides.items()}


def statistics_table(statistics: Mapping[str, MaskStatistics]) -> Table:
    """Return a table that fits 80 columns: mean area, rejection rate, share of masks in each 10 % of area; percent."""
    title = "Percent: mean area, rejected, masks with an area up to"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    headings = ("preset", "side", "masks", "mean", "rej.", *(f"{10 * up_to}" for up_to in range(1, 11)))
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "preset" else "right", no_wrap=True)
    for name, measured in statistics.items():
        bins = (f"{100 * share:.0f}" if share else "" for share in measured.histogram)
        percents = f"{100 * measured.mean_area:.1f}", f"{100 * measured.rejection_rate:.1f}"
        table.add_row(name, str(find_preset(name).side), str(measured.count), *percents, *bins)
    return table


def _label(text: str) -> NDArray[np.uint8]:
    cell = np.full((_CELL, _LABEL), _GREY, np.uint8)
    plain = Pen(1.0, 0.0, 1)
    pen = Pen(min(0.8, (_LABEL - 16) / plain.width_of(text)), 0.0, 1)
    letters = np.zeros((_CELL, _LABEL), np.uint8)
    pen.write(letters, [(text, 0.0, 0.0)], np.array([8.0, (_CELL + pen.height) / 2]))
    cell[letters > 0] = 255
    return cell
