"""Real server processes, real sockets, real signals."""

from __future__ import annotations

import http.client
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import httpx2
import pytest
import yaml
from typer.testing import CliRunner

from serving import upload
from wavepaint.cli import app

BENCHMARK = Path(__file__).parents[2] / "lab" / "benchmarks" / "serve.py"


@pytest.fixture(scope="module")
def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("serve_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.IMAGES_BEFORE_SIGNAL = 3
    return module


def test_signals_under_load_lose_nothing(load):
    body, image, hole = load.make_request()
    server = load.Server()
    answer = load.first_image(server, body, image, hole)
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


BUSY_SERVER = """
import sys, time
from serving import make_app
from wavepaint.server.run import listen, run_until_stopped
from wavepaint.server.settings import Limits, Settings

def inpaint(image, mask, options):
    print("working", flush=True)
    time.sleep(60)  # work that cannot be interrupted

settings = Settings(limits=Limits(seconds=float(sys.argv[1])))
listener = listen("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
run_until_stopped(make_app(settings, inpaint), settings, listener)
"""


@contextmanager
def busy_server(deadline: float) -> Iterator[tuple[subprocess.Popen[str], threading.Thread, list[int]]]:
    """A process that has begun work which does not end, the thread that waits for its answer, and its status."""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY_SERVER, str(deadline)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    statuses: list[int] = []

    def ask() -> None:
        with suppress(httpx2.HTTPError):
            answer = httpx2.post(f"http://127.0.0.1:{port}/v1/inpaint", files=upload(), timeout=30)
            statuses.append(answer.status_code)

    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        client = threading.Thread(target=ask)
        client.start()
        assert process.stdout.readline() == "working\n"
        yield process, client, statuses
    finally:
        process.kill()
        process.communicate()
        client.join()


def test_the_third_signal_ends_the_process_whatever_it_is_at():
    with busy_server(deadline=60) as (process, client, statuses):
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.7)
            assert process.poll() is None, "what has begun is finished"
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - start < 1
        client.join()
        assert not statuses


def test_work_whose_deadline_has_passed_does_not_keep_the_process():
    with busy_server(deadline=0.5) as (process, client, statuses):
        client.join()
        assert statuses == [503]
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - start < 5


def test_a_server_without_temporary_files_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    result = CliRunner().invoke(app, ["serve", "--port", "0"])
    assert result.exit_code == 2
    assert "mount a tmpfs at /tmp" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_container_has_a_folder_for_temporary_files():
    service = yaml.safe_load((Path(__file__).parents[2] / "compose.yaml").read_text())["services"]["wavepaint"]
    assert service["read_only"]
    (mount,) = service["tmpfs"]
    assert mount.startswith("/tmp:size=1g")


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
        (["--runtime", "abacus"], "'abacus' is not one of 'auto'"),
        (["--port", "99999"], "cannot listen on 127.0.0.1, port 99999"),
        (["--host", "no such host", "--insecure-no-token"], "cannot listen on no such host"),
    ],
)
def test_bad_options_are_one_line(arguments, words):
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
