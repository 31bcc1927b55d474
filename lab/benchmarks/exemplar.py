"""What detail from the image gains over the network alone, by kind of hole.

    python -m lab.benchmarks.exemplar val-0000.tar --vgg16 FILE [--count 12] [--kinds thin,object] [--set trust=24 ...]

Centre crops of 256 pixels; masks of the presets, and `object`: unions of 2-5 ellipses with radii of 12-38 pixels.
PSNR of the hole; LPIPS (VGG16) of the composite; DISTS of the hole's box; Frechet distance of VGG16 relu3_3 activations
in the holes; texture: high-frequency energy in the hole over that of a ring around it, the median; and processor
seconds beyond the network's. `--set` changes fields of `ExemplarOptions`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lab.frechet import frechet_distance
from wavepaint import Inpainter
from wavepaint.data.images import find_images
from wavepaint.data.masks import BoolMask, random_mask
from wavepaint.data.seeding import rng_for
from wavepaint.evaluation.artefacts import texture_ratio
from wavepaint.evaluation.perceptual import VGG_LAYERS, load_dists, load_lpips
from wavepaint.evaluation.protocol import centre_crop
from wavepaint.fill.complete import complete
from wavepaint.fill.options import ExemplarOptions

KINDS = ("thin", "medium", "thick", "object")
SIZE, CELL, SEED = 256, 4, 7
Floats = NDArray[np.float32]


def object_mask(rng: np.random.Generator) -> BoolMask:
    """(SIZE, SIZE) bool: a union of 2-5 ellipses."""
    y, x = np.mgrid[:SIZE, :SIZE]
    mask = np.zeros((SIZE, SIZE), np.bool_)
    middle = rng.uniform(64, SIZE - 64, 2)
    for _ in range(rng.integers(2, 6)):
        radii, angle = rng.uniform(12, 38, 2), rng.uniform(0, np.pi)
        row, column = middle + rng.uniform(-30, 30, 2)
        along = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        across = -(x - column) * np.sin(angle) + (y - row) * np.cos(angle)
        mask |= (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1
    return mask


def box_of(mask: BoolMask, least: int = 32) -> tuple[slice, slice]:
    """The hole's box, at least `least` wide and high."""
    spans = []
    for axis in (0, 1):
        marked = np.flatnonzero(mask.any(axis=1 - axis))
        start = max(min(int(marked[0]), SIZE - least), 0)
        spans.append(slice(start, max(int(marked[-1]) + 1, start + least)))
    return spans[0], spans[1]


@dataclass
class Scores:
    """Of one method on one kind of hole."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    features: list[NDArray[np.float64]] = field(default_factory=list)


class Judge:
    """Scores fills against the truth."""

    def __init__(self, vgg16: Path) -> None:
        self.lpips, self.dists = load_lpips("vgg", vgg16), load_dists(vgg16)

    @torch.inference_mode()
    def add(self, scores: Scores, truth: Floats, fill: Floats, mask: BoolMask, seconds: float) -> None:
        """Take in one fill; rounded to 8 bits as a file would be."""
        fill = np.rint(np.where(mask[..., None], fill.clip(0, 1), truth) * 255).astype(np.float32) / 255
        a, b = (torch.from_numpy(image.transpose(2, 0, 1).copy())[None] for image in (truth, fill))
        features = [self.lpips.features(image) for image in (a, b)]
        rows, columns = box_of(mask)
        psnr = -10 * np.log10(max(float(((fill - truth)[mask] ** 2).mean()), 1e-10))
        distance = float(self.dists(a[..., rows, columns], b[..., rows, columns]))
        scores.rows.append((psnr, float(self.lpips.distance(*features)), distance, texture_ratio(fill, mask), seconds))
        scores.features.append(self.inside(features[1], mask))

    def inside(self, features: list[torch.Tensor], mask: BoolMask) -> NDArray[np.float64]:
        """(N, 256) activations of relu3_3 at the positions that lie in the hole by half or more."""
        share = mask.reshape(SIZE // CELL, CELL, SIZE // CELL, CELL).mean(axis=(1, 3))
        layer = features[VGG_LAYERS.index("relu3_3")][0]
        return layer[:, torch.from_numpy(share >= 0.5)].T.double().numpy()


def crops(source: str, count: int, kinds: list[str]) -> Iterator[tuple[str, Floats, BoolMask]]:
    """Kind, truth (SIZE, SIZE, 3) in [0, 1] and hole."""
    for name, image in islice(find_images(source), count):
        truth = centre_crop(image, SIZE).astype(np.float32) / 255
        for kind in kinds:
            rng = rng_for(SEED, f"{name}/{kind}")
            yield kind, truth, object_mask(rng) if kind == "object" else random_mask(kind, (SIZE, SIZE), rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="shard or folder")
    parser.add_argument("--vgg16", type=Path, required=True, help="VGG16 features, safetensors")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=NUMBER")
    arguments = parser.parse_args()
    pairs = (text.split("=") for text in arguments.set)
    changes = {key: type(getattr(ExemplarOptions, key))(float(value)) for key, value in pairs}
    options, judge, network = replace(ExemplarOptions(), **changes), Judge(arguments.vgg16), Inpainter(threads=1)
    results: dict[str, dict[str, Scores]] = {}
    for kind, truth, mask in crops(arguments.images, arguments.count, arguments.kinds.split(",")):
        known = np.where(mask[..., None], np.float32(0.5), truth)
        guide = network(known, mask, detail="network")
        start = time.process_time()
        filled, _ = complete(known, mask, guide, options)
        seconds = time.process_time() - start
        own = results.setdefault(kind, {name: Scores() for name in ("network", "exemplar", "truth")})
        for name, fill in (("network", guide), ("exemplar", filled), ("truth", truth)):
            judge.add(own[name], truth, fill, mask, seconds if name == "exemplar" else 0.0)
    print(f"{'':17} PSNR   LPIPS  DISTS  Frechet texture seconds")
    for kind, own in results.items():
        real = np.concatenate(own["truth"].features)
        for name in ("network", "exemplar"):
            psnr, lpips, dists, _, seconds = np.mean(own[name].rows, axis=0)
            frechet = frechet_distance(real, np.concatenate(own[name].features))
            fine = np.median([row[3] for row in own[name].rows])
            print(f"{kind:8}{name:9} {psnr:.2f}  {lpips:.4f} {dists:.4f} {frechet:7.0f} {fine:.2f} {seconds:.2f}")


if __name__ == "__main__":
    main()
