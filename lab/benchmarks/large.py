"""Cost against the area of the image and of the hole, and against other methods on the same samples.

    python -m lab.benchmarks.large [--small] [--rounds 3] [--budget 20] [--methods NAME,NAME] [--only SERIES,SERIES]
        [--python PATH] [--json large.json] [--plots FOLDER]

Three series of arrays: one hole of 64 px in images of 1 to 100 megapixels; holes of 32 to 1500 px in one of 12;
1 to 1000 holes of 24 px in one of 24. Every round runs all methods in turn, and medians are reported, so that a
machine that slows down slows all of them down. A method that needs longer than the budget, in seconds, for a case is
left out of what follows in the series, further rounds of that case included. A network is loaded for each case, in the
runtime that "auto" takes for it, before the first round. Then whole processes, cold, from file to file, with their
processor seconds and peak memory: JPEGs, one
of them with a hole of 200 px and one of 1500, a 10,000 x 10,000 16-bit TIFF with 100 holes of 60 px, and an even
30,000 x 30,000 TIFF in tiles with 4. The TIFFs have a bound on memory, and the exit status is 1 where it is exceeded.
Last a folder of JPEGs of 2 megapixels: one process of ours, against OpenCV decoding, filling and encoding one after the
other. `--python` names the interpreter of another environment for these processes, such as one with the package
alone. `--small` is a quick look: the first case or two of each series. PatchMatch, in NumPy the slowest by far, runs
only if it is named: wavepaint, opencv-telea, opencv-ns, biharmonic, patchmatch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from lab.registered import CLASSICAL, classical_fill
from wavepaint import Inpainter
from wavepaint.cores import available_cores
from wavepaint.evaluation.charts import drawing, svg_of
from wavepaint.fill.regions import find_regions
from wavepaint.fill.wide import WideSizes
from wavepaint.inpainter import CROP_PIXELS

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]

OWN = "wavepaint"
SERIES = ("files", "folder", "image area", "hole size", "holes")
PACKAGES = ("wavepaint", "numpy", "onnxruntime", "openvino", "jpeglib", "pyvips-binary", "opencv-python-headless")
MEGAPIXEL = 10**6
ASPECT = 4 / 3


@dataclass(frozen=True)
class Case:
    """`count` square holes of `side` pixels in an image of `megapixels`.

    Attributes:
        limit_mib: the most memory that a process may need for it.
        even: whether the image is grey and the same everywhere, so that its file is small.
    """

    series: str
    megapixels: float
    side: int
    count: int
    aspect: float = ASPECT
    limit_mib: int | None = None
    even: bool = False

    def size(self) -> tuple[int, int]:
        """Height and width."""
        height = int((self.megapixels * MEGAPIXEL / self.aspect) ** 0.5)
        return height, int(height * self.aspect)

    def corners(self) -> Iterator[tuple[int, int]]:
        """Top and left of every hole, on a grid."""
        height, width = self.size()
        across = int(np.ceil((self.count * self.aspect) ** 0.5))
        down = -(-self.count // across)
        for hole in range(self.count):
            top = (2 * (hole // across) + 1) * height // (2 * down) - self.side // 2
            yield top, (2 * (hole % across) + 1) * width // (2 * across) - self.side // 2

    def render(self) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 and (H, W) bool: waves and noise, and the holes."""
        height, width = self.size()
        rows, columns = np.ogrid[:height, :width]
        rng = np.random.default_rng(0)
        image = np.empty((height, width, 3), np.uint8)
        for channel in range(3):
            waves = 127 + 80 * np.sin(rows / (40 + 9 * channel), dtype=np.float32) * np.cos(columns / 60)
            noise = rng.standard_normal((height, width), np.float32)
            image[..., channel] = (waves + 4 * noise).clip(0, 255)
        mask = np.zeros((height, width), np.bool_)
        for top, left in self.corners():
            mask[top : top + self.side, left : left + self.side] = True
        return image, mask


@dataclass(frozen=True)
class Process:
    """What a whole process took, start included."""

    seconds: float
    processor_seconds: float
    peak_mib: int


@dataclass
class Timing:
    """Seconds of every round, by the clock and, of whole processes, of the processor."""

    case: Case
    method: str
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    peak_mib: int | None = None

    def add(self, process: Process) -> None:
        self.seconds.append(process.seconds)
        self.processor_seconds.append(process.processor_seconds)
        self.peak_mib = max(self.peak_mib or 0, process.peak_mib)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def exceeds_limit(self) -> bool:
        limit = self.case.limit_mib
        return limit is not None and self.peak_mib is not None and self.peak_mib > limit


