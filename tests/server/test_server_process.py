"""Real server processes, real sockets, real signals."""

from __future__ import annotations

import http.client
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from wavepaint.cli import app

BENCHMARK = Path(__file__).parents[2] / "lab" / "benchmarks" / "serve.py"


@pytest.fixture(scope="module")
def load() -> ModuleType:
    if not BENCHMARK.exists():
        pytest.skip("the benchmark is not part of the source distribution")
    spec = importlib.util.spec_from_file_location("serve_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.PICTURES_BEFORE_SIGNAL = 3
    return module


def test_signals_under_load_lose_nothing(load):
    body, image, hole = load.make_request()
    server = load.Server()
    answer = load.first_picture(server, body, image, hole)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/readyz")
    response = connection.getresponse()
    assert (response.status, response.headers["server"]) == (200, None)
    assert response.read() == b'{"status":"ready"}'

    report = load.terminated(server, body, answer)
    assert report["exit_status"] == 0
    assert report["broken"] == 0
    assert report["wrong"] == []
    assert report["answers"]["200"] > 3, "nothing that was begun was answered"
    assert any("POST /v1/inpaint 200" in line for line in server.log)

    report = load.killed(load.Server(), body, answer)
    assert report["wrong"] == []
    assert report["answers_before"]["200"] >= 3


def test_an_open_host_without_a_token_is_refused():
    result = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0"], env={"WAVEPAINT_TOKEN": ""})
    assert result.exit_code == 2
    assert "--insecure-no-token" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "0"], "workers must be at least 1"),
        (["--deadline", "0"], "seconds must be positive"),
        (["--model", "nowhere.onnx"], "nowhere.onnx: no such file"),
        (["--runtime", "abacus"], "unknown runtime"),
        (["--port", "99999"], "cannot listen on 127.0.0.1, port 99999"),
        (["--host", "no such host", "--insecure-no-token"], "cannot listen on no such host"),
    ],
)
def test_bad_options_are_one_line(arguments, words):
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
