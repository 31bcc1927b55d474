"""Figures of the studies, beside those of `evaluation.charts`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wavepaint.evaluation.charts import COLOURS, colour_of, drawing, svg_of
from wavepaint.evaluation.metrics import FloatArray, Summary

_SHOWN, _CELLS, _DECADES = 128, 64, 6.0


def difference_chart(title: str, rows: Mapping[str, Mapping[str, Summary]], unit: str) -> str:
    """Differences with their 95 % intervals around a line at zero (a forest plot), `<svg>` or "" for none.

    Args:
        title: above the chart.
        rows: by arm, then by series (one colour each); the first arm on top.
        unit: below the axis.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    if not series:
        return ""
    with drawing() as new_figure:
        figure = new_figure(figsize=(6, 1 + 0.25 * len(rows) * len(series)), layout="constrained")
        axes = figure.subplots()
        for number, name in enumerate(series):
            shown = [(place, row[name]) for place, row in enumerate(rows.values()) if name in row]
            heights = [place + 0.7 * ((number + 0.5) / len(series) - 0.5) for place, _ in shown]
            around = [[point.mean - point.low for _, point in shown], [point.high - point.mean for _, point in shown]]
            means = [point.mean for _, point in shown]
            axes.errorbar(means, heights, xerr=around, fmt="o", ms=3, c=colour_of(number), label=name)
        axes.axvline(0, c="black", lw=0.8)
        axes.set(title=title, xlabel=unit, yticks=range(len(rows)), yticklabels=list(rows))
        axes.invert_yaxis()
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
        return svg_of(figure, title)


def energy_maps(title: str, maps: Mapping[str, tuple[FloatArray, float]]) -> str:
    """The middle of effective receptive fields side by side: the logarithm of the energy, and a circle.

    Args:
        title: above them.
        maps: by name the energy (side, side), and the circle's radius in pixels.
    """
    with drawing() as new_figure:
        figure = new_figure(figsize=(max(1.9 * len(maps), 4), 2.7), layout="constrained")
        figure.suptitle(title)
        for axes, (name, (energy, radius)) in zip(
            figure.subplots(1, len(maps), squeeze=False)[0], maps.items(), strict=True
        ):
            margin = max(0, energy.shape[0] - _SHOWN) // 2
            part = energy[margin : energy.shape[0] - margin, margin : energy.shape[1] - margin]
            half = len(part) / 2
            axes.imshow(shades(part), cmap="gray", vmin=0, vmax=1, extent=(-half, half, half, -half))
            angle = np.linspace(0, 2 * np.pi, 100)
            axes.plot(radius * np.cos(angle), radius * np.sin(angle), c=COLOURS[4])
            axes.set(xlim=(-half, half), ylim=(half, -half), xticks=(), yticks=())
            axes.grid(visible=False)
            axes.set_xlabel(f"{name}\n90 % within {radius:.0f} px")
        return svg_of(figure, title)


def shades(energy: FloatArray) -> FloatArray:
    """Sums over cells, 1 for the largest, each decade below it a sixth less, at least 0."""
    side = energy.shape[0]
    edges = np.linspace(0, side, min(_CELLS, side) + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(energy, edges, axis=0), edges, axis=1)
    with np.errstate(divide="ignore"):
        level: FloatArray = 1 + np.log10(sums / sums.max()) / _DECADES
    return level.clip(0, 1)
