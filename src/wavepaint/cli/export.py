"""`wavepaint export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import command
from wavepaint.errors import ImageError, needs_extra


@command("wavepaint export run/best.safetensors -o mine.onnx")
def export(
    checkpoint: Annotated[str, typer.Argument(help='Checkpoint, or "default".')],
    output: Annotated[Path, typer.Option("-o", "--output", help="ONNX file to write.")],
) -> None:
    """Write a checkpoint as an ONNX file, which needs no PyTorch to run."""
    with needs_extra("wavepaint export", "train"):
        from wavepaint.network import load_checkpoint
        from wavepaint.network.export import export_onnx
    network = load_checkpoint(checkpoint)
    try:
        export_onnx(network, output)
    except OSError as error:
        raise ImageError(f"{output}: cannot be written: {error.strerror or error}") from None
