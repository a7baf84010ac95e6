"""The dry run: what would be done, what is there, what it would ask and cost at most."""

from __future__ import annotations

from shared.plan import plan
from shared.preview import preview
from tests.unit.specs import resolved, spec_with

PRICED = {
    "provider": "openai",
    "model": "m",
    "base_url": "http://127.0.0.1:1/v1",
    "price": {"input": 10.0, "output": 20.0},
    "max_tokens": 100,
}


def test_requests_samples_and_reuse_are_counted() -> None:
    experiment = resolved()
    made = plan(experiment)
    shown = preview("small", made, experiment.counts, set())
    by_kind = {kind: sum(row["requests"] for row in shown["stages"] if row["kind"] == kind)
               for kind in ("teach", "label", "judge", "sft")}  # fmt: skip
    assert by_kind == {"teach": 100 + 10 + 100 + 10 + 40, "label": 2 * 2 * 90, "judge": 12 * 2 * 40, "sft": 0}
    assert shown["samples"] == 2 * 2 * 90 + 12 * 40
    assert shown["cost_usd"] == 0
    again = preview("small", made, experiment.counts, set(made.stages))
    assert again["requests"] == 0
    assert again["counts"] == {"stages": len(made.stages), "reused": len(made.stages)}


def test_a_price_gives_dollars_at_the_stated_assumption() -> None:
    experiment = resolved(spec_with(models__strong=PRICED))
    shown = preview("small", plan(experiment), experiment.counts, set())
    asked = 100 + 10
    assert shown["cost_usd"] == asked * (600 * 10.0 + 100 * 20.0) / 1e6
    assert "600 tokens in" in shown["assumption"]


def test_recorded_and_offline_models_ask_nothing() -> None:
    recorded = {"provider": "recorded", "completions": "dataset:x"}
    similar = {"provider": "similarity", "towards": "strong"}
    experiment = resolved(spec_with(models__weak=recorded, models__strong=recorded, models__critic=similar))
    assert preview("small", plan(experiment), experiment.counts, set())["requests"] == 0
