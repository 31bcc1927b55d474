"""The editor as a folder of static files: the network runs in the visitor's browser, and nothing is uploaded."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from wavepaint.errors import OptionError, WavepaintError
from wavepaint.files import atomic_dir
from wavepaint.runtime.loading import model_file, packaged_network
from wavepaint.server.page import DETECTOR, INDEX, MODEL, STATIC, packed_detector

WORKER = "sw.js"
"""The service worker: it holds the list of all other files, and so tells a folder that holds a site."""
LICENSES = "licenses"
_SITE_LINE = "const SITE = "
_SERVER_NOTE = re.compile(r'^\s*<meta name="wavepaint-server".*\n', re.MULTILINE)
_RUNTIME = re.compile(r"assets/ort-\w+-.*")


@dataclass(frozen=True)
class Site:
    """A site that was written.

    Attributes:
        folder: where it is.
        files: number of files.
        bytes: of all files.
        first_visit: bytes that a browser fetches at its first visit, and keeps: page, network and ONNX Runtime, for
            "wasm" one build, for "webgpu" both, as a graphics processor may fail or go away. Hosts that compress text
            send some 0.1 MB less.
    """

    folder: Path
    files: int
    bytes: int
    first_visit: dict[str, int]


def write_site(folder: Path, model: str | Path | None = None, *, page: Path = STATIC) -> Site:
    """Write the editor and a network as a static site; the folder appears whole or not at all.

    Args:
        folder: a new or empty folder, or one that holds such a site and nothing else, which is replaced.
        model: an ONNX file that `wavepaint export` wrote; None or "default" for the packaged network.
        page: the built page.

    Raises:
        CheckpointError: `model` is missing or not a WavePaint graph.
        OptionError: `folder` holds something else, or cannot be written.
        WavepaintError: the page is not part of this installation.
    """
    if not (page / INDEX).is_file():
        raise WavepaintError(
            "the editor is not part of this installation: build it from the source distribution with Node 20.19, "
            "npm --prefix web ci && npm --prefix web run build"
        )
    path = model_file(model)
    network = packaged_network() if path is None else path.read_bytes()
    if path is not None:
        from wavepaint.runtime.onnx_runtime import OnnxRuntime

        OnnxRuntime(network, str(path), threads=1)  # which refuses what is not a WavePaint graph
    _check_target(folder)
    try:
        with atomic_dir(folder.resolve(), WORKER) as unfinished:
            shutil.copytree(page, unfinished, dirs_exist_ok=True)
            (unfinished / MODEL).write_bytes(network)
            (unfinished / DETECTOR).write_bytes(packed_detector())
            return _finish(unfinished, folder)
    except OSError as error:
        raise OptionError(f"{folder}: cannot be written: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        # One (source, target, reason) for each file that could not be copied.
        return str(error.args[0][0][2])
    return error.strerror or str(error)


def manifest(folder: Path) -> dict[str, Any]:
    """What the service worker of a folder has to know: a version that changes with any file, and a digest of each."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _names(folder)}
    version = hashlib.sha256("".join(f"{name}\0{digest}\n" for name, digest in digests.items()).encode())
    used = {name: digest for name, digest in digests.items() if PurePosixPath(name).parts[0] != LICENSES}
    return {
        "version": version.hexdigest()[:16],
        "first": {name: digest for name, digest in used.items() if not _RUNTIME.fullmatch(name)},
        "later": {name: digest for name, digest in used.items() if _RUNTIME.fullmatch(name)},
    }


def _finish(folder: Path, target: Path) -> Site:
    """Turn a copy of the server's page into a site of its own."""
    index = folder / INDEX
    index.write_text(_SERVER_NOTE.sub("", index.read_text(encoding="utf-8")), encoding="utf-8")
    worker = folder / WORKER
    code = worker.read_text(encoding="utf-8")
    known = manifest(folder)
    line = json.dumps(known, separators=(",", ":"))
    worker.write_text(f"{_SITE_LINE}{line};\n{code}", encoding="utf-8")
    sizes = {name: (folder / name).stat().st_size for name in [*_names(folder), WORKER]}
    common = sizes[WORKER] + sum(sizes[name] for name in known["first"])
    later = {name: sizes[name] for name in known["later"]}
    wasm = sum(size for name, size in later.items() if name.startswith("assets/ort-wasm-"))
    first_visit = {"wasm": common + wasm, "webgpu": common + sum(later.values())}
    return Site(target, len(sizes), sum(sizes.values()), first_visit)


def _names(folder: Path) -> list[str]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != WORKER)


def _check_target(folder: Path) -> None:
    if not folder.exists():
        if not folder.absolute().parent.is_dir():
            raise OptionError(f"{folder}: there is no folder {folder.absolute().parent}")
        return
    if not folder.is_dir():
        raise OptionError(f"{folder}: is not a folder")
    foreign = sorted(set(_names(folder)) - _known(folder))
    if foreign:
        raise OptionError(f"{folder}: holds {foreign[0]}, which is not of an earlier site; name a new folder")


def _known(folder: Path) -> set[str]:
    """The files of a site that lies in a folder: all that may be replaced."""
    try:
        line, _, _ = (folder / WORKER).read_text(encoding="utf-8").partition("\n")
        site = json.loads(line.removeprefix(_SITE_LINE).removesuffix(";"))
        known = {*site["first"], *site["later"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return known | {name for name in _names(folder) if PurePosixPath(name).parts[0] == LICENSES}
