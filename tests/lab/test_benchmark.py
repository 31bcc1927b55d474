import json

import numpy as np
import pytest
from typer.testing import CliRunner

from lab.benchmark import subjects as subjects_module
from lab.benchmark import worker
from lab.benchmark.cases import Case, Spread, spread_of
from lab.benchmark.machine import describe_machine
from lab.benchmark.report import report_of, tables_of
from lab.benchmark.run import Measurement, Plan, Worker, measure, steps_of
from lab.benchmark.subjects import Loaded, Subject, find_subjects, load_subject
from lab.cli import app
from lab.writing import write_json
from wavepaint.errors import MissingExtraError, OptionError

TELEA = Subject("opencv-telea", threads=1)
PLAN = Plan(sides=(96, 64), percents=(25, 4), rounds=2, limit=30)

PEER = """
import os
import torch
from torch import nn

class Half(nn.Module):
    multiple = 8

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.full((3, 1, 1), 0.5))

    def forward(self, image, mask):
        {body}
        return image * (1 - mask) + mask * self.value

def migan_generator():
    return Half()
"""


@pytest.fixture
def peer(tmp_path):
    """Makes a folder with a peer whose forward pass begins with the given statement."""
    pytest.importorskip("torch")

    def make(body="pass"):
        (tmp_path / "migan.py").write_text(PEER.format(body=body))
        return Subject("migan", "torch", str(tmp_path), 1)

    return make


def test_a_case_has_a_hole_of_the_share_it_names():
    image, mask = Case(128, 25).render()
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((128, 128, 3), np.uint8, (128, 128), np.bool_)
    assert mask.mean() == 0.25
    assert mask[32:96, 32:96].all()
    assert (image == Case(128, 25).render()[0]).all()
    assert (image != Case(128, 25).render(1)[0]).any()
    for wrong in ((63, 5), (9000, 5), (128, 0), (128, 81), (128, float("nan"))):
        with pytest.raises(OptionError):
            Case(*wrong)


def test_spreads():
    assert spread_of([]) is None
    assert spread_of([3, 1, 2]) == Spread(2, 1, 3, 3)


def test_what_is_installed_is_found_and_what_is_named_must_be(monkeypatch):
    pytest.importorskip("cv2")
    names = [subject.name for subject in find_subjects(threads=1)]
    assert names[:1] == ["wavepaint/onnxruntime"]
    assert {"network/onnxruntime", "opencv-telea", "lama", "migan"} <= set(names)
    assert not {"biharmonic", "patchmatch"} & {subject.name for subject in find_subjects(quick=True)}
    assert [s.name for s in find_subjects(["opencv-ns", "network/onnxruntime", "opencv-ns"])] == [
        *("opencv-ns", "network/onnxruntime")
    ]
    with pytest.raises(OptionError, match="unknown method 'telea'; known: wavepaint/onnxruntime"):
        find_subjects(["telea"])
    with pytest.raises(OptionError, match=r"holds none of lama\.py, migan\.py"):
        find_subjects(peers="/nonexistent")
    monkeypatch.setattr(subjects_module.importlib.util, "find_spec", lambda name: None)
    assert {s.name for s in find_subjects(["wavepaint"])} == {"wavepaint/onnxruntime"}
    with pytest.raises(MissingExtraError, match="opencv-telea needs opencv-python-headless"):
        find_subjects(["opencv-telea"])


@pytest.mark.parametrize("name", ["wavepaint/onnxruntime", "network/onnxruntime", "opencv-ns"])
def test_every_kind_of_subject_fills_the_hole_and_nothing_else(name):
    if name == "opencv-ns":
        pytest.importorskip("cv2")
    (subject,) = find_subjects([name], threads=1)
    loaded = load_subject(subject)
    given = [Case(64, 10).render(seed) for seed in range(2)]
    for (image, mask), filled in zip(given, loaded.fill(given), strict=True):
        assert (filled[~mask] == image[~mask]).all()
        assert (filled[mask] != image[mask]).any()
    assert (loaded.model_bytes is None) == (name == "opencv-ns")


def test_a_quick_fill_is_repeated_when_warm_and_only_then():
    calls = []

    def fill(images):
        calls.append(len(images))
        return [image for image, _ in images]

    request = {"side": 64, "percent": 5, "images": 3}
    worker._measure(Loaded(fill), TELEA, **request, warm=False)
    assert calls == [3]
    answer = worker._measure(Loaded(fill), TELEA, **request, warm=True)
    assert calls == [3, 3, 3]
    assert answer["seconds"] >= 0
    assert answer["peak_mib"] > 10
    worker._measure(Loaded(fill), TELEA, **request, warm=True, quick_seconds=0)
    assert len(calls) == 4
    with pytest.raises(AssertionError, match="outside the hole"):
        worker._measure(Loaded(lambda given: [255 - p for p, _ in given]), TELEA, **request, warm=False)


