"""Writes `examples/` and the README's first image from images that may be shared, masks of ours, and the model.

The images are those that scikit-image distributes; `examples/README.md` names their licences.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from skimage import data

import wavepaint
from lab.release.removal_strips import Image

FOLDER = Path(__file__).parents[2] / "examples"
BEFORE_AFTER = FOLDER.parent / "docs" / "images" / "before-after.jpg"


def masts(shape: tuple[int, ...]) -> Image:
    """The two lightning masts beside the rocket."""
    mask = np.zeros(shape[:2], np.uint8)
    left = [(195, 119), (207, 119), (209, 190), (208, 300), (206, 378), (162, 378), (172, 320), (186, 190)]
    right = [(440, 119), (453, 119), (461, 190), (465, 270), (477, 378), (436, 378), (436, 300), (438, 190)]
    for polygon in (left, right):
        cv2.fillPoly(mask, [np.array(polygon)], 255)
    return mask


def scratches(shape: tuple[int, ...]) -> Image:
    """Scratches and dust of a scanned slide."""
    rng = np.random.default_rng(3)
    mask = np.zeros(shape[:2], np.uint8)
    height, width = shape[:2]
    for _ in range(7):
        x, y = rng.uniform(0, width), rng.uniform(-0.2, 0.4) * height
        steps = np.cumsum(np.stack((rng.normal(0.02, 0.6, 40), np.full(40, height / 60)), axis=1), axis=0)
        path = np.round(np.array((x, y)) + steps).astype(np.int32)
        cv2.polylines(mask, [path], False, 255, thickness=int(rng.integers(1, 4)))
    for _ in range(60):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(mask, centre, int(rng.integers(1, 4)), 255, -1)
    return mask


def stamp(shape: tuple[int, ...]) -> Image:
    """The date in the corner."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.putText(mask, "98 7 14", (shape[1] - 210, shape[0] - 30), cv2.FONT_HERSHEY_PLAIN, 2.6, 255, 4)
    return mask


def main() -> None:
    """Write every image, its mask and its result."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    FOLDER.mkdir(exist_ok=True)
    rocket, cat, coffee = data.rocket(), data.chelsea(), data.coffee()
    scratched, stamped = scratches(cat.shape), stamp(coffee.shape)
    damage = np.random.default_rng(0).normal(225, 12, cat.shape).clip(0, 255).astype(np.uint8)
    cases = {
        "rocket": (rocket, masts(rocket.shape), ".jpg"),
        "cat": (np.where(scratched[..., None] > 0, damage, cat), scratched, ".png"),
        "coffee": (np.where(stamped[..., None] > 0, np.uint8((255, 150, 40)), coffee), stamped, ".jpg"),
    }
    for name, (image, mask, suffix) in cases.items():
        path = FOLDER / f"{name}{suffix}"
        quality = [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix == ".jpg" else []
        cv2.imwrite(str(path), image[..., ::-1], quality)
        # A mask a little wider than the damage: compression smears its edge into the surroundings.
        grown = cv2.dilate(mask, np.ones((5, 5), np.uint8))
        cv2.imwrite(str(FOLDER / f"{name}-mask.png"), grown)
        wavepaint.inpaint(path, FOLDER / f"{name}-mask.png", output=FOLDER / f"{name}-filled.png")
    strip = [cv2.imread(str(FOLDER / name)) for name in ("rocket.jpg", "rocket-mask.png", "rocket-filled.png")]
    BEFORE_AFTER.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(BEFORE_AFTER), np.hstack(strip), [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main()
