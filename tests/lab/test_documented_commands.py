"""Every script and command of the laboratory that a page or a stored result names exists and has the options named."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from lab.cli import app

ROOT = Path(__file__).parents[2]
PLACES = ("*.md", "docs/**/*.md", "lab/notes/*.md", "lab/results/*.json", "examples/*.md", "src/wavepaint/weights/*.md")
TEXT = "\n".join(path.read_text(encoding="utf-8") for place in PLACES for path in sorted(ROOT.glob(place)))
TEXT = TEXT.replace("\\\n", " ")  # commands over several lines
_COMMAND = re.compile(r"python (?:-m )?lab((?:[./]\w+)*)((?: [a-z]+(?:-[a-z]+)*)?)([^`\"\n#;]*)")

HELP = """
import contextlib, io, json, runpy, sys

help_of = {}
for name in sys.argv[1:]:
    sys.argv, shown = [name, "--help"], io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    help_of[name] = shown.getvalue()
print(json.dumps(help_of))
"""


def commands() -> dict[tuple[str, str], set[str]]:
    """Options by the script (a module, or "" for `python -m lab`) and the command."""
    options_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for script, command, rest in _COMMAND.findall(TEXT):
        module = f"lab{script}".removesuffix(".py").replace("/", ".") if script else ""
        options = re.findall(r"(?<=\s)--[a-z][\w-]*", f"{command}{rest}")
        options_of[module, "" if module else command.strip()] |= set(options)
    return options_of


def test_documented_scripts_have_the_options_that_pages_name() -> None:
    scripts = {module: options for (module, _), options in commands().items() if module}
    assert len(scripts) > 10
    for module in scripts:
        # Without a parser, asking for help would run it.
        assert "ArgumentParser" in (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"), module
    done = subprocess.run([sys.executable, "-c", HELP, *scripts], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    for module, options in scripts.items():
        assert "usage:" in shown[module], module
        assert options <= set(re.findall(r"--[a-z][\w-]*", shown[module])), module


@pytest.mark.parametrize("command", sorted(command for module, command in commands() if not module and command))
def test_documented_commands_have_the_options_that_pages_name(command: str) -> None:
    known = get_command(app).get_command(None, command)
    assert known is not None, command
    shown = help_of(command) + "".join(help_of(command, name) for name in getattr(known, "commands", ()))
    assert commands()["", command] <= set(re.findall(r"--[a-z][\w-]*", shown)), command


def help_of(*words: str) -> str:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_documented_shell_scripts_exist() -> None:
    scripts = set(re.findall(r"\b(?:scripts|\.ci)/\w+", TEXT))
    assert scripts
    for script in scripts:
        subprocess.run(["bash", "-n", ROOT / script], check=True)
