"""Figures of the studies as SVG text, beside those of `evaluation.charts`."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from wavepaint.evaluation.charts import COLOURS
from wavepaint.evaluation.metrics import FloatArray, Summary
from wavepaint.evaluation.testset import encode_png

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 560, 150, 28, 30, 15
_TILE, _SHOWN, _CELLS, _DECADES = 170, 128, 64, 6.0


def difference_chart(title: str, rows: Mapping[str, Mapping[str, Summary]], unit: str) -> str:
    """Differences with their 95 % intervals around a line at zero (a forest plot); "" when there are none.

    Args:
        title: above the chart.
        rows: by arm, then by series (one colour each); the first arm on top.
        unit: below the axis.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    points = [point for row in rows.values() for point in row.values()]
    if not points:
        return ""
    reach = max(max(abs(point.low), abs(point.high)) for point in points) or 1.0
    step = _round_up(reach / 3)
    limit = step * math.ceil(reach / step)
    height = _TOP + _ROW * len(series) * len(rows) + 10 * len(rows) + 50
    bottom = height - 50

    def x(value: float) -> float:
        return _LEFT + (value + limit) / (2 * limit) * (_WIDTH - _LEFT - _RIGHT)

    body = [_text(_WIDTH / 2, 18, title, "middle", " font-weight='bold'")]
    ticks = round(limit / step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    for tick in range(-ticks, ticks + 1):
        opacity = 0.8 if tick == 0 else 0.15
        place = x(tick * step)
        body.append(f'<path d="M{place:.1f} {_TOP}V{bottom}" stroke="currentColor" stroke-opacity="{opacity}"/>')
        body.append(_text(place, bottom + 14, f"{tick * step:+.{digits}f}" if tick else "0", "middle"))
    body.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 28, unit, "middle"))
    y = _TOP + 5.0
    for arm, row in rows.items():
        body.append(_text(_LEFT - 8, y + _ROW * len(series) / 2 + 4, arm, "end"))
        for number, name in enumerate(series):
            if name in row:
                body.append(
                    _whisker(x(row[name].low), x(row[name].mean), x(row[name].high), y + _ROW / 2, number, name)
                )
            y += _ROW
        y += 10
    left = float(_LEFT)
    for number, name in enumerate(series):
        body.append(_text(left, height - 6, name, "start", f" style='fill:{COLOURS[number % len(COLOURS)]}'"))
        left += 7 * len(name) + 16
    return _svg(_WIDTH, height, title, body)


def energy_maps(title: str, maps: Mapping[str, tuple[FloatArray, float]]) -> str:
    """The middle of effective receptive fields side by side: the logarithm of the energy, and a circle.

    Args:
        title: above them.
        maps: by name the energy (side, side), and the circle's radius in pixels.
    """
    width, height = max(len(maps) * (_TILE + 10) + 10, 360), _TILE + 60
    body = [_text(width / 2, 18, title, "middle", " font-weight='bold'")]
    for number, (name, (energy, radius)) in enumerate(maps.items()):
        left, margin = 10 + number * (_TILE + 10), max(0, energy.shape[0] - _SHOWN) // 2
        part = energy[margin : energy.shape[0] - margin, margin : energy.shape[1] - margin]
        data = base64.b64encode(encode_png(_shades(part))).decode()
        body.append(
            f'<image x="{left}" y="28" width="{_TILE}" height="{_TILE}" image-rendering="pixelated" '
            f'href="data:image/png;base64,{data}"/>'
        )
        centre = _TILE / 2
        body.append(
            f'<circle cx="{left + centre}" cy="{28 + centre}" r="{radius / len(part) * _TILE:.1f}" fill="none" '
            f'stroke="{COLOURS[4]}" stroke-width="1.5"/>'
        )
        body.append(_text(left + centre, _TILE + 44, name, "middle"))
        body.append(_text(left + centre, _TILE + 57, f"90 % within {radius:.0f} px", "middle"))
    return _svg(width, height, title, body)


def with_legend(svg: str, names: Iterable[str]) -> str:
    """A chart of `evaluation.charts` with the names of its series below, in their colours; "" stays so."""
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    if box is None:
        return svg
    width, height = map(int, box.groups())
    left, y, legend = 10.0, height + 12.0, []
    for number, name in enumerate(names):
        length = 6.5 * len(name) + 16
        if left + length > width:
            left, y = 10.0, y + 15
        legend.append(_text(left, y, name, "start", f" style='fill:{COLOURS[number % len(COLOURS)]}'"))
        left += length
    svg = svg.replace(box.group(), f'viewBox="0 0 {width} {y + 8:.0f}"', 1)
    return svg.removesuffix("</svg>") + "".join(legend) + "</svg>"


def standalone(svg: str) -> str:
    """An SVG element as a file of its own, on paper: a page's colours do not reach into it."""
    return svg.replace("<svg ", '<svg style="background:#fff;color:#111" ', 1) + "\n"


def _shades(energy: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Sums over cells, each decade below the largest a step darker."""
    side = energy.shape[0]
    cells = min(_CELLS, side)
    edges = np.linspace(0, side, cells + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(energy, edges, axis=0), edges, axis=1)
    with np.errstate(divide="ignore"):
        level = 1 + np.log10(sums / sums.max()) / _DECADES
    return np.asarray((255 * level.clip(0, 1)).round(), np.uint8)


def _whisker(low: float, mean: float, high: float, y: float, number: int, name: str) -> str:
    colour = COLOURS[number % len(COLOURS)]
    return (
        f'<g stroke="{colour}" fill="{colour}"><title>{escape(name)}</title>'
        f'<path d="M{low:.1f} {y:.1f}H{high:.1f}" stroke-width="1.5"/><circle cx="{mean:.1f}" cy="{y:.1f}" r="3"/></g>'
    )


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * (1 - 1e-9))


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{style}>{escape(text)}</text>'


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-size="11" font-family="sans-serif">{"".join(body)}</svg>'
    )
