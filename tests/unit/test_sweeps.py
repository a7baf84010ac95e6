"""Settings that are chosen on dev: what a spec may try, how many trials that is, and the stages of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import BadInput
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec import sweeps
from shared.spec.model import Sft
from shared.spec.parse import parse_spec
from tests.unit.specs import resolved, spec_with

RATES = {"sweep": {"learning_rate": [1e-4, 1e-3]}}
EVERY = {f"arms__{arm}__sft__sweep": RATES["sweep"] for arm in ("sft-weak", "sft-strong", "rlaif-weak", "rlaif-strong")}
BETAS = {f"arms__{arm}__rl__sweep": {"beta": [0.1, 0.5]} for arm in ("rlaif-weak", "rlaif-strong")}
ALONE = {"tuning": {"unequal_trials": True}}


def of_kind(made: Plan, kind: str) -> list[Stage]:
    return [stage for stage in made.stages.values() if stage.kind == kind]


def planned(**changes: Any) -> Plan:
    return plan(resolved(spec_with(**changes)))


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=4, unique=True), min_size=1)
)
@settings(max_examples=50, deadline=None)
def test_the_grid_has_every_combination_once(grid: dict[str, list[int]]) -> None:
    step = Sft(teacher="t", sweep=grid)
    found = sweeps.settings(step)
    assert len(found) == sweeps.trials(step) == len({tuple(one.values()) for one in found})
    assert all(one[name] in values for one in found for name, values in grid.items())


def test_without_a_sweep_no_stage_and_no_key_is_another() -> None:
    assert plan(resolved()).report == "061784ab718fbbd71758c7704036db19d5f0a0e1bbabe681b6e6e37eddcc21b8"


def test_every_trial_is_trained_sampled_and_judged_on_dev_and_one_stage_chooses() -> None:
    made = planned(**EVERY, seeds=[0, 1])
    assert Counter(stage.kind for stage in of_kind(made, "sft")) == {"sft": 4 * 2 * 2}
    on_dev = [stage for stage in of_kind(made, "sample") if stage.params["split"] == "dev"]
    assert len(on_dev) == 4 * 2 * 2 and {stage.params["temperature"] for stage in on_dev} == {0.7}
    choices = of_kind(made, "choose")
    assert len(choices) == 4 * 2
    for one in choices:
        assert {name for name in one.inputs if name.startswith("dev/")} == {
            f"dev/{t}/{s}" for t in (0, 1) for s in (0, 1)
        }
        assert one.params["trials"] == [{"settings": {"learning_rate": rate}} for rate in (1e-4, 1e-3)]


def test_what_comes_after_a_swept_step_takes_what_was_chosen() -> None:
    made = planned(**EVERY)
    choices = {stage.key for stage in of_kind(made, "choose")}
    on_eval = [stage for stage in of_kind(made, "sample") if stage.params["split"] == "eval"]
    trained = {stage.key for stage in of_kind(made, "rl")}
    assert all(stage.inputs["checkpoint"] in choices | trained for stage in on_eval)
    assert all(stage.inputs["start"] in choices for stage in of_kind(made, "rl"))
    drawn = [stage for stage in of_kind(made, "sample") if stage.params["split"] == "train"]
    assert {stage.inputs["checkpoint"] for stage in drawn} == {stage.inputs["start"] for stage in of_kind(made, "rl")}


def test_trials_of_an_rl_step_share_its_pairs() -> None:
    made = planned(**BETAS, **ALONE)
    assert len(of_kind(made, "label")) == 2
    trials = of_kind(made, "rl")
    assert sorted(stage.params["beta"] for stage in trials) == [0.1, 0.1, 0.5, 0.5]
    assert {stage.params["trial"] for stage in trials} == {True}


def test_only_the_last_round_s_states_are_tried() -> None:
    arm = {"arms__rlaif-weak__rl": {"critic": "critic", "rounds": 2, "checkpoints": 3, "patience": 1}}
    made = planned(**arm, **ALONE)
    told = Counter(stage.params.get("checkpoints", 1) for stage in of_kind(made, "rl"))
    assert told == {1: 2, 3: 1}
    states = of_kind(made, "checkpoint")
    assert [stage.params["number"] for stage in states] == [1, 2, 3]
    assert len({stage.inputs["training"] for stage in states}) == 1
    (choice,) = of_kind(made, "choose")
    assert choice.params["patience"] == 1
    assert [trial["checkpoint"] for trial in choice.params["trials"]] == [1, 2, 3]


def test_every_arm_s_stages_and_recipe_have_its_trials() -> None:
    made = planned(**EVERY, **BETAS, **ALONE, seeds=[0, 1])
    report = made.stages[made.report]
    counts = {arm: Counter(kind for kind, _ in keys) for arm, keys in report.params["stages"].items()}
    assert counts["sft-weak"]["sft"] == 2 * 2 and counts["sft-weak"]["choose"] == 2
    assert counts["rlaif-weak"]["rl"] == 2 * 2 and counts["rlaif-weak"]["sft"] == 2 * 2
    own = [Counter(made.stages[key].kind for key in of) for of in report.params["recipes"]["rlaif-weak"]["stages"]]
    assert [(of["sft"], of["rl"], of["choose"]) for of in own] == [(2, 2, 2), (2, 2, 2)], "with each seed its own alone"
    again = {made.stages[key].kind for key in report.params["recipes"]["rlaif-weak"]["tried_again"]}
    assert again == {"sft", "rl"}
    assert report.params["checks"]["tuning_trials"]["rlaif-weak"] == 4
    assert report.params["tuning"] == {"evaluation": "win-rate@0.7"}
    carded = {key for keys in report.params["critics"]["critic"]["stages"].values() for key in keys}
    tried = {key for stage in of_kind(made, "choose") for name, key in stage.inputs.items() if name.startswith("dev/")}
    assert carded and tried and not carded & tried, "no arm answers as a bad trial does"


def test_cells_by_another_judge_choose_by_it() -> None:
    judges = {"models__other": {"provider": "simulated", "error_rate": 0.2, "seed": 3}}
    made = planned(**EVERY, **judges, matrix={"judges": ["critic", "other"]})
    starts = {stage.inputs["dev/0/0"] for stage in of_kind(made, "choose")}
    assert len({str(made.stages[key].params["judge"]) for key in starts}) == 2
    assert len(of_kind(made, "sft")) == 4 * 2


def test_controls_choose_as_their_arm_does_or_by_themselves() -> None:
    arms = {
        "arms__coin": {"control": {"kind": "random_labels", "of": "rlaif-weak"}},
        "arms__swap-arm": {"control": {"kind": "swap", "of": "rlaif-weak", "teacher": "strong", **RATES}},
    }
    equal = {f"tuning_trials__{arm}": 2 for arm in ("sft-weak", "sft-strong")}
    made = planned(**BETAS, **arms, **equal)
    report = made.stages[made.report].params
    assert report["checks"]["tuning_trials"] == dict.fromkeys(report["checks"]["tuning_trials"], 2)
    coin = [stage for stage in of_kind(made, "rl") if stage.params.get("labels") == "random"]
    assert sorted(stage.params["beta"] for stage in coin) == [0.1, 0.5]
    swap = [stage for stage in of_kind(made, "choose") if "swap-arm" in stage.arms and "rlaif-weak" not in stage.arms]
    assert len(swap) == 1


FIVE = [float(number) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"arms__sft-weak__sft__sweep": {}}, "arms.sft-weak.sft.sweep", "at least 1"),
        ({"arms__sft-weak__sft__sweep": {"learning_rate": []}}, "arms.sft-weak.sft.sweep.learning_rate", "at least 1"),
        ({"arms__sft-weak__sft__sweep": {"learning_rate": 1e-3}}, "arms.sft-weak.sft.sweep.learning_rate", "a list"),
        ({"arms__sft-weak__sft__sweep": {"learning_rate": [1e-3]}}, "arms.sft-weak.sft.sweep", "a second value"),
        ({"arms__sft-weak__sft__sweep": {"learning_rat": [1, 2]}}, "arms.sft-weak.sft.sweep.learning_rat", "mean"),
        ({"arms__sft-weak__sft__sweep": {"learning_rate": [1, "x"]}}, "arms.sft-weak.sft.sweep.learning_rate", "float"),
        ({"arms__sft-weak__sft__sweep": {"learning_rate": [1, 1]}}, "arms.sft-weak.sft.sweep.learning_rate", "once"),
        ({"arms__sft-weak__sft__sweep": {"beta": [0.1, 0.2]}}, "arms.sft-weak.sft.sweep.beta", "SFT has no beta"),
        ({"arms__sft-weak__sft__sweep": {"seed": [1, 2]}}, "arms.sft-weak.sft.sweep.seed", "set by Touchstone"),
        (
            {"arms__sft-weak__sft": {"teacher": "weak", "args": {"learning_rate": 1}, **RATES}},
            "arms.sft-weak.sft.args.learning_rate",
            "also under sweep",
        ),
        (
            {"arms__sft-weak__sft__sweep": {"learning_rate": FIVE, "weight_decay": FIVE, "max_grad_norm": FIVE}},
            "arms.sft-weak.sft.sweep",
            "makes 125 trials (5 × 5 × 5), and 64",
        ),
        (
            {"arms__sft-weak__sft": {"teacher": "weak", "sweep": {"learning_rate": FIVE}, "checkpoints": 20}},
            "arms.sft-weak.sft.sweep",
            "100 trials (5 × 20 checkpoints)",
        ),
        ({"arms__sft-weak__sft__checkpoints": 65}, "arms.sft-weak.sft.checkpoints", "less than or equal to 64"),
        ({"arms__sft-weak__sft__patience": 1}, "arms.sft-weak.sft.patience", "of 1 checkpoints"),
        (
            {"arms__sft-weak__sft": {"teacher": "weak", "checkpoints": 3, "patience": 3}},
            "arms.sft-weak.sft.patience",
            "of 3 checkpoints",
        ),
        ({"arms__rlaif-weak__rl__sweep": {"beta": [0.1, 0]}}, "arms.rlaif-weak.rl.sweep.beta", "above 0"),
        ({"arms__rlaif-weak__rl__sweep": {"beta": [0.1, "x"]}}, "arms.rlaif-weak.rl.sweep.beta", "no number"),
        (
            {"arms__rlaif-weak__rl": {"critic": "critic", "beta": 0.1, "sweep": {"beta": [0.1, 0.2]}}},
            "arms.rlaif-weak.rl.beta",
            "also under sweep",
        ),
        (
            {"arms__rlaif-weak__rl": {"critic": "critic", "loss": "robust", "sweep": {"label_smoothing": [0.1, 0.5]}}},
            "arms.rlaif-weak.rl.sweep",
            "label_smoothing: 0.5: args.label_smoothing is 0.5",
        ),
        ({**EVERY, "prompts__dev": 0}, "prompts.dev", "settings are chosen on dev"),
        ({**EVERY, "tuning": {"evaluation": "win-rate@0.5"}}, "tuning.evaluation", "win-rate@0.7"),
        ({"tuning": {"evaluation": "win-rate@0.7"}}, "tuning.evaluation", "no arm has a sweep"),
        (
            {
                **EVERY,
                "tuning": {"evaluation": "duel@0.7"},
                "evaluations__duel": {"protocol": "pairwise", "judge": "critic", "between": ["sft-weak", "sft-strong"]},
            },
            "tuning.evaluation",
            "no score of its own",
        ),
        ({"arms__sft-weak__sft__sweep": RATES["sweep"]}, "arms.sft-strong.sft.sweep", "sft-strong tries 0 settings"),
        (BETAS, "arms.sft-weak.sft.sweep", "rlaif-weak 2"),
        (
            {**EVERY, "arms__s": {"control": {"kind": "swap", "of": "rlaif-weak", "teacher": "strong"}}},
            "arms.s.control.sweep",
            "lacks learning_rate",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_tried_is_refused(change: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(BadInput) as raised:
        parse_spec(spec_with(**change))
    found = {error.field: f"{error.problem} {error.fix}" for error in raised.value.errors}
    assert field in found, found
    assert says in found[field]


def test_arms_may_try_unequal_numbers_where_the_spec_says_so_or_counts_what_was_tried_elsewhere() -> None:
    assert parse_spec(spec_with(**BETAS, **ALONE))
    elsewhere = {f"tuning_trials__{arm}": 2 for arm in ("sft-weak", "sft-strong")}
    assert set(sweeps.trials_of(parse_spec(spec_with(**BETAS, **elsewhere))).values()) == {2}


def test_a_best_on_dev_primary_chooses_settings_at_its_first_temperature() -> None:
    best = {"evaluations__win-rate__best_on_dev": True, "primary": {"evaluation": "win-rate@best_on_dev"}}
    assert sweeps.chosen_by(parse_spec(spec_with(**EVERY, **best))) == "win-rate@0.7"
