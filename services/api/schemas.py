"""The shapes of answers, as OpenAPI shows them and clients may rely on them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.api.problems import ProblemDetails, ProblemField

__all__ = [
    "Created",
    "Dataset",
    "DatasetList",
    "Experiment",
    "ExperimentList",
    "Health",
    "Model",
    "ModelList",
    "Plan",
    "ProblemDetails",
    "ProblemField",
    "ReportPending",
]

ExperimentState = Literal["running", "paused", "succeeded", "failed", "cancelled"]
StageState = Literal["pending", "ready", "running", "waiting", "committed", "failed", "cancelled"]
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Answer(BaseModel):
    """An answer has at least its fields; more may come in later versions."""

    model_config = ConfigDict(extra="allow")


class Created(Answer):
    """An experiment that was created or told something."""

    id: str = Field(examples=["01kdmzq4n0x6v1t5a8w9e2r3y7"])
    name: str = Field(examples=["quickstart"])
    state: ExperimentState


class Progress(BaseModel):
    """Rows, requests or training steps: done of total; total is 0 until it is known."""

    done: float = Field(examples=[120])
    total: float = Field(examples=[300])


class Stage(Answer):
    """One stage of an experiment."""

    key: str = Field(examples=[SHA256])
    kind: str = Field(examples=["sft"])
    arms: list[str] = Field(description="the arms that need it", examples=[["sft-weak"]])
    state: StageState
    reason: str | None = Field(None, description="what a waiting stage waits for")
    progress: Progress
    error: str | None = Field(None, description="why it failed")
    reused: bool = Field(False, description="committed before this experiment was created")
    inputs: list[str] = Field([], description="the keys of the stages that it reads")
    cost_usd: float = 0.0


class Experiment(Created):
    """An experiment with all of its stages."""

    stages: list[Stage]
    counts: dict[str, int] = Field(description="stages by state, and how many are reused")
    cost_usd: float = Field(description="what this experiment itself paid for")
    created: str
    finished: str | None = None


class ListedExperiment(Created):
    """An experiment in a list, without its stages."""

    counts: dict[str, int]
    cost_usd: float
    created: str
    finished: str | None = None


class ExperimentList(BaseModel):
    items: list[ListedExperiment]
    next_cursor: str | None = Field(None, description="give it as `cursor` to go on; null at the end")


class PlannedStage(Answer):
    """A stage that an experiment would have."""

    key: str = Field(examples=[SHA256])
    kind: str = Field(examples=["label"])
    arms: list[str]
    inputs: list[str]
    reused: bool = Field(description="committed already: nothing will be done for it")
    requests: int = Field(description="at most so many requests to an endpoint")


class Plan(Answer):
    """What an experiment would do."""

    name: str
    stages: list[PlannedStage]
    counts: dict[str, int] = Field(examples=[{"stages": 41, "reused": 12}])
    requests: int


class ReportPending(BaseModel):
    """There is no report yet, not even a partial one."""

    id: str
    state: ExperimentState
    detail: str


class Dataset(BaseModel):
    """A dataset under its name."""

    name: str = Field(examples=["alpaca-eval"])
    sha256: str = Field(description="the content; experiments pin it", examples=[SHA256])
    kind: Literal["prompts", "completions", "preferences"]
    rows: int = Field(examples=[805])
    columns: list[str] = Field(examples=[["prompt_id", "prompt"]])
    dropped: dict[str, int] = Field({}, description="rows left out, by reason", examples=[{"no usable preference": 9}])
    created: str


class DatasetList(BaseModel):
    items: list[Dataset]
    next_cursor: str | None = None


class Model(BaseModel):
    """A base model under its name."""

    name: str = Field(examples=["smollm2-135m"])
    sha256: str = Field(description="of the files' names and hashes; experiments pin it", examples=[SHA256])
    files: dict[str, int] = Field(description="bytes of each file", examples=[{"model.safetensors": 538090408}])
    created: str


class ModelList(BaseModel):
    items: list[Model]
    next_cursor: str | None = None


class Health(BaseModel):
    status: Literal["ok", "ready"]
    checks: dict[str, Any] = {}
