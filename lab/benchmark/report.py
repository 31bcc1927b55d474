"""Measurements as JSON and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lab.benchmark.cases import Spread, spread_of
from lab.benchmark.run import BATCH, OK, Measurement, Plan
from lab.benchmark.subjects import Subject
from wavepaint import __version__
from wavepaint.evaluation.tables import Table

FORMAT = "wavepaint-benchmark-1"


def report_of(measurements: Sequence[Measurement], plan: Plan, machine: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured, as JSON values.

    Args:
        measurements: what `run.measure` gave.
        plan: what it was given.
        machine: see `machine.describe_machine`, called before the measurement.
    """
    return {
        "format": FORMAT,
        "wavepaint": __version__,
        "machine": machine,
        "plan": {**asdict(plan), "batch": BATCH},
        "results": [_result(measurement) for measurement in measurements],
    }


def _result(measurement: Measurement) -> dict[str, Any]:
    case = measurement.case
    return {
        "name": measurement.subject.name,
        "threads": measurement.subject.threads,
        "side": case.side,
        "hole_percent": case.percent,
        "hole_side": case.hole_side,
        "status": measurement.status,
        "seconds": _spread(measurement.seconds),
        "cpu_seconds": _spread(measurement.cpu_seconds),
        "start_seconds": measurement.start_seconds,
        "images_per_second": _spread(measurement.images_per_second),
        "peak_mib": measurement.peak_mib,
        "device_peak_mib": measurement.device_peak_mib,
        **measurement.described,
    }


def _spread(values: Sequence[float]) -> dict[str, Any] | None:
    spread = spread_of(values)
    return None if spread is None else {**asdict(spread), "values": list(values)}


def tables_of(measurements: Sequence[Measurement]) -> list[Table]:
    """One table per size, seconds by hole and peak memory; then what does not depend on the size."""
    sides = sorted({measurement.case.side for measurement in measurements})
    return [*(_side_table(measurements, side) for side in sides), _overall_table(measurements, sides[0])]


def _side_table(measurements: Sequence[Measurement], side: int) -> Table:
    here = [m for m in measurements if m.case.side == side]
    percents = sorted({m.case.percent for m in here})
    rows = []
    for subject in dict.fromkeys(m.subject for m in here):
        own = {m.case.percent: m for m in here if m.subject == subject}
        peaks = [m.peak_mib for m in own.values() if m.peak_mib is not None]
        cells = [_seconds_cell(own.get(percent), subject, percents[0]) for percent in percents]
        rows.append((subject.name, *cells, f"{max(peaks):.0f}" if peaks else "-"))
    return plain_table(
        f"{side} x {side}: seconds an image, median (range)",
        ("method", *(f"hole {percent:g} %" for percent in percents), "peak MiB"),
        rows,
    )


def _seconds_cell(measurement: Measurement | None, subject: Subject, first: float) -> str:
    if measurement is None:
        return "same" if subject.whole else "-"
    spread = spread_of(measurement.seconds)
    if spread is None:
        return measurement.status if measurement.status != OK else "-"
    return _range(spread)


def _overall_table(measurements: Sequence[Measurement], side: int) -> Table:
    rows = []
    for subject in dict.fromkeys(m.subject for m in measurements):
        own = [m for m in measurements if m.subject == subject]
        smallest = [m for m in own if m.case.side == side]
        start = spread_of([m.start_seconds for m in smallest if m.start_seconds is not None])
        rate = spread_of([rate for m in smallest for rate in m.images_per_second])
        described = own[0].described
        size, parameters = described.get("model_bytes"), described.get("parameters")
        rows.append(
            (
                subject.name,
                "-" if start is None else _range(start),
                "-" if rate is None else f"{rate.median:.3g}",
                "-" if size is None else f"{size / 1e6:.1f}",
                "-" if parameters is None else f"{parameters / 1e6:.2f}",
                str(described.get("device", "-")),
            )
        )
    header = ("method", "cold start, s", "images/s", "MB", "M parameters", "device")
    return plain_table(f"{side} x {side}: a new process to its first image; batches of {BATCH}", header, rows)


def _range(spread: Spread) -> str:
    median = f"{spread.median:.3g}"
    return median if spread.count == 1 else f"{median} ({spread.low:.3g}-{spread.high:.3g})"


def plain_table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table without bold cells."""
    return Table(title, header, tuple(rows), tuple((False,) * len(header) for _ in rows))
