"""The process in which one subject runs: one JSON object a line comes in, one goes out.

python -m lab.benchmark.worker '{"method": "opencv-telea"}'
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from lab.benchmark.cases import Case
from lab.benchmark.machine import process_memory
from lab.benchmark.subjects import Loaded, Subject, load_subject
from wavepaint.evaluation.metrics import BoolMask, Image

MEBI = 2**20
QUICK_SECONDS = 2.0


def main() -> None:
    """Load the subject of the first argument, say so, and answer requests until the input ends."""
    answers = _private_output()
    subject = Subject(**json.loads(sys.argv[1]))
    try:
        loaded = load_subject(subject)
        _answer(answers, ready=True, **_describe(loaded))
        for line in sys.stdin:
            _answer(answers, **_measure(loaded, subject, **json.loads(line)))
    except Exception as error:  # whatever it is, the parent reports it
        _answer(answers, error=" ".join(str(error).split()) or type(error).__name__)


def _private_output() -> TextIO:
    """Standard output for answers alone; whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, **fields: Any) -> None:
    answers.write(json.dumps(fields) + "\n")
    answers.flush()


def _describe(loaded: Loaded) -> dict[str, Any]:
    return {"model_bytes": loaded.model_bytes, "parameters": loaded.parameters, "device": loaded.device}


def _measure(
    loaded: Loaded,
    subject: Subject,
    side: int,
    percent: float,
    images: int,
    warm: bool,
    quick_seconds: float = QUICK_SECONDS,
) -> dict[str, Any]:
    """Fill some images at once: seconds on the wall, seconds of processors, and the process's peak memory so far.

    With `warm`, a fill of less than `quick_seconds` is repeated and the second one counts: a process that has waited
    for its turn finds its memory out of the caches, and some runtimes prepare anew for another number of images.
    """
    given = [Case(side, percent).render(seed) for seed in range(images)]
    filled, seconds, processors = _timed(loaded, given)
    if warm and seconds < quick_seconds:
        filled, seconds, processors = _timed(loaded, given)
    for (image, mask), result in zip(given, filled, strict=True):
        if result.shape != image.shape or not (result[~mask] == image[~mask]).all():
            raise AssertionError(f"{subject.name} changed samples outside the hole")
    peak = process_memory("VmHWM")
    return {
        "seconds": seconds,
        "cpu_seconds": processors,
        "peak_mib": None if peak is None else peak / MEBI,
        "device_peak_mib": _device_peak_mib(loaded.device),
    }


def _timed(loaded: Loaded, given: Sequence[tuple[Image, BoolMask]]) -> tuple[Sequence[Image], float, float]:
    processors, began = time.process_time(), time.perf_counter()
    filled = loaded.fill(given)
    return filled, time.perf_counter() - began, time.process_time() - processors


def _device_peak_mib(device: str) -> float | None:
    if device != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated() / MEBI


if __name__ == "__main__":
    main()
