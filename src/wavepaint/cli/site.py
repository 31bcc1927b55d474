"""`wavepaint site`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from wavepaint.cli.commands import command


@command("wavepaint site -o public/")
def site(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write; an earlier site there is replaced.")
    ],
    model: Annotated[str | None, typer.Option(help="ONNX file, instead of the packaged network.")] = None,
) -> None:
    """Write the mask editor as static files for any web host; the network runs in the browser, nothing is uploaded."""
    from wavepaint.server.site import write_site

    written = write_site(output, model)
    size, wasm, webgpu = (
        f"{count / 1e6:.1f} MB" for count in (written.bytes, written.first_visit["wasm"], written.first_visit["webgpu"])
    )
    typer.echo(f"{written.folder}: {written.files} files, {size}")
    typer.echo(f"to look at it: python -m http.server --directory {shlex.quote(str(output))}")
    typer.echo(f"a first visit transfers {wasm}, or {webgpu} with WebGPU; later ones nothing")
