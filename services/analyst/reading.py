"""Reading a report's inputs from artifacts: judgements, curves, examples and the facts of every stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from services.analyst.categories import Rated, rated
from services.analyst.declared import declared_usd
from services.analyst.lengths.measure import SeedLengths, seed_lengths
from services.analyst.model import Curve, Example, Judged, ReportInputs, StageFacts
from services.analyst.orders import ByOrder, by_order
from services.analyst.params import ReportParams, ScoreInput
from services.analyst.scores import SeedScores
from services.analyst.temperatures import choose, with_choices
from services.analyst.tuning.found import read_tuning
from services.analyst.voted import read_gold, read_votes
from shared.artifacts import Artifact, Manifest
from shared.canonical import sha256_hex
from shared.human import Ballots
from shared.judgements import mirrored
from shared.splits import SPLITS, normalise

JUDGEMENTS = "judgements.parquet"
CURVE = "loss.parquet"
EXAMPLES = 4
NO_VOTES = Ballots()
LONGEST = 6_000
"""Characters of a text that the report shows; more is cut, and says so."""


def read_inputs(params: ReportParams, artifacts: Mapping[str, Artifact], ballots: Ballots = NO_VOTES) -> ReportInputs:
    """What is there of a report's inputs; `artifacts` has the committed ones by their input's name."""
    dev: dict[tuple[str, str], dict[int, SeedScores]] = {}
    for row in params.dev_scores:
        if row.input in artifacts:
            dev.setdefault((row.arm, row.evaluation), {})[row.seed] = seed_scores(
                artifacts[row.input].table(JUDGEMENTS)
            )
    choices = choose(params, dev)
    params = with_choices(params, choices)
    scores: dict[tuple[str, str], dict[int, SeedScores]] = {}
    examples_of = _shown(params, artifacts)
    shown: dict[str, pa.Table] = {}
    orders: dict[str, dict[int, ByOrder]] = {}
    turns: dict[tuple[str, str], dict[int, Rated]] = {}
    lengths: dict[tuple[str, str], dict[int, SeedLengths]] = {}
    for row in params.scores:
        if row.input not in artifacts:
            continue
        table = artifacts[row.input].table(JUDGEMENTS)
        if (of_turns := rated(table)) is not None:
            turns.setdefault((row.arm, row.evaluation), {})[row.seed] = of_turns
        scores.setdefault((row.arm, row.evaluation), {})[row.seed] = mirror(seed_scores(table), row.mirrored)
        if (
            characters := seed_lengths(table, params.evaluations[row.evaluation].head_to_head, row.mirrored)
        ) is not None:
            lengths.setdefault((row.arm, row.evaluation), {})[row.seed] = characters
        if row.evaluation == params.primary.evaluation:
            orders.setdefault(row.arm, {})[row.seed] = _orders(params, row, table)
        if row.evaluation == examples_of and row.seed == params.seeds[0] and row.arm in params.arms:
            shown[row.arm] = _sided(params, row, table)
    committed = [artifact.manifest for name, artifact in artifacts.items() if name.startswith("stage/")]
    prompts = _prompts(artifacts)
    leaked = params.checks.eval_in_training or eval_in_training(prompts)
    checks = params.checks.model_copy(update={"eval_in_training": leaked})
    return ReportInputs(
        params=params.model_copy(update={"checks": checks}),
        scores=scores,
        stages={manifest.key: _priced(stage_facts(manifest), params, artifacts) for manifest in committed},
        curves=read_curves(params, artifacts),
        examples=choose_examples(
            shown, {str(row["prompt_id"]): str(row["prompt"]) for row in prompts}, list(params.arms)
        ),
        examples_of=examples_of,
        orders=orders,
        rated=turns,
        gold=read_gold(params, artifacts),
        voted=read_votes(params, artifacts, ballots),
        battles=read_battles(params, artifacts),
        choices=choices,
        dev_there=sum(len(of) for of in dev.values()),
        lengths=lengths,
        tuning=read_tuning(params, artifacts),
    )


def read_battles(
    params: ReportParams, artifacts: Mapping[str, Artifact]
) -> dict[str, dict[tuple[str, str], dict[int, SeedScores]]]:
    """The first arm's scores of every pair of arms that is there, by evaluation, pair and seed."""
    found: dict[str, dict[tuple[str, str], dict[int, SeedScores]]] = {}
    read: dict[str, SeedScores] = {}
    for row in params.battles:
        if row.input in artifacts:
            artifact = artifacts[row.input]
            if artifact.key not in read:
                read[artifact.key] = seed_scores(artifact.table(JUDGEMENTS))
            found.setdefault(row.evaluation, {}).setdefault((row.a, row.b), {})[row.seed] = read[artifact.key]
    return found


def mirror(scores: SeedScores, mirrored: bool) -> SeedScores:
    """The scores of an arm's opponent, where they are to be that arm's."""
    return SeedScores(scores.prompt_ids, 100.0 - scores.scores, scores.valid) if mirrored else scores


def _orders(params: ReportParams, row: ScoreInput, table: pa.Table) -> dict[str, SeedScores]:
    """Scores in each order. Head to head it is one order for both arms: where the contrast's first arm stood."""
    if not params.evaluations[row.evaluation].head_to_head:
        return by_order(table)
    first = params.contrasts[params.primary.contrast][0] == row.arm
    orders = by_order(table, turned=first == row.mirrored)
    return {order: mirror(one, row.mirrored) for order, one in orders.items()}


