"""The shapes of answers, as OpenAPI shows them and clients may rely on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.api.problems import ProblemDetails, ProblemField
from shared.budget import PaidKind

__all__ = [
    "ActivityAnswer",
    "Created",
    "CurveList",
    "Dataset",
    "DatasetList",
    "Experiment",
    "ExperimentList",
    "FigureList",
    "Health",
    "Model",
    "ModelList",
    "Plan",
    "ProblemDetails",
    "ProblemField",
    "ReportPending",
    "Resume",
    "SampleList",
    "Submitted",
    "Template",
    "TemplateList",
]

ExperimentState = Literal["running", "paused", "succeeded", "failed", "cancelled"]
StageState = Literal["pending", "ready", "running", "waiting", "committed", "failed", "cancelled"]
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

LEVEL = "sft_suffices"


class Answer(BaseModel):
    """An answer has at least its fields; more may come in later versions."""

    model_config = ConfigDict(extra="allow")


class Created(Answer):
    """An experiment that was created or told something."""

    id: str = Field(examples=["01kdmzq4n0x6v1t5a8w9e2r3y7"])
    name: str = Field(examples=["quickstart"])
    state: ExperimentState


class Submitted(Created):
    """An experiment that was started."""

    warnings: list[str] = Field([], description="what could be wrong with it, though it can be run")


class Progress(BaseModel):
    """Rows, requests or training steps: done of total; total is 0 until it is known."""

    done: float = Field(examples=[120])
    total: float = Field(examples=[300])


class AnswerCounts(BaseModel):
    """What became of a stage's requests to an endpoint, as far as they are committed."""

    outcomes: dict[str, int] = Field(description="of the answers that count", examples=[{"answered": 490}])
    reasked: dict[str, int] = Field(description="answers that would not do and were asked for again, by why")
    unparsable: int = Field(description="verdicts of a critic or judge that could not be read")
    without_usage: int = Field(description="answers that cost_usd has with the most that they can have cost")


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
    workers: list[str] = Field([], description="who works on it now, by the names that Flower shows")
    inputs: list[str] = Field([], description="the keys of the stages that it reads")
    cost_usd: float = Field(0.0, description="what this experiment paid for it")
    standalone_usd: float = Field(0.0, description="what all of its answers cost, whoever paid for them")
    answers: AnswerCounts | None = Field(None, description="null where no endpoint was asked")


class Money(BaseModel):
    """An experiment's budget in US dollars; `promised_usd` is what workers may still spend of it."""

    usd: float | None = Field(examples=[50.0])
    stages_usd: dict[str, float] = Field({}, description="bounds by kind of stage", examples=[{"teach": 10.0}])
    spent_usd: float
    promised_usd: float


class Resume(BaseModel):
    """A higher budget to go on with."""

    model_config = ConfigDict(extra="forbid")

    budget_usd: float | None = Field(None, ge=0, allow_inf_nan=False, examples=[80.0])
    stage_budgets_usd: dict[PaidKind, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}


class Experiment(Created):
    """An experiment with all of its stages."""

    stages: list[Stage]
    counts: dict[str, int] = Field(description="stages by state, and how many are reused")
    cost_usd: float = Field(description="what this experiment itself paid for")
    standalone_usd: float = Field(0.0, description="what its committed stages would have cost had it been alone")
    budget: Money | None = Field(None, description="absent where the spec gives none")
    level: str | None = Field(None, description="the verdict's level, once the report is there", examples=[LEVEL])
    created: str
    finished: str | None = None


class ListedExperiment(Created):
    """An experiment in a list, without its stages."""

    counts: dict[str, int]
    cost_usd: float
    level: str | None = Field(None, description="the verdict's level, once the report is there", examples=[LEVEL])
    created: str
    finished: str | None = None


class ExperimentList(BaseModel):
    items: list[ListedExperiment]
    next_cursor: str | None = Field(None, description="give it as `cursor` to go on; null at the end")


Range = tuple[float, float]
"""Lowest and highest."""


class Tokens(BaseModel):
    input: int = Field(examples=[61000])
    output: int = Field(examples=[8000])


class TokensRange(BaseModel):
    input: tuple[int, int]
    output: tuple[int, int]


class Estimate(Answer):
    """Tokens and dollars of the requests that would be sent, as expected, and the range that they lie in."""

    requests: int = Field(description="at most so many requests to an endpoint")
    in_ledger: int | None = Field(None, description="answered already; null where that cannot be known yet")
    samples: int = Field(0, description="completions that a policy would write")
    tokens: Tokens
    tokens_range: TokensRange
    cost_usd: float | None = Field(description="US dollars; of a stage null where the price is not known")
    cost_range: Range | None


class PlannedStage(Estimate):
    """A stage that an experiment would have."""

    key: str = Field(examples=[SHA256])
    kind: str = Field(examples=["label"])
    arms: list[str]
    inputs: list[str]
    reused: bool = Field(description="committed already: nothing will be done for it")
    provisional: bool = Field(description="its key stands on something that is only declared")
    model: str | None = Field(None, description="the model that it asks", examples=["gpt-4"])
    repeated: int = Field(0, description="requests that an earlier stage of this plan makes too")
    in_ledger_unknown: str | None = Field(None, description="why in_ledger is not known, or of how many requests not")
    tokens_from: str | None = Field(None, description="the history of so many requests, or the plan's assumption")
    hours: float | None = Field(
        None, description="at the limits of the spec, or within a batch's day; null without any"
    )
    batch: bool = Field(False, description="it asks through a Batch API")
    device_hours: float | None = Field(None, description="as like stages took; null where there were none")


