"""Thin and small things that belong to an image and look like damage: wires, branches, hair, rain, lights, signs.

They are drawn on the image before anything ages it: they share its blur, its shading and its grain.
"""

from __future__ import annotations

import math

import numpy as np

from wavepaint.data.damage_kinds import Coverage, Samples, Stroke, curl, lettering, placed, smooth_field, strokes
from wavepaint.data.lettering import random_words
from wavepaint.data.mask_kinds import Path, Size, opencv, turned


def with_scenery(image: Samples, rng: np.random.Generator) -> Samples:
    """The image, (h, w, 3) float32 in [0, 255], with one thing more in its scene."""
    cv2, size = opencv(), image.shape[:2]
    if rng.integers(6) == 0:
        return _with_sign(image, rng)
    kind = (_wires, _branches, _hair, _hair, _rain, _lights, _lattice)[rng.integers(7)]
    covered = cv2.GaussianBlur(kind(size, rng), (0, 0), rng.uniform(0.5, 1.2)) * np.float32(rng.uniform(0.5, 1))
    bright = kind in (_rain, _lights) or rng.integers(2)
    tone = rng.uniform(150, 255) if bright else rng.uniform(0, 90)
    around = cv2.GaussianBlur(image, (0, 0), 6)
    colour = (tone + rng.normal(0, 12, 3)) * (0.6 + 0.5 * smooth_field(size, rng.uniform(2, 8), rng)[..., None])
    colour = 0.75 * colour + 0.25 * around
    result: Samples = image + covered[..., None] * (colour.astype(np.float32) - image)
    return result


def _wires(size: Size, rng: np.random.Generator) -> Coverage:
    h, w = size
    t = np.linspace(-0.2, 1.2, 24)
    ends, sag, width = rng.uniform(0, 1, 2) * h, rng.uniform(0, 0.2) * h, rng.uniform(0.7, 2.5)
    pitch, parts = rng.uniform(4, 25), []
    for wire in range(rng.integers(1, 6)):
        y = ends[0] + (ends[1] - ends[0]) * t + 4 * sag * t * (1 - t) + wire * pitch * rng.uniform(0.8, 1.2)
        parts.append((np.stack([t * w, y], 1), float(width)))
    return strokes(size, parts)


def _branches(size: Size, rng: np.random.Generator) -> Coverage:
    h, w = size
    parts: list[Stroke] = []

    def grow(start: Path, heading: float, length: float, width: float) -> None:
        path = curl(start, length, 0.6, rng, heading)
        parts.append((path, np.linspace(width, 0.55 * width, len(path))))
        if width > 0.7 and len(parts) < 60:
            for at in rng.integers(3, len(path), rng.integers(2, 4)):
                grow(path[at], heading + rng.choice((-1, 1)) * rng.uniform(0.3, 0.9), 0.65 * length, 0.6 * width)

    root, heading = rng.uniform(-0.1, 1.1, 2) * (w, h), rng.uniform(0, 2 * math.pi)
    grow(root, heading, rng.uniform(0.3, 0.9) * h, rng.uniform(1.2, 5))
    return strokes(size, parts)


def _hair(size: Size, rng: np.random.Generator) -> Coverage:
    """Whiskers or a strand: tapered, from neighbouring roots, nearly the same way."""
    h, w = size
    root, heading = rng.uniform(-0.1, 1.1, 2) * (w, h), rng.uniform(0, 2 * math.pi)
    spread, reach, fan = rng.uniform(2, 20), rng.uniform(0.2, 0.9) * h, rng.uniform(0.05, 0.6)
    parts = []
    for _ in range(rng.integers(3, 25)):
        start, length = root + rng.normal(0, spread, 2), reach * rng.uniform(0.6, 1)
        path = curl(start, length, 0.5, rng, heading + rng.normal(0, fan))
        parts.append((path, np.linspace(rng.uniform(0.6, 1.6), 0.3, len(path))))
    return strokes(size, parts)


