"""The HTTP application of a study: the page, its images, the votes. Nothing in it reveals which method made what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Response
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from lab.study.trials import Study, Trial
from lab.study.votes import Vote, Votes
from wavepaint.server.middleware import SecurityHeaders
from wavepaint.server.page import INDEX, load_page

PAGE = Path(__file__).parent / "page"
FILES = (INDEX, "style.css", "study.js")
MOST_MILLISECONDS = 24 * 3600 * 1000

Participant = Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]
Number = Annotated[int, InPath(ge=0)]


class Answer(BaseModel):
    """What the page sends for a question."""

    choice: Literal["left", "right", "tie"]
    milliseconds: int = Field(ge=0, le=MOST_MILLISECONDS)


class Progress(BaseModel):
    """How far a participant is: questions in all, and the answers so far by their number."""

    questions: int
    answers: dict[int, str]


def create_app(study: Study, votes: Votes) -> FastAPI:
    """Build the application.

    Args:
        study: the questions.
        votes: where answers go; open as long as the application runs.
    """
    app = FastAPI(title="WavePaint preference study", docs_url=None, redoc_url=None, openapi_url=None)
    assets = load_page(PAGE)
    page = {name: assets[name] for name in FILES}

    def trial_of(participant: str, number: int) -> Trial:
        try:
            return study.trial(participant, number)
        except IndexError:
            raise HTTPException(404, "no such question") from None

    @app.get("/participants/{participant}")
    def progress(participant: Participant) -> Progress:
        return Progress(questions=len(study), answers=votes.choices_of(participant))

    @app.get("/participants/{participant}/{number}/{view}.png")
    def image(participant: Participant, number: Number, view: Literal["input", "left", "right"]) -> Response:
        data = study.image(trial_of(participant, number), view)
        return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    # POST, which the middleware refuses from other sites.
    @app.post("/participants/{participant}/{number}", status_code=204)
    def vote(participant: Participant, number: Number, answer: Answer) -> None:
        trial = trial_of(participant, number)
        entry = study.test_set.entries[trial.entry]
        left, right = study.specs[trial.left], study.specs[trial.right]
        votes.record(Vote(participant, number, entry.kind, entry.name, left, right, answer.choice, answer.milliseconds))

    @app.get("/{name:path}")
    def file(name: str) -> Response:
        asset = page.get(name or INDEX)
        if asset is None:
            raise HTTPException(404, "no such page")
        return Response(asset.content, headers=dict(asset.headers))

    # Participants may reach it by any name: there is no option to list names.
    app.add_middleware(SecurityHeaders, cors_origins=(), allowed_hosts=("*",))
    return app
