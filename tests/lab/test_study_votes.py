import json
import sqlite3
from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("fastapi")
pytest.importorskip("cv2")

from starlette.testclient import TestClient

from images import png, soft
from lab.cli import app as commands
from lab.study.app import create_app
from lab.study.preference import bradley_terry, preferences, shares_over_first, wins_by_hole
from lab.study.trials import HOLE_COLOUR, Study
from lab.study.votes import Vote, Votes, read_votes
from wavepaint.data.images import find_images
from wavepaint.errors import OptionError
from wavepaint.evaluation.methods import find_method
from wavepaint.evaluation.testset import make_test_set, open_test_set, read_image

METHODS = ("opencv-telea", "opencv-ns")
ANNA, BEN = "a" * 32, "b" * 32


@pytest.fixture
def test_set(tmp_path):
    """Two images, two kinds of holes."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.png").write_bytes(png(soft(70, 80) if name == "one" else soft(90, 64)[::-1]))
    list(make_test_set(find_images(folder), tmp_path / "set", ("box", "blobs"), size=64))
    return open_test_set(tmp_path / "set")


@pytest.fixture
def study(test_set):
    return Study(test_set, METHODS, seed=3)


@pytest.fixture
def votes(study, tmp_path):
    votes = Votes(tmp_path / "votes.sqlite", study.identity)
    yield votes
    votes.close()


@pytest.fixture
def client(study, votes):
    return TestClient(create_app(study, votes))


def a_vote(choice="left", hole="h", left="a", right="b", kind="box", participant="p", number=0):
    return Vote(participant, number, kind, hole, left, right, choice, 900)


# Questions


def test_everybody_is_asked_everything_once_in_an_order_of_their_own(test_set):
    study = Study(test_set, (*METHODS, "biharmonic"), seed=1)
    assert len(study) == 4 * 3
    orders = {}
    for participant in (ANNA, BEN):
        trials = [study.trial(participant, number) for number in range(len(study))]
        assert Counter((t.entry, frozenset((t.left, t.right))) for t in trials) == {
            (entry, frozenset(pair)): 1 for entry in range(4) for pair in ((0, 1), (0, 2), (1, 2))
        }
        assert trials == [Study(test_set, study.specs, seed=1).trial(participant, n) for n in range(len(study))]
        orders[participant] = trials
    assert orders[ANNA] != orders[BEN]
    with pytest.raises(IndexError):
        study.trial(ANNA, 12)


def test_either_method_is_on_either_side_about_as_often(study):
    first_on_left = [study.trial(f"{n:032x}", k).left == 0 for n in range(100) for k in range(len(study))]
    assert 0.4 < np.mean(first_on_left) < 0.6


def test_images_are_composites_of_the_methods_and_the_input_has_its_hole_marked(study, tmp_path):
    trial = study.trial(ANNA, 2)
    item = list(study.test_set)[trial.entry]
    images = {}
    for view in ("input", "left", "right"):
        (tmp_path / "view.png").write_bytes(study.image(trial, view))
        images[view] = read_image(tmp_path / "view.png")
        assert (images[view][~item.mask] == item.truth[~item.mask]).all()
    assert (images["input"][item.mask] == HOLE_COLOUR).all()
    for view, method in (("left", trial.left), ("right", trial.right)):
        (filled,) = find_method(METHODS[method])([item])
        assert (images[view] == item.composite(filled)).all()


def test_a_study_needs_two_different_methods(test_set):
    for specs in ((), ("opencv-ns",), ("opencv-ns", "opencv-ns")):
        with pytest.raises(OptionError, match="two or more different methods"):
            Study(test_set, specs)


# Votes


def test_votes_outlast_the_process_and_the_last_one_counts(votes, study, tmp_path):
    votes.record(a_vote("left"))
    votes.record(a_vote("tie"))
    votes.record(a_vote("right", number=1))
    # Another connection sees them while this one is open, as it would after a kill.
    methods, recorded = read_votes(tmp_path / "votes.sqlite")
    assert methods == list(METHODS)
    assert recorded == [a_vote("tie"), a_vote("right", number=1)]
    votes.close()
    again = Votes(tmp_path / "votes.sqlite", study.identity)
    assert again.choices_of("p") == {0: "tie", 1: "right"}
    assert again.choices_of("q") == {}
    again.close()
    with sqlite3.connect(tmp_path / "votes.sqlite") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_votes_of_another_study_or_file_are_refused(votes, test_set, tmp_path):
    other = Study(test_set, METHODS[::-1], seed=4).identity
    with pytest.raises(OptionError, match=r"votes\.sqlite: belongs to a study with another methods, seed"):
        Votes(tmp_path / "votes.sqlite", other)
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam, " * 50)
    for act in (lambda: Votes(tmp_path / "letter.txt", other), lambda: read_votes(tmp_path / "letter.txt")):
        with pytest.raises(OptionError, match=r"letter\.txt: not a file of votes"):
            act()
    assert (tmp_path / "letter.txt").read_text().startswith("Dear Sir")
    with pytest.raises(OptionError, match="no such file"):
        read_votes(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()


# The application


def test_an_answer_is_kept_with_what_was_on_which_side(client, study, votes, tmp_path):
    assert client.get(f"/participants/{ANNA}").json() == {"questions": 4, "answers": {}}
    answered = client.post(f"/participants/{ANNA}/1", json={"choice": "left", "milliseconds": 1234})
    assert answered.status_code == 204
    trial = study.trial(ANNA, 1)
    entry = study.test_set.entries[trial.entry]
    sides = METHODS[trial.left], METHODS[trial.right]
    assert read_votes(tmp_path / "votes.sqlite")[1] == [Vote(ANNA, 1, entry.kind, entry.name, *sides, "left", 1234)]
    assert client.get(f"/participants/{ANNA}").json() == {"questions": 4, "answers": {"1": "left"}}
    assert client.get(f"/participants/{BEN}").json()["answers"] == {}


def test_nothing_that_is_sent_names_a_method(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    sent = [page, client.get("/study.js"), client.get("/style.css"), client.get(f"/participants/{ANNA}")]
    sent += [client.get(f"/participants/{ANNA}/{n}/{view}.png") for n in range(4) for view in ("left", "right")]
    for answer in sent:
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        everything = answer.content + str(answer.headers).encode()
        assert not any(method.encode() in everything for method in (*METHODS, "telea"))


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", f"/participants/{ANNA}/4", {"choice": "left", "milliseconds": 1}, 404),
        ("POST", f"/participants/{ANNA}/0", {"choice": "both", "milliseconds": 1}, 422),
        ("POST", f"/participants/{ANNA}/0", {"choice": "left", "milliseconds": -1}, 422),
        ("POST", f"/participants/{ANNA}/-1", {"choice": "left", "milliseconds": 1}, 422),
        ("POST", "/participants/me/0", {"choice": "left", "milliseconds": 1}, 422),
        ("GET", f"/participants/{ANNA}/0/truth.png", None, 422),
        ("GET", f"/participants/{ANNA}/9/left.png", None, 404),
        ("GET", "/../votes.sqlite", None, 404),
        ("GET", "/docs", None, 404),
    ],
)
def test_other_requests_are_refused_and_leave_no_vote(client, tmp_path, method, path, body, status):
    assert client.request(method, path, json=body).status_code == status
    assert read_votes(tmp_path / "votes.sqlite")[1] == []


def test_pages_of_other_sites_cannot_vote(client, tmp_path):
    headers = {"sec-fetch-site": "cross-site", "origin": "https://elsewhere.example"}
    body = {"choice": "left", "milliseconds": 1}
    assert client.post(f"/participants/{ANNA}/0", json=body, headers=headers).status_code == 403
    assert read_votes(tmp_path / "votes.sqlite")[1] == []


# Preferences


def test_two_methods_by_hand():
    # 6 of 10 for the first, and the further tie: strengths 6.5 to 4.5.
    wins = np.array([[[0.0, 6.0], [4.0, 0.0]]])
    np.testing.assert_allclose(bradley_terry(wins), [[6.5 / 11, 4.5 / 11]])
    np.testing.assert_allclose(shares_over_first(np.array([[0.6, 0.2, 0.2]])), [[0.5, 0.25, 0.25]])


def test_strengths_that_made_the_votes_are_found_again():
    strengths = np.array([0.5, 0.3, 0.15, 0.05])
    expected = 1e6 * strengths[:, None] / (strengths[:, None] + strengths)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(bradley_terry(expected[None])[0], strengths, rtol=1e-4)


def test_the_likelihood_is_at_its_maximum():
    from scipy.optimize import minimize

    wins = np.random.default_rng(0).integers(0, 9, (3, 3)) * (1 - np.eye(3))

    def loss(logits):
        chances = 1 / (1 + np.exp(logits[None, :] - logits[:, None]))
        return -((wins + 0.5 * (1 - np.eye(3))) * np.log(chances)).sum()

    strengths = np.exp(minimize(loss, np.zeros(3), tol=1e-12).x)
    np.testing.assert_allclose(bradley_terry(wins[None])[0], strengths / strengths.sum(), rtol=1e-4)


def test_ties_are_halves_and_sides_do_not_matter():
    votes = [a_vote("left"), a_vote("right", left="b", right="a"), a_vote("tie"), a_vote("tie", hole="i")]
    np.testing.assert_allclose(wins_by_hole("ab", votes), [[[0, 2.5], [0.5, 0]], [[0, 0.5], [0.5, 0]]])


def test_preferences_count_votes_per_kind_and_intervals_hold_the_share():
    rng = np.random.default_rng(0)
    votes = []
    for number in range(120):
        kind = ("box", "blobs")[number % 2]
        likes_b = rng.random() < (0.9 if kind == "box" else 0.5)
        votes.append(a_vote("right" if likes_b else "left", hole=str(number), kind=kind, number=number))
    rows = {(row.kind, row.method): row for row in preferences("ab", votes)}
    assert list(dict.fromkeys(kind for kind, _ in rows)) == ["all", "blobs", "box"]
    for (_, method), row in rows.items():
        assert row.low <= row.share <= row.high
        assert (row.share == 0.5) == (method == "a")
    box = rows["box", "b"]
    assert (box.wins + box.losses, box.ties) == (60, 0)
    assert box.low > 0.5
    assert rows["blobs", "b"].low < 0.5 < rows["blobs", "b"].high
    assert preferences("ab", votes) == preferences("ab", votes)
    with pytest.raises(OptionError, match="no votes yet"):
        preferences("ab", [])


def test_a_method_that_never_loses_has_a_finite_strength():
    votes = [a_vote("right", hole=str(n), number=n) for n in range(8)]
    row = preferences("ab", votes)[1]
    assert row.share == pytest.approx(8.5 / 9)
    assert row.high < 1


def test_the_report_command(votes, tmp_path):
    first, second = METHODS
    for number in range(6):
        votes.record(a_vote("right", hole=str(number), left=first, right=second, number=number))
    arguments = ["study", "report", str(tmp_path / "votes.sqlite"), "-o", str(tmp_path / "report.json")]
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 0, done.output
    assert "6 votes of 1 participants" in done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(row["method"], row["wins"]) for row in report["preferences"]] == [(first, 0), (second, 6)]
    refused = CliRunner().invoke(commands, ["study", "report", str(tmp_path / "none")])
    assert (refused.exit_code, len(refused.output.strip().splitlines())) == (2, 1)
