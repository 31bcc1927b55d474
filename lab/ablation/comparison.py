"""From scores of single images to differences, their intervals, and a paragraph that says no more than these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wavepaint.evaluation.metrics import METRICS, FloatArray, Summary, summarise_columns

ALL_KINDS = "all"
COMPARED = ("hole_psnr", "hole_ssim")
VGG_DISTANCE = "vgg_distance"
DETAIL = ("detail_1", "detail_2")
"""Logarithms of a ratio to the truth, see `texture.detail_scores`: best at 0, neither above nor below."""
DIGITS: Mapping[str, int] = {
    "hole_psnr": 3,
    "hole_ssim": 4,
    "lpips_vgg": 4,
    "dists": 4,
    VGG_DISTANCE: 4,
    "detail_1": 2,
    "detail_2": 2,
}
SHORT: Mapping[str, tuple[str, str]] = {
    "hole_psnr": ("PSNR", " dB"),
    "hole_ssim": ("SSIM", ""),
    "lpips_vgg": ("LPIPS", ""),
    "dists": ("DISTS", ""),
    VGG_DISTANCE: ("VGG distance", ""),
    "detail_1": ("detail of level 1", ""),
    "detail_2": ("detail of level 2", ""),
}
"""Names and units of what is compared: PSNR, SSIM and detail in the hole, the others of the whole composite."""

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Kind of hole -> name of the image -> metric -> score."""


@dataclass(frozen=True)
class Compared:
    """One arm on the holes of one kind.

    Attributes:
        arm: its name.
        kind: of holes, or `ALL_KINDS` for the mean of each image's holes.
        metric: a key of `SHORT`.
        summary: of the scores, the mean over the seeds for each image.
        difference: to the reference on the same images, with the same seeds; None for the reference.
        noise: largest difference between two seeds of the reference; None while there is only one.
        by_seed: mean of the difference for every seed of training; empty for the reference.
    """

    arm: str
    kind: str
    metric: str
    summary: Summary
    difference: Summary | None
    noise: float | None
    by_seed: tuple[float, ...] = ()

    @property
    def verdict(self) -> str:
        """The difference, its interval and what they mean, in words."""
        if self.difference is None:
            return "reference"
        name, unit = SHORT[self.metric]
        shown = signed(self.difference, DIGITS[self.metric], unit)
        if self.metric == VGG_DISTANCE:
            shown += f" = {100 * self.difference.mean / self._reference:+.1f} %"
        if not excludes_zero(self.difference):
            return f"no difference seen in {name} ({shown})"
        words = f"{name} {self._judgement(self.difference.mean)}, {shown}"
        if len(self.by_seed) > 1:
            agree = len({value > 0 for value in self.by_seed}) == 1
            words += f", {'with' if agree else 'though not with'} every seed"
        elif self.noise is not None and abs(self.difference.mean) <= self.noise:
            words += f", which is no more than another seed changes ({self.noise:.{DIGITS[self.metric]}f}{unit})"
        return words

    @property
    def _reference(self) -> float:
        """The reference's mean."""
        return self.summary.mean - (0.0 if self.difference is None else self.difference.mean)

    def _judgement(self, difference: float) -> str:
        if self.metric in DETAIL:
            nearer = abs(self.summary.mean) < abs(self._reference)
            return f"{'nearer to' if nearer else 'farther from'} the truth's"
        return "better" if (difference > 0) == METRICS[self.metric].higher_is_better else "worse"


def compare(runs: Mapping[str, Sequence[Scores]], seed: int = 0) -> list[Compared]:
    """Every arm against the first, per kind of hole and over all of them.

    Intervals are paired 95 % bootstrap intervals over the images. They say how far the difference between *these*
    trained networks depends on the images; what another seed of training would change is `Compared.noise`.

    Args:
        runs: for every arm the scores of its runs, by seed in their order; on the same holes, by the same metrics.
            Of the first arm, runs that no other arm has count for the noise only.
        seed: of the bootstrap.
    """
    reference = next(iter(runs))
    images = next(iter(runs[reference][0].values()))
    metrics = tuple(next(iter(images.values())))
    paired = min(map(len, runs.values()))
    rows = []
    for kind in (ALL_KINDS, *runs[reference][0]):
        for metric in metrics:
            columns = {arm: [column(scores, kind, metric) for scores in seeds] for arm, seeds in runs.items()}
            noise = _noise(columns[reference])
            for arm, values in columns.items():
                runs_of_both = [np.stack(each[:paired]) for each in (values, columns[reference])]
                own, other = (each.mean(axis=0) for each in runs_of_both)
                summary, difference = summarise_columns(np.stack((own, own - other), axis=1), seed)
                if arm == reference:
                    rows.append(Compared(arm, kind, metric, summary, None, noise))
                    continue
                by_seed = tuple((runs_of_both[0] - runs_of_both[1]).mean(axis=1).tolist())
                rows.append(Compared(arm, kind, metric, summary, difference, noise, by_seed))
    return rows


def column(scores: Scores, kind: str, metric: str) -> FloatArray:
    """One value per image, in the order of names; for `ALL_KINDS` the mean over the image's holes."""
    values: dict[str, list[float]] = {}
    for each, images in scores.items():
        if kind in (each, ALL_KINDS):
            for name, row in images.items():
                values.setdefault(name, []).append(row[metric])
    return np.array([np.mean(values[name]) for name in sorted(values)])


def _noise(reference: Sequence[FloatArray]) -> float | None:
    means = sorted(float(values.mean()) for values in reference)
    return means[-1] - means[0] if len(means) > 1 else None


def excludes_zero(difference: Summary) -> bool:
    """Whether the interval lies on one side of zero."""
    return difference.low > 0 or difference.high < 0


def signed(difference: Summary, digits: int, unit: str = "") -> str:
    """A difference with its interval."""
    return f"{difference.mean:+.{digits}f}{unit} [{difference.low:+.{digits}f}, {difference.high:+.{digits}f}]"


def conclusion(rows: Iterable[Compared], moment: str) -> str:
    """What the intervals over all kinds of holes support, arm by arm."""
    arms: dict[str, list[str]] = {}
    reference = ""
    for row in rows:
        if row.difference is None:
            reference = row.arm
        elif row.kind == ALL_KINDS:
            arms.setdefault(row.arm, []).append(row.verdict)
    sentences = " ".join(f"{arm}: {'; '.join(verdicts)}." for arm, verdicts in arms.items())
    return f"At {moment}, against {reference}: {sentences}"
