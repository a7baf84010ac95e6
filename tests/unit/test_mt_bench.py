"""MT-Bench: its prompts word for word, its own files as a dataset, and its figures by category and turn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from examples.mt_bench import WITH_REFERENCE, rows
from services.analyst.categories import parts, rated
from services.analyst.contrasts import Contrast
from services.analyst.params import EvaluationParams
from shared import datasets
from shared.asking.turns import Conversation, Ratings, TurnsAsk
from shared.llm.chat import Answer
from shared.protocols.mt_bench import MtBench
from shared.scales import OF_TEN
from shared.templates import mt_bench

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "mt_bench"
there = pytest.mark.skipif(not DATA.exists(), reason=f"MT-Bench's files are not at {DATA}")


def answer(text: str, finish_reason: str = "stop") -> Answer:
    return Answer(text=text, finish_reason=finish_reason)


@there
@pytest.mark.parametrize("with_reference", [False, True])
def test_the_judge_is_asked_in_fastchat_s_words(with_reference: bool) -> None:
    given = {one["name"]: one for one in map(json.loads, (DATA / "judge_prompts.jsonl").read_text().splitlines())}
    one = Conversation("q", ("a {b}", "c"), ("d", "e {answer_1}"), ("f", "g") if with_reference else None)
    places = {
        "question": one.questions[0], "answer": one.answers[0], "ref_answer_1": "f", "ref_answer_2": "g",
        "question_1": one.questions[0], "question_2": one.questions[1],
        "answer_1": one.answers[0], "answer_2": one.answers[1],
    }  # fmt: skip
    names = ("single-math-v1", "single-math-v1-multi-turn") if with_reference else ("single-v1", "single-v1-multi-turn")
    for name, asked in zip(names, TurnsAsk().requests({"provider": "x"}, one), strict=True):
        system, user = asked.messages
        assert system == {"role": "system", "content": given[name]["system_prompt"]}
        assert user == {"role": "user", "content": given[name]["prompt_template"].format(**places)}


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("It is good. Rating: [[7]]", 7.0),
        ("Rating: [[7.5]]", 7.5),
        ("[[7]] and once more: [[7]]", 7.0),
        ("first [[3]], then [[7]]", None),
        ("Rating: [[11]]", None),
        ("Rating: [[0]]", None),
        ("Rating: 7", None),
        ("", None),
    ],
)
def test_a_rating_is_read_where_it_plainly_stands(text: str, rating: float | None) -> None:
    assert TurnsAsk().rating(answer(text)) == rating
    assert TurnsAsk().readable(answer(text), mt_bench.FIRST) is (rating is not None)


def test_a_rating_that_was_cut_short_is_none() -> None:
    assert TurnsAsk().rating(answer("Rating: [[7]]", "length")) is None


@there
def test_mt_bench_s_own_files_become_a_dataset_of_eight_categories(tmp_path: Path) -> None:
    found = list(rows(DATA / "questions.jsonl", DATA / "reference_answers_gpt4.jsonl"))
    path = tmp_path / "mt.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    table = datasets.prepare(path).table
    assert table.num_rows == 80 and len(set(table["category"].to_pylist())) == 8
    assert table["prompt"].to_pylist() == [row["turns"][0] for row in found]
    by_category = {row["category"] for row in table.to_pylist() if row["reference"]}
    assert by_category == WITH_REFERENCE
    evaluation = MtBench.model_validate({"protocol": "mt_bench", "judge": "j", "questions": "dataset:mt"})
    assert list(evaluation.data_errors([], None, table)) == []


def table_of(scores: dict[str, tuple[float | None, float | None]], category: dict[str, str]) -> pa.Table:
    """What the protocol makes of ratings by question."""
    ids = list(scores)
    prompts = [{"prompt_id": one, "split": "eval", "turns": ["a", "b"], "category": category[one]} for one in ids]
    given = pa.table({"prompt_id": ids, "completion": ["x"] * len(ids)})
    tables = {"prompts": pa.Table.from_pylist(prompts), "samples": given, "second": given}
    return MtBench.rated_rows(tables, {}, [Ratings(scores[one], ("", "")) for one in ids])


def test_turns_and_categories_have_their_own_means_and_the_difference_beside() -> None:
    known = {f"q{at}": f"category {at % 4}" for at in range(40)}
    rng = np.random.default_rng(0)
    drawn: dict[str, dict[str, tuple[float | None, float | None]]] = {
        arm: {one: (float(rng.integers(1, 11)), float(rng.integers(1, 11))) for one in known} for arm in ("a", "b")
    }
    first = next(iter(known))
    drawn["a"][first] = (9.0, None)
    found = {arm: rated(table_of(scores, known)) for arm, scores in drawn.items()}
    tables = {(arm, "mt@0.7"): {0: one} for arm, one in found.items() if one is not None}
    contrast = Contrast("d", ((1, "a"), (-1, "b")))
    (shown,) = parts({"mt@0.7": EvaluationParams(protocol="mt_bench", unit=OF_TEN)}, contrast, {0}, tables)
    one, two = shown.turns
    assert one.arms["a"] is not None and two.arms["a"] is not None
    assert one.arms["a"].estimate == pytest.approx(np.mean([score[0] for score in drawn["a"].values()]))
    assert (one.arms["a"].prompts, two.arms["a"].prompts) == (40, 39)
    for part in shown.categories:
        ids = [one for one in known if known[one] == part.name and one != first]
        mean = part.arms["b"]
        expected = [sum(score for score in drawn["b"][one] if score) / 2 for one in known if known[one] == part.name]
        assert mean is not None and mean.estimate == pytest.approx(np.mean(expected))
        assert part.difference is not None and part.difference.prompts == len(ids)
        assert part.difference.unit == OF_TEN
