"""Reading every critic's labels from an experiment's artifacts, as far as they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.analyst.critics.card import Labeller, Role, Spent
from services.analyst.critics.labels import Labels, from_judgements, from_preferences
from services.analyst.params import Params
from shared.artifacts import Artifact, Manifest

FILES = {"preferences.parquet": from_preferences, "judgements.parquet": from_judgements}
DEMONSTRATIONS = "demonstrations.parquet"


class LabellerParams(Params):
    """What the plan says of one critic or judge (`shared/plan/critics.py`): its stages' keys by role, those of what its
    model wrote itself, and which of an ensemble's votes are its own."""

    provider: str
    gold: bool = False
    recorded: bool = False
    stages: dict[Role, list[str]] = {}
    own: list[str] = []
    members: list[str] = []
    votes: dict[str, int] = {}
    sides: dict[str, str] = {}
    unpriced: bool = False


def read_labellers(params: Mapping[str, Any], artifacts: Mapping[str, Artifact]) -> dict[str, Labeller]:
    """Every labeller of the experiment by its name in the spec. Raises ValidationError for params that are none."""
    there = {name.removeprefix("stage/"): one for name, one in artifacts.items() if name.startswith("stage/")}
    return {name: _labeller(name, LabellerParams.model_validate(one), there) for name, one in params.items()}


def _labeller(name: str, params: LabellerParams, there: Mapping[str, Artifact]) -> Labeller:
    keys = [key for of_role in params.stages.values() for key in of_role]
    found = {key: there[key] for key in keys if key in there}
    labels = Labels()
    for key, artifact in found.items():
        given = {"sides": params.sides[key]} if key in params.sides else {}
        for file, read in FILES.items():
            if file in artifact.manifest.files:
                labels.add(read(artifact.table(file), params.votes.get(key), **given))
    own = {
        (row["prompt_id"], row["completion"])
        for key in params.own
        if key in there and DEMONSTRATIONS in there[key].manifest.files
        for row in there[key].table(DEMONSTRATIONS).select(["prompt_id", "completion"]).to_pylist()
    }
    paid = spent([_bill(artifact.manifest, params.votes.get(key)) for key, artifact in found.items()])
    return Labeller(
        name=name,
        provider=params.provider,
        labels=labels,
        stages={role: tuple(keys) for role, keys in params.stages.items()},
        gold=params.gold,
        recorded=params.recorded,
        own=own,
        members=tuple(params.members),
        spent=replace(paid, usd=None) if params.unpriced else paid,
        missing=len(keys) - len(found),
    )


def _bill(manifest: Manifest, member: int | None) -> Mapping[str, Any]:
    """A stage's dollars and tokens, or a member's part of them."""
    if member is None:
        return {**manifest.metrics, "usd": manifest.cost.usd}
    bill: Mapping[str, Any] = manifest.metrics.get("members", {}).get(str(member), {})
    return bill


def spent(bills: Sequence[Mapping[str, Any]]) -> Spent:
    """What stages' answers cost, whoever paid; tokens only where an endpoint was asked."""
    usd = sum(float(bill.get("usd", 0.0)) for bill in bills)
    asked = [bill for bill in bills if "input_tokens" in bill]
    if not asked:
        return Spent(usd)
    return Spent(usd, *(sum(int(bill[name]) for bill in asked) for name in ("input_tokens", "output_tokens")))
