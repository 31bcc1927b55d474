"""Make the cases that Python and the browser's TypeScript are both held to: run it when the packaged network changes.

    python tests/parity/make.py

A case is `NAME.json`: the image's size, the hole as boxes (left, top, width, height) and discs (column, row,
radius), and the plan that `wavepaint.fill.regions` makes for it, with the coarse levels that a network which has
learned them needs. Where it names an `image`, the hole of that file is to be filled, and `expected` is what
`wavepaint.Inpainter` fills it with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from wavepaint import Inpainter
from wavepaint.box import Box
from wavepaint.fill.depth import coarse_levels_of
from wavepaint.fill.regions import Region, find_regions
from wavepaint.fill.wide import find_wide
from wavepaint.inpainter import MOST_LEVELS

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One case; `channels` 0 stands for a plan without an image."""

    name: str
    width: int
    height: int
    boxes: Sequence[tuple[int, int, int, int]] = ()
    discs: Sequence[tuple[int, int, int]] = ()
    channels: int = 0
    depth: int = 8
    noise: float = 0.0
    detail: str = "grain"

    def mask(self) -> np.ndarray:
        """(H, W) bool, True = hole."""
        mask = np.zeros((self.height, self.width), np.bool_)
        for box in self.boxes:
            mask[Box(*box).clip(self.width, self.height).slices] = True
        rows, columns = np.ogrid[: self.height, : self.width]
        for column, row, radius in self.discs:
            mask |= (columns - column) ** 2 + (rows - row) ** 2 <= radius**2
        return mask

    def image(self) -> np.ndarray:
        """(H, W, C) slow waves with noise on them."""
        rows, columns = np.mgrid[: self.height, : self.width]
        phases = np.arange(self.channels)
        waves = 0.5 + 0.3 * np.sin(columns[..., None] / 19 + phases) * np.cos(rows[..., None] / 13 + phases)
        waves += np.random.default_rng(0).normal(0, self.noise, waves.shape)
        scale = 2**self.depth - 1
        return (waves.clip(0, 1) * scale).round().astype(np.uint8 if self.depth == 8 else np.uint16)


CASES = (
    Case("rgb", 112, 80, boxes=[(30, 20, 40, 12)], discs=[(70, 50, 14)], channels=3, noise=0.02),
    Case("smooth", 112, 80, discs=[(50, 40, 20)], channels=3, noise=0.02, detail="network"),
    Case("grey16", 97, 71, discs=[(40, 30, 15)], channels=1, depth=16, noise=0.03),
    Case("alpha", 90, 66, boxes=[(0, 0, 30, 30)], channels=4, noise=0.01),
    Case("rgb16", 65, 130, boxes=[(20, 100, 45, 30)], channels=3, depth=16),
    Case("scattered", 520, 300, boxes=[(20, 20, 8, 250), (480, 30, 20, 20)], discs=[(260, 150, 40)], channels=1),
    Case("touching", 900, 150, boxes=[(20, 60, 860, 10)], channels=1, noise=0.015),
    Case("wide", 420, 400, boxes=[(40, 30, 300, 330)], channels=1, noise=0.015),
    Case("wide-alpha16", 330, 310, boxes=[(20, 20, 290, 270)], channels=4, depth=16),
    Case("deep", 230, 210, boxes=[(60, 50, 101, 95)], channels=3, noise=0.02),
    Case("deeper", 310, 300, boxes=[(40, 36, 228, 226)], channels=3, noise=0.02),
    Case("deep-grey", 150, 130, discs=[(70, 60, 46)], channels=2, depth=16),
    Case("whole-left", 40, 40, boxes=[(0, 0, 40, 39)], channels=3),
    Case("plan-scratches", 4000, 3000, boxes=[(37 * i % 3900, 91 * i % 2900, 90, 3) for i in range(60)]),
    Case("plan-across", 4000, 3000, boxes=[(0, 1490, 4000, 14), (1993, 0, 9, 3000)]),
    Case("plan-large", 3000, 2400, boxes=[(300, 200, 1500, 1400)], discs=[(2300, 1800, 400), (900, 1700, 200)]),
    Case("plan-huge", 6000, 1200, boxes=[(100, 100, 5800, 900)]),
    Case("plan-full", 700, 500, boxes=[(0, 0, 700, 500)]),
    Case("plan-discs", 2000, 2000, discs=[(211 * i % 2000, 487 * i % 2000, 10 + 13 * i % 70) for i in range(25)]),
)


def plan_of(mask: np.ndarray) -> dict[str, Any]:
    """Boxes as lists; of a wide piece also how many samples are deep, and the sum of all shares."""
    wide = find_wide(mask)
    rest = mask.copy()
    for piece in wide:
        rest[piece.box.slices] &= piece.share < 1
    return {
        "wide": [
            {
                "crop": _edges(piece.crop),
                "box": _edges(piece.box),
                "deep": int((piece.share == 1).sum()),
                "share": float(piece.share.sum(dtype=np.float64)),
            }
            for piece in wide
        ],
        "stages": [
            [
                {
                    "crop": _edges(region.crop),
                    "holes": _edges(region.holes),
                    "known": sorted(_edges(box) for box in region.known),
                    "coarse_levels": coarse_levels_of(unknown_in(rest, region), MOST_LEVELS),
                }
                for region in stage
            ]
            for stage in find_regions(rest)
        ],
    }


def unknown_in(mask: np.ndarray, region: Region) -> np.ndarray:
    """(H, W) bool: the hole of a crop when its turn comes, without what its neighbours have filled by then."""
    unknown = mask.copy()
    for box in region.known:
        unknown[box.slices] = False
    return unknown[region.crop.slices]


def write(case: Case, inpainter: Inpainter) -> Iterator[Path]:
    """Write a case; gives the files."""
    mask = case.mask()
    description: dict[str, Any] = {
        "width": case.width,
        "height": case.height,
        "boxes": case.boxes,
        "discs": case.discs,
        "plan": plan_of(mask),
    }
    if case.channels:
        description |= {"detail": case.detail, "image": f"{case.name}.png", "expected": f"{case.name}-filled.png"}
        image = case.image()
        yield _write_png(FOLDER / description["image"], image)
        filled = inpainter(image, mask, detail=case.detail, mask_from="brightness")
        yield _write_png(FOLDER / description["expected"], filled)
    path = FOLDER / f"{case.name}.json"
    path.write_text(json.dumps(description, separators=(",", ":")) + "\n", encoding="utf-8")
    yield path


def main() -> None:
    """Write all cases, and remove what no case needs any more."""
    inpainter = Inpainter(runtime="onnxruntime")
    written = {path for case in CASES for path in write(case, inpainter)}
    for path in {*FOLDER.glob("*.json"), *FOLDER.glob("*.png")} - written:
        path.unlink()


def _edges(box: Box) -> list[int]:
    return [box.left, box.top, box.width, box.height]


def _write_png(path: Path, samples: np.ndarray) -> Path:
    image = pyvips.Image.new_from_array(samples)
    if samples.dtype == np.uint16:
        image = image.copy(interpretation="grey16" if image.bands < 3 else "rgb16")
    image.write_to_file(str(path), compression=9)
    return path


if __name__ == "__main__":
    main()
