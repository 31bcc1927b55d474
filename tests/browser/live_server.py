"""`wavepaint serve`, as its users start it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 20


@contextmanager
def serving(log: Path, *options: str) -> Iterator[str]:
    """Run the server on a free port of this machine while the block lasts; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "wavepaint", "serve", "--port", str(port), "--threads", "1", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}/"
        deadline = time.monotonic() + START_SECONDS
        while not is_ready(url):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"the server did not start: {log.read_text()}")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=STOP_SECONDS)


def is_ready(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}readyz", timeout=5).close()
    except OSError:
        return False
    return True
