"""`alpaca_eval` and `length_controlled`: the stages that they plan, the order of pairs, and what is paid."""

from __future__ import annotations

from typing import Any

from shared.asking import read_ask
from shared.estimate.power import design_of
from shared.estimate.preview import preview
from shared.plan.comparisons import Comparison
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec.parse import parse_spec
from tests.unit.specs import resolved, spec_with

AGAINST = {"judge": "critic", "reference": "weak"}
ALPACA = {"protocol": "alpaca_eval", **AGAINST, "temperature": 0.7}
CONTROLLED = {"protocol": "length_controlled", **AGAINST, "temperature": [0.7, 0.0]}
ENDPOINT = {"provider": "openai", "base_url": "http://127.0.0.1:1/v1", "price": {"input": 1, "output": 2}}
COUNTS = {"train": 100, "dev": 10, "eval": 40}


def planned(**evaluations: Any) -> Plan:
    return plan(resolved(spec_with(**{f"evaluations__{name}": one for name, one in evaluations.items()})))


def judges(made: Plan, evaluation: str) -> list[Stage]:
    """The stages that an evaluation's rows come from, in the order of arms."""
    report = made.stages[made.report]
    wanted = [row["input"] for row in report.params["scores"] if row["evaluation"] == evaluation]
    return [made.stages[report.inputs[name]] for name in wanted]


def test_length_control_asks_nothing_that_the_raw_evaluation_does_not() -> None:
    plain, made = planned(), planned(lc=CONTROLLED)
    assert set(made.stages) - {made.report} == set(plain.stages) - {plain.report}
    for temperature in ("0.7", "0.0"):
        raw, controlled = judges(made, f"win-rate@{temperature}"), judges(made, f"lc@{temperature}")
        assert [one.key for one in raw] == [one.key for one in controlled] and len(raw) == 6


def test_length_control_stands_alone_too() -> None:
    made = planned(lc=CONTROLLED)
    alone = plan(
        resolved(
            spec_with(
                evaluations={"lc": CONTROLLED, "other": {**ALPACA, "order": "both"}},
                primary__evaluation="other@0.7",
            )
        )
    )
    assert {one.key for one in judges(alone, "lc@0.0")} == {one.key for one in judges(made, "lc@0.0")}


def test_the_report_is_told_the_method_and_the_raw_evaluation() -> None:
    alpaca = {**CONTROLLED, "order": "random", "length_controlled": "alpaca_eval_minimal"}
    made = planned(lc=CONTROLLED, alpaca=ALPACA, **{"alpaca-lc": alpaca})
    told = made.stages[made.report].params["evaluations"]
    found = {name: (one.get("length_controlled"), one.get("raw")) for name, one in told.items()}
    assert found == {
        "win-rate@0.7": (None, None),
        "win-rate@0.0": (None, None),
        "lc@0.7": ("joint", "win-rate@0.7"),
        "lc@0.0": ("joint", "win-rate@0.0"),
        "alpaca@0.7": (None, None),
        "alpaca-lc@0.7": ("alpaca_eval_minimal", "alpaca@0.7"),
        "alpaca-lc@0.0": ("alpaca_eval_minimal", None),
    }
    assert "length_controlled" not in told["win-rate@0.7"], "what the report's key held before it holds still"


def test_alpaca_eval_shares_samples_and_is_asked_once_a_pair() -> None:
    made = planned(alpaca=ALPACA)
    raw, alpaca = judges(made, "win-rate@0.7"), judges(made, "alpaca@0.7")
    assert [one.inputs["samples"] for one in raw] == [one.inputs["samples"] for one in alpaca]
    assert {(one.params["order"], one.params["protocol"]) for one in alpaca} == {("random", "pairwise")}
    assert not {one.key for one in raw} & {one.key for one in alpaca}
    controlled = planned(alpaca=ALPACA, lc={**CONTROLLED, "order": "random"})
    assert [one.key for one in judges(controlled, "lc@0.7")] == [one.key for one in alpaca]


def test_a_judge_that_is_asked_in_that_order_anyway_is_the_same_stage() -> None:
    soft = {**ENDPOINT, "model": "m", "ask": {"kind": "pairwise", "order": "random"}}
    spec = spec_with(models__critic=soft, evaluations__alpaca=ALPACA)
    made = plan(resolved(spec))
    assert [one.key for one in judges(made, "win-rate@0.7")] == [one.key for one in judges(made, "alpaca@0.7")]
    both = plan(resolved(spec_with(evaluations__alpaca={**ALPACA, "order": "both"})))
    assert [one.key for one in judges(both, "win-rate@0.7")] == [one.key for one in judges(both, "alpaca@0.7")]


def test_a_fixed_order_shows_the_reference_first_as_alpaca_eval_does() -> None:
    (stage, *_) = judges(planned(alpaca={**ALPACA, "order": "fixed"}), "alpaca@0.7")
    ask = read_ask(stage.params)
    (shown,) = ask.questions(Comparison("p", "prompt", "the arm's", "the reference's"), None)
    assert (shown["answer_a"], shown["answer_b"]) == ("the reference's", "the arm's")
    assert stage.params["order"] == "reversed"


def test_a_random_order_is_about_as_often_one_as_the_other_and_always_the_same() -> None:
    (stage, *_) = judges(planned(alpaca=ALPACA), "alpaca@0.7")
    ask = read_ask(stage.params)
    pairs = [Comparison(f"p{number}", "prompt", "the arm's", "the reference's") for number in range(200)]
    first = [ask.questions(pair, None)[0]["answer_a"] for pair in pairs]
    assert first == [ask.questions(pair, None)[0]["answer_a"] for pair in pairs]
    assert 70 < first.count("the arm's") < 130


def test_the_members_of_an_ensemble_are_asked_in_that_order() -> None:
    models = {
        "models__one": {**ENDPOINT, "model": "m", "ask": {"kind": "pairwise", "verdict": "logprobs"}},
        "models__two": {**ENDPOINT, "model": "n", "ask": {"kind": "score"}},
        "models__critic": {"provider": "ensemble", "members": ["one", "two"]},
    }
    made = plan(resolved(spec_with(**models, evaluations__alpaca=ALPACA)))
    one, two = judges(made, "alpaca@0.7")[0].params["judge"]["members"]
    assert (one["order"], one["ask"]["order"], one["ask"]["verdict"]) == ("random", "random", "logprobs")
    assert two == judges(made, "win-rate@0.7")[0].params["judge"]["members"][1]


def test_the_dry_run_prices_one_request_a_pair() -> None:
    spec = spec_with(models__critic={**ENDPOINT, "model": "m"}, evaluations__alpaca=ALPACA, evaluations__lc=CONTROLLED)
    made = plan(resolved(spec))
    rows = {row["key"]: row for row in preview("small", made, COUNTS, set())["stages"]}
    assert {rows[one.key]["requests"] for one in judges(made, "win-rate@0.7")} == {80}
    assert {rows[one.key]["requests"] for one in judges(made, "alpaca@0.7")} == {40}
    assert sum(row["kind"] == "judge" for row in rows.values()) == 6 * 3


def test_one_order_and_both_are_no_pilots_of_each_other() -> None:
    def likeness(order: str) -> str | None:
        spec = spec_with(evaluations={"a": {**ALPACA, "order": order}}, primary__evaluation="a@0.7")
        return design_of(parse_spec(spec), COUNTS).likeness

    assert likeness("random") != likeness("both")