class Power(BaseModel):
    """What the primary contrast will be able to see, in `unit`; ranges are of what is assumed or was measured."""

    contrast: str
    evaluation: str = Field(examples=["win-rate@0.7"])
    unit: str = Field("points", description="of the evaluation's scores")
    prompts: int
    seeds: int
    alpha: float = Field(description="misses allowed to the deciding interval: .05 over looks times cells")
    half_width: float = Field(description="of the deciding interval, expected", examples=[8.5])
    half_width_range: tuple[float, float]
    smallest_gain: float = Field(
        description="the smallest true difference whose interval leaves out zero in a `share` of experiments; as far "
        "from delta a difference must lie to be told from it",
        examples=[12.1],
    )
    smallest_gain_range: tuple[float, float]
    share: float = Field(examples=[0.8])
    delta: float | None = Field(description="null where it depends on what the arms will cost")
    delta_in_reach: bool | None = Field(description="whether a difference of delta can be seen")
    prompts_needed: int | None = Field(
        description="where it cannot: prompts for a half-width of 0.7 delta with these seeds; null if none are enough"
    )
    source: str = Field(description="where the variances come from")
    experiment: str | None = Field(description="the earlier experiment that they come from")


class Plan(Estimate):
    """What an experiment would do. Dollars leave out the models whose price is not known."""

    name: str
    stages: list[PlannedStage]
    counts: dict[str, int] = Field(examples=[{"stages": 41, "reused": 12}])
    provisional: bool = Field(description="something in the spec is only declared: it cannot be started")
    unknown_prices: list[str] = Field(description="models that would be asked at a price that is not known")
    hours: dict[str, float] = Field(
        description="by model, at the limits of the spec; in batch mode a day for each batch that waits for another"
    )
    device_hours: float = Field(description="of the stages whose like was run before")
    device_unknown: int = Field(description="how many stages on a device had none like them")
    budget_usd: float | None = None
    over_budget: bool = Field(description="the high end of the cost passes the budget")
    assumption: str = Field(description="how tokens are estimated where nothing like a stage was run before")
    power: Power | None = Field(description="null where the primary's scores are not points and nothing is known")
    warnings: list[str] = Field([], description="what could be wrong with it, though it can be run")


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
    origin: dict[str, str] = Field(
        {}, description="of a hub's dataset: `hub`, `revision` (the commit that it stood for) and `files`"
    )


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


class Template(BaseModel):
    """Templates of one file under its name; a text has the one entry ""."""

    name: str = Field(examples=["mt-bench"])
    entries: dict[str, str] = Field(
        description="the content of each; experiments pin it", examples=[{"pair-v2": SHA256}]
    )
    sorts: dict[str, Literal["pairwise", "single"]] = Field(
        description="whether two answers are shown or one", examples=[{"pair-v2": "pairwise"}]
    )
    skipped: dict[str, str] = Field({}, description="entries that cannot be used, with the reason")
    created: str


class TemplateList(BaseModel):
    items: list[Template]
    next_cursor: str | None = None


class SampleSide(BaseModel):
    """One arm's completion and what the judge said; the score is 0 to 100 against the reference, or the protocol's."""

    arm: str
    completion: str | None
    score: float | None = Field(description="null where it has no valid judgement")
    verdict_ab: str | None = Field(description="with the arm's completion shown first: a (it is better), b, tie")
    verdict_ba: str | None = Field(description="with it shown second")
    raw_ab: str | None = Field(description="the judge's words")
    raw_ba: str | None
    completion_2: str | None = Field(None, description="of a conversation of two turns: its second answer")
    score_1: float | None = Field(None, description="what the judge gave the first turn")
    score_2: float | None = None
    raw_1: str | None = Field(None, description="its words on the first turn")
    raw_2: str | None = None


class SampleRow(BaseModel):
    """One prompt."""

    prompt_id: str
    prompt: str | None
    category: str | None = Field(None, description="where the prompts' rows have one; the simulated world's task")
    reference: str | None
    question_2: str | None = Field(None, description="of a conversation of two turns: its second question")
    winner: Literal["a", "b", "tie", "unjudged"]
    orders_disagree: bool = Field(description="shown the other way round, the judge named the other winner")
    judges_disagree: bool = Field(description="another judge of this experiment says the other arm won")
    a: SampleSide
    b: SampleSide


class SampleList(BaseModel):
    items: list[SampleRow]
    next_cursor: str | None = None
    total: int = Field(description="rows that the filters leave")
    counts: dict[str, int] = Field(description="of all rows: won by a, by b, ties, unjudged; orders, judges: disagree")
    categories: dict[str, int] = Field({}, description="how many of all rows are of each category")
    evaluation: str = Field(examples=["win-rate@0.7"])
    seed: int


class FigureInfo(BaseModel):
    """A figure of the report; GET …/figures/{name}.svg or .png has it."""

    name: str = Field(examples=["forest-wide"])
    title: str
    text: str = Field(description="what it shows, in words")
    width: int
    height: int


class FigureList(BaseModel):
    items: list[FigureInfo]


class QueueActivity(BaseModel):
    """One queue; `workers` is null until they were asked."""

    queue: str = Field(examples=["trainer"])
    waiting: int
    workers: int | None


class ActivityAnswer(BaseModel):
    queues: list[QueueActivity]


class CurveList(BaseModel):
    """What trainings said lately, by stage: rows of metrics, each with its step."""

    stages: dict[str, list[dict[str, float | None]]]


class Health(BaseModel):
    status: Literal["ok", "ready"]
    checks: dict[str, Any] = {}
