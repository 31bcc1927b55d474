"""The root of the command line, and the small commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import wavepaint
from commands import check_filled, run
from wavepaint.cli import app
from wavepaint.cli.root import COMMANDS
from wavepaint.evaluation.methods import find_method


def test_info_and_export(here: Path) -> None:
    pytest.importorskip("torch")
    from networks import random_network, small_config
    from wavepaint.network import save_checkpoint

    save_checkpoint(random_network(small_config(stem="haar", prefill="haar")), here / "small.safetensors")
    result = run("info", "small.safetensors")
    assert result.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert (lines["file"], lines["final_dim"], lines["stem"]) == ("small.safetensors", "16", "haar")
    assert run("export", "small.safetensors", "-o", "small.onnx").exit_code == 0
    assert run("inpaint", "image.png", "mask.png", "-o", "out.png", "--model", "small.onnx").exit_code == 0
    check_filled(here / "out.png")
    for arguments in (
        ["info", "image.png"],
        ["export", "none.pth", "-o", "x.onnx"],
        ["export", "image.png", "-o", "x"],
    ):
        failed = run(*arguments)
        assert failed.exit_code == 2
        assert failed.stderr.startswith("wavepaint: ")


def test_commands_of_an_extra_name_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wavepaint.network.info", None)
    result = run("info", "small.safetensors")
    assert result.exit_code == 2
    assert "pip install 'wavepaint[train]'" in result.stderr


def test_previews_of_masks_name_their_extra(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = run("masks", "--preview", "sheet.png", "--kinds", "thin")
    assert result.exit_code == 2
    assert "pip install 'wavepaint[train]'" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (here / "sheet.png").exists()


def test_version_and_help_import_nothing_heavy() -> None:
    for option, expected in (("--version", f"wavepaint {wavepaint.__version__}\n"), ("--help", "inpaint")):
        command = f"import sys; sys.argv = ['wavepaint', '{option}']\nfrom wavepaint.cli import app\n"
        command += "app(standalone_mode=False)\nprint(*sys.modules, file=sys.stderr)"
        result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
        assert expected in result.stdout
        heavy = {"torch", "numpy", "pyvips", "onnxruntime", "cv2", "PIL", "rich"}
        assert not heavy & set(result.stderr.split())


def wavepaint_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wavepaint", *arguments]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_named_command_is_built_alone() -> None:
    shown = wavepaint_process("info", "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: wavepaint info [OPTIONS]")
    assert wavepaint_process("masks", "--help").stdout.startswith("Usage: wavepaint masks [OPTIONS] COMMAND")
    unknown = wavepaint_process("inpant")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert "No such command 'inpant'. Did you mean 'inpaint'" in unknown.stderr


def test_help_lists_every_command_with_whole_sentences() -> None:
    shown = run("--help").stdout
    listed = shown.partition("Commands:")[2].partition("Examples:")[0]
    assert "..." not in listed
    for name in COMMANDS:
        described = run(name, "--help").stdout
        assert re.match(r"Usage: .*\n(?: {7}.*\n)*\n  [A-Z]", described), name
        assert f"\n  {name} " in listed
        assert "\n  Examples:\n    wavepaint " in described, name
    batch = " ".join(listed.split())
    assert "nothing is uploaded. batch" in batch


def test_the_product_s_commands_do_without_the_lab() -> None:
    check = "import sys, pkgutil, importlib, wavepaint.cli as cli\n"
    check += "for each in pkgutil.iter_modules(cli.__path__):\n"
    check += "    if each.name != 'progress':  # what a training run shows, loaded with the run\n"
    check += "        importlib.import_module('wavepaint.cli.' + each.name)\n"
    check += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert not {"lab", "torch", "numpy", "pyvips", "rich"} & set(done.stdout.split())


def test_completion_knows_commands_options_and_choices() -> None:
    script = wavepaint_process("--show-completion", "bash", SHELL="/bin/bash")
    assert "_WAVEPAINT_COMPLETE" in script.stdout
    for typed, expected in (("wavepaint inp", "inpaint"), ("wavepaint inpaint --gra", "--grain")):
        words = typed.split()
        completed = wavepaint_process(
            _WAVEPAINT_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1)
        )
        assert expected in completed.stdout.split(), (completed.stdout, completed.stderr)


def test_closed_choices_are_shown_and_checked() -> None:
    shown = " ".join(run("inpaint", "--help").stdout.split())
    formats = "<png|jpeg|jpg|webp|tiff|tif|avif|heic|jxl|bmp>"
    for choices in ("<auto|off>", formats, "<auto|onnxruntime|openvino|torch>"):
        assert choices in shown
    assert "<auto|cpu|cuda|mps>" in run("train", "--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_the_help_are_calls_that_are_understood(name: str) -> None:
    root = get_command(app)
    shown = run(name, "--help").stdout.partition("Examples:")[2]
    calls = [line.strip() for line in shown.splitlines() if line.strip().startswith("wavepaint ")]
    assert calls
    for call in calls:
        words = shlex.split(re.split(r" [<>|] ", call)[0])[1:]
        assert words[0] == name
        context = root.get_command(None, name).make_context(name, words[1:])
        for method in context.params.get("method") or ():
            find_method(method)
