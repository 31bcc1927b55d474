"""Write the cases that `wavepaint.fill.complete` and `web/src/device/exemplar` must both complete alike.

    python tests/vectors/exemplar/make.py

`vectors.json` lists the cases: the hole, and what is not to be copied from, as boxes (left, top, width, height). Of
each there is `NAME.png`, the image with the guide in its hole; `NAME-filled.png`, the filled hole, 0 around it; and
`NAME-offsets.png`, 16 bits: at each hole sample of the searched level the row and the column from which it is copied,
relative to its own, plus 32768.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyvips

from wavepaint.box import Box
from wavepaint.fill.complete import complete
from wavepaint.fill.noise import normals
from wavepaint.fill.options import ExemplarOptions
from wavepaint.fill.solution import Solution
from wavepaint.fill.units import to_unit

FOLDER = Path(__file__).parent
NOWHERE = 32768
Boxes = Sequence[tuple[int, int, int, int]]


@dataclass(frozen=True)
class Case:
    """One case; `flat` are boxes of one colour, drawn into the image; with a `period` it repeats itself exactly."""

    name: str
    width: int
    height: int
    boxes: Boxes
    channels: int = 3
    depth: int = 8
    grain: float = 0.05
    seed: int = 0
    exclude: Boxes = ()
    flat: Boxes = ()
    period: int = 0

    def hole(self) -> np.ndarray:
        """(H, W) bool, True = hole."""
        return marked(self.boxes, self.height, self.width)

    def image(self) -> np.ndarray:
        """(H, W, C) uint8 or uint16: waves, coarse grain and an edge; in the hole the same, blurred."""
        size = -(-self.height // 3), -(-self.width // 3)
        grain = normals((1,), self.channels, *size).repeat(3, 1).repeat(3, 2)[:, : self.height, : self.width]
        rows, columns = np.mgrid[: self.height, : self.width]
        phases = np.arange(self.channels)[:, None, None]
        plane = 0.5 + 0.2 * np.sin(columns / 9 + phases) * np.cos(rows / 14) + 0.1 * (rows + 2 * columns > self.width)
        plane = np.moveaxis(plane + self.grain * grain, 0, 2)
        for box in self.flat:
            plane[Box(*box).slices] = 0.25
        if self.period:
            plane = plane[rows % self.period, columns % self.period]
        blurred = plane
        for axis in (0, 1):
            blurred = np.mean([np.roll(blurred, step, axis) for step in range(-4, 5)], axis=0)
        plane = np.where(self.hole()[..., None], blurred, plane)
        if self.channels in (2, 4):
            plane[..., -1] = np.where(rows < self.height / 4, 0, 0.5 + 0.5 * plane[..., -1])
        samples = (plane.clip(0, 1) * (2**self.depth - 1)).round()
        return samples.astype(np.uint8 if self.depth == 8 else np.uint16)

    def fill(self) -> tuple[np.ndarray, Solution | None]:
        """The filled image, and where its samples come from."""
        image = self.image()
        guide = to_unit(image[..., : 3 if self.channels > 2 else 1])
        exclude = marked(self.exclude, self.height, self.width)
        return complete(image, self.hole(), guide, ExemplarOptions(seed=self.seed), exclude)


CASES = (
    Case("square", 112, 100, boxes=[(38, 30, 36, 36)]),
    Case("again", 112, 100, boxes=[(38, 30, 36, 36)], seed=7),
    Case("avoided", 112, 100, boxes=[(38, 30, 36, 36)], exclude=[(0, 0, 60, 100)]),
    Case("several", 131, 97, boxes=[(20, 20, 25, 18), (70, 50, 30, 40), (60, 12, 60, 3)], channels=1, grain=0.08),
    Case("border", 90, 80, boxes=[(0, 0, 40, 33), (70, 50, 20, 30)], channels=4, depth=16),
    Case("grey-alpha", 96, 71, boxes=[(30, 25, 31, 28)], channels=2),
    Case("flat", 120, 90, boxes=[(20, 20, 20, 20), (75, 30, 25, 30)], flat=[(0, 0, 55, 90)]),
    Case("crowded", 60, 60, boxes=[(4, 4, 52, 52)], channels=3),
    Case("repeated", 112, 100, boxes=[(38, 30, 36, 36)], period=11),
    Case("deep", 240, 220, boxes=[(60, 50, 120, 110)], channels=1, grain=0.03),
    Case("reduced", 420, 400, boxes=[(45, 40, 325, 320)], channels=1, grain=0.02),
)


def marked(boxes: Boxes, height: int, width: int) -> np.ndarray:
    """(H, W) bool."""
    marks = np.zeros((height, width), np.bool_)
    for box in boxes:
        marks[Box(*box).slices] = True
    return marks


def expected(case: Case) -> dict[str, np.ndarray]:
    """The images of a case by the names of their files."""
    filled, solution = case.fill()
    hole = case.hole()[..., None]
    images = {f"{case.name}.png": case.image(), f"{case.name}-filled.png": np.where(hole, filled, 0)}
    if solution is not None:
        offsets = np.zeros((*solution.searched.shape, 3), np.uint16)
        offsets[solution.searched, :2] = solution.offsets()[solution.searched] + NOWHERE
        images[f"{case.name}-offsets.png"] = offsets
    return images


def main() -> None:
    """Write all cases, and remove what no case needs any more."""
    written = set()
    for case in CASES:
        for name, samples in expected(case).items():
            image = pyvips.Image.new_from_array(samples)
            if samples.dtype == np.uint16:
                image = image.copy(interpretation="grey16" if image.bands < 3 else "rgb16")
            image.write_to_file(str(FOLDER / name), compression=9)
            written.add(name)
    for path in FOLDER.glob("*.png"):
        if path.name not in written:
            path.unlink()
    text = json.dumps([asdict(case) for case in CASES], separators=(",", ":"))
    (FOLDER / "vectors.json").write_text(text.replace("},{", "},\n{") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
