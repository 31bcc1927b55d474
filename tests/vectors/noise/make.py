"""Write vectors.json: noise that `wavepaint.fill.noise` and `web/src/device/noise.ts` must both draw.

python tests/vectors/noise/make.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wavepaint.fill.noise import hashes, normals

FILE = Path(__file__).with_name("vectors.json")
SEEDS = ((0,), (7,), (1, 2), (2, 1), (123, 4567, 1, 2), (2**32 - 1, 2**31), (2**32 + 5, 2**53 - 1))


def vectors() -> list[dict[str, Any]]:
    """For each seed some hashes, and the numbers of two planes of 3 x 4 samples."""
    return [
        {
            "seed": list(seed),
            "hashes": hashes(seed, 9).tolist(),
            "normals": [plane.ravel().tolist() for plane in normals(seed, 2, 3, 4)],
        }
        for seed in SEEDS
    ]


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
