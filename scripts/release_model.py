"""Makes a checkpoint the packaged model: weights in both formats, and the float32 state that the next run starts from.

    python scripts/release_model.py RUN/ema.safetensors [--blend OTHER.safetensors 0.25]... [--octaves 3]

`--blend` mixes in the weights of another checkpoint, here a quarter of them; repeated, each takes its share of what
the ones before have made. Between weights trained for exactness and weights trained for detail lie networks that are
better than either in most scores (network interpolation, Wang et al., "ESRGAN", 2018), and the mean of several runs
from one start can be better than each (Wortsman et al., "Model soups", 2022). Afterwards measure it (the command
stands in the model card), and write the table and the printed hashes there.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

from wavepaint.network import WavePaint, load_checkpoint, save_checkpoint
from wavepaint.network.checkpoint import read_metadata
from wavepaint.network.export import export_onnx

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src" / "wavepaint" / "weights"
STATE = ROOT / "training" / "default"
KEPT = ("steps", "seconds", "options")


def main() -> None:
    """Write the packaged files and print their SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument(
        "--blend",
        nargs=2,
        action="append",
        default=[],
        metavar=("OTHER", "SHARE"),
        help="mix in so much of another checkpoint; repeatable",
    )
    parser.add_argument("--octaves", type=int, help="in how many octaves it has learned to start from its own result")
    options = parser.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    network = load_checkpoint(options.checkpoint)
    extra = {key: value for key, value in read_metadata(options.checkpoint).items() if key in KEPT}
    blended = network.state_dict()
    for path, text in options.blend:
        share = float(text)
        if not 0 <= share <= 1:
            parser.error(f"the share must be from 0 to 1, not {share}")
        other = load_checkpoint(path).state_dict()
        for name, value in blended.items():
            if value.is_floating_point():
                value.lerp_(other[name], share)
        note = f"{share} of the weights after {read_metadata(path).get('steps', '?')} steps"
        extra["blend"] = ", then ".join(filter(None, (extra.get("blend"), note)))
    network.load_state_dict(blended)
    if options.octaves is not None:
        state = network.state_dict()
        network = WavePaint(replace(network.config, octaves=options.octaves))
        network.load_state_dict(state)
    save_checkpoint(network, STATE / "ema.safetensors", extra=extra)
    save_checkpoint(network, WEIGHTS / "default.safetensors", half=True, extra=extra)
    export_onnx(load_checkpoint("default"), WEIGHTS / "default.onnx")
    for path in sorted(WEIGHTS.glob("default.*")):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
