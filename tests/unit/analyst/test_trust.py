"""How far the judge can be trusted: gold labels, people's votes, and the table of all who judged."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyst.as_json import to_json
from services.analyst.beside_page import judge_rows
from services.analyst.build import build_report
from services.analyst.contrasts import Contrast, ContrastResult, compare
from services.analyst.gold import GoldScores, by_labels, correct, differences, shares_of
from services.analyst.model import Report
from services.analyst.page import to_html
from services.analyst.params import EvaluationParams, ReportParams
from services.analyst.people import People, Voted, VotedPair, passed_over, people, with_same
from services.analyst.reading import read_inputs
from services.analyst.scores import ArmScores, align
from services.analyst.trust import Row, Trust, trust
from services.analyst.trust_page import trust_view
from services.analyst.wording import number
from services.api.pages.beside import judge_rows as on_page
from shared import records
from shared.human import Ballots, Cast, Sheet, rank, shown
from tests.unit.analyst.fixture import Experiment, experiment, quickstart

A, B = "rlaif-weak", "sft-strong"
HEADLINE = Contrast("headline", ((1, A), (-1, B)))
ABOUT = EvaluationParams(protocol="pairwise", judge="judge")
AT = "2026-11-23T18:00:00+00:00"


class World:
    """Arms whose true scores are known, and a judge that favours A's completions in one prompt of `every`."""

    def __init__(self, prompts: int, truth: float, every: int, seeds: int = 1, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.ids = np.array([f"p{place:05}" for place in range(prompts)])
        quality = rng.random(prompts)
        self.gold = {
            arm: np.where(rng.random((seeds, prompts)) < np.clip(quality + gain / 100, 0, 1), 100.0, 0.0)
            for arm, gain in ((A, truth), (B, 0.0))
        }
        self.judged = {arm: values.copy() for arm, values in self.gold.items()}
        favoured = rng.random((seeds, prompts)) < 1 / every
        self.judged[A][favoured] = 100.0

    def scores(self) -> dict[str, ArmScores]:
        seeds = tuple(range(len(self.judged[A])))
        return {arm: ArmScores(arm, "win-rate@0.7", seeds, self.ids, self.judged[arm]) for arm in (A, B)}

    def primary(self) -> ContrastResult:
        found = compare(HEADLINE, self.scores(), 0.05)
        assert found is not None
        return found

    def golden(self, only: int | None = None) -> dict[str, dict[int, Mapping[str, float]]]:
        chosen = set(sorted(map(str, self.ids), key=rank)[:only])
        return {
            arm: {
                seed: {str(id): float(score) for id, score in zip(self.ids, row, strict=True) if str(id) in chosen}
                for seed, row in enumerate(values)
            }
            for arm, values in self.gold.items()
        }

    @property
    def truth(self) -> float:
        return float(self.gold[A].mean() - self.gold[B].mean())


def seen(world: World, gold: GoldScores | None = None, voted: Voted | None = None, delta: float | None = 2.0) -> Trust:
    primary = world.primary()
    found = trust(primary, ABOUT, world.scores(), {}, [], gold, voted or Voted(), delta, 0.05)
    assert found is not None
    return found


def test_a_judge_that_favours_an_arm_is_corrected_where_the_uncorrected_contrast_misses() -> None:
    covered = missed = 0
    for seed in range(60):
        world = World(800, 4.0, 6, seed=seed)
        judge, gold = seen(world, GoldScores("truth", 150, world.golden())).rows
        # What gold labels of all prompts would say is what the subset is to find.
        assert gold.interval is not None and judge.interval is not None and gold.gold == 150
        covered += gold.interval[0] <= world.truth <= gold.interval[1]
        missed += not judge.interval[0] <= world.truth <= judge.interval[1]
    assert missed >= 45, "the bias is about 8 points"
    assert covered >= 54


def test_the_level_of_each_row_is_what_it_alone_would_say_and_the_sentence_names_the_bias() -> None:
    world = World(3000, 0.0, 4)
    found = seen(world, GoldScores("truth", 800, world.golden()))
    judge, gold = found.rows
    assert judge.level == "rl_adds_value" and gold.level in {"inconclusive", "sft_suffices"}
    view = trust_view(found)
    assert view is not None
    (said,) = view.summary
    assert f"On the 800 prompts with gold labels (truth) the judge favours {A} by" in said
    assert "which the judge’s own contrast does not" in said
    assert [line.primary for line in view.lines] == [True, False]


def test_only_the_first_prompts_by_hash_are_used() -> None:
    world = World(300, 5.0, 5)
    aligned = align([world.scores()[arm] for arm in (A, B)])
    judged = aligned.values[0] - aligned.values[1]
    gold = differences(HEADLINE, world.golden())
    first = set(sorted(map(str, world.ids), key=rank)[:50])
    some = {seed: {id: value for id, value in one.items() if id in first} for seed, one in gold.items()}
    whole, part = correct(judged, aligned, gold, 50), correct(judged, aligned, some)
    assert whole.error is not None and part.error is not None and whole.labelled == part.labelled == 50
    assert float(whole.error.mean) == float(part.error.mean)


def test_with_gold_of_all_prompts_the_judge_adds_nothing() -> None:
    world = World(120, 5.0, 5)
    aligned = align([world.scores()[arm] for arm in (A, B)])
    found = correct(aligned.values[0] - aligned.values[1], aligned, differences(HEADLINE, world.golden()))
    assert found.error is not None and float(found.error.mean) == pytest.approx(world.truth) and found.weight == 0


def test_too_few_labels_are_said_and_correct_nothing() -> None:
    world = World(120, 5.0, 5)
    row = seen(world, GoldScores("truth", 100, world.golden(9))).rows[-1]
    assert row.estimate is None and row.why == "9 prompts have gold labels for both arms, and 10 are the least"


def test_gold_of_one_run_of_several_corrects_that_run() -> None:
    world = World(200, 5.0, 5, seeds=3)
    golden = {arm: {1: one[1]} for arm, one in world.golden(60).items()}
    row = seen(world, GoldScores("truth", 100, golden)).rows[-1]
    assert row.seeds == 1 and row.gold == 60


def test_recorded_labels_are_found_in_either_order_and_equal_texts_are_ties() -> None:
    pairs: list[dict[str, Any]] = [
        {"prompt_id": "1", "completion_a": "x", "completion_b": "ref", "preference": 1.0},
        {"prompt_id": "2", "completion_a": "ref", "completion_b": "y", "preference": 0.9},
        {"prompt_id": "3", "completion_a": "same", "completion_b": "same", "preference": None},
        {"prompt_id": "4", "completion_a": "z", "completion_b": "ref", "preference": None},
    ]
    rows = [
        {"prompt_id": id, "completion": text, "reference": other}
        for id, text, other in (("1", "x", "ref"), ("2", "y", "ref"), ("3", "same", "same"), ("4", "z", "ref"))
    ]
    assert by_labels(rows, shares_of(pairs)) == pytest.approx({"1": 100.0, "2": 10.0, "3": 50.0})
    assert by_labels([{"prompt_id": "1", "completion": "another run's", "reference": "ref"}], shares_of(pairs)) == {}


def ballots(world: World, raters: Mapping[str, float], prompts: int) -> list[VotedPair]:
    """Head-to-head votes on the first prompts: each rater sees the truth, but for a share that they get wrong."""
    rng = np.random.default_rng(3)
    chosen = set(sorted(map(str, world.ids), key=rank)[:prompts])
    found = []
    for place, id in enumerate(map(str, world.ids)):
        if id not in chosen:
            continue
        truth, judged = (
            0.5 + 0.5 * np.sign(table[A][0][place] - table[B][0][place]) for table in (world.gold, world.judged)
        )
        votes = {name: float(1 - truth if rng.random() < wrong else truth) for name, wrong in raters.items()}
        found.append(VotedPair(A, B, 0, id, f"a {id}", f"b {id}", float(judged), votes))
    return found


def test_agreement_of_people_with_the_judge_and_each_other() -> None:
    world = World(400, 4.0, 6)
    found = people(Voted(tuple(ballots(world, {"Ann": 0.0, "Bob": 0.1, "Cy": 0.5}, 200)), 600))
    assert found is not None
    ann, bob, cy = found.raters
    assert (ann.name, ann.votes) == ("Ann", 200)
    kappas = [one.judge.kappa.value for one in (ann, bob, cy) if one.judge is not None]
    assert None not in kappas and kappas == sorted(kappas, key=lambda value: -(value or 0))
    assert {(one, other.other) for one, other in found.between} == {("Ann", "Bob"), ("Ann", "Cy"), ("Bob", "Cy")}
    (wins,) = found.wins
    assert wins.people.value is not None and wins.judge.value is not None and wins.judge.value > wins.people.value
    assert wins.difference.interval is not None and wins.difference.interval[1] < 0, "the judge favours the arm"
    assert found.pooled.votes == 600 and found.pairs == 200


def test_head_to_head_votes_correct_the_judges_lead_and_never_the_verdicts_points() -> None:
    world = World(400, 4.0, 5)
    pairs = ballots(world, {"Ann": 0.0}, 150)
    leads = {0: {pair.prompt_id: 200 * pair.pooled - 100 for pair in pairs}}
    rows = {row.sort: row for row in seen(world, None, Voted(tuple(pairs), 150, leads=leads)).rows}
    raw, corrected = rows["head_to_head"], rows["people_head_to_head"]
    assert raw.level is None and corrected.level is None and "people" not in rows
    lead = float(100 * np.sign(world.gold[A] - world.gold[B]).mean())
    assert corrected.interval is not None and corrected.interval[0] <= lead <= corrected.interval[1]
    assert raw.estimate is not None and corrected.estimate is not None and raw.estimate > corrected.estimate
    assert corrected.gold == 150 and raw.gold is None


def test_unasked_ties_count_as_far_as_votes_reach_and_what_was_passed_over_is_counted() -> None:
    ids = sorted((f"p{place}" for place in range(20)), key=rank)
    voted = {ids[0]: 100.0, ids[5]: 0.0}
    assert with_same(voted, [ids[2], ids[9]]) == {**voted, ids[2]: 50.0}
    assert with_same({}, ids) == {}
    assert passed_over(voted, [one for one in ids if one != ids[2]]) == 3
    assert passed_over({}, ids) == 0 and people(Voted()) is None


def test_a_contrast_without_a_judge_or_without_points_has_no_such_section() -> None:
    world = World(50, 0.0, 5)
    for about in (ABOUT.model_copy(update={"judge": None}), ABOUT.model_copy(update={"unit": "nats per token"})):
        assert trust(world.primary(), about, world.scores(), {}, [], None, Voted(), 2.0, 0.05) is None
    partial = seen(world, None, None, None)
    assert partial.rows[0].level is None


# The whole report, from a planned experiment with made-up judgements.

GOLD = {"provider": "verifiable", "check": "world", "gold": True}


def golden_spec(**changes: Any) -> dict[str, Any]:
    data = quickstart(**changes)
    data["models"] = {**data["models"], "truth": GOLD, "strict": {**data["models"]["judge"], "error_rate": 0.2}}
    win_rate = {**data["evaluations"]["win-rate"], "temperature": 0.7}
    data["evaluations"] = {
        "win-rate": {**win_rate, "gold": {"labels": "truth", "n": 80}},
        "strictly": {**win_rate, "judge": "strict"},
    }
    return data


def report_of(made: Experiment, cast: tuple[Cast, ...] = (), superseded: int = 0) -> Report:
    inputs = read_inputs(
        ReportParams.model_validate(made.params), made.artifacts(), Ballots(cast, superseded, ("votes",))
    )
    return build_report(inputs)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Every gold stage says that A wins a fifth less often than the judge says."""
    found = experiment(tmp_path_factory.mktemp("cache"), golden_spec(), shift=20)
    for row in found.params["gold"]["scores"]:
        key = found.plan.stages[found.plan.report].inputs[row["input"]]
        rng = np.random.default_rng(len(row["arm"]))
        rows = [
            {"prompt_id": f"p{place:04}", "score": 100.0 * (rng.random() < 0.55), "valid": True} for place in range(300)
        ]
        found.commit(key, {"judgements.parquet": records.from_rows(rows, records.JUDGEMENTS)}, {})
    return found


def cast_on(made: Experiment, arm: str, other: str | None, ids: list[str], rater: str = "Ann") -> list[Cast]:
    sheet = Sheet(arm, other, "win-rate@0.7", 0)
    return [
        Cast(shown(sheet.code("x"), id).row, rater, "left", ("a", "b", "tie")[place % 3], sheet, id, AT)
        for place, id in enumerate(ids)
    ]


def test_the_report_has_one_table_of_all_who_judged(made: Experiment) -> None:
    report = report_of(made)
    data = json.loads(to_json(report))
    sorts = [row["sort"] for row in data["trust"]["rows"]]
    assert sorts == ["judge", "order", "order", "second_judge", "gold"]
    raw = data["contrasts"]["headline"]["win-rate@0.7"]
    assert data["trust"]["rows"][0]["estimate"] == raw["estimate"]
    assert data["trust"]["rows"][-1]["n_gold"] == 80
    assert data["verdict"]["level"] == data["trust"]["rows"][0]["level"] or data["verdict"]["level"] == "inconclusive"
    html = to_html(report).decode()
    assert "How far can the judge be trusted?" in html and "Corrected by truth" in html
    assert "in one order alone" in html and "this report includes no votes" in html


def test_each_judges_level_stands_beside_the_verdict_and_its_numbers_once(made: Experiment) -> None:
    """By how much is for the table of how far the judge can be trusted, which has it for every judge."""
    report = report_of(made)
    decides, other = judge_rows(report)
    assert decides.decides and not other.decides and other.judge == "strict"
    assert (decides.numbers, other.numbers) == ("", "")
    strict = next(row for row in report.trust.rows if row.sort == "second_judge")  # type: ignore[union-attr]
    assert strict.name == "strict" and strict.level == other.level
    head, _, rest = to_html(report).decode().partition('id="trust"')
    assert head.count("strict") and 'href="#trust"' in head
    assert f"{number(strict.decision_interval[0])} to" in rest  # type: ignore[index]
    page = on_page(json.loads(to_json(report)))
    assert [(row.judge, row.level, row.numbers) for row in page] == [
        (row.judge, row.level, "") for row in (decides, other)
    ]


def test_where_no_such_table_is_each_judges_numbers_stand_beside_its_level(made: Experiment) -> None:
    report = replace(report_of(made), trust=None)
    _, other = judge_rows(report)
    assert re.fullmatch(r"−?\d+\.\d \(−?\d+\.\d to −?\d+\.\d\) points", other.numbers)
    assert on_page(json.loads(to_json(report)))[1].numbers == other.numbers
    assert other.numbers in to_html(report).decode() and 'href="#trust"' not in to_html(report).decode()


def test_votes_come_on_top_and_change_no_verdict(made: Experiment) -> None:
    ids = sorted((f"p{place:04}" for place in range(300)), key=rank)[:60]
    cast = [*cast_on(made, A, B, ids), *cast_on(made, A, None, ids), *cast_on(made, B, None, ids)]
    cast += cast_on(made, A, B, ids[:30], "Bob")
    before, after = report_of(made), report_of(made, tuple(cast), 2)
    assert after.verdict == before.verdict
    assert after.trust is not None and after.trust.people is not None
    assert after.trust.people.votes == 210 and after.trust.people.superseded == 2
    sorts = {row.sort: row for row in after.trust.rows}
    assert sorts["people"].gold is not None and sorts["people"].level is not None
    assert {one.name for one in after.trust.people.raters} == {"Ann", "Bob"}
    html = to_html(after).decode()
    assert "This report includes 210 votes of 2 people" in html and "2 earlier ones were changed" in html
    assert json.loads(to_json(after))["trust"]["people"]["raters"]["Ann"]["votes"] == 180


def test_votes_on_what_is_not_in_the_report_are_left_out(made: Experiment) -> None:
    other = [
        replace(one, sheet=replace(one.sheet, evaluation="strictly@0.7")) for one in cast_on(made, A, B, ["p0001"])
    ]
    gone = cast_on(made, "another-arm", B, ["p0001"]) + cast_on(made, A, B, ["no-such-prompt"])
    report = report_of(made, (*other, *gone))
    assert report.trust is not None and report.trust.people is None


def test_a_raters_name_and_a_models_are_text_in_the_report(made: Experiment) -> None:
    ids = sorted((f"p{place:04}" for place in range(300)), key=rank)[:20]
    html = to_html(report_of(made, tuple(cast_on(made, A, B, ids, "<script>alert(1)</script>")))).decode()
    assert "<script>alert(1)" not in html and "&lt;script&gt;alert(1)" in html


def test_each_cell_of_a_matrix_has_its_own_votes(tmp_path: Path) -> None:
    from services.analyst.params import cells_of

    spec = quickstart(matrix={"fractions": [0.1, 0.3]})
    made = experiment(tmp_path, spec)
    ids = sorted((f"p{place:04}" for place in range(300)), key=rank)[:20]
    cast = tuple(cast_on(made, f"{A} [fraction=0.3]", f"{B} [fraction=0.3]", ids))
    cells = {
        name: build_report(read_inputs(params, made.artifacts(), Ballots(cast, 0, ("votes",))))
        for name, params in cells_of(made.params).items()
    }
    counts = {name: cell.trust.people for name, cell in cells.items() if cell.trust is not None}
    assert counts["fraction=0.1"] is None
    found = counts["fraction=0.3"]
    assert isinstance(found, People) and found.votes == 20
    assert isinstance(cells["fraction=0.3"].trust.rows[-1], Row)  # type: ignore[union-attr]
