"""What a report is made from, and what it says. Pure data; how it looks is for `as_json` and `page`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from services.analyst.arena.ratings import Ratings
from services.analyst.arena.win_rates import WinRates
from services.analyst.bootstrap import Checked
from services.analyst.categories import Parts, Tables
from services.analyst.contrasts import Contrast, ContrastResult
from services.analyst.critics.card import CriticCard
from services.analyst.disagreement import Disagreement
from services.analyst.frontier import Frontier
from services.analyst.gold import GoldScores
from services.analyst.judges import JudgeView
from services.analyst.lengths.found import Lengths
from services.analyst.lengths.measure import SeedLengths
from services.analyst.match import Sides, Used, sides
from services.analyst.nulls import NullResult
from services.analyst.orders import ByOrder
from services.analyst.params import ArmParams, EvaluationParams, ReportParams
from services.analyst.people import Voted
from services.analyst.preferences import WinRate
from services.analyst.scores import SeedScores
from services.analyst.temperatures import Choices
from services.analyst.trust import Trust
from services.analyst.tuning.found import Tuning
from services.analyst.verdict import Level, Verdict
from shared.scales import Scale
from shared.spec.matrix import in_cell


@dataclass(frozen=True)
class StageFacts:
    """A committed stage, from its manifest. Times are ISO 8601 in UTC, cost in US dollars and device seconds.

    `metrics` are those that the stage left beside its files. Of them `outcomes` and `reasked` count the answers it
    counts with, and those that were asked again (shared.llm.outcomes); `without_usage` those whose cost is not known
    and counts as the most that it can have been.
    """

    key: str
    kind: str
    host: str
    started: str
    finished: str
    usd: float = 0.0
    device_seconds: float = 0.0
    declared_usd: float = 0.0
    """what recorded rows would have cost, as the spec declares it; nobody paid it"""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    reasked: Mapping[str, int] = field(default_factory=dict)
    without_usage: int = 0


@dataclass(frozen=True)
class Curve:
    """One training's log: `columns` by name, the first `step`, each with one value (or None) a logged step."""

    arm: str
    seed: int
    step: str
    key: str
    columns: Mapping[str, list[float | None]]


@dataclass(frozen=True)
class Judged:
    """One arm's completion of one prompt beside the reference, with the judge's verdicts by content (a: the arm)."""

    completion: str
    reference: str | None
    score: float | None
    verdict_ab: str | None = None
    verdict_ba: str | None = None
    raw_ab: str | None = None
    raw_ba: str | None = None


@dataclass(frozen=True)
class Example:
    """One eval prompt with every arm's completion."""

    prompt_id: str
    prompt: str | None
    reference: str | None
    completions: Mapping[str, Judged]


@dataclass(frozen=True)
class ReportInputs:
    """Everything that was read: scores by (arm, evaluation) and seed, and whatever else is there already.

    `examples` are of the evaluation `examples_of`, first seed; `orders` has the primary evaluation's scores in each
    order alone, by arm and seed; `rated` what is known of categories and turns. `choices` are the arms' temperatures,
    from `dev_there` sets of judgements of dev prompts. `battles` are pairs of arms by evaluation, with the first arm's
    scores by seed. `lengths` has those of completions, as `scores` has theirs.
    """

    params: ReportParams
    scores: Mapping[tuple[str, str], Mapping[int, SeedScores]]
    stages: Mapping[str, StageFacts] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    examples: tuple[Example, ...] = ()
    examples_of: str | None = None
    orders: Mapping[str, Mapping[int, ByOrder]] = field(default_factory=dict)
    rated: Tables = field(default_factory=dict)
    gold: GoldScores | None = None
    voted: Voted = field(default_factory=Voted)
    battles: Mapping[str, Mapping[tuple[str, str], Mapping[int, SeedScores]]] = field(default_factory=dict)
    choices: Choices = field(default_factory=dict)
    dev_there: int = 0
    tuning: Tuning | None = None
    lengths: Mapping[tuple[str, str], Mapping[int, SeedLengths]] = field(default_factory=dict)


@dataclass(frozen=True)
class ArmEstimate:
    """An arm's mean score under one evaluation, over its own validly judged prompts.

    `alpaca_eval` has AlpacaEval's own figures by seed, where its protocol judged.
    """

    estimate: float
    standard_error: float
    interval: tuple[float, float]
    prompts: int
    seeds: int
    dropped: int
    alpaca_eval: Mapping[int, WinRate] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """US dollars and device hours; `missing` stages are not committed yet and not in the sum. `declared` are the
    dollars of recorded data at a declared price: not spent, and not in `usd`."""

    usd: float = 0.0
    device_hours: float = 0.0
    stages: int = 0
    missing: int = 0
    declared: float = 0.0