def _rain(size: Size, rng: np.random.Generator) -> Coverage:
    h, w = size
    lean, length = rng.normal(0, 0.25), rng.uniform(4, 24)
    way = length * np.array([math.sin(lean), math.cos(lean)])
    starts = rng.uniform(-0.1, 1, (int(rng.integers(15, 120)), 2)) * (w, h)
    return strokes(size, [(np.stack([at, at + way * rng.uniform(0.6, 1.2)]), 0.6) for at in starts])


def _lights(size: Size, rng: np.random.Generator) -> Coverage:
    """Stars, bulbs, specular points: round, soft, of all brightnesses, often in rows or clusters."""
    cv2, (h, w) = opencv(), size
    covered, count = np.zeros(size, np.float32), int(rng.integers(3, 60))
    at = rng.uniform(0, 1, (count, 2)) if rng.integers(2) else rng.normal(rng.uniform(0, 1, 2), 0.12, (count, 2))
    for x, y in (np.clip(at, 0, 0.999) * (w, h)).astype(int):
        covered[y, x] = rng.uniform(0.2, 1)
    sigma = rng.uniform(0.5, 2.0)
    return np.clip(cv2.GaussianBlur(covered, (0, 0), sigma) * 2 * math.pi * sigma**2, 0, 1)  # type: ignore[no-any-return]


def _lattice(size: Size, rng: np.random.Generator) -> Coverage:
    """A fence, tiles or blinds: parallel lines at an even distance, mostly two sets of them."""
    h, w = size
    pitch, width, lean = rng.uniform(5, 30), rng.uniform(0.6, 2.2), rng.uniform(0, math.pi)
    reach, parts = math.hypot(h, w), []
    for turn in (0.0, math.pi / 2) if rng.integers(3) else (0.0,):
        for across in np.arange(-reach, reach, pitch):
            line = turned(np.array([[across, -reach], [across, reach]]), lean + turn)
            parts.append((line + np.array([w / 2, h / 2]), float(width)))
    return strokes(size, parts)


def _with_sign(image: Samples, rng: np.random.Generator) -> Samples:
    """Text in the scene: in perspective, shaded, mostly on a plate."""
    cv2, (h, w) = opencv(), image.shape[:2]
    height = min(rng.uniform(5, 20), 0.2 * h)
    lines = [lettering(random_words(rng, 1), height, rng) for _ in range(rng.integers(1, 4))]
    side = np.array([max(line.shape[1] for line in lines) / 2, 1.8 * height * len(lines)])
    flat = (math.ceil(side[1]) + 8, math.ceil(side[0]) + 8)
    rows = [(line, np.array([flat[1] / 2, 4 + 1.8 * height * (row + 0.5)])) for row, line in enumerate(lines)]
    ink, plate = placed(flat, rows, 0.0, 1.0), np.ones(flat, np.float32)
    corners = np.array([[0, 0], [flat[1], 0], flat[::-1], [0, flat[0]]], np.float32)
    target = corners * rng.uniform(0.6, 1.2) * (1, rng.uniform(0.6, 1)) + rng.normal(0, 0.13 * min(flat), (4, 2))
    target = turned(target - target.mean(0), rng.normal(0, 0.35)) + rng.uniform(0.15, 0.85, 2) * (w, h)
    matrix = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
    blur = rng.uniform(0.4, 1.1)
    ink, plate = (cv2.GaussianBlur(cv2.warpPerspective(each, matrix, (w, h)), (0, 0), blur) for each in (ink, plate))
    light = (0.55 + 0.5 * smooth_field((h, w), 3, rng))[..., None]
    back, front = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    if np.abs(back - front).mean() < 60:
        front = (back + 128) % 256
    if rng.integers(4):
        image = image + plate[..., None] * (back * light - image)
    result: Samples = image + ink[..., None] * rng.uniform(0.6, 1) * (front * light - image)
    return result
