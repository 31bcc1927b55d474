import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wavepaint.errors import WavepaintError
from wavepaint.evaluation.downloads import Download, fetch
from wavepaint.files import cache_folder

CONTENT = bytes(range(256)) * 5000
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
        self.wfile.write(CONTENT[:1000] if self.path.startswith("/short") else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Handler.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_fetched_once_and_kept(server, tmp_path):
    download = Download(f"{server}/some/weights.pth?version=1", DIGEST)
    first = fetch(download, tmp_path / "deep" / "cache")
    assert first.read_bytes() == CONTENT
    assert first.name == f"{DIGEST[:8]}-weights.pth"
    assert fetch(download, tmp_path / "deep" / "cache") == first
    assert len(Handler.requests) == 1
    assert list(first.parent.iterdir()) == [first]


def test_the_first_digits_of_a_hash_are_enough(server, tmp_path):
    assert fetch(Download(f"{server}/weights-{DIGEST[:8]}.pth", DIGEST[:8]), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "digest", "reason"),
    [
        ("/weights.pth", "0" * 64, "SHA-256 is"),
        ("/short.pth", DIGEST, "short.pth: "),
        ("/missing.pth", DIGEST, "404"),
    ],
)
def test_a_bad_answer_is_one_line_and_leaves_nothing(server, tmp_path, path, digest, reason):
    with pytest.raises(WavepaintError, match=reason) as caught:
        fetch(Download(server + path, digest), tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_server_is_one_line(tmp_path):
    with pytest.raises(WavepaintError, match="cannot download"):
        fetch(Download("http://127.0.0.1:9/x", DIGEST), tmp_path)


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_cache_that_cannot_be_is_one_line(monkeypatch, tmp_path, folder):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("WAVEPAINT_CACHE", str(tmp_path / folder))
    with pytest.raises(WavepaintError, match=r"^http://127\.0\.0\.1:9/x: cannot download: .*file") as caught:
        fetch(Download("http://127.0.0.1:9/x", DIGEST))
    assert "\n" not in str(caught.value)


def test_a_hash_must_be_a_hash():
    with pytest.raises(ValueError, match="hexadecimal"):
        Download("http://localhost/x", "abc")


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("WAVEPAINT_CACHE", raising=False)
    assert cache_folder() == tmp_path / "wavepaint"
    monkeypatch.setenv("WAVEPAINT_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
