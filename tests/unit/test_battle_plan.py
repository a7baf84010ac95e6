"""Arms that are judged against each other: which stages that takes, whose they are, and what a dry run says of them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pyarrow as pa
import pytest

from shared import records
from shared.estimate.answered import Input, asked_of
from shared.estimate.power import assumed, design_of, forecast
from shared.estimate.preview import preview
from shared.plan.comparisons import Verdicts
from shared.plan.critics import critic_params
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.protocols import PROTOCOLS
from shared.protocols.arena import drawn_pairs
from shared.spec.parse import parse_spec
from tests.unit.specs import resolved, spec_with

ARMS = ["sft-weak", "sft-strong", "start-weak", "rlaif-weak", "start-strong", "rlaif-strong"]
DUEL = {"protocol": "pairwise", "judge": "critic", "between": ["rlaif-weak", "sft-strong"]}
ARENA = {"protocol": "arena", "judge": "critic"}


def made(**evaluations: Any) -> Plan:
    return plan(resolved(spec_with(**{f"evaluations__{name}": one for name, one in evaluations.items()})))


def params(of: Plan) -> dict[str, Any]:
    return of.stages[of.report].params


def judges(of: Plan) -> dict[str, Stage]:
    return {key: stage for key, stage in of.stages.items() if stage.kind == "judge"}


def sampled_by(of: Plan) -> dict[str, str]:
    """The stage with an arm's samples at 0.7, by the arm."""
    report = of.stages[of.report]
    rows = [row for row in report.params["scores"] if row["evaluation"] == "win-rate@0.7"]
    return {row["arm"]: of.stages[report.inputs[row["input"]]].inputs["samples"] for row in rows}


def test_a_duel_is_one_stage_of_both_arms_samples_and_scores_both() -> None:
    before, after = made(), made(duel=DUEL)
    (key,) = set(judges(after)) - set(judges(before))
    samples = sampled_by(after)
    assert after.stages[key].inputs == {"samples": samples["sft-strong"], "reference": samples["rlaif-weak"]}
    assert after.stages[key].arms == ["sft-strong", "rlaif-weak"]
    rows = [row for row in params(after)["scores"] if row["evaluation"] == "duel@0.7"]
    assert [(row["arm"], row.get("mirrored", False)) for row in rows] == [("sft-strong", False), ("rlaif-weak", True)]
    assert {after.stages[after.report].inputs[row["input"]] for row in rows} == {key}
    assert params(after)["evaluations"]["duel@0.7"]["arms"] == ["sft-strong", "rlaif-weak"]


def test_other_stages_keep_their_keys_and_a_spec_without_battles_says_nothing_of_them() -> None:
    before, after = made(), made(duel=DUEL, arena=ARENA)
    assert set(before.stages) - {before.report} < set(after.stages)
    assert "battles" not in params(before)
    assert not any("pooled" in one for one in params(before)["evaluations"].values())


def test_an_arena_is_every_pair_once_a_seed_and_shares_a_duels_stage() -> None:
    arena, both = made(arena=ARENA), made(arena=ARENA, duel=DUEL)
    assert set(judges(arena)) == set(judges(both))
    battles = [row for row in params(arena)["battles"] if row["evaluation"] == "arena@0.7"]
    assert [(row["a"], row["b"]) for row in battles] == list(combinations(ARMS, 2))
    assert not any(row["evaluation"] == "arena@0.7" for row in params(arena)["scores"])
    seeds = plan(resolved(spec_with(evaluations__arena=ARENA, seeds=[0, 1])))
    assert len(params(seeds)["battles"]) == 30


def test_a_subset_of_arms_plays_alone() -> None:
    battles = params(made(arena={**ARENA, "arms": ["start-weak", "rlaif-weak", "sft-weak"]}))["battles"]
    assert {(row["a"], row["b"]) for row in battles} == set(combinations(["sft-weak", "start-weak", "rlaif-weak"], 2))


