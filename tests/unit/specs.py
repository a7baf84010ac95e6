"""Specs for tests: a small one that is right, to be changed."""

from __future__ import annotations

import copy
from typing import Any

from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved

SPEC: dict[str, Any] = {
    "name": "small",
    "prompts": {"source": {"world": {"seed": 0, "count": 400}}, "train": 100, "dev": 10, "eval": 40},
    "policies": {"toy": {"base": {"pretrain": {}}, "max_tokens": 16}},
    "models": {
        "weak": {"provider": "simulated", "accuracy": 0.5},
        "strong": {"provider": "simulated", "accuracy": 0.9},
        "critic": {"provider": "simulated", "error_rate": 0.1},
    },
    "arms": {
        "sft-weak": {"sft": {"teacher": "weak"}},
        "sft-strong": {"sft": {"teacher": "strong"}},
        "rlaif-weak": {"sft": {"teacher": "weak", "fraction": 0.1}, "rl": {"critic": "critic"}},
        "rlaif-strong": {"sft": {"teacher": "strong", "fraction": 0.1}, "rl": {"critic": "critic"}},
    },
    "evaluations": {
        "win-rate": {"protocol": "pairwise", "judge": "critic", "reference": "weak", "temperature": [0.7, 0.0]}
    },
    "primary": {"evaluation": "win-rate@0.7"},
    # Who is judged beside the arms has tests of its own.
    "also_judge": [],
    "null_completions": False,
}


def spec_with(**changes: Any) -> dict[str, Any]:
    """The small spec with dotted paths replaced (`arms__sft-weak__sft__teacher="x"`); None removes."""
    spec = copy.deepcopy(SPEC)
    for path, value in changes.items():
        *steps, last = path.split("__")
        at = spec
        for step in steps:
            at = at.setdefault(step, {})
        if value is None:
            del at[last]
        else:
            at[last] = value
    return spec


def resolved(spec: dict[str, Any] | None = None) -> Resolved:
    """A resolved spec of the simulated world, made without a store."""
    parsed = parse_spec(spec or SPEC)
    sizes = {"train": parsed.prompts.train, "dev": parsed.prompts.dev, "eval": parsed.prompts.eval}
    data = parsed.model_dump(mode="json", exclude_defaults=True) | {"seeds": parsed.seeds}
    return Resolved(spec=data, counts={**sizes, "near_duplicates": 0})
