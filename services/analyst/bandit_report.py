"""The report of `kind: bandit`, in the shape of every report: its arms are policies, its points those of true reward.

It decides nothing about language models, and its verdict says so: `inconclusive`, whatever the numbers are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from scipy.stats import t

from services.analyst.as_json import SCHEMA, finite
from services.analyst.bandit import Bandit
from services.analyst.bandit_figure import bandit_figures
from services.analyst.model import StageFacts
from services.analyst.page import render, versions
from services.analyst.spectext import spec_yaml
from services.analyst.wording import number
from shared.bandit import KIND

EVALUATION = "true-reward"
"""Expected true reward in percent: the worst action 0, the best 100."""
ARMS: dict[str, tuple[str, Callable[[Bandit], float]]] = {
    "start-weak": ("the weak student, whose pairs the reward is learned from", lambda one: one.value(one.weak)),
    "rlaif-weak": ("RLAIF from the weak student", lambda one: one.value(one.weak_start.policy)),
    "sft-strong": ("SFT on the strong teacher's answers", lambda one: one.value(one.sft)),
    "start-strong": ("the strong teacher itself", lambda one: one.value(one.strong)),
    "rlaif-strong": ("RLAIF from the strong teacher", lambda one: one.value(one.strong_start.policy)),
}
CONTRASTS: dict[str, tuple[str, str]] = {
    "headline": ("rlaif-weak", "sft-strong"),
    "gain-weak": ("rlaif-weak", "start-weak"),
    "gain-strong": ("rlaif-strong", "start-strong"),
}
REASONS = (
    "a bandit has no language model in it: it shows how such a deficit can come about, not that it does",
    "its critic never errs, and both policies know every action's number",
)


@dataclass(frozen=True)
class BanditReport:
    """Every seed's bandit; the figure is the first one's."""

    name: str
    spec: Mapping[str, Any]
    runs: Mapping[int, Bandit]
    stages: tuple[StageFacts, ...]

    @property
    def first(self) -> Bandit:
        return next(iter(self.runs.values()))

    def points(self, arm: str) -> list[float]:
        """An arm's expected true reward in percent, of each seed."""
        return [100 * ARMS[arm][1](one) for one in self.runs.values()]


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95% interval (Student's t); of one seed no error is known."""

    estimate: float
    error: float | None
    interval: tuple[float | None, float | None]


def mean_of(values: list[float]) -> Mean:
    """The mean of independent seeds."""
    centre, count = float(np.mean(values)), len(values)
    if count < 2:
        return Mean(centre, None, (None, None))
    error = float(np.std(values, ddof=1)) / count**0.5
    reach = error * float(t.ppf(0.975, count - 1))
    return Mean(centre, error, (centre - reach, centre + reach))


def difference(report: BanditReport, contrast: str) -> Mean:
    """A contrast's mean over seeds, which its arms share."""
    a, b = (report.points(arm) for arm in CONTRASTS[contrast])
    return mean_of([one - other for one, other in zip(a, b, strict=True)])


def sentence(report: BanditReport) -> str:
    """What the figure shows, in one sentence."""
    weak, rlaif, sft = (
        number(mean_of(report.points(arm)).estimate) for arm in ("start-weak", "rlaif-weak", "sft-strong")
    )
    gap = difference(report, "headline").estimate
    where = f"{number(abs(gap))} points {'below' if gap < 0 else 'above'}"
    return (
        f"In this bandit RLAIF lifts the weak student from {weak} to {rlaif} of 100 points of true reward, and ends "
        f"{where} SFT on the strong teacher ({sft}): the reward is learned from the student's own pairs, and says "
        "little of actions that it hardly tries."
    )


def as_dict(report: BanditReport) -> dict[str, Any]:
    """The report as plain data, with the fields that every report has."""
    seeds = list(report.runs)
    arms = {
        name: {
            "role": name,
            "start": None,
            "meaning": meaning,
            "evaluations": {EVALUATION: _estimate(mean_of(report.points(name))) | {"n": len(seeds)}},
            "cost": {"usd": 0.0, "device_hours": 0.0, "stages": len(report.stages), "missing": 0},
        }
        for name, (meaning, _) in ARMS.items()
    }
    contrasts = {
        name: {EVALUATION: _estimate(found) | _result(found, name, len(seeds))}
        for name in CONTRASTS
        for found in (difference(report, name),)
    }
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "experiment": {"name": report.name},
        "partial": False,
        "seeds": seeds,
        "verdict": {
            "level": "inconclusive",
            "scope": "checkpoints",
            "primary": {"contrast": "headline", "evaluation": EVALUATION},
            "delta": None,
            "reasons": list(REASONS),
            "sentence": sentence(report),
            "needed": None,
        },
        "arms": arms,
        "contrasts": contrasts,
        "evaluations": {EVALUATION: {"protocol": KIND, "unit": "points"}},
        "settings": asdict(report.first.settings),
        "cost": {"usd": 0.0, "device_hours": 0.0, "stages": len(report.stages), "missing": 0},
        "scores": {"there": 0, "total": 0},
        "critics": {},
        "notes": [
            {"kind": "limit", "text": f"{reason[:1].upper()}{reason[1:]}.", "spec": "kind"} for reason in REASONS
        ],
        "stages": [
            {"kind": one.kind, "key": one.key, "finished": one.finished, "host": one.host, "arms": []}
            for one in report.stages
        ],
    }


def _estimate(found: Mean) -> dict[str, Any]:
    return {"estimate": found.estimate, "standard_error": found.error, "interval": list(found.interval)}


def _result(found: Mean, name: str, seeds: int) -> dict[str, Any]:
    return {
        "decision_interval": list(found.interval),
        "p_value": None,
        "n_prompts": 1,
        "n_seeds": seeds,
        "dropped": {},
        "log_odds": None,
        "exploratory": name != "headline",
    }


def as_json(report: BanditReport) -> bytes:
    """UTF-8 JSON, indented."""
    return (json.dumps(finite(as_dict(report)), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def to_html(report: BanditReport) -> bytes:
    """One HTML file."""
    rows = [(name, meaning, _words(mean_of(report.points(name)))) for name, (meaning, _) in ARMS.items()]
    contrasts = [(name, " − ".join(pair), _words(difference(report, name))) for name, pair in CONTRASTS.items()]
    return render(
        "bandit.html.jinja",
        name=report.name,
        level="A mechanism",
        skip="policies",
        sentence=sentence(report),
        figures=[Markup(svg) for svg in bandit_figures(report.first)],
        rows=rows,
        contrasts=contrasts,
        reasons=REASONS,
        seeds=list(report.runs),
        settings=asdict(report.first.settings),
        stages=[(one, ()) for one in report.stages],
        versions=versions(report.stages),
        spec_lines=spec_yaml(report.spec).rstrip("\n").split("\n"),
        report={"arms": ARMS},
    ).encode()


def _words(found: Mean) -> tuple[str, str]:
    """The estimate, and its interval where there is one."""
    low, high = found.interval
    interval = "" if low is None or high is None else f"{number(low)} to {number(high)}"
    return number(found.estimate), interval
