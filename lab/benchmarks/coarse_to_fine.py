"""Wide holes: coarse to fine against filling at one scale and against filling a reduced copy.

    python -m lab.benchmarks.coarse_to_fine IMAGES --vgg16 FILE [--count 20] [--megapixels 1,4,12] [--json FILE]

Images are enlarged (Lanczos) to stand for larger ones, and get one square hole of 53 % of their height: 433, 866
and 1500 pixels at 1, 4 and 12 megapixels. PSNR is that of the hole; the VGG16 feature distance is that of a window
half as wide again as the hole, reduced to at most `--side` pixels, and costs far more than the filling. Means, and
95 % intervals of the paired difference from the first method, from a bootstrap over the images. `--strips FOLDER`
writes images to look at: truth, then the methods.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lab.vgg import vgg_distance
from wavepaint import Inpainter
from wavepaint.data.images import find_images
from wavepaint.evaluation.metrics import summarise_columns
from wavepaint.fill.guide import Plan
from wavepaint.fill.wide import WideSizes
from wavepaint.image.sources import open_image
from wavepaint.inpainter import fill_planned
from wavepaint.options import Options
from wavepaint.runtime import Runtime

HOLE = 0.53
NEVER_WIDE = WideSizes(wide=2**20)
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Fill = Callable[[Image, Mask], Image]


def enlarged(image: Image, megapixels: float) -> Image:
    factor = (megapixels * 1e6 / (image.shape[0] * image.shape[1])) ** 0.5
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LANCZOS4)


def hole_in(height: int, width: int) -> tuple[Mask, tuple[slice, slice]]:
    """A square in the middle, and the window around it that is scored."""
    side = round(HOLE * min(height, width))
    top, left = (height - side) // 2, (width - side) // 2
    mask = np.zeros((height, width), np.bool_)
    mask[top : top + side, left : left + side] = True
    margin = side // 4
    return mask, (slice(top - margin, top + side + margin), slice(left - margin, left + side + margin))


def fill_never_wide(runtime: Runtime, image: Image, mask: Mask) -> Image:
    opened = open_image(image)
    options = Options()
    return opened.finish(fill_planned(runtime, opened, Plan.of(mask, NEVER_WIDE), options), options)


def methods() -> dict[str, Fill]:
    inpainter = Inpainter()
    runtime = inpainter.load()
    without_levels = copy.copy(runtime)
    without_levels.coarse_levels = 0

    def reduced(image: Image, mask: Mask) -> Image:
        side = int(mask.any(axis=0).sum())
        factor = min(1.0, WideSizes.wide / side)
        size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
        known = np.where(mask[..., None], 0, image).astype(np.uint8)
        small = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        # Every reduced sample that holds any part of the hole is hole.
        hole = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
        large = cv2.resize(inpainter(small, hole), image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        return np.where(mask[..., None], large, image)

    return {
        "coarse to fine": inpainter,
        "by depth": partial(fill_never_wide, runtime),
        "one scale": partial(fill_never_wide, without_levels),
        "reduced copy": reduced,
    }


def hole_psnr(truth: Image, filled: Image, mask: Mask) -> float:
    error = (truth[mask].astype(np.float32) - filled[mask]) / 255
    return float(-10 * np.log10(np.mean(error**2)))


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    (summary,) = summarise_columns(differences[:, None])
    return summary.low, summary.high


def within(image: Image, side: int) -> Image:
    factor = min(1.0, side / max(image.shape[:2]))
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", metavar="IMAGES")
    parser.add_argument("--vgg16", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--megapixels", default="1,4,12")
    parser.add_argument("--side", type=int, default=768)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--strips", type=Path)
    options = parser.parse_args()
    fills, vgg = methods(), vgg_distance({"vgg16": options.vgg16})
    report = []
    for megapixels in map(float, options.megapixels.split(",")):
        scores: dict[str, dict[str, list[float]]] = {name: {"psnr": [], "vgg": [], "seconds": []} for name in fills}
        for number, (_, image) in enumerate(islice(find_images(options.images), options.count)):
            truth = enlarged(image, megapixels)
            mask, window = hole_in(*truth.shape[:2])
            seen = []
            for name, fill in fills.items():
                started = time.perf_counter()
                filled = fill(truth, mask)
                scores[name]["seconds"].append(time.perf_counter() - started)
                assert np.array_equal(filled[~mask], truth[~mask])
                scores[name]["psnr"].append(hole_psnr(truth, filled, mask))
                seen.append(within(filled[window], options.side))
            shown = within(truth[window], options.side)
            whole = np.ones(shown.shape[:2], np.bool_)
            distances = vgg(shown, np.stack(seen), whole)["vgg_distance"]
            for name, distance in zip(fills, distances, strict=True):
                scores[name]["vgg"].append(float(distance))
            if options.strips:
                options.strips.mkdir(parents=True, exist_ok=True)
                strip = np.hstack([within(image, 384) for image in (shown, *seen)])
                cv2.imwrite(str(options.strips / f"{megapixels:g}mp-{number:02}.jpg"), strip[..., ::-1])
        first = next(iter(fills))
        for name, own in scores.items():
            row = {"megapixels": megapixels, "hole": int(mask.any(axis=0).sum()), "method": name}
            row |= {key: float(np.mean(values)) for key, values in own.items()}
            for key in ("psnr", "vgg"):
                difference = np.array(scores[first][key]) - np.array(own[key])
                row[f"{key} of {first} minus this"] = [float(difference.mean()), *interval(difference)]
            report.append({**row, "images": len(own["psnr"])})
            print(json.dumps(report[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
