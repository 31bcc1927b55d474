"""Time of the static site in headless Chromium, one thread and more: an example, and a large hole in a large image.

    python -m lab.benchmarks.site [--threads 1 2] [--repeat 3]

Needs Chromium, playwright and the built page; measures the machine as it is, so leave it alone meanwhile.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyvips

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "browser"))

EXAMPLES = Path(__file__).parents[2] / "examples"
HEIGHT, WIDTH, HOLE = 3000, 4000, 256
FLAGS = ["--no-sandbox", "--disable-gpu"]
MEASURE = """async ([module, image, mask, size, repeat]) => {
    const bytes = async (text) => {
        const blob = await (await fetch(`data:application/octet-stream;base64,${text}`)).arrayBuffer();
        return new Uint8Array(blob);
    };
    const { inpaint, load } = await import(module);
    const raw = { ...size, channels: 3, data: await bytes(image) };
    const hole = { ...size, data: await bytes(mask) };
    const seconds = async (work) => {
        const start = performance.now();
        await work();
        return (performance.now() - start) / 1000;
    };
    const loading = await seconds(() => load());
    const filling = { image: [], network: [] };
    for (let i = 0; i < repeat; i++) {
        for (const detail of ["image", "network"]) {
            filling[detail].push(await seconds(() => inpaint(raw, hole, { detail })));
        }
    }
    return { ...(await load()), loading, filling };
}"""


def example() -> tuple[np.ndarray, np.ndarray]:
    """The image and the mask of examples/coffee."""
    image = pyvips.Image.new_from_file(str(EXAMPLES / "coffee.jpg")).numpy()
    return image, pyvips.Image.new_from_file(str(EXAMPLES / "coffee-mask.png")).numpy() > 127


def large() -> tuple[np.ndarray, np.ndarray]:
    """12 megapixels of waves and noise, and a square hole."""
    columns = np.arange(WIDTH)
    waves = 96 + 64 * np.sin(columns / 700) + np.random.default_rng(0).integers(0, 32, (HEIGHT, WIDTH))
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    top, left = (HEIGHT - HOLE) // 2, (WIDTH - HOLE) // 2
    mask[top : top + HOLE, left : left + HOLE] = True
    return np.repeat(waves[..., None], 3, axis=2).astype(np.uint8), mask


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
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            print("| image | threads | load, s | first fill, s | further fills, s | of these the network, s |")
            print("|---|---|---|---|---|---|")
            for name, (image, mask) in {"coffee.jpg": example(), "12 megapixels": large()}.items():
                for threads in arguments.threads:
                    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                    page = browser.new_page()
                    page.goto(f"{host.url}empty.html")
                    module = f"{host.url}site/wavepaint.js?backend=wasm&threads={threads}"
                    data, marks = (base64.b64encode(each.tobytes()).decode() for each in (image, mask))
                    size = {"width": image.shape[1], "height": image.shape[0]}
                    answer = page.evaluate(MEASURE, [module, data, marks, size, 1 + arguments.repeat])
                    assert answer["threads"] == threads, answer
                    first, *further = answer["filling"]["image"]
                    medians = np.median(further), np.median(answer["filling"]["network"])
                    times = (f"{each:.2f}" for each in (answer["loading"], first, *medians))
                    print(f"| {name} | {threads} | {' | '.join(times)} |", flush=True)
                    browser.close()


if __name__ == "__main__":
    main()
