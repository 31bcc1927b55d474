"""`wavepaint info`."""

from __future__ import annotations

from typing import Annotated

import typer

from wavepaint.cli.commands import command
from wavepaint.errors import needs_extra


@command("wavepaint info default", "wavepaint info run/best.safetensors")
def info(file: Annotated[str, typer.Argument(help='Checkpoint, ONNX file, or "default".')]) -> None:
    """Say what a network is: configuration, parameters, multiply-adds, size on disk."""
    with needs_extra("wavepaint info", "train"):
        from wavepaint.network.info import describe
    network = describe(file)
    lines = {
        "file": network.path,
        "format": f"{network.format}, {network.bytes / 1e6:.2f} MB",
        "preset": network.preset or "none",
        "parameters": f"{network.parameters:,}",
        "multiply-adds": f"{network.macs:,} for one 256x256 crop",
        "input": "RGB + mask" if network.config.input_channels == 4 else "RGB only",
        **network.config.to_dict(),
        **network.metadata,
    }
    for name, value in lines.items():
        typer.echo(f"{name:<18} {value}")
