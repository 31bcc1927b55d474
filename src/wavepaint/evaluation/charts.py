"""Charts of reports: matplotlib figures as SVG text, the same text for the same numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wavepaint.errors import needs_extra
from wavepaint.evaluation.metrics import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#7f7f7f")
"""Okabe and Ito's palette, distinct with any colour vision; repeated when it runs out."""

_STYLE: Any = {
    "svg.hashsalt": "wavepaint",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


@contextmanager
def drawing() -> Iterator[type[Any]]:
    """Matplotlib's `Figure` class, in the style of all charts; nothing else of matplotlib is used or changed.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with needs_extra("charts", "train", "matplotlib"):
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    with rc_context(_STYLE):
        yield Figure


def colour_of(index: int) -> str:
    """The colour of the series with this number."""
    return COLOURS[index % len(COLOURS)]


def svg_of(figure: Any, title: str) -> str:
    """A figure as an `<svg>` element on white, with a title for screen readers; the same bytes on every call."""
    file = io.StringIO()
    figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None, "Title": title})
    svg = file.getvalue()
    return re.sub(r"^.*?(?=<svg )", "", svg, count=1, flags=re.DOTALL).strip()


def line_chart(title: str, x_title: str, columns: Sequence[str], series: Mapping[str, Sequence[Summary | None]]) -> str:
    """Means with 95 % intervals, one line per series, as an `<svg>` element; "" where there are none.

    Args:
        title: above the chart.
        x_title: below it.
        columns: labels along x.
        series: for every name one summary per column, None where there is nothing.
    """
    if not any(point for line in series.values() for point in line):
        return ""
    with drawing() as new_figure:
        figure = new_figure(figsize=(6, 3.8), layout="constrained")
        axes = figure.subplots()
        for number, (name, line) in enumerate(series.items()):
            # Side by side, or the whiskers of one column would hide each other.
            shift = 0.5 * ((number + 0.5) / len(series) - 0.5)
            points = [(column + shift, point) for column, point in enumerate(line) if point is not None]
            means = [point.mean for _, point in points]
            around = [[point.mean - point.low for _, point in points], [point.high - point.mean for _, point in points]]
            # Matplotlib leaves labels that begin with an underscore out of the legend.
            label = name.lstrip("_")
            axes.errorbar([x for x, _ in points], means, around, fmt="o-", ms=3, c=colour_of(number), label=label)
        axes.set(title=title, xlabel=x_title, xticks=range(len(columns)), xticklabels=columns)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, fontsize=8)
        return svg_of(figure, title)