def _sided(params: ReportParams, row: ScoreInput, table: pa.Table) -> pa.Table:
    """An arm's rows as its own; what it was compared with head to head stands beside it, and is no reference."""
    own = mirrored(table) if row.mirrored else table
    if not params.evaluations[row.evaluation].head_to_head:
        return own
    return own.drop_columns([name for name in ("reference",) if name in own.column_names])


def seed_scores(table: pa.Table) -> SeedScores:
    """The columns of JUDGEMENTS that statistics need."""
    score = table["score"].combine_chunks().cast(pa.float64())
    return SeedScores(
        np.asarray(table["prompt_id"].to_pylist(), dtype=np.str_),
        np.asarray(score.to_numpy(zero_copy_only=False), dtype=np.float64),
        np.asarray(table["valid"].to_pylist(), dtype=np.bool_),
    )


def stage_facts(manifest: Manifest) -> StageFacts:
    return StageFacts(
        key=manifest.key,
        kind=manifest.kind,
        host=manifest.host,
        started=manifest.started,
        finished=manifest.finished,
        usd=manifest.cost.usd,
        device_seconds=manifest.cost.device_seconds,
        metrics=manifest.metrics,
        versions=manifest.versions,
        outcomes=manifest.metrics.get("outcomes", {}),
        reasked=manifest.metrics.get("reasked", {}),
        without_usage=manifest.metrics.get("without_usage", 0),
    )


def _priced(facts: StageFacts, params: ReportParams, artifacts: Mapping[str, Artifact]) -> StageFacts:
    """The same, with what recorded rows would have cost where the spec declares it."""
    declared = params.declared.get(facts.key)
    if declared is None:
        return facts
    return replace(facts, declared_usd=declared_usd(artifacts[f"stage/{facts.key}"].rows(), declared.price))


def read_curves(params: ReportParams, artifacts: Mapping[str, Artifact]) -> tuple[Curve, ...]:
    """Every training once, under the first arm that it belongs to; a start's before its RL arm's."""
    found: dict[str, Curve] = {}
    for row in params.training:
        artifact = artifacts.get(row.input)
        if artifact is None or artifact.key in found or CURVE not in artifact.manifest.files:
            continue
        columns = artifact.table(CURVE).to_pydict()
        found[artifact.key] = Curve(row.arm, row.seed, row.step, artifact.key, columns)
    return tuple(found.values())


def choose_examples(
    shown: Mapping[str, pa.Table], prompts: Mapping[str, str], arms: list[str], count: int = EXAMPLES
) -> tuple[Example, ...]:
    """The prompts with the smallest hashes of their ids, so that nobody's taste chose them."""
    rows = {arm: {row["prompt_id"]: row for row in shown[arm].to_pylist()} for arm in arms if arm in shown}
    common = set.intersection(*(set(found) for found in rows.values())) if rows else set()
    chosen = sorted(common, key=lambda prompt_id: sha256_hex(prompt_id))[:count]
    return tuple(
        _example(prompt_id, prompts, {arm: found[prompt_id] for arm, found in rows.items()}) for prompt_id in chosen
    )


def _example(prompt_id: str, prompts: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]]) -> Example:
    reference = next((row["reference"] for row in rows.values() if row.get("reference") is not None), None)
    completions = {
        arm: Judged(
            completion=clip(row.get("completion") or ""),
            reference=row.get("reference"),
            score=row["score"] if row["valid"] else None,
            verdict_ab=row.get("verdict_ab"),
            verdict_ba=row.get("verdict_ba"),
            raw_ab=row.get("raw_ab") and clip(row["raw_ab"]),
            raw_ba=row.get("raw_ba") and clip(row["raw_ba"]),
        )
        for arm, row in rows.items()
    }
    prompt = prompts.get(prompt_id)
    return Example(prompt_id, prompt and clip(prompt), reference and clip(reference), completions)


def clip(text: str) -> str:
    """The text, cut where it is longer than the report shows."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"


def _shown(params: ReportParams, artifacts: Mapping[str, Artifact]) -> str | None:
    """The evaluation whose completions are shown: the primary's if it has any, else the first that has."""
    order = [params.primary.evaluation, *params.evaluations]
    sampled = [name for name in order if params.evaluations[name].sampled]
    there = {row.evaluation for row in params.scores if row.input in artifacts}
    return next((name for name in sampled if name in there), None)


def eval_in_training(prompts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an eval prompt, by its normalised text, is also a train or dev prompt, as the split stage wrote them."""
    texts = {split: {normalise(str(row["prompt"])) for row in prompts if row["split"] == split} for split in SPLITS}
    return bool(texts["eval"] & (texts["train"] | texts["dev"]))


def _prompts(artifacts: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """The rows (PROMPTS) of the stage that split the prompts, and of evaluations' own questions, which are all eval
    prompts; none while they are not there."""
    return [
        row
        for name, artifact in artifacts.items()
        if name.startswith("stage/") and artifact.manifest.kind == "prompts"
        for row in artifact.rows().select(["prompt_id", "prompt", "split"]).to_pylist()
    ]
