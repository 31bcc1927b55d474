"""Frame times of the editor while painting on 24 megapixels: `python -m lab.benchmarks.editor`; needs Chromium."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "browser")]

from conftest import BROWSER_FLAGS, CHROMIUM  # noqa: E402
from editor_page import EditorPage, encode  # noqa: E402
from live_server import serving  # noqa: E402

RECORD = """() => {
    window.frames_ = [];
    let last = performance.now();
    const tick = (now) => { frames_.push(now - last); last = now; window.ticking = requestAnimationFrame(tick); };
    window.ticking = requestAnimationFrame(tick);
}"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:4000, :6000]
    waves = 128 + 80 * np.sin(columns / 170)[..., None] * np.cos(rows / 110)[..., None]
    source = np.clip(waves + rng.normal(0, 6, (4000, 6000, 3)), 0, 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log.txt") as url, sync_playwright() as play:
        path = Path(folder) / "large.png"
        path.write_bytes(encode(source, compression=1))
        browser = play.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        editor = EditorPage(page, url)
        started = time.monotonic()
        page.get_by_label("Image file").set_input_files(path)
        expect(editor.status).to_contain_text("Opened large.png", timeout=60_000)
        editor.size = (6000, 4000)
        print(f"open: {time.monotonic() - started:.1f} s")
        for tool in ("Brush", "Avoid"):
            editor.choose(tool)
            page.wait_for_timeout(1000)
            page.evaluate(RECORD)
            points = [(x, 2000 + 1200 * np.sin(x / 400)) for x in range(400, 5600, 60)]
            editor.drag(points)
            frames = page.evaluate("cancelAnimationFrame(window.ticking), window.frames_")
            report(f"painting ({tool.lower()})", frames)
        editor.choose("Magic wand")
        page.mouse.move(*editor.to_screen(3000, 500))
        page.evaluate(RECORD)
        started = time.monotonic()
        page.mouse.down()
        page.mouse.up()
        expect(editor.status).to_have_text("Magic wand.")
        print(f"magic wand: {time.monotonic() - started:.1f} s")
        browser.close()


def report(what: str, frames: list[float]) -> None:
    median, high = np.percentile(frames, [50, 95])
    print(
        f"{what}: {len(frames)} frames, median {median:.0f} ms, 95 % below {high:.0f} ms, longest {max(frames):.0f} ms"
    )


if __name__ == "__main__":
    main()
