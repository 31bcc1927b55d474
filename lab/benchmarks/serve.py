"""Load on `wavepaint serve`: throughput, latency, memory, and what signals do to it.

    python -m lab.benchmarks.serve [--seconds 10] [--json serve.json]

Starts servers of its own on 127.0.0.1 and sends all load there. 1, 8 and 64 clients ask for the same image over and
over, each on a connection of its own; a client that gets 429 waits and asks again. Every answer must be the one
right image (byte for byte), a 429 or a 503. Then 8 clients meet SIGTERM (whatever was begun must be answered) and
SIGKILL (every image that arrived must be whole, and a new server must answer as the old one did). Stops by itself;
exit status 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lab.benchmarks.serving import Server, ask, form, png
from wavepaint.cores import available_cores

CLIENTS = (1, 8, 64)
SIDE = 512
HOLE = 96
REFUSED_PAUSE = 0.05
"""Seconds until a client that got 429 asks again: much less than its Retry-After, to keep up the pressure."""
SHUTDOWN_PAUSE = 5
"""Seconds until a client that got 503 asks again, as its Retry-After says."""
IMAGES_BEFORE_SIGNAL = 8


def make_request() -> tuple[bytes, np.ndarray, np.ndarray]:
    """The multipart body that an editor sends: the region around a stroke, and the stroke."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    waves = [127 + 90 * np.sin(rows / (20 + 9 * c)) * np.cos(columns / (31 - 5 * c)) for c in range(3)]
    image = (np.stack(waves, axis=-1) + np.random.default_rng(0).normal(0, 6, (SIDE, SIDE, 3))).clip(0, 255)
    image = image.astype(np.uint8)
    start = (SIDE - HOLE) // 2
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[start : start + HOLE, start : start + HOLE] = 255
    return form([("image", png(image)), ("mask", png(mask))]), image, mask > 0


@dataclass
class Answers:
    """What a group of clients received."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    broken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, status: int, content: bytes, seconds: float, expected: bytes | None) -> None:
        with self.lock:
            self.statuses[str(status)] += 1
            if status == 200:
                self.seconds.append(seconds)
                if expected is not None and content != expected:
                    self.wrong.append(f"200 with other bytes ({len(content)}, not {len(expected)})")
            elif status not in (429, 503):
                self.wrong.append(f"{status}: {content[:200]!r}")


def client(port: int, body: bytes, expected: bytes | None, answers: Answers, stop: threading.Event) -> None:
    """Ask until `stop` is set, or until the server is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    while not stop.is_set():
        start = time.perf_counter()
        try:
            if connection.sock is None:
                connection.connect()
        except OSError:
            return  # nobody listens any more: this request was never taken
        try:
            status, content = ask(connection, body)
        except (OSError, http.client.HTTPException):
            with answers.lock:
                answers.broken += 1
            connection.close()
            continue
        answers.take(status, content, time.perf_counter() - start, expected)
        if status == 429:
            time.sleep(REFUSED_PAUSE)
        elif status == 503:
            stop.wait(SHUTDOWN_PAUSE)
    connection.close()


class Load:
    """Clients that run until `finish`."""

    def __init__(self, port: int, clients: int, body: bytes, expected: bytes) -> None:
        self.answers = Answers()
        self._stop = threading.Event()
        arguments = (port, body, expected, self.answers, self._stop)
        self._threads = [threading.Thread(target=client, args=arguments) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def wait_for_images(self, count: int) -> None:
        give_up = time.monotonic() + 60
        while len(self.answers.seconds) < count and time.monotonic() < give_up:
            time.sleep(0.02)

    def finish(self) -> Answers:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.answers


def steady(server: Server, clients: int, seconds: float, body: bytes, expected: bytes) -> dict[str, object]:
    """Throughput, latency and memory under a constant number of clients."""
    load = Load(server.port, clients, body, expected)
    memory = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        time.sleep(0.25)
        memory.append(server.memory("VmRSS"))
    answers = load.finish()
    elapsed = time.perf_counter() - start
    times = sorted(answers.seconds)
    quarter = max(1, len(memory) // 4)
    return {
        "clients": clients,
        "images_per_second": round(len(times) / elapsed, 2),
        "p50_seconds": round(statistics.median(times), 3) if times else None,
        "p99_seconds": round(times[int(0.99 * (len(times) - 1))], 3) if times else None,
        "answers": dict(answers.statuses),
        "rss_mib_second_quarter": round(statistics.median(memory[quarter : 2 * quarter] or memory) / 2**20, 1),
        "rss_mib_last_quarter": round(statistics.median(memory[-quarter:]) / 2**20, 1),
        "broken": answers.broken,
        "wrong": answers.wrong[:5],
    }


def first_image(server: Server, body: bytes, image: np.ndarray, hole: np.ndarray) -> bytes:
    """The right answer: an image equal to the one sent outside the hole, and not inside."""
    import pyvips

    status, content = ask(server.connection(), body)
    if status != 200:
        server.stop()
        raise SystemExit(f"the first request failed: {status} {content[:200]!r}\n" + "".join(server.log))
    filled = pyvips.Image.new_from_buffer(content, "").numpy()
    if not np.array_equal(filled[~hole], image[~hole]) or np.array_equal(filled[hole], image[hole]):
        raise SystemExit("the first answer is not the image with its hole filled")
    return content


def terminated(server: Server, body: bytes, expected: bytes) -> dict[str, object]:
    """SIGTERM under load: what was begun is answered, then the process ends by itself."""
    load = Load(server.port, 8, body, expected)
    load.wait_for_images(IMAGES_BEFORE_SIGNAL)
    start = time.perf_counter()
    status = server.stop(signal.SIGTERM)
    elapsed = time.perf_counter() - start
    answers = load.finish()
    return {
        "exit_status": status,
        "drained_in_seconds": round(elapsed, 2),
        "answers": dict(answers.statuses),
        "broken": answers.broken,
        "wrong": answers.wrong[:5],
    }


def killed(server: Server, body: bytes, expected: bytes) -> dict[str, object]:
    """SIGKILL under load: what arrived is whole; a new server gives the same answer."""
    load = Load(server.port, 8, body, expected)
    load.wait_for_images(IMAGES_BEFORE_SIGNAL)
    server.stop(signal.SIGKILL)
    answers = load.finish()
    again = Server()
    status, content = ask(again.connection(), body)
    again.stop()
    return {
        "answers_before": dict(answers.statuses),
        "unanswered": answers.broken,
        "wrong": answers.wrong[:5] + ([] if (status, content) == (200, expected) else ["another answer after it"]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10, help="of load for each number of clients, at most 120")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    arguments = parser.parse_args()

    body, image, hole = make_request()
    server = Server()
    expected = first_image(server, body, image, hole)
    load = [steady(server, clients, min(arguments.seconds, 120), body, expected) for clients in CLIENTS]
    after_term = terminated(server, body, expected)
    after_kill = killed(Server(), body, expected)
    report = {
        "image": f"{SIDE}x{SIDE} RGB PNG, hole {HOLE}x{HOLE}",
        "cores": available_cores(),
        "load": load,
        "sigterm": after_term,
        "sigkill": after_kill,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    lost = any(run["broken"] for run in (*load, after_term)) or after_term["exit_status"] != 0
    wrong = any(run["wrong"] for run in (*load, after_term, after_kill))
    return 1 if lost or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
