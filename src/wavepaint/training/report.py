"""The page that a run leaves behind: curves, scores and pictures in one file that needs nothing else."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.photographs import Skipped
from wavepaint.evaluation.charts import COLOURS
from wavepaint.files import atomic_write
from wavepaint.training.recipes import Recipe
from wavepaint.training.watching import format_seconds, read_journal

Point = tuple[float, float]
Entry = Mapping[str, Any]

_WIDTH, _HEIGHT = 520, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 30, 40
_MAX_POINTS = 300

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1.5rem }
table { border-collapse: collapse } th, td { padding: .2rem .8rem; text-align: right }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left }
thead { border-bottom: 1px solid } img { max-width: 100% } pre { overflow: auto }
"""


def write_report(
    path: Path, folder: Path, recipe: Recipe, grid: NDArray[np.uint8] | None, skipped: Sequence[Skipped]
) -> None:
    """Write a run's `report.html`, whole or not at all.

    Args:
        path: of the page.
        folder: of the run; its journal holds what happened.
        recipe: what it computed.
        grid: what `validation.sample_grid` made; None without validation.
        skipped: photographs that could not be read.

    Raises:
        OSError: the page cannot be written.
    """
    entries = list(read_journal(folder))
    progress = [entry for entry in entries if entry["kind"] == "progress"]
    validations = [entry for entry in entries if entry["kind"] == "validation"]
    body = [f"<h1>Training run {escape(folder.resolve().name)}</h1>", _summary(progress)]
    if validations:
        body.append(_scores(validations))
    if grid is not None:
        body.append('<h2>With the hole, filled, true</h2><img alt="samples" src="data:image/png;base64,')
        body.append(base64.b64encode(_png(grid)).decode() + '">')
    body.append(f'<h2>Curves</h2><div class="charts">{"".join(_charts(progress, validations))}</div>')
    if skipped:
        names = "".join(f"<li>{escape(each.name)}: {escape(each.reason)}</li>" for each in skipped)
        body.append(f"<h2>{len(skipped)} photographs left out</h2><ul>{names}</ul>")
    body.append(f"<h2>Recipe</h2><pre>{escape(recipe.to_yaml())}</pre>")
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(folder.resolve().name)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )
    with atomic_write(path) as unfinished:
        unfinished.write_text(page)


def chart(title: str, series: Mapping[str, Sequence[Point]]) -> str:
    """Curves over steps as an `<svg>` element; "" when there is nothing to draw.

    Args:
        title: above the chart.
        series: points (step, value) by name; values that are not finite are left out, and of many points
            the means of neighbours are drawn.
    """
    lines = {name: _thinned([p for p in points if math.isfinite(p[1])]) for name, points in series.items()}
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    last = max(x for x, _ in points) or 1.0
    ticks = _ticks(min(y for _, y in points), max(y for _, y in points))

    def place(point: Point) -> Point:
        x = _LEFT + point[0] / last * (_WIDTH - _LEFT - _RIGHT)
        share = (point[1] - ticks[0]) / (ticks[-1] - ticks[0])
        return x, _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    body = [_text(_LEFT, 18, title, "start", "font-weight='bold'")]
    for tick in ticks:
        y = place((0, tick))[1]
        body.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity=".15"/>')
        body.append(_text(_LEFT - 6, y + 4, f"{tick:.4g}", "end"))
    body.append(_text(_LEFT, _HEIGHT - 22, "0", "middle"))
    body.append(_text(_WIDTH - _RIGHT, _HEIGHT - 22, f"step {last:.0f}", "end"))
    legend = float(_LEFT)
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, line))
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if len(line) == 1:
            x, y = place(line[0])
            body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>')
        body.append(_text(legend, _HEIGHT - 6, name, "start", f"style='fill:{colour}'"))
        legend += 7 * len(name) + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-size="11" font-family="sans-serif">{"".join(body)}</svg>'
    )


def _charts(progress: Sequence[Entry], validations: Sequence[Entry]) -> Iterable[str]:
    names = dict.fromkeys(name for entry in progress for name in entry["losses"])
    terms = {name: [(e["step"], e["losses"][name]) for e in progress if name in e["losses"]] for name in names}
    if len(terms) > 1:
        terms["sum"] = [(e["step"], e["loss"]) for e in progress]
    yield chart("Training loss", terms)
    for name in _score_names(validations):
        kinds = validations[0]["scores"]["by_kind"]
        yield chart(
            f"Validation: {name}",
            {kind: [(v["step"], v["scores"]["by_kind"][kind][name]) for v in validations] for kind in kinds},
        )
    for name in ("learning_rate", "images_per_second"):
        yield chart(name.replace("_", " ").capitalize(), {name: [(e["step"], e[name]) for e in progress]})


def _summary(progress: Sequence[Entry]) -> str:
    if not progress:
        return "<p>No steps were made.</p>"
    last = progress[-1]
    rate = np.mean([entry["images_per_second"] for entry in progress])
    waiting = np.mean([entry["waiting"] for entry in progress])
    return (
        f"<p>{last['step']} steps in {format_seconds(last['seconds'])}, {rate:.1f} images/s; "
        f"{waiting:.1%} of the time was spent waiting for crops.</p>"
    )


def _score_names(validations: Sequence[Entry]) -> list[str]:
    return list(next(iter(validations[0]["scores"]["by_kind"].values()))) if validations else []


def _scores(validations: Sequence[Entry]) -> str:
    """First, best and last validation, by kind of mask."""
    names = _score_names(validations)
    best = next((v for v in reversed(validations) if v["best"]), validations[0])
    chosen = {"first": validations[0], "best": best, "last": validations[-1]}
    rows = []
    for kind in validations[0]["scores"]["by_kind"]:
        for label, validation in chosen.items():
            values = "".join(f"<td>{validation['scores']['by_kind'][kind][name]:.4f}</td>" for name in names)
            rows.append(f"<tr><td>{escape(kind)}</td><td>{label}, step {validation['step']}</td>{values}</tr>")
    header = "".join(f"<th>{escape(name)}</th>" for name in ("holes", "validation", *names))
    return f"<h2>Validation</h2><table><thead><tr>{header}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _thinned(points: Sequence[Point]) -> list[Point]:
    if len(points) <= _MAX_POINTS:
        return list(points)
    parts = np.array_split(np.array(points), _MAX_POINTS)
    return [(float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts]


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose the range."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= span / 4 * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" {style}>{escape(text)}</text>'


def _png(picture: NDArray[np.uint8]) -> bytes:
    import pyvips

    return bytes(pyvips.Image.new_from_array(picture).pngsave_buffer())
