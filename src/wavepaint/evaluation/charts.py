"""Line charts as SVG text, drawn here so that a report needs no plotting library and never changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from wavepaint.evaluation.metrics import Summary

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#7f7f7f")
"""Okabe and Ito's palette, told apart with any colour vision; repeated when it runs out."""

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 30, 42


@dataclass(frozen=True)
class _Axes:
    """Maps data to pixels: categories along x, a linear scale along y."""

    columns: int
    low: float
    high: float

    def x(self, column: float) -> float:
        return _LEFT + (column + 0.5) * (_WIDTH - _LEFT - _RIGHT) / self.columns

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def line_chart(title: str, x_title: str, columns: Sequence[str], series: Mapping[str, Sequence[Summary | None]]) -> str:
    """Means with 95 % intervals, one line per series, as an `<svg>` element.

    Args:
        title: above the chart.
        x_title: below it.
        columns: labels along x.
        series: for every name one summary per column, None where there is nothing.
    """
    points = [point for line in series.values() for point in line if point is not None]
    if not points:
        return ""
    ticks = _ticks(min(point.low for point in points), max(point.high for point in points))
    axes = _Axes(len(columns), ticks[0], ticks[-1])
    body = [_text(_WIDTH / 2, 18, title, "middle", bold=True)]
    body.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x_title, "middle"))
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    for tick in ticks:
        y = axes.y(tick)
        body.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "currentColor", 0.15))
        body.append(_text(_LEFT - 6, y + 4, f"{tick:.{digits}f}", "end"))
    body.extend(_text(axes.x(i), _HEIGHT - _BOTTOM + 16, label, "middle") for i, label in enumerate(columns))
    for number, (name, line) in enumerate(series.items()):
        # Side by side, or the whiskers of one column would hide each other.
        shift = 0.5 * ((number + 0.5) / len(series) - 0.5)
        body.append(_series(axes, name, line, COLOURS[number % len(COLOURS)], shift))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-size="11" font-family="sans-serif">{"".join(body)}</svg>'
    )


def _series(axes: _Axes, name: str, line: Sequence[Summary | None], colour: str, shift: float) -> str:
    parts = [f"<g><title>{escape(name)}</title>"]
    places = [(axes.x(i + shift), point) for i, point in enumerate(line) if point is not None]
    path = " ".join(f"{x:.1f},{axes.y(point.mean):.1f}" for x, point in places)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for x, point in places:
        parts.append(_line(x, axes.y(point.low), x, axes.y(point.high), colour, 0.7))
        parts.append(f'<circle cx="{x:.1f}" cy="{axes.y(point.mean):.1f}" r="3" fill="{colour}"/>')
    return "".join(parts) + "</g>"


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose the range."""
    span = high - low or abs(high) or 1.0
    raw = span / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def _text(x: float, y: float, text: str, anchor: str, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight} fill="currentColor">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, opacity: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-opacity="{opacity}"/>'
    )
