"""Makes a checkpoint the packaged model: weights in both formats, and the float32 state that the next run starts from.

    python scripts/release_model.py RUN/ema.safetensors

Afterwards measure it (the command stands in the model card), and write the table and the printed hashes there.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

from wavepaint.network import load_checkpoint, save_checkpoint
from wavepaint.network.checkpoint import read_metadata
from wavepaint.network.export import export_onnx

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src" / "wavepaint" / "weights"
STATE = ROOT / "training" / "default"


def main() -> None:
    """Write the packaged files and print their SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    checkpoint = parser.parse_args().checkpoint
    STATE.mkdir(parents=True, exist_ok=True)
    if checkpoint.resolve() != (STATE / "ema.safetensors").resolve():
        shutil.copyfile(checkpoint, STATE / "ema.safetensors")
    extra = {key: value for key, value in read_metadata(checkpoint).items() if key in ("steps", "seconds", "options")}
    save_checkpoint(load_checkpoint(checkpoint), WEIGHTS / "default.safetensors", half=True, extra=extra)
    export_onnx(load_checkpoint("default"), WEIGHTS / "default.onnx")
    for path in sorted(WEIGHTS.glob("default.*")):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