def test_subjects_are_measured_in_turns_in_processes_of_their_own(peer):
    pytest.importorskip("cv2")
    steps = []
    measurements = list(measure([TELEA, peer()], PLAN, steps.append))
    assert [(m.subject.name, m.case.side, m.case.percent) for m in measurements] == [
        ("opencv-telea", 64, 4),
        ("migan", 64, 4),
        ("opencv-telea", 64, 25),
        ("opencv-telea", 96, 4),
        ("migan", 96, 4),
        ("opencv-telea", 96, 25),
    ]
    assert steps[:6] == [
        *("opencv-telea, 64 px, start", "migan, 64 px, start"),
        *("opencv-telea, 64 px", "migan, 64 px") * 2,
    ]
    assert len(steps) == steps_of([TELEA, peer()], PLAN)
    for measurement in measurements:
        assert measurement.status == "ok"
        assert len(measurement.seconds) == len(measurement.cpu_seconds) == 2
        assert len(measurement.images_per_second) == (2 if measurement.case.side == 64 else 0)
        assert measurement.start_seconds > max(measurement.seconds)
        assert measurement.peak_mib > 20
    described = measurements[1].described
    assert described == {"model_bytes": 12, "parameters": 3, "device": described["device"]}


@pytest.mark.parametrize(
    ("body", "limit", "status"),
    [
        ("__import__('time').sleep(60)", 0.5, "over 0.5 s"),
        ("raise ValueError('no\\nidea')", 30, "failed: no idea"),
        ("os._exit(3)", 30, "ended with status 3"),
        ("print('noise')", 30, "ok"),
    ],
    ids=["slow", "raising", "dying", "talkative"],
)
def test_a_subject_that_goes_wrong_is_left_out_of_larger_cases(peer, body, limit, status):
    plan = Plan(sides=(64, 96), percents=(4,), rounds=1, limit=limit)
    measurements = list(measure([peer(body)], plan))
    assert measurements[0].status == status
    assert len(measurements) == (2 if status == "ok" else 1)


def test_leaving_a_worker_ends_its_process():
    pytest.importorskip("cv2")
    with Worker(TELEA) as running:
        assert running.answer(60)["ready"]
    assert running._process.poll() is not None


def test_plans_are_checked():
    assert Plan(sides=(96, 64, 96), percents=(9, 1)).cases() == [Case(64, 1), Case(64, 9), Case(96, 1), Case(96, 9)]
    for wrong in ({"sides": ()}, {"rounds": 0}, {"limit": 0}, {"limit": float("nan")}, {"sides": (5,)}):
        with pytest.raises(OptionError):
            Plan(**wrong)


def test_reports_hold_medians_ranges_and_reasons(tmp_path):
    good = Measurement(TELEA, Case(64, 4), seconds=[0.3, 0.1, 0.2], images_per_second=[8.0], start_seconds=1.5)
    good.peak_mib, good.described = 33.4, {"model_bytes": None, "parameters": None, "device": "cpu"}
    bad = Measurement(Subject("lama", "torch"), Case(64, 4), status="over 5 s")
    report = report_of([good, bad], PLAN, {"cores": 2})
    write_json(tmp_path / "report.json", report)
    read = json.loads((tmp_path / "report.json").read_text())
    assert read == json.loads(json.dumps(report))
    first, second = read["results"]
    assert first["seconds"] == {"median": 0.2, "low": 0.1, "high": 0.3, "count": 3, "values": [0.3, 0.1, 0.2]}
    assert (second["status"], second["seconds"]) == ("over 5 s", None)
    side, overall = tables_of([good, bad])
    assert side.rows == (("opencv-telea", "0.2 (0.1-0.3)", "33"), ("lama", "over 5 s", "-"))
    assert overall.rows[0] == ("opencv-telea", "1.5", "8", "-", "-", "cpu")
    with pytest.raises(OptionError, match="cannot be written"):
        write_json(tmp_path / "none" / "report.json", report)


def test_the_machine_is_described_without_naming_it():
    import getpass
    import platform

    machine = describe_machine()
    assert machine["cores"] >= 1
    assert machine["packages"]["numpy"] == np.__version__
    text = json.dumps(machine)
    assert platform.node() not in text
    assert getpass.getuser() not in text


def test_the_command_writes_json_and_a_table(tmp_path):
    pytest.importorskip("cv2")
    output = tmp_path / "benchmark.json"
    arguments = ["--quick", "--method", "opencv-ns", "--sizes", "64", "--rounds", "1", "-o", str(output)]
    done = CliRunner().invoke(app, ["benchmark", *arguments])
    assert done.exit_code == 0, done.output
    assert "opencv-ns" in done.output
    report = json.loads(output.read_text())
    assert report["format"] == "wavepaint-benchmark-1"
    assert [(r["name"], r["side"], r["status"]) for r in report["results"]] == [("opencv-ns", 64, "ok")]
    for wrong, reason in ((["--sizes", "big"], "--sizes big: must be numbers"), (["--method", "x"], "unknown method")):
        refused = CliRunner().invoke(app, ["benchmark", *wrong])
        assert refused.exit_code == 2
        assert reason in refused.output
