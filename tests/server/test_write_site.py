"""`wavepaint site`: the folder it writes, from a stand-in for the built page."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from wavepaint.cli import app
from wavepaint.errors import CheckpointError, OptionError, WavepaintError
from wavepaint.runtime import packaged_network
from wavepaint.server import site
from wavepaint.server.page import STATIC
from wavepaint.server.site import write_site

INDEX = """\
<head>
  <meta name="wavepaint-server" content="v1/inpaint" />
  <title>editor</title>
</head>
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with a file of each kind."""
    folder = tmp_path / "page"
    for name, content in {
        "index.html": INDEX,
        "sw.js": "use(SITE);",
        "assets/main-1234.js": "export {};",
        "assets/ort-wasm-1.mjs": "1" * 10,
        "assets/ort-wasm-1.wasm.gz": "2" * 1000,
        "assets/ort-webgpu-1.wasm.gz": "3" * 2000,
        "licenses/runtime.txt": "MIT",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def known(folder: Path) -> dict[str, Any]:
    line, code = (folder / "sw.js").read_text().split("\n", 1)
    assert code == "use(SITE);"
    return json.loads(line.removeprefix("const SITE = ").removesuffix(";"))


def test_writes_a_site_that_knows_its_files(page: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    written = write_site(target, page=page)
    assert "wavepaint-server" not in (target / "index.html").read_text()
    assert "<title>editor</title>" in (target / "index.html").read_text()
    assert (target / "model.onnx").read_bytes() == packaged_network()
    assert (target / "licenses" / "runtime.txt").is_file()
    worker = known(target)
    assert list(worker["first"]) == ["assets/main-1234.js", "damage.onnx.gz", "index.html", "model.onnx"]
    assert list(worker["later"]) == [
        "assets/ort-wasm-1.mjs",
        "assets/ort-wasm-1.wasm.gz",
        "assets/ort-webgpu-1.wasm.gz",
    ]
    for name, digest in {**worker["first"], **worker["later"]}.items():
        assert digest == hashlib.sha256((target / name).read_bytes()).hexdigest()
    files = [path for path in target.rglob("*") if path.is_file()]
    assert (written.files, written.bytes) == (len(files), sum(path.stat().st_size for path in files))
    licences = len("MIT")
    assert written.first_visit["wasm"] == written.bytes - licences - 2000
    assert written.first_visit["webgpu"] == written.bytes - licences
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_version_changes_with_any_file_and_with_nothing_else(page: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    write_site(target, page=page)
    first = known(target)["version"]
    write_site(target, page=page)
    assert known(target)["version"] == first
    (page / "assets" / "main-1234.js").write_text("export { };")
    (page / "assets" / "more.js").write_text("")
    write_site(target, page=page)
    assert known(target)["version"] != first
    assert (target / "assets" / "more.js").is_file()


def test_refuses_what_is_not_its_own(page: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    target.mkdir()
    write_site(target, page=page)  # empty: fine
    other = tmp_path / "other"
    other.mkdir()
    (other / "image.jpg").write_text("mine")
    with pytest.raises(OptionError, match=r"holds image\.jpg, which is not of an earlier site"):
        write_site(other, page=page)
    assert [path.name for path in other.iterdir()] == ["image.jpg"]
    with pytest.raises(OptionError, match="is not a folder"):
        write_site(other / "image.jpg", page=page)
    with pytest.raises(OptionError, match="there is no folder"):
        write_site(tmp_path / "a" / "b", page=page)


@pytest.mark.parametrize("name", ["_headers", ".git/config", "sw.js.bak"])
def test_keeps_what_was_put_beside_a_site(page: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "site"
    write_site(target, page=page)
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).write_text("mine")
    with pytest.raises(OptionError, match=name):
        write_site(target, page=page)
    assert (target / name).read_text() == "mine"


def test_a_copy_that_fails_says_why(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: Path, target: Path, dirs_exist_ok: bool) -> None:
        raise shutil.Error([(str(source), str(target), "[Errno 28] No space left on device")])

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(OptionError, match="No space left on device"):
        write_site(tmp_path / "site", page=page)
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_a_site_that_cannot_be_put_in_place_leaves_the_old_one(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "site"
    write_site(target, page=page)
    rename = Path.rename

    def fail(self: Path, to: Path) -> Path:
        if self.name == "new":
            raise OSError(13, "Permission denied")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OptionError, match="Permission denied"):
        write_site(target, page=page)
    assert known(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page", "site"]


def test_an_interrupted_write_leaves_the_old_site(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "site"
    write_site(target, page=page)
    before = known(target)
    (page / "assets" / "more.js").write_text("")

    def fail(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site, "manifest", fail)
    with pytest.raises(OptionError, match="No space left on device"):
        write_site(target, page=page)
    assert known(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page", "site"]


def test_takes_another_network_only_if_it_is_one(page: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(packaged_network())
    write_site(tmp_path / "site", own, page=page)
    own.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"own\.onnx: not an ONNX graph"):
        write_site(tmp_path / "other", own, page=page)
    with pytest.raises(CheckpointError, match="no such file"):
        write_site(tmp_path / "other", tmp_path / "none.onnx", page=page)
    assert not (tmp_path / "other").exists()


def test_says_how_to_build_the_page_where_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WavepaintError, match="npm --prefix web run build"):
        write_site(tmp_path / "site", page=tmp_path)


@pytest.mark.skipif(not (STATIC / "sw.js").is_file(), reason="needs the built page")
def test_command_prints_the_transfer_which_is_small(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["site", "-o", str(tmp_path / "site")])
    assert result.exit_code == 0
    assert "a first visit transfers" in result.output
    assert "python -m http.server --directory " in result.output
    assert (tmp_path / "site" / "model.onnx").stat().st_size <= 3e6
    first_visit = write_site(tmp_path / "site").first_visit
    assert first_visit["wasm"] < 8e6
    assert first_visit["webgpu"] < 15e6
    page = (tmp_path / "site" / "index.html").read_text()
    assert 'src="/' not in page
    assert 'href="/' not in page
    assert "http" not in page.replace("http-equiv", "")
    licences = {path.name for path in (tmp_path / "site" / "licenses").iterdir()}
    assert licences == {
        "fflate-LICENSE.txt",
        "idb-keyval-LICENSE.txt",
        "onnxruntime-LICENSE.txt",
        "onnxruntime-ThirdPartyNotices.txt",
        "wavepaint-LICENSE.txt",
    }


def test_a_built_page_is_stale_once_anything_is_younger_that_it_is_built_from(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    spec = spec_from_file_location("hatch_build", Path(__file__).parents[2] / "hatch_build.py")
    assert spec
    assert spec.loader
    hook = module_from_spec(spec)
    spec.loader.exec_module(hook)
    web, static = tmp_path / "web", tmp_path / hook.STATIC
    sources = [
        *(web / name for name in ("index.html", "package.json", "package-lock.json", "vite.config.ts")),
        *(web / name for name in ("tsconfig.json", "src/ui/editor.ts", "public/icon.svg", "build/site.ts")),
        web / "licenses" / "MIT.txt",
        tmp_path / "LICENSE",
        tmp_path / "src" / "wavepaint" / "weights" / "default.onnx",
    ]
    built = static / "index.html"
    for path in [*sources, built, web / "README.md"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert not hook.is_current(web, static / "elsewhere")

    def date(path: Path, seconds: int) -> None:
        os.utime(path, (seconds, seconds))

    for path in web.rglob("*"):
        date(path, 1000)
    for path in sources:
        date(path, 1000)
    date(built, 1000)
    date(web / "README.md", 3000)
    assert hook.is_current(web, static)
    for path in sources:
        date(path, 2000)
        assert not hook.is_current(web, static), path
        date(path, 1000)
    assert hook.is_current(web, static)
