"""Hole-only scores of several methods without writing anything: quicker than `wavepaint evaluate`, same numbers.

    python lab/benchmarks/score.py PHOTOS --method default --method opencv-ns [--photographs 50] [--vgg16 FILE]

The VGG16 feature distance is by far the slowest score; with `--photographs` the first ones stand for all.
`--method runtime:NAME` is the packaged network in that runtime: onnxruntime, openvino or torch.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import islice
from pathlib import Path

import numpy as np

from wavepaint.data.photographs import find_photographs
from wavepaint.evaluation.features import VGG16Features
from wavepaint.evaluation.methods import NetworkMethod, find_method
from wavepaint.evaluation.metrics import pixel_scores
from wavepaint.evaluation.protocol import KINDS, Method, Scorer, evaluate, make_items
from wavepaint.evaluation.scorers import VGGDistanceScorer
from wavepaint.runtime import load_runtime

RUNTIME_PREFIX = "runtime:"


def method_of(spec: str) -> Method:
    """What `wavepaint evaluate` calls by that name, or a runtime."""
    if not spec.startswith(RUNTIME_PREFIX):
        return find_method(spec)
    runtime = load_runtime(None, spec.removeprefix(RUNTIME_PREFIX))
    return NetworkMethod(spec, runtime, runtime.multiple)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs_in", metavar="PHOTOS")
    parser.add_argument("--method", action="append", required=True)
    parser.add_argument("--photographs", type=int)
    parser.add_argument("--vgg16", type=Path)
    arguments = parser.parse_args()
    scorers: list[Scorer] = [pixel_scores]
    names = ["hole_psnr", "hole_ssim"]
    if arguments.vgg16:
        scorers.append(VGGDistanceScorer(VGG16Features(arguments.vgg16)))
        names.append("vgg_distance")
    methods = [method_of(spec) for spec in arguments.method]
    photographs = islice(find_photographs(arguments.photographs_in), arguments.photographs)
    values = defaultdict(list)
    for evaluated in evaluate(make_items(photographs), methods, scorers):
        for row in evaluated.rows:
            for name in names:
                values[name, row.method, row.kind].append(row.scores[name])
    for name in names:
        for method in methods:
            means = " ".join(f"{np.mean(values[name, method.name, kind]):9.4f}" for kind in KINDS)
            count = len(values[name, method.name, KINDS[0]])
            print(f"{name:13} {method.name:24} {means}   ({count} photographs; {', '.join(KINDS)})", flush=True)


if __name__ == "__main__":
    main()
