"""The stage of a reference in the plan: who shares it, what its key holds, and whose cost it is."""

from __future__ import annotations

from typing import Any

import pytest

from shared.estimate import Known, preview
from shared.estimate.history import History, Took, likeness
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from tests.unit.specs import resolved, spec_with
from tests.unit.test_recipes import trained

ASKED = {"precompute_ref_log_probs": True}


def made(of_other: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """The small spec whose RL steps share their references; `other` is an arm like rlaif-weak but for its `rl`."""
    rl = {"critic": "critic", **(of_other or {})}
    arm = {"sft": {"teacher": "weak", "fraction": 0.1}, "rl": rl}
    given = {"defaults__rl": ASKED, **({} if of_other is None else {"arms__other": arm}), **changes}
    return plan(resolved(spec_with(**given)))


def references(found: Plan, arm: str) -> list[Stage]:
    """The references of an arm's RL steps."""
    steps = [stage for stage in trained(found, arm) if stage.kind == "rl"]
    return [found.stages[stage.inputs["reference"]] for stage in steps]


def test_who_does_not_ask_for_it_keeps_its_keys() -> None:
    before, refused = plan(resolved()), made(defaults__rl={"precompute_ref_log_probs": False})
    assert set(before.stages) - {before.report} == set(refused.stages) - {refused.report}
    assert all(stage.kind != "reference" for stage in before.stages.values())
    rl = trained(before, "rlaif-weak")[-1]
    assert set(rl.inputs) == {"start", "preferences"}


def test_the_stage_is_of_the_training_s_start_and_pairs() -> None:
    found = made()
    rl = trained(found, "rlaif-weak")[-1]
    (reference,) = references(found, "rlaif-weak")
    assert reference.inputs == {"start": rl.inputs["start"], "preferences": rl.inputs["preferences"]}
    assert rl.params["args"] == {} and reference.params == {
        "chat_template": None, "precision": "float32", "max_length": None, "args": {},
    }  # fmt: skip
    assert list(found.stages).index(reference.key) < list(found.stages).index(rl.key)


@pytest.mark.parametrize(
    "rl",
    [
        {"beta": 0.3},
        {"loss": "ipo"},
        {"loss": ["sigmoid", "sft"], "args": {"loss_weights": [1.0, 0.1]}},
        {"args": {"learning_rate": 1e-5, "num_train_epochs": 2, "per_device_train_batch_size": 2}},
        {"max_loss": 9.0},
        {"method": "kto", "loss": "apo_zero_unpaired"},
    ],
    ids=str,
)
def test_arms_that_differ_in_what_changes_no_reference_share_it(rl: dict[str, Any]) -> None:
    found = made(rl)
    assert references(found, "other") == references(found, "rlaif-weak")
    assert trained(found, "other")[-1].key != trained(found, "rlaif-weak")[-1].key


@pytest.mark.parametrize("control", [{"kind": "random_labels"}, {"kind": "length_matched"}], ids=str)
def test_a_control_of_the_same_pairs_shares_it(control: dict[str, Any]) -> None:
    found = made(arms__mine={"control": {"of": "rlaif-weak", **control}})
    assert references(found, "mine") == references(found, "rlaif-weak")


@pytest.mark.parametrize(
    "rl",
    [
        {"temperature": 0.5},
        {"args": {"ld_alpha": 0.5}},
        {"args": {"pad_to_multiple_of": 8}},
        {"args": {"precompute_ref_batch_size": 16}},
    ],
    ids=str,
)
def test_other_pairs_or_other_arithmetic_are_another_reference(rl: dict[str, Any]) -> None:
    found = made(rl)
    assert references(found, "other") != references(found, "rlaif-weak")
    assert "precompute_ref_batch_size" not in trained(found, "other")[-1].params["args"]


@pytest.mark.parametrize(
    ("policy", "param"),
    [
        ({"precision": "bfloat16"}, "precision"),
        ({"max_length": 64}, "max_length"),
        ({"chat_template": "chatml"}, "chat_template"),
        ({"attention": "eager"}, "attention"),
        ({"lora": {"quantize": "nf4"}}, "quantize"),
    ],
    ids=str,
)
def test_how_the_policy_is_run_is_in_the_key(policy: dict[str, Any], param: str) -> None:
    (reference,) = references(made(**{f"policies__toy__{name}": value for name, value in policy.items()}), "rlaif-weak")
    value = next(iter(policy.values()))
    assert reference.params[param] == (value if param != "quantize" else "nf4")


def test_adapters_do_not_reach_the_reference_and_gpus_are_no_part_of_a_key() -> None:
    (reference,) = references(made(policies__toy__lora={"r": 4}), "rlaif-weak")
    assert "lora" not in reference.params and "quantize" not in reference.params
    many = made(policies__toy__hardware={"gpus": 4})
    assert references(many, "rlaif-weak")[0].key == references(made(), "rlaif-weak")[0].key
    assert references(many, "rlaif-weak")[0].options == {"gpus": 4}


def test_every_round_and_every_seed_has_its_own() -> None:
    found = made({"rounds": 3})
    assert len({stage.key for stage in references(found, "other")}) == 3
    assert references(found, "other")[0] == references(found, "rlaif-weak")[0]
    seeds = made(seeds=[0, 1])
    kinds = [stage.kind for stage in seeds.stages.values()]
    assert kinds.count("reference") == kinds.count("rl") == 4


def test_every_arm_that_needs_it_bears_its_cost() -> None:
    found = made({"beta": 0.3})
    (reference,) = references(found, "rlaif-weak")
    assert set(reference.arms) == {"rlaif-weak", "other"}
    recipes = found.stages[found.report].params["recipes"]
    assert all(any(reference.key in keys for keys in recipes[arm]["stages"]) for arm in ("rlaif-weak", "other"))
    assert not any(reference.key in keys for keys in recipes["start-weak"]["stages"])


def test_a_dry_run_counts_its_device_hours() -> None:
    experiment = resolved(spec_with(defaults__rl=ASKED))
    found = plan(experiment)
    (reference,) = references(found, "rlaif-weak")
    unknown = preview("small", found, experiment.counts, set())
    like = likeness(reference, found)
    assert like is not None
    known = preview(
        "small", found, experiment.counts, set(), Known(history=History({like: [Took(work=90.0, seconds=45.0)]}))
    )
    rows = {row["key"]: row for row in known["stages"]}
    assert (rows[reference.key]["rows"], rows[reference.key]["requests"]) == (90, 0)
    assert rows[reference.key]["device_hours"] == pytest.approx(45 / 3600)
    assert known["device_hours"] == pytest.approx(2 * 45 / 3600), "two starts, and of either its reference"
    assert known["device_unknown"] == unknown["device_unknown"] - 2
