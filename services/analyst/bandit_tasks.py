"""The stages of `kind: bandit`: one seed's policies as a table, and the report over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from services.analyst.bandit import Bandit, Rlaif, Settings, bandit
from services.analyst.bandit_report import BanditReport, as_json, to_html
from services.analyst.reading import stage_facts
from shared.artifacts import Artifact, StageResult
from shared.context import StageContext
from shared.errors import PermanentError

TABLE = "policies.parquet"


def bandit_stage(ctx: StageContext) -> StageResult:
    """Write policies.parquet: every action's true reward, the policies' probabilities, the rewards learned.

    Raises:
        PermanentError: the settings make no bandit.
    """
    try:
        found = bandit(Settings(**ctx.unit.params["settings"]), ctx.unit.params["seed"])
    except ValueError as error:
        raise PermanentError(str(error)) from error
    metrics = {"gain_weak": found.gain_weak, "gain_strong": found.gain_strong, "headline": found.headline}
    return StageResult({TABLE: as_table(found)}, metrics)


def bandit_report(ctx: StageContext) -> StageResult:
    """Make report.json and report.html of every seed's bandit."""
    params = ctx.unit.params
    artifacts = {name: ctx.input(name) for name in ctx.unit.inputs}
    report = read_report(params, artifacts)
    return StageResult({"report.json": as_json(report), "report.html": to_html(report)}, {"scores": 0})


def read_report(params: Mapping[str, Any], artifacts: Mapping[str, Artifact]) -> BanditReport:
    """The report's content from its stage's params and inputs."""
    settings = Settings(**params["settings"])
    runs = {seed: from_table(artifacts[f"bandit/{seed}"].table(TABLE), settings) for seed in params["seeds"]}
    stages = tuple(stage_facts(artifact.manifest) for artifact in artifacts.values())
    return BanditReport(str(params["spec"]["name"]), params["spec"], runs, stages)


def as_table(found: Bandit) -> pa.Table:
    """A row an action, from the worst."""
    columns = {
        "true_reward": found.true_reward,
        "strong": found.strong,
        "weak": found.weak,
        "sft": found.sft,
        "rlaif_weak": found.weak_start.policy,
        "reward_weak": found.weak_start.reward,
        "rlaif_strong": found.strong_start.policy,
        "reward_strong": found.strong_start.reward,
    }
    actions = pa.array(range(len(found.true_reward)), pa.int32())
    return pa.table({"action": actions, **{name: pa.array(values, pa.float64()) for name, values in columns.items()}})


def from_table(table: pa.Table, settings: Settings) -> Bandit:
    """What `as_table` wrote."""
    of = {name: np.asarray(table[name].to_numpy(), dtype=np.float64) for name in table.column_names if name != "action"}
    return Bandit(
        settings,
        of["true_reward"],
        of["strong"],
        of["weak"],
        of["sft"],
        Rlaif(of["weak"], of["reward_weak"], of["rlaif_weak"]),
        Rlaif(of["strong"], of["reward_strong"], of["rlaif_strong"]),
    )
