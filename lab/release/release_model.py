"""Makes a trained network a packaged one: `default.safetensors` with kernels as float16, and `default.onnx` from it.

    python -m lab.release.release_model RUN/best.safetensors [-o FOLDER]

A network that finds damage becomes `damage.safetensors` and `damage.onnx`.

Prints sizes and SHA-256 of both. Afterwards measure the network (the command stands in the model card), and write the
table, the hashes and what the checkpoint says of its training there.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from wavepaint.errors import WavepaintError
from wavepaint.network import load_network, save_checkpoint
from wavepaint.network.checkpoint import DAMAGE_NAME, DEFAULT_NAME, read_metadata
from wavepaint.network.export import export_onnx

WEIGHTS = Path(__file__).parents[2] / "src" / "wavepaint" / "weights"
RECORD = ("recipe", "step", "seconds", "seed", "versions", "device", "precision", "images", "validation")
"""What a checkpoint says of its training, and the packaged one says after it."""


def release(checkpoint: Path, folder: Path) -> list[Path]:
    """Write the two files into a folder.

    Raises:
        WavepaintError: no checkpoint, or a folder that cannot be written to.
    """
    network, note = load_network(checkpoint), read_metadata(checkpoint)
    name = DAMAGE_NAME if network.config.output == "damage" else DEFAULT_NAME
    weights, graph = folder / f"{name}.safetensors", folder / f"{name}.onnx"
    extra = {key: note[key] for key in RECORD if key in note}
    if "recipe" in extra:  # without the folder of the checkpoint that the run started from
        extra["recipe"] = re.sub(r"(?m)^init: .*/", "init: ", extra["recipe"])
    extra["source"] = f"SHA-256 {hashlib.sha256(checkpoint.read_bytes()).hexdigest()}"
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(network, weights, half=True, extra=extra)
    # From the rounded kernels: both files hold the same network.
    export_onnx(load_network(weights), graph)
    return [weights, graph]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the packaged files and print their SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=WEIGHTS, help="folder; by default the package's own")
    options = parser.parse_args(arguments)
    try:
        paths = release(options.checkpoint, options.output)
    except (WavepaintError, OSError) as error:
        parser.error(str(error))
    for path in paths:
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
