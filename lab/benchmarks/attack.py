"""An attack on `wavepaint serve`: what costs much to refuse, to do, to give up, and connections that say nothing.

    python -m lab.benchmarks.attack [--deadline 10] [--only NAME ...]

Starts a server of its own on 127.0.0.1 and sends everything there. During each attack a thread asks for `/healthz` ten
times a second, each time on a new connection. Prints, for every attack: the status, the seconds until the answer and
from there until the server's threads have nothing to do, the median and largest latency of `/healthz`, and the peak of
the server's resident memory so far. Then three SIGTERMs, half a second apart, while all workers are busy. Exit status 1
if `/healthz` took longer than 0.2 s, failed, or memory passed `MEMORY`, the limit in compose.yaml.
"""

from __future__ import annotations

import argparse
import io
import re
import signal
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lab.benchmarks.serving import Server, ask, form, png

PROMPT = 0.2
MEMORY = 4 * 2**30
IDLE = 512
Parts = Sequence[tuple[str, bytes]]


@dataclass
class Health:
    """Latencies of `/healthz`, and how often it was not answered with 200."""

    seconds: list[float] = field(default_factory=list)
    failures: int = 0


class Victim(Server):
    """A server of two workers with one thread each, and how it is."""

    def __init__(self, deadline: float) -> None:
        super().__init__("--workers", "2", "--threads", "1", "--deadline", str(deadline))

    def get(self, path: str) -> tuple[int, str]:
        with closing(self.connection(30)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def post(self, body: bytes) -> tuple[int, str]:
        """Status, and the reason if it is a refusal."""
        with closing(self.connection(600)) as connection:
            try:
                status, content = ask(connection, body)
            except OSError as error:
                return 0, str(error)
        return status, "" if status == 200 else content.decode()

    def is_busy(self) -> bool:
        match = re.search(r"^wavepaint_work_running (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return match is not None and float(match[1]) > 0


@contextmanager
def watched(server: Victim) -> Any:
    """The `Health` of a server within the block."""
    health, stop = Health(), threading.Event()

    def ask() -> None:
        while True:
            start = time.perf_counter()
            try:
                health.failures += server.get("/healthz")[0] != 200
            except OSError:
                health.failures += 1
            health.seconds.append(time.perf_counter() - start)
            if stop.wait(0.1):
                break

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield health
    finally:
        stop.set()
        thread.join()


# -- what is sent ----------------------------------------------------------------------------------------------------


def dots(side: int, count: int) -> Parts:
    """A grey image and a mask of evenly spread squares."""
    mask = np.zeros((side, side), np.uint8)
    steps = round(count**0.5)
    centres = [(2 * step + 1) * side // (2 * steps) for step in range(steps)]
    for row in centres:
        for column in centres:
            mask[row - 4 : row + 4, column - 4 : column + 4] = 255
    image = np.full((side, side), 90, np.uint8)
    return [("image", png(image, compression=1)), ("mask", png(mask, compression=1)), ("dilate", b"500")]


def large(side: int, format: str) -> Parts:
    """A soft, noisy image of side x side pixels with a small hole; a PNG if it fits into an upload, else a JPEG."""
    import pyvips

    noise = np.random.default_rng(0).integers(0, 256, (side // 32, side // 32, 3), dtype=np.uint8)
    image = pyvips.Image.new_from_array(noise).resize(32, kernel="linear")
    content = bytes(image.pngsave_buffer(compression=1) if side <= 4000 else image.jpegsave_buffer(Q=90))
    return [("image", content), ("boxes", b"10,10,50,50"), ("format", format.encode())]


def pages(count: int, side: int) -> Parts:
    """A TIFF of black pages, small as a file."""
    import pyvips

    strip = pyvips.Image.black(side, side * count).copy()
    strip.set_type(pyvips.GValue.gint_type, "page-height", side)
    return [("image", bytes(strip.tiffsave_buffer(compression="deflate"))), ("boxes", b"10,10,50,50")]


def second_page_of(megapixels: int) -> Parts:
    """A TIFF whose second page is a header that claims so many pixels."""
    import tifffile

    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for _ in range(2):
            writer.write(np.zeros((8, 8), np.uint8), photometric="minisblack", metadata=None)
    content = bytearray(stream.getvalue())
    start = tifffile.TiffFile(io.BytesIO(content)).pages[1].offset
    (count,) = struct.unpack_from("<H", content, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, entry)[0] in (256, 257, 278):
            struct.pack_into("<HII", content, entry + 2, 4, 1, round((megapixels * 1e6) ** 0.5))
    return [("image", bytes(content)), ("boxes", b"1,1,3,3")]


ATTACKS: dict[str, Callable[[], Parts]] = {
    "page 2 of 900 MP": lambda: second_page_of(900),
    "dilate 500, 16 dots on 2800 px": lambda: dots(2800, 16),
    "dilate 500, 64 dots on 5600 px": lambda: dots(5600, 64),
    "40 pages of 64 MP": lambda: pages(40, 8000),
    "4 pages of 64 MP": lambda: pages(4, 8000),
    "AVIF of 64 MP": lambda: large(8000, "avif"),
    "AVIF of 16 MP": lambda: large(4000, "avif"),
    "WebP of 64 MP": lambda: large(8000, "webp"),
    "PNG of 64 MP": lambda: large(8000, "png"),
}


# -- the attack ------------------------------------------------------------------------------------------------------


def attack(server: Victim, name: str) -> bool:
    """Two of the same at a time, one for each worker. Returns whether the server stayed well."""
    body = form(ATTACKS[name]())
    answers: list[tuple[int, str]] = []
    with watched(server) as health:
        start = time.perf_counter()
        clients = [threading.Thread(target=lambda: answers.append(server.post(body))) for _ in range(2)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        answered = time.perf_counter()
        while server.is_busy():
            time.sleep(0.05)
        ended = time.perf_counter()
    statuses = " ".join(str(status) for status, _ in answers)
    for reason in {reason for status, reason in answers if status not in (200, 503)}:
        print(f"  {name}: {reason[:200]}")
    print(f"{name}: {statuses}, {answered - start:.1f} s, then busy for {ended - answered:.1f} s", end="; ")
    return report(server, health)


def silence(server: Victim) -> bool:
    """Connections that never send anything, as many as the server takes."""
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        with watched(server) as health:
            time.sleep(5)
    print(f"{IDLE} idle connections", end="; ")
    return report(server, health)


def report(server: Victim, health: Health) -> bool:
    median, worst = (1000 * f(health.seconds) for f in (statistics.median, max))
    peak = server.memory("VmHWM")
    print(
        f"/healthz {median:.0f} ms, at most {worst:.0f} ms, {health.failures} of {len(health.seconds)} failed; "
        f"peak memory {peak / 2**20:.0f} MiB",
        flush=True,
    )
    return worst < 1000 * PROMPT and not health.failures and peak < MEMORY


def stop(server: Victim) -> None:
    """Three signals while the workers are busy."""
    body = form(large(4000, "avif"))
    for _ in range(2):
        threading.Thread(target=server.post, args=(body,), daemon=True).start()
    while not server.is_busy():
        time.sleep(0.02)
    time.sleep(1)
    for _ in range(3):
        server.process.send_signal(signal.SIGTERM)
        third = time.perf_counter()
        time.sleep(0.5)
    status = server.process.wait()
    print(f"three SIGTERMs: status {status}, {max(time.perf_counter() - third - 0.5, 0):.1f} s after the third")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--deadline", type=float, default=10)
    parser.add_argument("--only", nargs="*", choices=[*ATTACKS, "silence"], default=[*ATTACKS, "silence"])
    arguments = parser.parse_args()
    server = Victim(arguments.deadline)
    try:
        well = [attack(server, name) for name in arguments.only if name in ATTACKS]
        if "silence" in arguments.only:
            well.append(silence(server))
        stop(server)
    finally:
        server.process.kill()
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
