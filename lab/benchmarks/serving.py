"""A `wavepaint serve` of one's own on 127.0.0.1, and what benchmarks send to it."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

from lab.benchmark.machine import process_memory

BOUNDARY = "wavepaint-benchmark"


def png(samples: Any, **options: Any) -> bytes:
    """A PNG of an array."""
    import pyvips

    return bytes(pyvips.Image.new_from_array(samples).pngsave_buffer(**options))


def form(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """A multipart body."""
    body = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (BOUNDARY.encode(), name.encode(), content)
        for name, content in parts
    )
    return body + b"--%b--\r\n" % BOUNDARY.encode()


def ask(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    """Status and content of the answer to a form."""
    connection.request("POST", "/v1/inpaint", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    response = connection.getresponse()
    return response.status, response.read()


class Server:
    """A server process on a free port."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "wavepaint", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.log: list[str] = []
        self.port = 0
        for line in self.process.stderr:
            self.log.append(line)
            if match := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(match[1])
                break
        else:
            raise SystemExit("the server did not start:\n" + "".join(self.log))
        threading.Thread(target=self.log.extend, args=(self.process.stderr,), daemon=True).start()

    def connection(self, timeout: float = 90) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def memory(self, field: str) -> int:
        """Bytes in memory now (`VmRSS`) or at their highest (`VmHWM`)."""
        size = process_memory(field, self.process.pid)
        assert size is not None
        return size

    def stop(self, sig: int = signal.SIGTERM) -> int:
        self.process.send_signal(sig)
        return self.process.wait(timeout=90)
