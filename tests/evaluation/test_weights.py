import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("torch")
pytest.importorskip("pooch")

from wavepaint.errors import WavepaintError
from wavepaint.evaluation import weights
from wavepaint.files import cache_folder

CONTENT = bytes(range(256)) * 500
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012  # what the tests look at

    def do_GET(self):
        self.requests.append(self.path)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("WAVEPAINT_CACHE", str(tmp_path / "deep" / "cache"))
    Handler.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_fetched_once_and_cached(server):
    downloads = {"net": (f"{server}/weights.pth", DIGEST)}
    first = weights.fetch("net", downloads)
    assert first.read_bytes() == CONTENT
    assert first.parent == cache_folder()
    assert weights.fetch("net", downloads) == first
    assert Handler.requests == ["/weights.pth"]


@pytest.mark.parametrize(("path", "digest"), [("/weights.pth", "0" * 64), ("/missing.pth", DIGEST)])
def test_a_bad_answer_is_one_line_and_leaves_nothing(server, path, digest):
    with pytest.raises(WavepaintError, match=r"pth: cannot download: .*copy: --weights net=FILE") as caught:
        weights.fetch("net", {"net": (server + path, digest)})
    assert "\n" not in str(caught.value)
    assert list(cache_folder().iterdir()) == []


def test_a_cache_that_cannot_be_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("WAVEPAINT_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(WavepaintError, match="cannot download") as caught:
        weights.fetch("vgg16")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_backbones_are_known_by_their_whole_hash(name):
    url, sha256 = weights.DOWNLOADS[name]
    assert len(sha256) == 64
    # torchvision puts the first digits into the name.
    assert url.endswith(f"-{sha256[:8]}.pth")


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("WAVEPAINT_CACHE", raising=False)
    assert cache_folder() == tmp_path / "wavepaint"
    monkeypatch.setenv("WAVEPAINT_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
