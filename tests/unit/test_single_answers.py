"""Protocols that score single completions: their rows, their plans, and what their data must have."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from shared import records
from shared.asking.turns import Ratings, TurnsAsk
from shared.datasets import add_dataset
from shared.errors import BadInputs
from shared.estimate import Known, preview
from shared.estimate.answered import Input, asked_of
from shared.estimate.power import Pilot, design_of, forecast
from shared.llm.chat import request_key
from shared.models import add_model
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.power import Components
from shared.protocols import PROTOCOLS
from shared.settings import Settings
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved, resolve
from shared.store import MemoryStore
from tests.unit.specs import resolved, spec_with
from tests.unit.two_turns import add_questions, questions

PRICED = {
    "provider": "openai",
    "model": "m",
    "base_url": "http://127.0.0.1:1/v1",
    "price": {"input": 10.0, "output": 20.0},
}
WORLD = {"protocol": "verifiable", "check": "world", "temperature": [0.7, 0.0]}
REWARD = {"provider": "reward_model", "model": "model:rm"}


def samples(**texts: str) -> pa.Table:
    rows = [{"prompt_id": id, "prompt": f"prompt {id}", "completion": text} for id, text in texts.items()]
    return records.from_rows(rows, records.COMPLETIONS)


def rows(protocol: str, params: dict[str, Any], **tables: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = PROTOCOLS[protocol].rows(tables, params, []).to_pylist()
    return found


def of_kind(made: Plan, kind: str, protocol: str | None = None) -> list[Stage]:
    return [
        one
        for one in made.stages.values()
        if one.kind == kind and (protocol is None or one.params["protocol"] == protocol)
    ]


def test_a_check_scores_right_and_wrong_and_leaves_out_prompts_without_an_answer() -> None:
    answers = pa.table({"prompt_id": ["a", "b"], "completion": ["42", "7"]})
    given = samples(a="It is 42.", b="8", c="9")
    found = rows("verifiable", {"check": "numeric", "answers": "0" * 64}, samples=given, answers=answers)
    assert [(row["score"], row["valid"]) for row in found] == [(100.0, True), (0.0, True), (None, False)]
    assert [row["reference"] for row in found] == ["42", "7", None]


def test_right_answers_may_stand_beside_the_prompts() -> None:
    prompts = pa.table({"prompt_id": ["a", "b"], "reference": [["42"], None]})
    found = rows("verifiable", {"check": "exact"}, samples=samples(a="42", b="42"), prompts=prompts)
    assert [(row["score"], row["valid"]) for row in found] == [(100.0, True), (None, False)]


def test_a_pattern_without_an_answer_needs_none_and_every_prompt_counts() -> None:
    found = rows("verifiable", {"check": "regex", "pattern": "(?i)yes"}, samples=samples(a="YES", b=""))
    assert [(row["score"], row["valid"]) for row in found] == [(100.0, True), (0.0, True)]


def test_the_world_s_check_gives_partial_credit_and_asks_nobody() -> None:
    made = plan(resolved(spec_with(evaluations={"right": WORLD}, primary={"evaluation": "right@0.7"})))
    judged = of_kind(made, "judge")
    assert len(judged) == 12 and all(one.params == {"protocol": "verifiable", "check": "world"} for one in judged)
    assert all(one.options == {} for one in judged)
    assert made.stages[made.report].params["evaluations"]["right@0.7"]["imitation"] is False
    prompt = questions(1)[0]["turns"][0]
    given = records.from_rows([{"prompt_id": "a", "prompt": prompt, "completion": "no such word"}], records.COMPLETIONS)
    (row,) = rows("verifiable", {"check": "world"}, samples=given)
    assert 0 <= row["score"] < 100 and row["valid"]


def test_rewards_are_scores_in_their_own_unit() -> None:
    rewards = records.from_rows(
        [
            {"prompt_id": "a", "completion": "x", "reward": -1.5},
            {"prompt_id": "b", "completion": "y", "reward": math.nan},
        ],
        records.REWARDS,
    )
    found = rows("reward_model", {}, samples=samples(a="x", b="y", c="z"), rewards=rewards)
    assert [(row["score"], row["valid"]) for row in found] == [(-1.5, True), (None, False), (None, False)]


def test_a_reward_model_scores_samples_on_the_inference_queue() -> None:
    spec = spec_with(
        models__rm=REWARD,
        evaluations__liked={"protocol": "reward_model", "model": "rm", "temperature": 0.7},
    )
    made = plan(resolved(spec))
    judged = of_kind(made, "judge", "reward_model")
    assert len(judged) == 6 and all(made.stages[one.inputs["rewards"]].kind == "reward" for one in judged)
    assert all(made.stages[one.inputs["rewards"]].inputs == {"completions": one.inputs["samples"]} for one in judged)
    shown = made.stages[made.report].params["evaluations"]["liked@0.7"]
    assert (shown["unit"], shown["method"], shown["judge"]) == ("reward", "rewards of rm", None)


CONVERSATIONS = {
    "samples": samples(q0="one", q1="two"),
    "second": samples(q0="three", q1="four"),
    "prompts": pa.Table.from_pylist(
        [
            {"prompt_id": f"q{at}", "split": "eval", "turns": [f"t{at}", f"u{at}"], "category": "math",
             "reference": ["r", "s"] if at else None}
            for at in (1, 0)
        ]
    ),
}  # fmt: skip


def test_a_conversation_has_the_answer_of_each_turn_and_references_where_there_are_some() -> None:
    one, other = PROTOCOLS["mt_bench"].conversations(CONVERSATIONS, {}) or []
    assert (one.questions, one.answers, one.references) == (("t0", "u0"), ("one", "three"), None)
    assert (other.questions, other.answers, other.references) == (("t1", "u1"), ("two", "four"), ("r", "s"))


def test_a_prompt_s_score_is_the_mean_of_its_turns_and_none_where_one_cannot_be_read() -> None:
    ratings = [Ratings((7.0, 4.0), ("[[7]]", "[[4]]")), Ratings((9.0, None), ("[[9]]", "good"))]
    found = PROTOCOLS["mt_bench"].rated_rows(CONVERSATIONS, {}, ratings)
    assert found.schema.equals(records.TURNS)
    first, second = found.to_pylist()
    assert (first["score"], first["valid"], first["score_1"], first["score_2"]) == (5.5, True, 7.0, 4.0)
    assert (second["score"], second["valid"], second["score_1"], second["score_2"]) == (None, False, 9.0, None)
    assert (first["category"], first["completion_2"], second["raw_2"]) == ("math", "three", "good")
    assert found["reference"].null_count == 2, "no pair to be compared"


MT = {"protocol": "mt_bench", "judge": "critic", "questions": "dataset:mt", "temperature": 0.7}
PRIMARY = {"primary": {"evaluation": "mt@0.7"}, "worth": {"score": 0.3}}


def with_questions(count: int = 30, **changes: Any) -> Resolved:
    store = MemoryStore()
    add_questions(store, "mt", count)
    spec = spec_with(evaluations={"mt": MT}, **PRIMARY, **changes)
    return resolve(parse_spec(spec), store, Settings())


def test_two_turns_are_sampled_and_rated_on_questions_of_their_own() -> None:
    experiment = with_questions()
    assert experiment.counts["questions/mt"] == 30
    made = plan(experiment)
    judged = of_kind(made, "judge", "mt_bench")
    assert len(judged) == 6
    for one in judged:
        first, second = (made.stages[one.inputs[name]] for name in ("samples", "second"))
        asked = made.stages[one.inputs["prompts"]]
        assert asked.params == {"train": 0, "dev": 0, "eval": 30, "source": {"dataset": experiment.datasets["mt"]}}
        assert second.inputs == {**first.inputs, "first": first.key} and second.params["turn"] == 2
        assert first.inputs["prompts"] == second.inputs["prompts"] == asked.key
        assert one.params["ask"] == {"kind": "mt_bench"} and "order" not in one.params
        assert one.options["name"] == "critic"
    assert made.stages[made.report].params["delta"] == {"score": 0.3}
    assert set(made.stages[made.report].params["critics"]) == {"critic"}, "of its pairs in training alone"
    cards = made.stages[made.report].params["critics"]["critic"]["stages"]
    assert set(cards) == {"critic"}


def test_recorded_completions_are_no_arm_of_a_conversation() -> None:
    evaluation = parse_spec(spec_with(evaluations={"mt": MT}, **PRIMARY)).evaluations["mt"]
    assert not evaluation.judges_completions


ROWS = [
    {"prompt_id": f"p{at}", "prompt": f"stone {at * 7919} river {at * 31} lamp {at * 17}", "category": "x"}
    for at in range(170)
]


def refused(store: MemoryStore, evaluation: dict[str, Any], **changes: Any) -> dict[str, str]:
    spec = spec_with(evaluations__more=evaluation, **changes)
    with pytest.raises(BadInputs) as caught:
        resolve(parse_spec(spec), store, Settings())
    return {error.field: f"{error.problem}. {error.fix}" for error in caught.value.errors}


PROMPTS = {"source": "dataset:prompts", "train": 100, "dev": 10, "eval": 40}
TURNS_FIELD, ANSWERS_FIELD = "evaluations.more.questions", "evaluations.more.answers"


@pytest.mark.parametrize(
    ("columns", "evaluation", "field", "says"),
    [
        ({}, {**MT, "questions": None}, TURNS_FIELD, "no column turns"),
        ({"turns": lambda at: [ROWS[at]["prompt"]]}, {**MT, "questions": None}, TURNS_FIELD, "has 1 turns"),
        ({"turns": lambda at: [ROWS[at]["prompt"], "More."], "category": lambda at: None}, {**MT, "questions": None},
         TURNS_FIELD, "no category"),
        ({"turns": lambda at: [ROWS[at]["prompt"], "More."], "reference": lambda at: ["a"]}, {**MT, "questions": None},
         TURNS_FIELD, "1 reference answers for 2 turns"),
        ({}, {"protocol": "verifiable", "check": "exact"}, ANSWERS_FIELD, "add the prompts' dataset again"),
        ({"reference": lambda at: None if at else ["4"]}, {"protocol": "verifiable", "check": "exact"}, ANSWERS_FIELD,
         "fewer than 2 of the eval prompts"),
        ({}, {"protocol": "verifiable", "check": "world"}, "evaluations.more.check", "no prompt of the simulated"),
    ],
)  # fmt: skip
def test_data_that_an_evaluation_cannot_use_are_refused_with_the_fix(
    columns: dict[str, Any], evaluation: dict[str, Any], field: str, says: str
) -> None:
    store = MemoryStore()
    given = [{**row, **{name: make(at) for name, make in columns.items()}} for at, row in enumerate(ROWS)]
    add_dataset(store, "prompts", pa.Table.from_pylist(given))
    found = refused(store, {key: value for key, value in evaluation.items() if value}, prompts=PROMPTS)
    assert says in found[field]
    assert not found[field].endswith(". ")


def test_a_dataset_of_questions_is_found_out_before_anything_runs() -> None:
    store = MemoryStore()
    add_dataset(store, "mt", pa.table({"prompt_id": ["1"], "prompt": ["Why?"]}))
    assert "dataset 'mt' has no column turns and category" in refused(store, MT)[TURNS_FIELD]
    answers = {"protocol": "verifiable", "check": "exact", "answers": "dataset:gold"}
    add_dataset(store, "gold", pa.table({"prompt_id": ["other"], "completion": ["4"]}))
    assert "prompt_id column must hold" in refused(store, answers)[ANSWERS_FIELD]


def test_answers_are_pinned_and_part_of_the_key() -> None:
    store = MemoryStore()
    ids = [f"w0-{at:05d}" for at in range(400)]
    answers = {"protocol": "verifiable", "check": "exact", "answers": "dataset:gold"}
    spec = spec_with(evaluations__right=answers)
    keys = []
    for text in ("a", "b"):
        sha256 = add_dataset(store, "gold", pa.table({"prompt_id": ids, "completion": [text] * 400}))
        found = resolve(parse_spec(spec), store, Settings())
        assert found.spec["evaluations"]["right"]["pinned"] == sha256
        judged = of_kind(plan(found), "judge", "verifiable")
        assert {one.params["answers"] for one in judged} == {sha256}
        keys.append({one.key for one in judged})
    assert not keys[0] & keys[1]


def test_a_reward_model_is_pinned_for_its_evaluation(tmp_path: Any) -> None:
    store = MemoryStore()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    sha256 = add_model(store, "rm", tmp_path)
    spec = spec_with(models__rm=REWARD, evaluations__liked={"protocol": "reward_model", "model": "rm"})
    made = plan(resolve(parse_spec(spec), store, Settings()))
    assert {str(one.params["model"]) for one in of_kind(made, "reward")} == {str({"uploaded": sha256})}


def test_a_plan_prices_two_requests_a_question_for_every_arm_and_samples_both_turns() -> None:
    experiment = with_questions(models__critic={**PRICED})
    made = plan(experiment)
    asked = asked_of(made, made.stages.values(), experiment.counts, {})
    shown = preview("mt", made, experiment.counts, set(), Known(asked=asked))
    judged = [row for row in shown["stages"] if row["kind"] == "judge"]
    assert [(row["rows"], row["requests"]) for row in judged] == [(30, 60)] * 6
    assert all(row["cost_usd"] > 0 and row["model"] == "critic" for row in judged)
    sampled = [row for row in shown["stages"] if row["kind"] == "sample" and row["rows"] == 30]
    assert len(sampled) == 12
    assert [row["rows"] for row in shown["stages"] if row["kind"] == "prompts"] == [150, 30]


def test_once_the_answers_are_there_the_plan_makes_the_judge_s_own_requests() -> None:
    experiment = with_questions(2, models__critic={**PRICED})
    made = plan(experiment)
    (stage, *_) = of_kind(made, "judge", "mt_bench")
    there = dict(zip((stage.inputs[name] for name in CONVERSATIONS), CONVERSATIONS.values(), strict=True))
    found = asked_of(
        made, [stage], experiment.counts, {}, lambda key: Input(there[key]) if key in there else "not there"
    )[stage.key]
    conversations = PROTOCOLS["mt_bench"].conversations(CONVERSATIONS, {}) or []
    requests = [request for one in conversations for request in TurnsAsk().requests(stage.params["judge"], one)]
    assert list(found.hashed) == [request_key(stage.params["judge"], request) for request in requests]
    assert len(requests) == 4 and found.later == 0


def test_checks_and_reward_models_cost_nothing() -> None:
    liked = {"protocol": "reward_model", "model": "rm"}
    experiment = resolved(spec_with(models__rm=REWARD, evaluations={"right": WORLD, "liked": liked},
                                    primary={"evaluation": "right@0.7"}))  # fmt: skip
    shown = preview("s", plan(experiment), experiment.counts, set())
    rows = [row for row in shown["stages"] if row["kind"] in {"judge", "reward"}]
    assert len(rows) == 18 + 6 and all(row["requests"] == 0 == row["cost_usd"] for row in rows)
    assert all(row["rows"] == 40 for row in rows)


def test_power_is_in_the_primary_s_unit_and_unknown_without_an_experiment_like_it() -> None:
    experiment = with_questions()
    design = design_of(experiment.parsed, experiment.counts)
    assert (design.unit, design.prompts, design.delta) == ("points of 10", 30, 0.3)
    assert forecast(design) is None
    found = forecast(design, Pilot("e1", Components(4.0, 0.0, 0.0, recipe=False), 30, 1))
    assert found is not None and found["unit"] == "points of 10"
    assert 0.5 < found["half_width"] < 1.0 and found["delta_in_reach"] is False
