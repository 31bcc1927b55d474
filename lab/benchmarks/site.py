"""Time of the static site in headless Chromium: a 256-pixel hole in a 12-megapixel photograph, one thread and more.

    python lab/benchmarks/site.py [--threads 1 2] [--repeat 3]

Needs Chromium, playwright and the built page; measures the machine as it is, so leave it alone meanwhile.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "browser"))

HEIGHT, WIDTH, HOLE = 3000, 4000, 256
FLAGS = ["--no-sandbox", "--disable-gpu"]
MEASURE = """async ([module, height, width, side, repeat]) => {
    const { inpaint, load } = await import(module);
    const data = new Uint8Array(3 * height * width);
    for (let i = 0, state = 1; i < data.length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        data[i] = 96 + 64 * Math.sin(i / 3 / 700) + (state >>> 27);
    }
    const mask = { width, height, data: new Uint8Array(height * width) };
    const left = (width - side) >> 1, top = (height - side) >> 1;
    for (let y = top; y < top + side; y++) mask.data.fill(1, y * width + left, y * width + left + side);
    const seconds = async (work) => {
        const start = performance.now();
        await work();
        return (performance.now() - start) / 1000;
    };
    const loading = await seconds(() => load());
    const filling = [];
    for (let i = 0; i < repeat; i++) {
        filling.push(await seconds(() => inpaint({ width, height, channels: 3, data }, mask)));
    }
    return { ...(await load()), loading, filling };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright
    from static_server import ISOLATION, StaticServer

    from wavepaint.server.site import write_site

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_site(Path(folder) / "site")
        (Path(folder) / "empty.html").write_text("<!doctype html><title>empty</title>")
        with StaticServer(Path(folder), ISOLATION).running() as host:
            print("| threads | load, s | first fill, s | median of further fills, s |\n|---|---|---|---|")
            for threads in arguments.threads:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                page = browser.new_page()
                page.goto(f"{host.url}empty.html")
                module = f"{host.url}site/wavepaint.js?backend=wasm&threads={threads}"
                answer = page.evaluate(MEASURE, [module, HEIGHT, WIDTH, HOLE, 1 + arguments.repeat])
                assert answer["threads"] == threads, answer
                first, *further = answer["filling"]
                print(f"| {threads} | {answer['loading']:.1f} | {first:.1f} | {np.median(further):.1f} |", flush=True)
                browser.close()


if __name__ == "__main__":
    main()
