"""What an evaluation leaves behind: a page to read, tables to compute with, and the console's table.

Nothing here depends on the time, the place or the machine's name: the same evaluation writes the same files.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from wavepaint import __version__
from wavepaint.errors import needs_extra
from wavepaint.evaluation.charts import line_chart
from wavepaint.evaluation.metrics import METRICS
from wavepaint.evaluation.protocol import Evaluated
from wavepaint.evaluation.results import RANKED_BY, Results, Summaries
from wavepaint.evaluation.tables import bin_label, bin_tables, markdown, score_tables, set_score_tables
from wavepaint.files import atomic_dir
from wavepaint.image.vips import encode_png

SUMMARY_FILE = "summary.csv"
CHARTED = ("hole_psnr", "hole_ssim", "hole_lpips_vgg", "hole_lpips_alex", "texture_ratio")


@dataclass(frozen=True)
class Provenance:
    """What a report says about its origin, as `provenance.json` has it.

    Attributes:
        test_set: name of the test set's folder.
        test_set_manifest_sha256: "" without a manifest.
        methods: for every method what identifies it: a version, a hash.
        bootstrap_seed: random seed of the intervals.
    """

    test_set: str
    test_set_manifest_sha256: str
    methods: Mapping[str, str]
    bootstrap_seed: int = 0


def write_report(results: Results, summaries: Summaries, folder: str | Path, provenance: Provenance) -> None:
    """Write the folder of a report: all of it or nothing; an earlier report there is replaced.

    `report.html` (with `images/`), `tables.md`, `summary.csv` (every mean with its standard deviation, 95 %
    interval and paired difference to the first method), `sets.csv` (scores of whole sets), `scores.csv` (per
    image; also `scores.parquet` when pyarrow is installed) and `provenance.json`.

    `summaries` are `results.summaries(provenance.bootstrap_seed)`.

    Raises:
        OptionError: the folder holds something else.
    """
    scores, set_scores = _score_columns(results), results.set_scores()
    tables = [*score_tables(results, summaries), *set_score_tables(results, set_scores)]
    with atomic_dir(Path(folder), SUMMARY_FILE) as made:
        _write(made / "scores.csv", _csv(*scores))
        _write_parquet(made / "scores.parquet", *scores)
        _write(made / SUMMARY_FILE, _csv(*_summary_columns(summaries)))
        sets = ((*key, score) for key, score in set_scores.items())
        _write(made / "sets.csv", _csv(("kind", "method", "metric", "value"), sets))
        _write(made / "tables.md", "\n".join(map(markdown, tables)))
        _write(made / "provenance.json", json.dumps({"wavepaint": __version__, **asdict(provenance)}, indent=1) + "\n")
        page = render(
            "evaluation.html",
            title=f"Evaluation on {provenance.test_set}",
            version=__version__,
            provenance=provenance,
            tables=tables,
            charts=list(_charts(results, summaries)),
            bin_tables=bin_tables(results, summaries),
            images=_write_images(results, made / "images"),
            labels=("truth", "hole", *results.methods),
            rank=RANKED_BY,
            ranked_by=METRICS[RANKED_BY],
        )
        _write(made / "report.html", page)


Columns = tuple[tuple[str, ...], list[tuple[Any, ...]]]


def _score_columns(results: Results) -> Columns:
    header = ("method", "kind", "name", "hole_area", "hole_pixels", *results.metrics)
    rows = [
        (r.method, r.kind, r.name, r.hole_area, r.hole_pixels, *(r.scores[name] for name in results.metrics))
        for r in results.rows
    ]
    return header, rows


def _summary_columns(summaries: Summaries) -> Columns:
    header = (
        *("kind", "area_percent", "method", "metric", "count", "mean", "std", "low", "high"),
        *("difference", "difference_low", "difference_high"),
    )
    rows = []
    for (kind, index), means in summaries.items():
        for name, (s, d) in means.items():
            difference = (d.mean, d.low, d.high) if d else ("", "", "")
            rows.append((kind, bin_label(index), *name, s.count, s.mean, s.std, s.low, s.high, *difference))
    return header, rows


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        # Six decimals: finer than any table, coarser than the last bits that another machine may round otherwise.
        writer.writerow([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()


def _write_parquet(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        return
    columns = zip(*rows, strict=True)
    parquet.write_table(pyarrow.table(dict(zip(header, map(list, columns), strict=True))), path)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_images(results: Results, folder: Path) -> dict[str, list[tuple[Evaluated, list[str]]]]:
    """PNG files of the best and worst cases: truth, hole, then every method; relative paths in that order."""
    folder.mkdir()
    written: dict[str, list[tuple[Evaluated, list[str]]]] = {}
    for title, cases in (("best", results.best), ("worst", results.worst)):
        written[title] = []
        for number, case in enumerate(cases, start=1):
            paths = []
            for column, image in enumerate((case.item.truth, case.item.known, *case.composites)):
                name = f"{title}-{number:02d}-{column}.png"
                (folder / name).write_bytes(encode_png(image))
                paths.append(f"{folder.name}/{name}")
            written[title].append((case, paths))
    return written


def render(template: str, folder: Path | None = None, **values: Any) -> str:
    """A page from a template of this package, or of `folder`, which may extend those; everything is escaped.

    Raises:
        MissingExtraError: Jinja is not installed.
    """
    with needs_extra("reports", "train", "jinja2"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    folders = [Path(__file__).parent / "templates", *((folder,) if folder else ())]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values) + "\n"


def _charts(results: Results, summaries: Summaries) -> Iterable[str]:
    for kind in results.kinds:
        bins = [index for each, index in summaries if each == kind and index is not None]
        for name in (name for name in CHARTED if name in results.metrics):
            series = {
                method: [summaries[kind, index][method, name].summary for index in bins] for method in results.methods
            }
            title = f"{kind}: {METRICS[name].label}"
            yield line_chart(title, "hole area, % of the image", [bin_label(i) for i in bins], series)
