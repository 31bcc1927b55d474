"""The measurement: every subject in a process of its own, all of them in turns, with a limit for each answer."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.benchmark.cases import Case
from lab.benchmark.subjects import Subject
from wavepaint.errors import OptionError

WORKER = "lab.benchmark.worker"
LOADING_SECONDS = 180.0
BATCH = 4

OK = "ok"


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        sides: of the images, in pixels.
        percents: of the images' area that the holes take.
        rounds: measurements of each case, besides a first one that is not counted.
        limit: seconds that one answer may take, and after which a case gets no more rounds.

    Raises:
        OptionError: a value that makes no sense.
    """

    sides: tuple[int, ...] = (256, 512, 1024)
    percents: tuple[float, ...] = (1, 6, 25)
    rounds: int = 5
    limit: float = 20.0

    def __post_init__(self) -> None:
        if not self.sides or not self.percents:
            raise OptionError("a benchmark needs at least one size and one hole")
        if self.rounds < 1:
            raise OptionError(f"rounds must be at least 1, got {self.rounds}")
        if not self.limit > 0:
            raise OptionError(f"limit must be above 0 seconds, got {self.limit:g}")
        self.cases()

    def cases(self) -> list[Case]:
        """Every case, small images and holes first."""
        return [Case(side, percent) for side in sorted(set(self.sides)) for percent in sorted(set(self.percents))]


QUICK = Plan(sides=(256,), percents=(6,), rounds=3, limit=10.0)


@dataclass
class Measurement:
    """One subject on one case.

    Attributes:
        subject, case: what and on what.
        status: "ok", or why there is nothing, or no more.
        start_seconds: from starting the process to its first filled image.
        seconds: on the wall, of every counted fill.
        cpu_seconds: of all processors together, likewise.
        images_per_second: when `BATCH` images are handed over at once; on the smallest images alone.
        peak_mib: the most memory of the process, its program and libraries included, filling one image at a time.
        device_peak_mib: the most memory of tensors on a CUDA device.
        described: model_bytes, parameters and device, see `subjects.Loaded`.
    """

    subject: Subject
    case: Case
    status: str = OK
    start_seconds: float | None = None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    images_per_second: list[float] = field(default_factory=list)
    peak_mib: float | None = None
    device_peak_mib: float | None = None
    described: dict[str, Any] = field(default_factory=dict)


class Failed(Exception):
    """A worker that gave no answer; the message says why."""


class Worker:
    """A running process of `worker.py`; leaving the context ends it.

    Args:
        subject: what it loads.
    """

    def __init__(self, subject: Subject) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER, json.dumps(asdict(subject))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        # A pipe cannot be read with a time limit on every system; a queue can.
        threading.Thread(target=self._collect, daemon=True).start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _collect(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put("")

    def answer(self, limit: float) -> dict[str, Any]:
        """Wait for the next answer; raises `Failed`."""
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            raise Failed(f"over {limit:g} s") from None
        if not line:
            raise Failed(f"ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(f"failed: {answer['error']}")
        return answer

    def fill(self, case: Case, limit: float, images: int = 1, warm: bool = True) -> dict[str, Any]:
        """Have images filled, see `worker`; raises `Failed`."""
        assert self._process.stdin is not None
        request = {"side": case.side, "percent": case.percent, "images": images, "warm": warm}
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended, and the answer says how
        return self.answer(limit)


def measure(
    subjects: Sequence[Subject], plan: Plan, on_progress: Callable[[str], None] = lambda _: None
) -> Iterator[Measurement]:
    """Measure every subject on every case, and yield the measurements of a case when it is done.

    For each case every subject gets a new process, which loads it and fills once: that gives the start. Then they take
    turns, so that whatever else the machine does meets all of them alike. Only one is at work at a time. A subject
    that computes whole images meets the first hole of each size only. One that has failed, or gone over the limit, is
    left out of cases where neither the image nor the hole is smaller.

    Args:
        subjects: see `subjects.find_subjects`.
        plan: how much.
        on_progress: called with what comes next.
    """
    too_much: dict[Subject, Case] = {}
    for case in plan.cases():
        first_hole = case.percent == min(plan.percents)
        present = [
            subject
            for subject in subjects
            if (first_hole or not subject.whole) and not (subject in too_much and _no_smaller(case, too_much[subject]))
        ]
        with_batches = case.side == min(plan.sides)
        for measurement in _measure_case(present, case, plan, with_batches, on_progress):
            if measurement.status != OK:
                too_much[measurement.subject] = case
            yield measurement


def _no_smaller(case: Case, other: Case) -> bool:
    return case.side >= other.side and case.hole_side >= other.hole_side


def steps_of(subjects: Sequence[Subject], plan: Plan) -> int:
    """How often `measure` calls `on_progress` at most."""
    whole = sum(subject.whole for subject in subjects)
    starts = len(plan.cases()) * (len(subjects) - whole) + len(set(plan.sides)) * whole
    return starts * (1 + plan.rounds)


def _measure_case(
    subjects: Iterable[Subject], case: Case, plan: Plan, with_batches: bool, on_progress: Callable[[str], None]
) -> list[Measurement]:
    measurements = [Measurement(subject, case) for subject in subjects]
    with ExitStack() as stack:
        workers = []
        for measurement in measurements:
            on_progress(f"{measurement.subject.name}, {case.side} px, start")
            began = time.perf_counter()
            workers.append(stack.enter_context(Worker(measurement.subject)))
            _start(workers[-1], measurement, plan, began)
        for _ in range(plan.rounds):
            for worker, measurement in zip(workers, measurements, strict=True):
                on_progress(f"{measurement.subject.name}, {case.side} px")
                if measurement.status == OK and sum(measurement.seconds) < plan.limit:
                    _fill_once(worker, measurement, plan)
                    if with_batches:
                        _fill_batch(worker, measurement, plan)
    return measurements


def _start(worker: Worker, measurement: Measurement, plan: Plan, began: float) -> None:
    try:
        ready = worker.answer(LOADING_SECONDS)
        measurement.described = {key: ready[key] for key in ("model_bytes", "parameters", "device")}
        answer = worker.fill(measurement.case, plan.limit, warm=False)
    except Failed as error:
        measurement.status = str(error)
        return
    measurement.start_seconds = time.perf_counter() - began
    _keep_peaks(measurement, answer)


def _fill_once(worker: Worker, measurement: Measurement, plan: Plan) -> None:
    try:
        answer = worker.fill(measurement.case, plan.limit)
    except Failed as error:
        measurement.status = str(error)
        return
    measurement.seconds.append(answer["seconds"])
    measurement.cpu_seconds.append(answer["cpu_seconds"])
    if not measurement.images_per_second:  # batches need more, and no process forgets its peak
        _keep_peaks(measurement, answer)


def _fill_batch(worker: Worker, measurement: Measurement, plan: Plan) -> None:
    if not measurement.seconds:
        return
    try:
        answer = worker.fill(measurement.case, BATCH * plan.limit, BATCH)
    except Failed as error:
        measurement.status = str(error)
        return
    measurement.images_per_second.append(BATCH / answer["seconds"])


def _keep_peaks(measurement: Measurement, answer: dict[str, Any]) -> None:
    measurement.peak_mib = answer["peak_mib"]
    measurement.device_peak_mib = answer["device_peak_mib"]
