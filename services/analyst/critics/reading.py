"""Reading every critic's labels from an experiment's artifacts, as far as they are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.analyst.critics.card import Labeller, Role, Spent
from services.analyst.critics.labels import Labels, from_judgements, from_preferences
from services.analyst.params import Params
from shared.artifacts import Artifact, Manifest

FILES = {"preferences.parquet": from_preferences, "judgements.parquet": from_judgements}
DEMONSTRATIONS = "demonstrations.parquet"


class LabellerParams(Params):
    """What the plan says of one critic or judge: its stages' keys by role, and those of what its model wrote itself."""

    provider: str
    gold: bool = False
    recorded: bool = False
    stages: dict[Role, list[str]] = {}
    own: list[str] = []


def read_labellers(params: Mapping[str, Any], artifacts: Mapping[str, Artifact]) -> dict[str, Labeller]:
    """Every labeller of the experiment by its name in the spec. Raises ValidationError for params that are none."""
    there = {name.removeprefix("stage/"): one for name, one in artifacts.items() if name.startswith("stage/")}
    return {name: _labeller(name, LabellerParams.model_validate(one), there) for name, one in params.items()}


def _labeller(name: str, params: LabellerParams, there: Mapping[str, Artifact]) -> Labeller:
    keys = [key for of_role in params.stages.values() for key in of_role]
    found = [there[key] for key in keys if key in there]
    labels = Labels()
    for artifact in found:
        for file, read in FILES.items():
            if file in artifact.manifest.files:
                labels.add(read(artifact.table(file)))
    own = {
        (row["prompt_id"], row["completion"])
        for key in params.own
        if key in there and DEMONSTRATIONS in there[key].manifest.files
        for row in there[key].table(DEMONSTRATIONS).select(["prompt_id", "completion"]).to_pylist()
    }
    return Labeller(
        name=name,
        provider=params.provider,
        labels=labels,
        stages={role: tuple(keys) for role, keys in params.stages.items()},
        gold=params.gold,
        recorded=params.recorded,
        own=own,
        spent=spent([artifact.manifest for artifact in found]),
        missing=len(keys) - len(found),
    )


def spent(manifests: list[Manifest]) -> Spent:
    """What stages' answers cost, whoever paid; tokens only where an endpoint was asked."""
    usd = sum(manifest.cost.usd for manifest in manifests)
    asked = [manifest.metrics for manifest in manifests if "input_tokens" in manifest.metrics]
    if not asked:
        return Spent(usd)
    return Spent(usd, *(sum(int(metrics[name]) for metrics in asked) for name in ("input_tokens", "output_tokens")))
