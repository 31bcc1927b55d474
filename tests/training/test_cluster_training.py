"""Training on several machines: who reads which image."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from images import noise, pillow

pytest.importorskip("torch")

LOADER = """
import json, os, sys
from wavepaint.data.crops import CropDataset, CropOptions
from wavepaint.data.images import find_images
from wavepaint.data.stream import CropStream

if __name__ == "__main__":
    # As torchrun tells each process.
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dataset = CropDataset(find_images(sys.argv[1]), CropOptions("box", crops_per_image=1, pool_size=4),
                          crop=48, seed=3, rank=rank, world_size=world_size)
    stream = CropStream(lambda side, seed: dataset, 1, seed=0, workers=2)
    # 21 images in four streams, of which the first process has the longer ones.
    print(json.dumps([name for _ in range(11 - rank) for name in stream.next(48)["name"]]))
    stream.close()
"""


def test_two_processes_of_two_workers_see_every_image_of_the_shards_once(tmp_path: Path) -> None:
    names = []
    for shard in range(3):
        with tarfile.open(tmp_path / f"train-{shard:04d}.tar", "w") as tar:
            for number in range(7):
                data = pillow(np.asarray(noise(40, 40, 3, seed=7 * shard + number)), "PNG")
                info = tarfile.TarInfo(f"{number:03d}.png")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
                names.append(f"train-{shard:04d}.tar/{number:03d}.png")
    script = tmp_path / "loader.py"
    script.write_text(LOADER)
    command = [sys.executable, str(script), str(tmp_path / "train-{0000..0002}.tar")]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    seen = [json.loads(process.communicate(timeout=240)[0]) for process in processes]
    assert Counter(seen[0] + seen[1]) == Counter(names)
    assert [len(part) for part in seen] == [11, 10]