def test_every_prompt_has_as_many_pairs_as_declared_and_they_are_the_same_for_all_seeds() -> None:
    of = plan(resolved(spec_with(evaluations__arena={**ARENA, "pairs_per_prompt": 4}, seeds=[0, 1])))
    drawn = [stage.params["drawn"] for stage in judges(of).values() if stage.params["protocol"] == "arena"]
    assert sorted(one["pair"] for one in drawn) == sorted([*range(15)] * 2)
    chosen = [drawn_pairs(f"p{place}", 15, 4) for place in range(600)]
    assert all(len(one) == 4 for one in chosen)
    counts = [sum(pair in one for one in chosen) for pair in range(15)]
    assert sum(counts) == 2400 and min(counts) > 110 and max(counts) < 215


def test_all_pairs_a_prompt_are_the_stages_of_no_draw() -> None:
    assert set(judges(made(arena={**ARENA, "pairs_per_prompt": 15}))) == set(judges(made(arena=ARENA)))


def completions(word: str) -> pa.Table:
    rows = [{"prompt_id": f"p{place}", "prompt": f"?{place}", "completion": f"{word} {place}"} for place in range(40)]
    return records.from_rows(rows, records.COMPLETIONS)


def test_a_drawn_stage_compares_and_writes_its_own_prompts_alone() -> None:
    given = {"protocol": "arena", "drawn": {"pair": 2, "of": 6, "per_prompt": 2}}
    tables = {"samples": completions("a"), "reference": completions("b")}
    arena = PROTOCOLS["arena"]
    pairs = arena.comparisons(tables, given)
    assert pairs is not None
    assert [pair.prompt_id for pair in pairs] == [f"p{i}" for i in range(40) if 2 in drawn_pairs(f"p{i}", 6, 2)]
    assert 3 < len(pairs) < 30
    rows = arena.rows(tables, given, [Verdicts("a", "a")] * len(pairs)).to_pylist()
    assert [row["prompt_id"] for row in rows] == [pair.prompt_id for pair in pairs]
    assert {row["score"] for row in rows} == {100.0} and rows[0]["reference"].startswith("b ")


def test_an_arm_is_not_charged_for_its_opponents_training() -> None:
    before, after = params(made()), params(made(duel=DUEL, arena=ARENA))
    for arm in ARMS:
        mine, now = ({key for _, key in one["stages"][arm]} for one in (before, after))
        more = [kind for kind, key in after["stages"][arm] if key not in mine]
        assert mine < now and set(more) == {"judge"} and len(more) == 5


def test_an_experiment_with_a_duel_alone_counts_the_samples_that_it_takes() -> None:
    spec = spec_with(evaluations={"duel": DUEL}, primary={"contrast": "headline", "evaluation": "duel@0.7"})
    of = params(plan(resolved(spec)))
    assert [kind for kind, _ in of["stages"]["sft-strong"]].count("sample") == 1
    assert [kind for kind, _ in of["stages"]["sft-strong"]].count("sft") == 1
    assert "judge" not in [kind for kind, _ in of["stages"]["sft-weak"]]
    assert of["second_judges"] == []


def test_the_dry_run_counts_what_will_be_asked() -> None:
    def requests(**evaluations: Any) -> int:
        of = made(**evaluations)
        shown = preview("x", of, {"train": 100, "dev": 10, "eval": 40}, [])
        return sum(row["requests"] for row in shown["stages"] if row["kind"] == "judge")

    before = requests()
    assert requests(duel=DUEL) - before == 2 * 40
    assert requests(arena=ARENA) - before == 2 * 40 * 15
    few = requests(arena={**ARENA, "pairs_per_prompt": 3}) - before
    assert few == 2 * 40 * 3, "15 stages of 8 prompts each"


def test_once_the_samples_are_there_the_requests_are_known_one_by_one() -> None:
    of = made(arena={**ARENA, "pairs_per_prompt": 3})
    todo = [stage for stage in judges(of).values() if stage.params["protocol"] == "arena"]
    tables = {key: Input(completions(f"word{place}")) for place, key in enumerate(sampled_by(of).values())}
    found = asked_of(of, todo, {"eval": 40}, {}, lambda key: tables.get(key, "not there"))
    assert sum(one.known for one in found.values()) == 2 * 40 * 3 and not any(one.later for one in found.values())