@dataclass(frozen=True)
class ArmReport:
    """An arm's results and its price; `used` is what makes its model, None where that is not there yet.

    `unjudged` are the evaluations that say nothing of it: completions that no policy wrote have no likelihood.
    `too_long` are prompts, by split, that its context does not hold."""

    name: str
    params: ArmParams
    evaluations: Mapping[str, ArmEstimate]
    cost: Cost
    used: Used | None = None
    unjudged: tuple[str, ...] = ()
    too_long: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ContrastReport:
    """A contrast and its results by evaluation; what is not there yet is in `pending`, what cannot be in `absent`."""

    contrast: Contrast
    results: Mapping[str, ContrastResult]
    pending: tuple[str, ...]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """Something the reader must know. `path` names the line of the spec to change, if there is one."""

    kind: Literal["stand-in", "limit", "data"]
    text: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The whole report. `alpha` is the share of misses allowed to the deciding interval.

    `bootstrap` checks that interval's part over prompts; None where the primary contrast is not there. `orders` has
    the primary contrast as judged in each order alone; empty where not both were asked. `nulls` has null completions by
    evaluation, which were judged on `null_prompts` prompts. `choices` are the temperatures chosen on dev. `judges` has
    what each judge says of the primary contrast; `another_family` whether one of another family is among them, None
    where the primary evaluation has no judge. `arenas` has the ratings of every arena by its evaluation, `win_rates`
    how often arms beat each other, for each judge and temperature. `lengths` is None where no completions are there.
    `trust` has all that bears on how far the judge can be trusted; None where the primary contrast is not there, or is
    no judge's.
    """

    name: str
    partial: bool
    verdict: Verdict
    arms: tuple[ArmReport, ...]
    contrasts: tuple[ContrastReport, ...]
    evaluations: Mapping[str, EvaluationParams]
    notes: tuple[Note, ...]
    total: Cost
    stages: tuple[tuple[StageFacts, tuple[str, ...]], ...]
    curves: tuple[Curve, ...]
    examples: tuple[Example, ...]
    examples_of: str | None
    spec: Mapping[str, Any]
    seeds: tuple[int, ...]
    looks: int
    cells: int
    alpha: float
    scores_there: int
    scores_total: int
    critics: tuple[CriticCard, ...] = ()
    bootstrap: Checked | None = None
    frontier: Frontier | None = None
    orders: Mapping[str, ContrastResult] = field(default_factory=dict)
    categories: tuple[Parts, ...] = ()
    trust: Trust | None = None
    arenas: Mapping[str, Ratings] = field(default_factory=dict)
    win_rates: tuple[WinRates, ...] = ()
    nulls: Mapping[str, Mapping[str, NullResult]] = field(default_factory=dict)
    null_prompts: int = 0
    null_cost: Cost = field(default_factory=Cost)
    choices: Choices = field(default_factory=dict)
    judges: tuple[JudgeView, ...] = ()
    another_family: bool | None = None
    lengths: Lengths | None = None
    tuning: Tuning | None = None

    @property
    def matches(self) -> dict[str, Sides]:
        """What both arms of every contrast of two arms were made with, where that is known."""
        made = {arm.name: arm.used for arm in self.arms}
        found = {}
        for one in self.contrasts:
            a, b = (made.get(arm) for arm in one.contrast.pair or ("", ""))
            if a is not None and b is not None:
                found[one.contrast.name] = sides(a, b)
        return found

    @property
    def primary_scale(self) -> Scale:
        """How the numbers of the primary evaluation are read."""
        return self.evaluations[self.verdict.evaluation].scale

    @property
    def primary_result(self) -> ContrastResult | None:
        """What the verdict is made from; None where it is not there."""
        primary = next(one for one in self.contrasts if one.contrast.name == self.verdict.contrast)
        return primary.results.get(self.verdict.evaluation)


@dataclass(frozen=True)
class MatrixReport:
    """The reports of a matrix's cells by their names, and what is said of all of them; `levels` has each one's cells.

    `disagreement` models the primary contrast over the axes; None while cells are missing or where it is not in points.

    Arms and contrasts are called `<name> [<cell>]` wherever those of several cells stand together.
    """

    name: str
    partial: bool
    verdict: Verdict
    levels: Mapping[Level, tuple[str, ...]]
    cells: Mapping[str, Report]
    notes: tuple[Note, ...]
    total: Cost
    stages: tuple[tuple[StageFacts, tuple[str, ...]], ...]
    spec: Mapping[str, Any]
    critics: tuple[CriticCard, ...] = ()
    disagreement: Disagreement | None = None

    @property
    def first(self) -> Report:
        return next(iter(self.cells.values()))

    @property
    def arms(self) -> dict[str, ArmReport]:
        return {in_cell(cell, arm.name): arm for cell, report in self.cells.items() for arm in report.arms}

    @property
    def scores_there(self) -> int:
        return sum(report.scores_there for report in self.cells.values())

    @property
    def scores_total(self) -> int:
        return sum(report.scores_total for report in self.cells.values())
