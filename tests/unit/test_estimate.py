"""The dry run: what would be done, what is there, what it would ask, and what that costs at most."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shared.artifacts import Cost, Manifest
from shared.estimate import Known, preview
from shared.estimate.answered import Asked, asked_of
from shared.estimate.history import History, Took, likeness, work_of
from shared.estimate.quantity import Quantity, observed
from shared.llm.chat import request_key, user_request
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec.resolve import Resolved
from tests.unit.specs import resolved, spec_with

PRICED = {
    "provider": "openai",
    "model": "m",
    "base_url": "http://127.0.0.1:1/v1",
    "price": {"input": 10.0, "output": 20.0},
    "max_tokens": 100,
}
TEXTS = {
    split: [f"{split} prompt {n} {'x' * 20}" for n in range(size)]
    for split, size in (("train", 100), ("dev", 10), ("eval", 40))
}


def of_kind(shown: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [row for row in shown["stages"] if row["kind"] == kind]


def stages(made: Plan, kind: str) -> list[Stage]:
    return [stage for stage in made.stages.values() if stage.kind == kind]


def asked(experiment: Resolved, made: Plan) -> dict[str, Asked]:
    return asked_of(made, made.stages.values(), experiment.counts, TEXTS)


def test_requests_samples_and_reuse_are_counted() -> None:
    experiment = resolved()
    made = plan(experiment)
    shown = preview("small", made, experiment.counts, set())
    by_kind = {
        kind: sum(row["requests"] for row in of_kind(shown, kind)) for kind in ("teach", "label", "judge", "sft")
    }
    assert by_kind == {"teach": 100 + 10 + 100 + 10 + 40, "label": 2 * 2 * 90, "judge": 12 * 2 * 40, "sft": 0}
    assert shown["samples"] == 2 * 2 * 90 + 12 * 40
    assert shown["cost_usd"] == 0 and shown["unknown_prices"] == [], "simulated models cost nothing"
    again = preview("small", made, experiment.counts, set(made.stages))
    assert again["requests"] == again["tokens"]["input"] == 0
    assert again["counts"] == {"stages": len(made.stages), "reused": len(made.stages)}


def test_dollars_at_the_stated_assumption_have_a_range() -> None:
    experiment = resolved(spec_with(models__strong=PRICED))
    made = plan(experiment)
    shown = preview("small", made, experiment.counts, set(), Known(asked=asked(experiment, made)), budget_usd=0.3)
    sent = 100  # the 10% of the RL arm's start are the first of them
    assert sum(row["repeated"] for row in of_kind(shown, "teach") if row["model"] == "strong") == 10
    assert shown["cost_usd"] == pytest.approx(sent * (150 * 10.0 + 50 * 20.0) / 1e6)
    assert shown["cost_range"] == pytest.approx(
        [sent * (40 * 10.0 + 10 * 20.0) / 1e6, sent * (600 * 10.0 + 100 * 20.0) / 1e6]
    )
    assert shown["over_budget"] and "150 tokens a prompt" in shown["assumption"]


def test_a_batch_costs_half_and_takes_a_day_for_each_that_waits_for_another() -> None:
    def shown(**fields: Any) -> dict[str, Any]:
        model = {**PRICED, "limits": {"requests_per_minute": 10}, **fields}
        experiment = resolved(spec_with(models__strong=model, models__critic={**model, "model": "n"}))
        made = plan(experiment)
        return preview("small", made, experiment.counts, set(), Known(asked=asked(experiment, made)))

    direct, batch = shown(), shown(mode="batch")
    assert batch["cost_usd"] == pytest.approx(direct["cost_usd"] / 2) and batch["cost_usd"]
    assert direct["hours"]["strong"] < 1
    # The judge looks at what was trained on the labels; the teacher waits for nobody.
    assert batch["hours"] == {"strong": 24, "critic": 48} and "within 24 h" in batch["assumption"]
    assert {row["hours"] for row in of_kind(batch, "label")} == {24}


def test_an_unknown_price_is_said_and_never_counted_as_free() -> None:
    experiment = resolved(spec_with(models__strong={**PRICED, "price": None}))
    shown = preview("small", plan(experiment), experiment.counts, set())
    assert shown["unknown_prices"] == ["strong"] and shown["cost_usd"] == 0
    rows = [row for row in of_kind(shown, "teach") if row["model"] == "strong"]
    assert all(row["cost_usd"] is None and row["tokens"]["input"] for row in rows)


def test_known_prompts_are_counted_by_their_length() -> None:
    experiment = resolved()
    shown = preview("small", plan(experiment), experiment.counts, set(), Known(prompts={"train": 400.0, "eval": 400.0}))
    whole = next(row for row in of_kind(shown, "teach") if row["requests"] == 100)
    assert whole["tokens"]["input"] == 100 * 100 and whole["tokens_range"]["input"] == [7500, 15000]


def test_recorded_and_offline_models_ask_nothing() -> None:
    recorded = {"provider": "recorded", "completions": "dataset:x"}
    similar = {"provider": "similarity", "towards": "strong"}
    experiment = resolved(spec_with(models__weak=recorded, models__strong=recorded, models__critic=similar))
    assert preview("small", plan(experiment), experiment.counts, set())["requests"] == 0


def test_requests_that_are_in_the_ledger_cost_nothing() -> None:
    experiment = resolved(spec_with(models__strong=PRICED))
    made = plan(experiment)
    found = asked(experiment, made)
    teach = [stage.key for stage in stages(made, "teach") if stage.options["name"] == "strong"]
    known = Known(asked=found, in_ledger={teach[0]: 60, teach[1]: 0}, unknown={})
    shown = preview("small", made, experiment.counts, set(), known)
    assert shown["in_ledger"] == 60
    assert shown["cost_usd"] == pytest.approx(40 * (150 * 10.0 + 50 * 20.0) / 1e6)


def test_a_teacher_s_requests_are_the_ones_that_it_will_send() -> None:
    experiment = resolved()
    made = plan(experiment)
    found = asked(experiment, made)
    for stage in stages(made, "teach"):
        model, one = stage.params["model"], found[stage.key]
        assert (
            one.requests
            == len(one.prompts) + one.repeated
            == next(
                row["requests"]
                for row in preview("s", made, experiment.counts, ())["stages"]
                if row["key"] == stage.key
            )
        )
        assert one.keys() == [request_key(model, user_request(model, prompt)) for prompt in one.prompts]
    later = [one for key, one in found.items() if made.stages[key].kind != "teach"]
    assert later and all(not one.keys() and one.later and "not done yet" in one.reason for one in later)


def test_hours_are_those_of_the_tighter_limit() -> None:
    def hours(**limits: float) -> float | None:
        experiment = resolved(spec_with(models__strong={**PRICED, "limits": limits}))
        made = plan(experiment)
        shown = preview("small", made, experiment.counts, set(), Known(asked=asked(experiment, made)))
        assert set(shown["hours"]) == ({"strong"} if limits else set())
        return shown["hours"].get("strong")  # type: ignore[no-any-return]

    assert hours() is None
    assert hours(requests_per_minute=10) == pytest.approx(100 / 10 / 60)
    assert hours(tokens_per_minute=1000) == pytest.approx(100 * 200 / 1000 / 60)
    assert hours(requests_per_minute=10, tokens_per_minute=1e9) == pytest.approx(100 / 10 / 60)
    # One second to the first token, fifty tokens a second: two seconds for 50 of them.
    assert hours(concurrency=2) == pytest.approx(100 * 2 / 2 / 3600)
    assert hours(requests_per_minute=1e6, concurrency=4) == pytest.approx(100 * 2 / 4 / 3600)


def manifest(**changes: Any) -> Manifest:
    given: dict[str, Any] = {"metrics": {}, "cost": Cost(device_seconds=20.0), **changes}
    blank = {"key": "k", "kind": "teach", "attempt": "a", "files": {}, "inputs": {}, "versions": {}, "host": "h"}
    return Manifest(**blank, started="", finished="", **given)


def test_tokens_come_from_like_stages_where_there_are_some() -> None:
    experiment = resolved(spec_with(models__strong=PRICED))
    made = plan(experiment)
    teach = next(stage for stage in stages(made, "teach") if stage.options["name"] == "strong")
    metrics = [
        {"requests": 10, "requests_paid": 10, "input_tokens": 1000, "output_tokens": 500},
        {"requests": 30, "requests_paid": 30, "input_tokens": 6000, "output_tokens": 600},
    ]
    like = likeness(teach, made)
    assert like is not None
    history = History({like: [Took.of(manifest(metrics=one), one["requests"]) for one in metrics]})
    shown = preview("small", made, experiment.counts, set(), Known(history=history))
    row = next(row for row in shown["stages"] if row["key"] == teach.key)
    assert row["tokens_from"] == "the history of 40 requests"
    assert row["tokens"] == {"input": 100 * 175, "output": round(100 * 27.5)}
    assert row["tokens_range"] == {"input": [10_000, 20_000], "output": [2000, 5000]}
    others = {row["tokens_from"] for row in shown["stages"] if row["model"] not in {None, "strong"}}
    assert others == {"assumption"}, "another model's history says nothing"


def test_identical_completions_of_like_stages_are_not_paid_for() -> None:
    experiment = resolved(spec_with(models__critic=PRICED))
    made = plan(experiment)
    label = stages(made, "label")[0]
    like = likeness(label, made)
    assert like is not None
    # Of 50 pairs 20 were identical: 60 requests of 100 tokens, half of which another stage had asked.
    metrics = {"requests": 60, "requests_paid": 30, "input_tokens": 6000, "output_tokens": 600}
    took = Took.of(manifest(metrics=metrics), 50.0)
    shown = preview("small", made, experiment.counts, set(), Known(history=History({like: [took]})))
    row = next(row for row in shown["stages"] if row["key"] == label.key)
    assert row["requests"] == 180 and row["tokens"] == {"input": 90 * 120, "output": 90 * 12}
    assert row["tokens_range"]["input"] == [90 * 60, round(90 * 120 * 1.1)]


def test_device_hours_come_from_like_stages_of_the_same_base() -> None:
    experiment = resolved(spec_with(seeds=[0, 1]))
    made = plan(experiment)
    sft = [stage for stage in stages(made, "sft") if work_of(stage, made, experiment.counts) == 100]
    like = likeness(sft[0], made)
    assert len(sft) == 4 and {likeness(stage, made) for stage in sft} == {like}, "seeds and teachers do not matter"
    other = plan(resolved(spec_with(policies__toy={"base": {"pretrain": {"width": 64}}, "max_tokens": 16})))
    assert like not in {likeness(stage, other) for stage in other.stages.values()}
    assert like is not None
    history = History({like: [Took.of(manifest(), 50.0)]})
    shown = preview("small", made, experiment.counts, {sft[0].key}, Known(history=history))
    rows = {row["key"]: row for row in shown["stages"]}
    assert rows[sft[1].key]["device_hours"] == pytest.approx(40 / 3600)
    assert rows[sft[0].key]["device_hours"] is None
    assert shown["device_hours"] == pytest.approx((3 * 40 + 4 * 4) / 3600) and shown["device_unknown"] > 0


def test_a_range_is_that_of_what_was_seen_and_at_least_a_tenth() -> None:
    assert observed([10.0, 30.0], [10, 10]) == Quantity(1.0, 2.0, 3.0)
    assert observed([20.0], [10]) == Quantity(1.8, 2.0, 2.2)
    assert observed([5.0, 0.0], [5, 0]) == Quantity(0.9, 1.0, 1.1)


def test_a_matrix_is_priced_with_what_its_cells_share_once() -> None:
    second = {**PRICED, "model": "n"}
    one = resolved(spec_with(models__critic=PRICED))
    both = resolved(spec_with(models__critic=PRICED, models__second=second, matrix={"critics": ["critic", "second"]}))
    alone, shown = (preview("m", plan(given), given.counts, set()) for given in (one, both))
    assert sum(row["requests"] for row in of_kind(shown, "teach")) == sum(
        row["requests"] for row in of_kind(alone, "teach")
    )
    assert shown["cost_usd"] < 2 * alone["cost_usd"]
    labels = {row["model"]: row["cost_usd"] for row in of_kind(shown, "label")}
    assert labels["critic"] == labels["second"] > 0


def critic_requests(rl: dict[str, Any] | None = None, **ask: Any) -> int:
    """Requests of one label stage over the 90 prompts of the RL step."""
    changes: dict[str, Any] = {"arms__rlaif-weak__rl": {"critic": "critic", **(rl or {})}}
    if ask:
        changes["models__critic__ask"] = ask
    experiment = resolved(spec_with(**changes))
    made = plan(experiment)
    key = next(stage.key for stage in stages(made, "label") if "rlaif-weak" in stage.arms)
    shown = preview("small", made, experiment.counts, set())
    return int(next(row["requests"] for row in shown["stages"] if row["key"] == key))


def test_requests_follow_from_how_a_critic_is_asked_about_which_pairs() -> None:
    assert critic_requests() == critic_requests(kind="score") == 2 * 90
    assert critic_requests(kind="pairwise", order="random") == 90
    four = {"samples": 4, "choose": "best_worst"}
    assert critic_requests(four) == 6 * 2 * 90 and critic_requests(four, kind="score") == 4 * 90
    against = {"pairs": "policy_vs_teacher"}
    assert critic_requests(against) == critic_requests(against, kind="score") == 2 * 90


def test_an_ensemble_costs_what_its_members_do() -> None:
    both = {"provider": "ensemble", "members": ["critic", "gpt", "sim"]}
    models = {"models__gpt": PRICED, "models__sim": {"provider": "similarity", "towards": "strong"}}

    def shown(critic: str) -> tuple[dict[str, Any], dict[str, Any]]:
        spec = spec_with(**models, models__both=both, **{"arms__rlaif-weak__rl__critic": critic})
        experiment = resolved(spec)
        made = plan(experiment)
        found = preview("small", made, experiment.counts, set())
        return found, next(row for row in of_kind(found, "label") if row["model"] == critic)

    (alone, gpt), (whole, ensemble) = shown("gpt"), shown("both")
    assert ensemble["requests"] == 2 * gpt["requests"] == 4 * 90
    assert ensemble["cost_usd"] == pytest.approx(gpt["cost_usd"]) and gpt["cost_usd"] > 0
    assert whole["cost_usd"] == pytest.approx(alone["cost_usd"])
    assert whole["counts"]["stages"] == alone["counts"]["stages"]


def of_critic(rl: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """One label stage, by the stated assumption."""
    changes: dict[str, Any] = {"arms__rlaif-weak__rl": {"critic": "critic", **(rl or {})}}
    experiment = resolved(spec_with(**changes, models__critic={**PRICED, **fields}))
    made = plan(experiment)
    key = next(stage.key for stage in stages(made, "label") if "rlaif-weak" in stage.arms)
    return next(row for row in preview("s", made, experiment.counts, set())["stages"] if row["key"] == key)


def test_who_sees_one_answer_at_a_time_reads_half_as_much_and_a_reference_besides() -> None:
    both, one = of_critic(), of_critic(ask={"kind": "score"})
    assert both["requests"] == one["requests"] == 180
    # Samples of 16 tokens at most, half of which are taken.
    assert both["tokens"]["input"] - one["tokens"]["input"] == pytest.approx(180 * 8, abs=180 * 60)
    told = of_critic(ask={"kind": "score", "reference": "strong"})
    assert told["tokens"]["input"] - one["tokens"]["input"] > 180 * 256, "the simulated teacher's answer is in it"
    long = {"kind": "rubric", "criteria": [{"name": "clear", "text": "x" * 4000}]}
    assert of_critic(ask=long)["tokens"]["input"] > one["tokens"]["input"] + 180 * 900


def test_a_label_alone_takes_the_tokens_of_a_label() -> None:
    assert of_critic(ask={"kind": "pairwise", "verdict": "logprobs"})["tokens_range"]["output"] == [8 * 180, 8 * 180]


def test_an_opponent_s_completions_are_read() -> None:
    """`strong` answers in 512 tokens at most, of which half are taken; a sample in 16."""
    against = of_critic({"pairs": "policy_vs_teacher", "opponent": "strong"})
    assert against["tokens"]["input"] - of_critic()["tokens"]["input"] == 180 * (256 - 8)


def test_what_may_be_asked_again_raises_the_high_end_alone() -> None:
    once, again = of_critic(), of_critic(reask={"truncated": 1, "unparsable": 5})
    assert again["cost_usd"] == pytest.approx(once["cost_usd"])
    assert again["cost_range"] == pytest.approx([once["cost_range"][0], once["cost_range"][1] * 1.5])


def test_a_check_on_recorded_pairs_is_priced() -> None:
    people = {"provider": "recorded", "preferences": {"declared": {"name": "people", "rows": 40}}}
    experiment = resolved(spec_with(models__critic=PRICED, models__people=people, critic_check={"labels": "people"}))
    shown = preview("small", plan(experiment), experiment.counts, set())
    given = [row for row in of_kind(shown, "label") if row["rows"] == 40]
    assert sorted(row["requests"] for row in given) == [0, 80]
    assert max(row["tokens"]["input"] for row in given) > 80 * 2 * 256


@pytest.mark.slow
def test_a_hundred_cells_are_planned_and_priced_in_seconds() -> None:
    prompts = {"source": {"world": {"seed": 0, "count": 5000}}, "train": 2000, "dev": 0, "eval": 200}
    experiment = resolved(spec_with(prompts=prompts, matrix={"fractions": [n / 200 for n in range(1, 101)]}))
    started = time.process_time()
    made = plan(experiment)
    shown = preview(
        "wide", made, experiment.counts, set(), Known(asked=asked_of(made, made.stages.values(), experiment.counts, {}))
    )
    assert len(of_kind(shown, "sft")) == 2 + 200 and time.process_time() - started < 20
