"""The stages that choose on dev. Neither copies a file: what they leave are files that other stages left."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from services.analyst.reading import JUDGEMENTS, seed_scores
from services.analyst.scores import ArmScores, assemble
from services.analyst.tuning.choice import Choice, choice
from shared.artifacts import Artifact, FileRef, StageResult
from shared.context import StageContext
from shared.errors import PermanentError
from shared.trials import DIVERGED, FOLDER, TRIALS


def checkpoint_stage(ctx: StageContext) -> StageResult:
    """One state of a training as a model of its own: param `number`, the last one its end.

    Raises:
        PermanentError: the training has no such state.
    """
    training, number = ctx.input("training").manifest, int(ctx.unit.params["number"])
    states = training.metrics["checkpoints"]
    if not 1 <= number <= len(states):
        raise PermanentError(f"checkpoint {number}: the training has {len(states)}")
    # What diverged left one model, the one that it began with.
    prefix = "" if number == len(states) or DIVERGED in training.metrics else f"{FOLDER}/{number}/"
    files = {
        name.removeprefix(prefix): ref
        for name, ref in training.files.items()
        if name.startswith(prefix) and not name.removeprefix(prefix).startswith(f"{FOLDER}/")
    }
    diverged = {name: training.metrics[name] for name in (DIVERGED,) if name in training.metrics}
    return StageResult(dict(files), {**states[number - 1], **diverged})


def choose_stage(ctx: StageContext) -> StageResult:
    """The model of the trial that does best on dev, and `trials.parquet`: what each of them scored.

    Raises:
        PermanentError: no trial is to be chosen.
    """
    params = ctx.unit.params
    trials: list[dict[str, Any]] = params["trials"]
    models = [{seed: ctx.input(f"model/{place}/{seed}") for seed in params["seeds"]} for place in range(len(trials))]
    scores = [_scores(ctx, place) for place in range(len(trials))]
    trainings = [json.dumps(trial["settings"], sort_keys=True) for trial in trials]
    found = choice(scores, trainings, params.get("patience"), [_diverged(of) for of in models])
    rows = _rows(trials, found)
    files: dict[str, pa.Table | FileRef] = {TRIALS: _table(rows)}
    chosen = models[found.chosen][params["seed"]].manifest
    files |= {name: ref for name, ref in chosen.files.items() if not name.startswith(f"{FOLDER}/")}
    metrics = {"chosen": found.chosen, "dev_prompts": found.prompts, "seeds": len(params["seeds"]), "trials": rows}
    return StageResult(dict(files), metrics)


def _scores(ctx: StageContext, place: int) -> ArmScores:
    tables = {
        seed: seed_scores(ctx.input(f"dev/{place}/{seed}").table(JUDGEMENTS)) for seed in ctx.unit.params["seeds"]
    }
    return assemble(f"trial {place + 1}", "dev", tables)


def _diverged(models: dict[int, Artifact]) -> str | None:
    """Why a trial is out whose training diverged with any seed."""
    said = {
        seed: model.manifest.metrics[DIVERGED] for seed, model in models.items() if DIVERGED in model.manifest.metrics
    }
    return None if not said else f"diverged: {next(iter(said.values()))}"


def _rows(trials: list[dict[str, Any]], found: Choice) -> list[dict[str, Any]]:
    return [
        {
            "settings": trial["settings"],
            "checkpoint": trial.get("checkpoint"),
            "of": trial.get("of"),
            "estimate": scored.estimate,
            "interval": None if scored.interval is None else list(scored.interval),
            "out": scored.out,
            "chosen": place == found.chosen,
        }
        for place, (trial, scored) in enumerate(zip(trials, found.trials, strict=True))
    ]


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """A row a trial; `settings` as JSON, scores in the evaluation's unit, the interval's ends at 95%."""
    ends = [row["interval"] or (None, None) for row in rows]
    return pa.table(
        {
            "trial": pa.array(range(1, len(rows) + 1), pa.int32()),
            "settings": pa.array([json.dumps(row["settings"]) for row in rows]),
            "checkpoint": pa.array([row["checkpoint"] for row in rows], pa.int32()),
            "checkpoints": pa.array([row["of"] for row in rows], pa.int32()),
            "dev": pa.array([row["estimate"] for row in rows], pa.float64()),
            "low": pa.array([low for low, _ in ends], pa.float64()),
            "high": pa.array([high for _, high in ends], pa.float64()),
            "chosen": pa.array([row["chosen"] for row in rows]),
            "out": pa.array([row["out"] for row in rows], pa.string()),
        }
    )
