"""A plain static file server, as any web host has one, that writes down what it is asked for and sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue

ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class StaticServer:
    """Serves a folder while `running`; `headers` go with every answer, and while it is `down` there is none."""

    def __init__(self, folder: Path, headers: dict[str, str]) -> None:
        self.requests: list[str] = []
        self.received: SimpleQueue[bytes] = SimpleQueue()
        self.down = False
        self.headers = headers
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self._http.server_port}/"

    @contextmanager
    def running(self) -> Iterator[StaticServer]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()
            self._http.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, site: StaticServer, *args: object, directory: str) -> None:
        self._site = site
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self._site.down:
            self.log_message()
            self.close_connection = True
        else:
            # Modification times are compared in whole seconds, and a test may write two versions of a file in one.
            del self.headers["If-Modified-Since"]
            super().do_GET()

    def do_POST(self) -> None:
        self._site.received.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def end_headers(self) -> None:
        for name, value in self._site.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *args: object) -> None:
        self._site.requests.append(self.path)
