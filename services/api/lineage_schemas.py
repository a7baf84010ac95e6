"""The shape of a stage's lineage, as OpenAPI shows it, and a lineage in that shape."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from services.api.lineage import Lineage as Found
from services.api.lineage import Step
from services.api.schemas import SHA256, Answer, StageState


class FileMade(BaseModel):
    """One file of a stage."""

    sha256: str = Field(examples=[SHA256])
    size: int = Field(description="bytes")
    rows: int | None = Field(description="of a Parquet table")


class CommitRead(BaseModel):
    """A commit that a stage read."""

    key: str = Field(examples=[SHA256])
    sha256: str = Field(description="of the commit itself", examples=[SHA256])


class Made(BaseModel):
    """What an attempt committed. Times are ISO 8601 in UTC."""

    sha256: str = Field(description="of the commit itself", examples=[SHA256])
    attempt: str
    host: str
    started: str
    finished: str
    seconds: float
    cost_usd: float
    device_seconds: float
    versions: dict[str, str] = Field(examples=[{"torch": "2.13.0"}])
    files: dict[str, FileMade]
    inputs: dict[str, CommitRead] = Field(description="by the names under which it read them")
    metrics: dict[str, Any]


class LineageStep(BaseModel):
    """A stage of a lineage; `made` is null while it is not committed, and of what is too far back to be read."""

    key: str = Field(examples=[SHA256])
    kind: str = Field(examples=["sft"])
    about: str = Field(description="what sets it apart from others of its kind", examples=["seed 0"])
    arms: list[str]
    state: StageState
    inputs: list[str] = Field(description="the keys of the stages that it reads")
    made: Made | None


class LineageSource(BaseModel):
    """Something that no stage made: prompts, a base model, a teacher, critic or judge."""

    what: str = Field(examples=["teacher"])
    name: str = Field(examples=["gpt-4"])
    identity: dict[str, Any] = Field(description="all that changes what it says; datasets and models by their hashes")


class AttemptMade(BaseModel):
    """One attempt at a stage or a shard of it; `outcome` is null while it runs, or where its worker was killed."""

    attempt: str
    host: str
    started: str
    outcome: str | None
    message: str


class Lineage(Answer):
    """A stage with all that it was made from, inputs first, and all that was made from it in this experiment."""

    stage: LineageStep
    params: dict[str, Any]
    reads: dict[str, str] = Field(description="keys of stages by the names under which it reads them")
    sources: list[LineageSource]
    made_from: list[LineageStep]
    made_into: list[LineageStep]
    attempts: list[AttemptMade] = Field(description="the newest, as long as their marks are kept")


def as_answer(found: Found) -> Lineage:
    """A lineage as the API gives it."""
    return Lineage(
        stage=_step(found.stage),
        params=dict(found.params),
        reads=dict(found.reads),
        sources=[LineageSource(what=one.what, name=one.name, identity=dict(one.identity)) for one in found.sources],
        made_from=[_step(step) for step in found.made_from],
        made_into=[_step(step) for step in found.made_into],
        attempts=[AttemptMade.model_validate(one.model_dump()) for one in found.attempts],
    )


def _step(step: Step) -> LineageStep:
    row = step.row
    return LineageStep(
        key=step.key,
        kind=row["kind"],
        about=step.about,
        arms=list(row["arms"]),
        state=row["state"],
        inputs=list(row["inputs"]),
        made=_made(step),
    )


def _made(step: Step) -> Made | None:
    if step.commit is None:
        return None
    ref, manifest = step.commit
    return Made(
        sha256=ref.sha256,
        attempt=manifest.attempt,
        host=manifest.host,
        started=manifest.started,
        finished=manifest.finished,
        seconds=step.seconds or 0.0,
        cost_usd=manifest.cost.usd,
        device_seconds=manifest.cost.device_seconds,
        versions=manifest.versions,
        files={name: FileMade(sha256=one.sha256, size=one.size, rows=one.rows) for name, one in manifest.files.items()},
        inputs={name: CommitRead(key=one.key, sha256=one.sha256) for name, one in manifest.inputs.items()},
        metrics=manifest.metrics,
    )
