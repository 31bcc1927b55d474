"""The module and the editor in the engines of Firefox and Safari, which drive themselves: no driver is needed.

Each browser opens one page, for the first time in its life. Its script fills parity cases and then works in an editor
that the page embeds, at once; it sends what came out to the host once everything is kept for offline use. Chromium has
tests of its own, through Playwright.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from editor_page import decode, encode
from static_server import ISOLATION, StaticServer

from parity.make import CASES
from wavepaint import Inpainter
from wavepaint.server.page import STATIC
from wavepaint.server.site import write_site

SCRIPT = Path(__file__).with_name("engine.js")
PARITY = Path(__file__).parents[1] / "parity"
NAMES = ("rgb", "grey16", "alpha", "rgb16", "deep")
SECONDS = 300
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
MINI_BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)
# A new profile asks for updates, settings and lists of blocked sites at once.
QUIET_FIREFOX = """\
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9/");
user_pref("toolkit.telemetry.enabled", false);
"""


@contextmanager
def running(engine: str, url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The browser with a new profile in `folder`, showing one page."""
    if engine == "firefox":
        profile = folder / "profile"
        profile.mkdir()
        (profile / "user.js").write_text(QUIET_FIREFOX)
        command = [FIREFOX, "--headless", "--no-remote", "--profile", profile, url]
    else:
        # With a file of its own it makes no folder, which it could not remove when it is stopped.
        command = ["xvfb-run", "--auto-servernum", "--auth-file", folder / "Xauthority", MINI_BROWSER, "--private", url]
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        for step in (signal.SIGTERM, signal.SIGKILL):  # the second for those that outlive the first process
            with suppress(ProcessLookupError):
                os.killpg(process.pid, step)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)


def waves(channels: int, dtype: type) -> np.ndarray:
    """(80, 112, C) waves with noise on them."""
    rows, columns = np.mgrid[:80, :112]
    values = 0.5 + 0.3 * np.sin(columns[..., None] / 17 + np.arange(channels)) * np.cos(rows[..., None] / 11)
    noise = np.random.default_rng(7).normal(0, 0.02, values.shape)
    return (np.clip(values + noise, 0.05, 1) * np.iinfo(dtype).max).astype(dtype)


def as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def answers_of(engine: str, folder: Path, headers: dict[str, str]) -> dict[str, Any]:
    """What the page's script reports from this browser."""
    cases = []
    for case in CASES:
        if case.name in NAMES:
            source = decode((PARITY / json.loads((PARITY / f"{case.name}.json").read_text())["image"]).read_bytes())
            cases.append(
                {
                    "name": case.name,
                    "width": case.width,
                    "height": case.height,
                    "channels": source.shape[2],
                    "wide": source.dtype == np.uint16,
                    "detail": case.detail,
                    "data": as_text(source.tobytes()),
                    "mask": as_text(case.mask().astype(np.uint8).tobytes()),
                }
            )
    files = [{"name": f"{name}.png", "data": as_text(encode(samples))} for name, samples in IMAGES.items()]
    site = folder / "host"
    site.mkdir()
    write_site(site / "site")
    shutil.copy(SCRIPT, site)
    (site / "work.json").write_text(json.dumps({"cases": cases, "files": files}))
    (site / "index.html").write_text(PAGE)
    with StaticServer(site, headers).running() as server, running(engine, server.url, folder) as browser:
        end = time.monotonic() + SECONDS
        while server.received.empty():
            if time.monotonic() > end or browser.poll() is not None:
                log = (folder / "browser.log").read_text(errors="replace")
                pytest.fail(f"no answer; asked for {server.requests}; the browser says: {log[-2000:]}")
            time.sleep(0.1)
    assert "/site/model.onnx" in server.requests
    return dict(json.loads(server.received.get()))


RUNTIME = [path.name for path in (STATIC / "assets").glob("ort-wasm-*")]
PAGE = '<!doctype html><title>work</title><script type="module" src="engine.js"></script>'
IMAGES = {"waves": waves(3, np.uint8), "veil": waves(2, np.uint16)}
ENGINES = (
    pytest.param("firefox", ISOLATION, id="firefox"),
    pytest.param("firefox", {}, id="firefox-one-thread"),
    pytest.param("webkit", ISOLATION, id="webkit"),
    pytest.param("webkit", {}, id="webkit-one-thread"),
)


@pytest.mark.parametrize(("engine", "headers"), ENGINES)
def test_fills_as_python_does_and_changes_nothing_else(engine: str, headers: dict[str, str], tmp_path: Path) -> None:
    if engine == "firefox" and FIREFOX is None:
        pytest.skip("needs Firefox")
    if engine == "webkit" and (MINI_BROWSER is None or shutil.which("xvfb-run") is None):
        pytest.skip("needs WebKitGTK's MiniBrowser and Xvfb")
    answers = answers_of(engine, tmp_path, headers)
    assert answers["failure"] is None
    assert ("Firefox/" in answers["agent"]) == (engine == "firefox")
    assert "Chrom" not in answers["agent"]
    assert answers["engine"]["backend"] == "wasm"
    assert answers["isolated"] == bool(headers)
    assert answers["engine"]["threads"] == (min(answers["cores"], 8) if headers else 1)
    assert answers["served"]
    assert {path.rpartition("/")[2] for path in answers["kept"]} >= {"index.html", "model.onnx", *RUNTIME}

    assert set(answers["cases"]) == set(NAMES)
    for case in CASES:
        if case.name in NAMES:
            description = json.loads((PARITY / f"{case.name}.json").read_text())
            source, expected = (decode((PARITY / description[key]).read_bytes()) for key in ("image", "expected"))
            result = np.frombuffer(base64.b64decode(answers["cases"][case.name]), source.dtype).reshape(source.shape)
            check(source, case.mask(), result, expected)

    for name, source in IMAGES.items():
        mask, result = (decode(base64.b64decode(answers["files"][f"{name}.png"][key])) for key in ("mask", "result"))
        hole = mask[..., 0] == 255
        assert 300 < hole.sum() < 3000
        expected = Inpainter(runtime="onnxruntime", threads=1)(source, hole)
        # The guides differ by a step here and there, and so do a few matches.
        close = np.abs(result.astype(int) - expected).max(axis=2) <= 2 * step_of(source)
        assert close[hole].mean() > 0.9
        np.testing.assert_array_equal(result[~hole], source[~hole])
        assert (result != source)[hole].mean() > 0.5


def check(source: np.ndarray, hole: np.ndarray, result: np.ndarray, expected: np.ndarray) -> None:
    assert result.dtype == source.dtype
    np.testing.assert_array_equal(result[~hole], source[~hole])
    assert np.abs(result.astype(int) - expected)[hole].max() <= 2 * step_of(source)


def step_of(samples: np.ndarray) -> int:
    """A step of 8 bits."""
    return 1 if samples.dtype == np.uint8 else 257