def series(small: bool) -> list[list[Case]]:
    areas = [Case("image area", size, 64, 1) for size in (1, 4, 12, 24, 50, 100)]
    holes = [
        Case("hole size", 12, side, 1) for side in (32, 64, 128, WideSizes.wide - 1, 2 * WideSizes.wide, 1000, 1500)
    ]
    counts = [Case("holes", 24, 24, count) for count in (1, 10, 100, 1000)]
    if small:
        return [areas[:2], [Case("hole size", 1, side, 1) for side in (32, 128, 400)], [Case("holes", 1, 24, 10)]]
    return [areas, holes, counts]


def own_fill(mask: np.ndarray) -> Fill:
    """Our own, loaded for what this mask takes."""
    inpainter = Inpainter()
    crops = [region.crop for stage in find_regions(mask) for region in stage]
    inpainter.load(expected_crops=sum(crop.area for crop in crops) // CROP_PIXELS)
    return inpainter


def measure(cases: list[Case], names: list[str], rounds: int, budget: float) -> Iterator[Timing]:
    """The timings of one series, from the cheapest case to the dearest."""
    names = list(names)
    for case in cases:
        image, mask = case.render()
        fills = {name: own_fill(mask) if name == OWN else classical_fill(name) for name in names}
        timings = {name: Timing(case, name) for name in fills}
        for _ in range(rounds):
            for name in list(fills):
                started = time.perf_counter()
                result = fills[name](image, mask)
                timings[name].seconds.append(time.perf_counter() - started)
                if name == OWN and not np.array_equal(result[~mask], image[~mask]):
                    raise AssertionError(f"{case}: a sample outside the hole has changed")
                if timings[name].seconds[-1] > budget:
                    del fills[name]
                    names.remove(name)
        yield from timings.values()


def measure_files(small: bool, rounds: int, python: str) -> Iterator[Timing]:
    """Whole processes, from file to file."""
    cases = [
        (Case("file: jpg to jpg", 1, 64, 1), "jpg", np.uint8),
        (Case("file: jpg to jpg", 12, 200, 1), "jpg", np.uint8),
        (Case("file: jpg to jpg", 12, 1500, 1), "jpg", np.uint8),
        (Case("file: 16-bit tif", 100, 60, 100, aspect=1, limit_mib=667), "tif", np.uint16),
        (Case("file: tiled tif", 900, 60, 4, aspect=1, limit_mib=1200, even=True), "tif", np.uint8),
    ]
    for case, suffix, dtype in cases[:1] if small else cases:
        with tempfile.TemporaryDirectory() as folder:
            image, mask = Path(folder) / f"image.{suffix}", Path(folder) / "mask.png"
            write_files(case, dtype, image, mask)
            timing = Timing(case, "wavepaint, whole process")
            command = [python, "-m", "wavepaint", "inpaint", image, mask, "-o", f"{folder}/filled.{suffix}"]
            for _ in range(rounds):
                timing.add(run_apart(command))
        yield timing


def run_apart(command: list[str | Path]) -> Process:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{said.decode()}")
    return Process(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024)


FOLDER_SCRIPT = """
import sys, pathlib, cv2
source, mask, target = map(pathlib.Path, sys.argv[1:])
hole = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
for image in sorted(source.iterdir()):
    filled = cv2.inpaint(cv2.imread(str(image)), hole, 3, cv2.INPAINT_TELEA)
    cv2.imwrite(str(target / image.name), filled)
"""


def measure_folder(small: bool, rounds: int, python: str) -> Iterator[Timing]:
    """A folder of images, by one process of ours and by a loop over OpenCV."""
    count = 8 if small else 60
    case = Case(f"folder of {count}", 2, 64, 4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, mask = folder / "image.jpg", folder / "mask.png"
        write_files(case, np.uint8, image, mask)
        (folder / "in").mkdir()
        for number in range(count):
            (folder / "in" / f"{number:03}.jpg").write_bytes(image.read_bytes())
        timings = {name: Timing(case, name) for name in ("wavepaint, folder", "opencv-telea, loop")}
        for number in range(rounds):
            for name, timing in timings.items():
                target = folder / f"{name.split(',')[0]}-{number}"
                target.mkdir()
                command = [python, "-m", "wavepaint", "inpaint", folder / "in", mask, "-o", target]
                if name.startswith("opencv"):
                    command = [sys.executable, "-c", FOLDER_SCRIPT, folder / "in", mask, target]
                process = run_apart(command)
                assert len(list(target.iterdir())) == count
                timing.add(process)
        yield from timings.values()


def write_files(case: Case, dtype: type, image: Path, mask: Path) -> None:
    """By a process of its own: a child's peak memory counts what its parent held when it began."""
    command = [sys.executable, "-m", "lab.benchmarks.large", "--write", json.dumps(asdict(case))]
    run_apart([*command, np.dtype(dtype).name, image, mask])


def write_image(case: Case, dtype: str, image: str, mask: str) -> None:
    import pyvips

    if case.even:
        height, width = case.size()
        even = pyvips.Image.black(width, height)
        (even + 120).cast("uchar").tiffsave(image, compression="deflate", tile=True)
        for top, left in case.corners():
            even = even.insert((pyvips.Image.black(case.side, case.side) + 255).cast("uchar"), left, top)
        even.pngsave(mask, compression=1)
        return
    samples, hole = case.render()
    if dtype == "uint16":
        samples = samples.astype(np.uint16) * 257
    interpretation = "rgb16" if dtype == "uint16" else "srgb"
    options = {"Q": 92} if image.endswith("jpg") else {"compression": "deflate", "tile": True}
    pyvips.Image.new_from_array(samples, interpretation=interpretation).write_to_file(image, **options)
    pyvips.Image.new_from_array(hole.astype(np.uint8) * 255).write_to_file(mask)


def plot(timings: list[Timing], folder: Path) -> None:
    """Cost of each series on logarithmic axes, one SVG each."""
    axes = {
        "image area": ("area of the image, megapixels; one hole of 64 px", lambda case: case.megapixels),
        "hole size": ("area of the hole, pixels; image of 12 megapixels", lambda case: case.side**2),
        "holes": ("number of holes of 24 px; image of 24 megapixels", lambda case: case.count),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (label, position) in axes.items():
        shown = [timing for timing in timings if timing.case.series == name]
        if not shown:
            continue
        with drawing() as new_figure:
            figure = new_figure(figsize=(6.4, 3.6), layout="constrained")
            plane = figure.subplots()
            for method in dict.fromkeys(timing.method for timing in shown):
                line = [timing for timing in shown if timing.method == method]
                plane.loglog([position(timing.case) for timing in line], [t.median for t in line], "o-", label=method)
            plane.set(xlabel=label, ylabel="seconds, median")
            plane.legend()
            (folder / f"{name.replace(' ', '-')}.svg").write_text(svg_of(figure, label) + "\n", encoding="utf-8")


def table(timings: list[Timing]) -> str:
    head = f"{'series':<16}{'MP':>6}{'side':>6}{'holes':>6}{'hole px':>10}  {'method':<26}"
    lines = [f"{head}{'median s':>9}{'rounds':>7}{'CPU s':>7}{'MiB':>6}"]
    for timing in timings:
        case = timing.case
        peak = "" if timing.peak_mib is None else timing.peak_mib
        processor = f"{statistics.median(timing.processor_seconds):.2f}" if timing.processor_seconds else ""
        lines.append(
            f"{case.series:<16}{case.megapixels:>6g}{case.side:>6}{case.count:>6}{case.side**2 * case.count:>10}  "
            f"{timing.method:<26}{timing.median:>9.3f}{len(timing.seconds):>7}{processor:>7}{peak:>6}"
        )
    return "\n".join(lines)


def among(*known: str) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse


def version_of(package: str, python: str) -> str:
    """Of a package in the environment of an interpreter; empty if it is not there."""
    script = f"from importlib.metadata import version; print(version({package!r}))"
    asked = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=20)
    parser.add_argument(
        "--methods", type=among(OWN, *CLASSICAL), default=[OWN, "opencv-telea", "opencv-ns", "biharmonic"]
    )
    parser.add_argument("--only", type=among(*SERIES), default=list(SERIES), help="series to run")
    parser.add_argument("--python", default=sys.executable, help="interpreter that runs the whole processes")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plots", type=Path, help="folder for SVG plots")
    parser.add_argument("--write", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        case, *rest = options.write
        write_image(Case(**json.loads(case)), *rest)
        return
    timings: list[Timing] = []
    if "files" in options.only:
        timings += measure_files(options.small, options.rounds, options.python)
    if "folder" in options.only:
        timings += measure_folder(options.small, options.rounds, options.python)
    for cases in series(options.small):
        if cases[0].series in options.only:
            timings += measure(cases, options.methods, options.rounds, options.budget)
    print(table(timings))
    if options.plots is not None:
        plot(timings, options.plots)
    if options.json is not None:
        machine = {
            "cores": available_cores(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "packages": {name: version for name in PACKAGES if (version := version_of(name, options.python))},
        }
        results = [{**asdict(timing), "median": timing.median} for timing in timings]
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    for timing in timings:
        if timing.exceeds_limit:
            print(f"{timing.case.series}: {timing.peak_mib} MiB, more than {timing.case.limit_mib}", file=sys.stderr)
    sys.exit(any(timing.exceeds_limit for timing in timings))


if __name__ == "__main__":
    main()
