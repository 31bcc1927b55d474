"""Makes a checkpoint the packaged model: weights in both formats, and the float32 state that the next run starts from.

    python lab/release/release_model.py RUN/ema.safetensors [--blend OTHER.safetensors 0.25]... [--octaves 3]

`--blend` mixes in the weights of another checkpoint, here a quarter of them; repeated, each takes its share of what
the ones before have made. Between weights trained for exactness and weights trained for detail lie networks that are
better than either in most scores (network interpolation, Wang et al., "ESRGAN", 2018), and the mean of several runs
from one start can be better than each (Wortsman et al., "Model soups", 2022). Afterwards measure it (the command
stands in the model card), and write the table and the printed hashes there.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from wavepaint.errors import OptionError, WavepaintError
from wavepaint.network import WavePaint, load_checkpoint, save_checkpoint
from wavepaint.network.checkpoint import read_metadata
from wavepaint.network.export import export_onnx

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src" / "wavepaint" / "weights"
STATE = ROOT / "training" / "default"
KEPT = ("steps", "seconds", "options", "blend")


def blended(network: WavePaint, blends: Iterable[tuple[Path, float]]) -> WavePaint:
    """The network with shares of others mixed in, one after the other.

    Raises:
        WavepaintError: a file that is no checkpoint, a network of another shape, a share beyond 0 to 1.
    """
    state = network.state_dict()
    for path, share in blends:
        if not 0 <= share <= 1:
            raise OptionError(f"{path}: the share must be from 0 to 1, not {share}")
        other = load_checkpoint(path)
        if replace(other.config, octaves=network.config.octaves) != network.config:
            raise OptionError(f"{path}: a network of another shape")
        mixed_in = other.state_dict()
        for name, value in state.items():
            if value.is_floating_point():
                value.lerp_(mixed_in[name], share)
    network.load_state_dict(state)
    return network


def described(checkpoint: Path, blends: Iterable[tuple[Path, float]]) -> dict[str, str]:
    """What is known of the training of all that is in the mixture, as metadata."""
    found = read_metadata(checkpoint)
    extra = {key: found[key] for key in KEPT if key in found}
    for path, share in blends:
        other = read_metadata(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        note = f"{share} of {digest} ({other.get('steps', '?')} steps"
        note += f", itself {other['blend']})" if "blend" in other else ")"
        extra["blend"] = "; then ".join(filter(None, (extra.get("blend"), note)))
    return extra


def main(arguments: Sequence[str] | None = None) -> None:
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
    options = parser.parse_args(arguments)
    try:
        blends = [(Path(path), float(share)) for path, share in options.blend]
        network = blended(load_checkpoint(options.checkpoint), blends)
        if options.octaves is not None:
            state = network.state_dict()
            network = WavePaint(replace(network.config, octaves=options.octaves))
            network.load_state_dict(state)
        extra = described(options.checkpoint, blends)
    except (WavepaintError, ValueError) as error:
        parser.error(str(error))
    STATE.mkdir(parents=True, exist_ok=True)
    save_checkpoint(network, STATE / "ema.safetensors", extra=extra)
    save_checkpoint(network, WEIGHTS / "default.safetensors", half=True, extra=extra)
    export_onnx(load_checkpoint("default"), WEIGHTS / "default.onnx")
    for path in sorted(WEIGHTS.glob("default.*")):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