def test_power_of_a_duel_counts_that_its_scores_add_up_to_100() -> None:
    spec = spec_with(evaluations__duel=DUEL, primary={"contrast": "headline", "evaluation": "duel@0.7"})
    design = design_of(parse_spec(spec), {"eval": 200})
    assert design.head_to_head and design.unit == "points"
    apart, together = (assumed(1, one)["expected"].prompt for one in (False, True))
    assert together == pytest.approx(apart * 4 / 1.6)
    found = forecast(design)
    assert found is not None and "51 to 49" in found["source"]
    other = design_of(parse_spec(spec_with()), {"eval": 200})
    assert design.likeness != other.likeness


def test_another_judge_of_the_same_duel_is_a_second_judge_and_a_duel_of_others_is_not() -> None:
    other = {"provider": "simulated", "error_rate": 0.2, "seed": 5}
    spec = spec_with(
        models__other=other,
        evaluations__duel=DUEL,
        evaluations__again={**DUEL, "judge": "other", "between": ["sft-strong", "rlaif-weak"]},
        evaluations__others={**DUEL, "judge": "other", "between": ["rlaif-weak", "sft-weak"]},
        evaluations__reference={"protocol": "pairwise", "judge": "other", "reference": "weak"},
        primary={"contrast": "headline", "evaluation": "duel@0.7"},
    )
    assert params(plan(resolved(spec)))["second_judges"] == ["again@0.7"]


def test_a_judges_card_knows_which_pairs_are_two_arms() -> None:
    of = made(duel=DUEL)
    spec = parse_spec(spec_with(evaluations__duel=DUEL))
    (key,) = {key for key, stage in judges(of).items() if of.stages[stage.inputs["reference"]].kind == "sample"}
    assert critic_params(spec, of.stages)["critic"]["sides"] == {key: "arms"}


def test_in_a_matrix_every_cell_has_its_own_battles_and_cells_share_those_that_are_alike() -> None:
    spec = spec_with(evaluations__arena=ARENA, matrix={"fractions": [0.1, 0.2]})
    of = plan(resolved(spec))
    cells = params(of)["cells"]
    assert all(len(cell["battles"]) == 15 for cell in cells.values())
    keys = [{of.stages[of.report].inputs[row["input"]] for row in cell["battles"]} for cell in cells.values()]
    assert len(keys[0] & keys[1]) == 1, "the two SFT arms are the same in both"


def test_the_base_model_and_teachers_play_and_answers_that_say_nothing_do_not() -> None:
    spec = spec_with(evaluations__arena=ARENA, also_judge=["base", "teachers"], null_completions=True)
    of = plan(resolved(spec))
    players = [*ARMS, "base", "teacher:weak", "teacher:strong"]
    assert params(of)["evaluations"]["arena@0.7"]["arms"] == players
    battles = [row for row in params(of)["battles"] if row["evaluation"] == "arena@0.7"]
    assert [(row["a"], row["b"]) for row in battles] == list(combinations(players, 2))
    last = of.stages[of.stages[of.report].inputs[battles[-1]["input"]]]
    assert {of.stages[key].kind for key in last.inputs.values()} == {"teach"}


def test_a_duel_with_a_teacher_is_judged_though_the_reference_evaluation_judges_it_not() -> None:
    duel = {**DUEL, "between": ["teacher:weak", "rlaif-weak"]}
    spec = spec_with(
        evaluations={"duel": duel},
        also_judge=["teachers"],
        contrasts={"apart": ["rlaif-weak", "teacher:weak"]},
        primary={"contrast": "apart", "evaluation": "duel@0.7"},
    )
    found = params(plan(resolved(spec)))
    assert {row["arm"] for row in found["scores"]} == {"rlaif-weak", "teacher:weak"}
    assert "teacher:weak" in found["arms"] and "teacher:strong" not in found["arms"]
    assert [kind for kind, _ in found["stages"]["teacher:weak"]] == ["prompts", "teach", "judge"]
