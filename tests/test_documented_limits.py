"""Limits that the guide states are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavepaint.fill.options import ExemplarOptions
from wavepaint.image.limits import ImageLimits

DOCS = Path(__file__).parents[1] / "docs"


def text_of(page: str) -> str:
    return " ".join((DOCS / page).read_text(encoding="utf-8").split())


def test_limits_of_the_server() -> None:
    pytest.importorskip("starlette")
    from wavepaint.server.connections import ConnectionLimits
    from wavepaint.server.filling import LARGEST_PAGES
    from wavepaint.server.settings import MEBI, MEGAPIXEL, Limits, Settings

    limits, connections = Limits(), ConnectionLimits()
    text = text_of("server.md")
    for stated in (
        f"counted as they arrive | {limits.body_bytes // MEBI} MiB |",
        f"from their headers | {limits.pixels // MEGAPIXEL} million |",
        f"all pages of a file together | {LARGEST_PAGES} times that |",
        f"cannot be interrupted | {limits.heif_pixels // MEGAPIXEL} million |",
        f"upload included | {limits.seconds:g} |",
        f"wait beyond those | {Settings().queue} |",
        f"frames of a file | {limits.parts}; {limits.field_bytes}; {limits.frames} |",
        f"| {connections.connections}; {connections.header_seconds:g}; {connections.read_seconds:g} |",
    ):
        assert stated in text


def test_limits_of_files_and_holes() -> None:
    assert f"decodes to at most {ImageLimits().held_bytes >> 20} MiB is held" in text_of("files.md")
    assert f"more than {ExemplarOptions().searched:,} samples is matched" in text_of("how-it-works.md")
