"""Shows what the thresholds of `wavepaint.find` do with a damage detector, to choose them for a new one.

    python -m lab.release.tune_damage 'train-{0000..0008}.tar' --model RUN/best.safetensors --logits 3,3.5

On images that the recipe `damage` holds out of training, never on those that scores are published for: F1 of drawn
damage, as `lab.damage` counts it, and the marked share of the images without damage, as they are and sharpened (cameras
write crisper edges than most images that are collected).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.damage import MAX_PIXELS, Counts, Mask, count, damaged_crops
from wavepaint.data.damage import sharpened
from wavepaint.data.images import find_images
from wavepaint.errors import WavepaintError
from wavepaint.find import Finder, Planes, damage_of, levels_of, probabilities_of
from wavepaint.options import DAMAGE_KINDS
from wavepaint.training.recipes import load_recipe

SHARPENED = (0.7, 1.0)
"""Of the unsharp mask: standard deviation in pixels, and amount."""
_LEAST = 1e-6

Logits = NDArray[np.float16]


@dataclass(frozen=True)
class HeldOut:
    """What a detector says of held-out images: logits, which take half of the memory.

    Attributes:
        damaged: by kind, (h, w) logits of crops with this kind of damage alone, and where it is.
        clean: by kind, (h, w) logits of images without damage.
    """

    damaged: dict[str, list[tuple[Logits, Mask]]]
    clean: dict[str, list[Logits]]


def look_at(images: str, model: Path | None, number: int, seed: int) -> HeldOut:
    """Let a detector look at so many of the images that are held out of a training on `images`."""
    validation = load_recipe("damage").validation
    _, source = find_images(images).split(validation.share, validation.at_least)
    detector = Finder(model).load()
    held_out = HeldOut({kind: [] for kind in DAMAGE_KINDS}, {kind: [] for kind in DAMAGE_KINDS})
    for channel, kind in enumerate(DAMAGE_KINDS):
        for crop in damaged_crops(source, [kind], number, seed):
            logits = _logits(probabilities_of(detector, crop.image))[channel]
            held_out.damaged[kind].append((logits, crop.mask[channel]))
    for index in range(min(number, len(source))):
        image = source.read(index, MAX_PIXELS)
        for variant in (image, sharpened(image, *SHARPENED)):
            for kind, logits in zip(DAMAGE_KINDS, _logits(probabilities_of(detector, variant)), strict=True):
                held_out.clean[kind].append(logits)
    return held_out


def row(held_out: HeldOut, kind: str, threshold: float) -> str:
    """Scores with a threshold, as logit."""

    def marks(logits: Logits) -> Mask:
        return damage_of(levels_of(_probabilities(logits), threshold))

    total = sum((count(marks(logits), true) for logits, true in held_out.damaged[kind]), Counts())
    shares = [100 * marks(logits).mean() for logits in held_out.clean[kind]]
    largest = " ".join(f"{share:.2f}" for share in sorted(shares, reverse=True)[:4])
    return (
        f"{kind:9} {threshold:5.2f} {total.precision:9.3f} {total.recall:6.3f} {total.f1:5.3f} "
        f"{np.mean(shares[::2]):9.4f} {np.mean(shares[1::2]):9.4f}  {largest}"
    )


def _logits(probabilities: Planes) -> Logits:
    clipped = probabilities.astype(np.float64).clip(_LEAST, 1 - _LEAST)
    logits: Logits = np.log(clipped / (1 - clipped)).astype(np.float16)
    return logits


def _probabilities(logits: Logits) -> Planes:
    return (1 / (1 + np.exp(-logits.astype(np.float32)))).astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each kind and each threshold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="what was trained on: folder or .tar shards")
    parser.add_argument("--model", type=Path, help="detector; by default the packaged one")
    parser.add_argument("--kinds", default=",".join(DAMAGE_KINDS))
    parser.add_argument("--logits", default="3,3.5,4", help="of `THRESHOLDS`")
    parser.add_argument("--count", type=int, default=240, help="images")
    parser.add_argument("--seed", type=int, default=1, help="of the damage")
    options = parser.parse_args(arguments)
    try:
        held_out = look_at(options.images, options.model, options.count, options.seed)
    except (WavepaintError, OSError) as error:
        parser.error(str(error))
    print("kind      logit precision recall    F1  clean, %  sharp, %  largest, %")
    for kind in options.kinds.split(","):
        for threshold in map(float, options.logits.split(",")):
            print(row(held_out, kind, threshold), flush=True)


if __name__ == "__main__":
    main()
