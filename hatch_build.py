"""Builds the mask editor into the package where Node is there; where it is not, leaves a hint and goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = "src/wavepaint/server/static"
WEB_FOLDERS = ("src", "public", "build", "licenses")
WEB_FILES = ("index.html", "package*.json", "tsconfig*.json", "vite.config.ts")
OTHER_SOURCES = ("LICENSE", "src/wavepaint/weights/default.onnx", "src/wavepaint/weights/damage.onnx")
"""What the page is built from besides `web/`: it holds the licence, and the size of the network."""
HINT = """\
The mask editor is built from web/ with Node 20.19 or later, which was not there when this package was built:

    npm --prefix web ci
    npm --prefix web run build
"""
COMMANDS = (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "build"))
COMMAND_SECONDS = 600
# Without a network, npm is to give up at once instead of trying again for minutes.
NPM_SETTINGS = {"npm_config_fetch_retries": "0", "npm_config_fetch_timeout": "30000"}


class EditorBuildHook(BuildHookInterface):
    """Runs before a wheel or a source distribution is put together; never makes a build fail."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the editor unless it is already there, and have its files packed although Git ignores them."""
        if version == "editable":
            return
        root = Path(self.root)
        web, static = root / "web", root / STATIC
        if web.is_dir() and not is_current(web, static):
            problem = build(web)
            if problem:
                self.app.display_warning(f"The mask editor is left out: {problem}")
                static.mkdir(parents=True, exist_ok=True)
                (static / "README.txt").write_text(HINT, encoding="utf-8")
        build_data["artifacts"].append(f"/{STATIC}/")


def is_current(web: Path, static: Path) -> bool:
    """Whether the built page is younger than everything it is built from; `web` lies in the project's root."""
    page = static / "index.html"
    if not page.is_file():
        return False
    # Folders do not count: unpacking a source distribution makes them anew.
    sources = [path for folder in WEB_FOLDERS for path in (web / folder).rglob("*") if path.is_file()]
    sources += [path for pattern in WEB_FILES for path in web.glob(pattern)]
    sources += [path for name in OTHER_SOURCES if (path := web.parent / name).is_file()]
    return all(path.stat().st_mtime <= page.stat().st_mtime for path in sources)


def build(web: Path) -> str | None:
    """Build the page; returns what stood in the way, if anything."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    for arguments in COMMANDS:
        try:
            done = subprocess.run(
                [npm, *arguments],
                cwd=web,
                env={**os.environ, **NPM_SETTINGS},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm {arguments[0]}: {error}"
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            return f"npm {arguments[0]} failed: {lines[-1] if lines else f'status {done.returncode}'}"
    return None
