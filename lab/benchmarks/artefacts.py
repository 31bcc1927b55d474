"""What scores hardly see of a network's fills: lattices, tints, coloured dots; and where its VGG distance lies.

    python -m lab.benchmarks.artefacts SET CHECKPOINT... [--kind thick] [--count 20] [--vgg16 FILE]

SET is what `wavepaint masks make` wrote. The networks run once each, without grain. Levels are those of 8 bits.

* lattice N: root mean square of what repeats every N samples within holes, estimated without the part that chance
  brings (products of different periods only), so it is 0 where nothing repeats.
* tint: mean absolute error of colours in the hole after a blur of 8 px; colours are the differences of the three
  channels from their mean. Dots: standard deviation of what that blur takes away of the fill's colours. Both of the
  images made grey, where the truth has no colour, and of the images as they are.
* with `--vgg16`, the VGG distance by layer and by distance from the known samples, in pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from lab.vgg import DISTANCE_LAYERS
from wavepaint.evaluation.artefacts import PERIODS, lattice_energy
from wavepaint.evaluation.features import VGG16Features
from wavepaint.evaluation.testset import open_test_set
from wavepaint.network import WavePaint, load_checkpoint

DEPTHS = (0, 8, 16, 32)
BLUR = 8
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, metavar="SET")
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--kind", default="thick")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--vgg16", type=Path, help="VGG16 features, safetensors")
    options = parser.parse_args()
    items = list(islice(_items(options.set, options.kind), options.count))
    features = None if options.vgg16 is None else VGG16Features(options.vgg16, DISTANCE_LAYERS)
    print(f"{len(items)} {options.kind} holes; the truth: lattices {_shown(_lattices(p, m) for p, m in items)}")
    for checkpoint in options.checkpoints:
        network = load_checkpoint(checkpoint).eval()
        fills = [_filled(network, image, mask) for image, mask in items]
        grey = [(np.repeat(image.mean(-1, keepdims=True), 3, -1), mask) for image, mask in items]
        print(checkpoint)
        lattices = (_lattices(fill, mask) for fill, (_, mask) in zip(fills, items, strict=True))
        print(f"  lattices of {PERIODS}: {_shown(lattices)}")
        colours = (_colours(_filled(network, image, mask), image, mask) for image, mask in grey)
        print(f"  tint and dots, made grey: {np.mean(list(colours), axis=0).round(2)}")
        colours = (_colours(fill, image, mask) for fill, (image, mask) in zip(fills, items, strict=True))
        print(f"  tint and dots, as they are: {np.mean(list(colours), axis=0).round(2)}", flush=True)
        if features is not None:
            pairs = zip(fills, items, strict=True)
            parts = np.mean([_by_layer_and_depth(features, fill, *item) for fill, item in pairs], axis=0)
            print(f"  VGG distance {parts.sum():.4f}; columns: up to {DEPTHS} px from the known, and deeper")
            for name, row in zip(DISTANCE_LAYERS, parts.round(4), strict=True):
                print(f"    {name}: {row}", flush=True)


def _items(folder: Path, kind: str) -> Iterator[tuple[Image, Mask]]:
    """(H, W, 3) in [0, 1] and (H, W), True = hole."""
    test_set = open_test_set(folder)
    for entry in test_set.entries:
        if entry.kind == kind:
            item = test_set.read(entry)
            yield np.divide(item.truth, 255, dtype=np.float32), item.mask


@torch.inference_mode()
def _filled(network: WavePaint, image: Image, mask: Mask) -> Image:
    planes = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
    hole = torch.from_numpy(mask[None, None].astype(np.float32))
    filled: Image = network(planes, hole)[0].numpy().transpose(1, 2, 0)
    return filled


def _lattices(image: Image, mask: Mask) -> list[float]:
    """Mean squares, which may come out below 0 by chance, of what repeats at every period."""
    return [lattice_energy(image, mask, period) for period in PERIODS]


def _shown(squares: Iterator[list[float]]) -> NDArray[np.float64]:
    root: NDArray[np.float64] = 255 * np.sqrt(np.maximum(np.mean(list(squares), axis=0), 0))
    return root.round(2)


def _colours(fill: Image, truth: Image, mask: Mask) -> tuple[float, float]:
    colour, true_colour = (image - image.mean(-1, keepdims=True) for image in (fill, truth))
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), BLUR)[..., None] + 1e-6
    tint = cv2.GaussianBlur((colour - true_colour) * mask[..., None], (0, 0), BLUR) / weight
    dots = colour - cv2.GaussianBlur(colour, (0, 0), BLUR)
    return float(255 * np.abs(tint[mask]).mean()), float(255 * dots[mask].std())


@torch.inference_mode()
def _by_layer_and_depth(features: VGG16Features, fill: Image, truth: Image, mask: Mask) -> NDArray[np.float64]:
    """(layers, depths + 1): what each adds to the relative distance of the composite."""
    composite = np.where(mask[..., None], np.round(np.clip(fill, 0, 1) * 255) / 255, truth).astype(np.float32)
    depth = torch.from_numpy(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    filled_features, true_features = (
        features(torch.from_numpy(image.transpose(2, 0, 1)[None].copy())) for image in (composite, truth)
    )
    parts = np.zeros((len(filled_features), len(DEPTHS) + 1))
    for layer, (a, b) in enumerate(zip(filled_features, true_features, strict=True)):
        error = (a - b).abs().mean(1)[0] / (b.abs().mean() + 1e-6) / a[0, 0].numel() / len(filled_features)
        deepest = F.adaptive_max_pool2d(depth[None, None], a.shape[-2:])[0, 0].numpy()
        which = np.digitize(deepest, np.array(DEPTHS), right=True)
        parts[layer] = np.bincount(which.ravel(), error.numpy().ravel(), minlength=len(DEPTHS) + 1)
    return parts


if __name__ == "__main__":
    main()
