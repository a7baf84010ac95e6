"""Pairs, verdicts and what becomes a training pair."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.critic.compared import rates
from services.critic.pairs import best_and_worst, choose_recorded, count, preference_row
from services.critic.tables import prompts_between
from shared import records
from shared.asking import DEFAULT
from shared.errors import PermanentError
from shared.llm.chat import Answer
from shared.llm.providers.similarity import SimilarityModel
from shared.pairs import opponent_pairs, sample_pairs
from shared.plan.comparisons import Candidate, Comparison, Verdicts, by_score
from shared.units import Shard, cut

PAIR = Comparison("p1", "Say hi.", "hi", "hello")


def read(ab: str, ba: str) -> Verdicts:
    """What the default way of asking reads in both orders' words."""
    return DEFAULT.read(PAIR, [Answer(ab, "stop"), Answer(ba, "stop")], DEFAULT.own_template())


@pytest.mark.parametrize(
    ("ab", "ba", "preference"),
    [
        ("Verdict: A", "Verdict: B", 1.0),
        ("Verdict: B", "Verdict: A", 0.0),
        ("Verdict: A", "Verdict: A", 0.5),
        ("Verdict: tie", "Verdict: B", 0.75),
        ("Verdict: tie", "Verdict: tie", 0.5),
        ("I like both", "Verdict: B", None),
    ],
)
def test_verdicts_name_the_completion_whatever_its_place(ab: str, ba: str, preference: float | None) -> None:
    verdicts = read(ab, ba)
    assert verdicts.preference == preference
    assert (verdicts.raw_ab, verdicts.raw_ba) == (ab, ba)


@pytest.mark.parametrize(
    ("pair", "preference", "dropped", "chosen"),
    [
        (PAIR, 1.0, None, "hi"),
        (PAIR, 0.75, None, "hi"),
        (PAIR, 0.0, None, "hello"),
        (PAIR, 0.5, "tie", None),
        (PAIR, None, "unparsable", None),
        (Comparison("p", "q", "same", "same"), 0.5, "identical", None),
        (Comparison("p", "q", " ", "said"), 0.0, None, "said"),
        (Comparison("p", "q", " ", "said"), 1.0, "empty", None),
    ],
)
def test_what_becomes_a_training_pair(
    pair: Comparison, preference: float | None, dropped: str | None, chosen: str | None
) -> None:
    row = preference_row(pair, preference)
    assert row["dropped"] == dropped
    assert row.get("chosen") == chosen
    if chosen is not None:
        assert {row["chosen"], row["rejected"]} == {pair.a, pair.b}
    records.from_rows([row], records.PREFERENCES)


def test_counts_add_up() -> None:
    rows = [preference_row(PAIR, preference) for preference in (1.0, 0.5, 0.5, None)]
    assert count(rows) == {"pairs": 4, "usable": 1, "dropped": {"tie": 2, "unparsable": 1}}


def test_only_pairs_that_were_asked_in_both_orders_say_something_of_position() -> None:
    verdicts = [
        Verdicts("tie", "tie"),
        Verdicts("a", None, "chrF"),
        read("Verdict: A", "Verdict: A"),
        read("Verdict: A", "Verdict: B"),
        read("?", "Verdict: B"),
    ]
    assert rates(verdicts) == {
        "pairs": 5,
        "both_orders": 3,
        "flips": 1,
        "first_shown_preferred": 3,
        "ties": 2,
        "unparsable": 1,
    }


def sample(prompt_id: str, index: int, completion: str) -> dict[str, Any]:
    return {"prompt_id": prompt_id, "sample_index": index, "prompt": "q", "completion": completion}


def test_a_pair_is_the_first_two_samples() -> None:
    rows = [
        sample("p2", 1, "b"),
        sample("p2", 0, "a"),
        sample("p1", 2, "z"),
        sample("p1", 0, "x"),
        sample("p1", 1, "y"),
    ]
    assert [(pair.prompt_id, pair.a, pair.b) for pair in sample_pairs(rows)] == [("p2", "a", "b"), ("p1", "x", "y")]


def four() -> list[dict[str, Any]]:
    return [sample(name, index, f"{name}{index}") for name in ("p1", "p2") for index in (3, 1, 0, 2)]


def test_all_pairs_and_two_by_chance() -> None:
    pairs = [(pair.a, pair.b) for pair in sample_pairs(four(), "all") if pair.prompt_id == "p1"]
    assert pairs == [("p10", "p11"), ("p10", "p12"), ("p10", "p13"), ("p11", "p12"), ("p11", "p13"), ("p12", "p13")]
    assert sample_pairs(four(), "best_worst") == sample_pairs(four(), "all")
    drawn = [sample_pairs([sample(f"p{n}", index, str(index)) for index in range(4)], "random_two") for n in range(60)]
    assert all(len(pairs) == 1 and pairs[0].a < pairs[0].b for pairs in drawn)
    assert len({(pairs[0].a, pairs[0].b) for pairs in drawn}) == 6


@given(st.permutations(range(5)), st.booleans())
def test_the_best_is_kept_against_the_worst(worth: list[int], scored: bool) -> None:
    pairs = sample_pairs([sample("p1", index, str(value)) for index, value in enumerate(worth)], "best_worst")

    def verdict(pair: Comparison) -> Verdicts:
        a, b = int(pair.a), int(pair.b)
        return by_score(a, b, "") if scored else Verdicts("a" if a > b else "b", "a" if a > b else "b")

    ((pair,), (verdicts,)) = best_and_worst(pairs, [verdict(pair) for pair in pairs])
    row = preference_row(pair, verdicts.preference, verdicts)
    assert (row["chosen"], row["rejected"]) == ("4", "0")


def test_best_and_worst_with_answers_that_cannot_be_read() -> None:
    pairs = sample_pairs(four(), "best_worst")
    nothing = [Verdicts("unparsable", "unparsable") for _ in pairs]
    kept, verdicts = best_and_worst(pairs, nothing)
    assert [pair.prompt_id for pair in kept] == ["p1", "p2"] and all(one.preference is None for one in verdicts)


def test_a_policy_against_a_teacher() -> None:
    samples = [sample("p1", 0, "mine"), sample("p2", 1, "second"), sample("p2", 0, "first"), sample("p3", 0, "alone")]
    teacher = [sample("p2", 0, "theirs 2"), sample("p1", 0, "theirs 1")]
    pairs = [(pair.a, pair.b) for pair in opponent_pairs(samples, teacher)]
    assert pairs == [("mine", "theirs 1"), ("first", "theirs 2"), ("second", "theirs 2")]


def test_a_single_sample_is_no_pair() -> None:
    with pytest.raises(PermanentError, match="prompt p1 has one sample"):
        sample_pairs([sample("p1", 0, "a")])


def recorded(prompt_id: str, a: str, preference: float) -> dict[str, Any]:
    return {"prompt_id": prompt_id, "completion_a": a, "completion_b": "ref", "preference": preference}


PROMPTS = [{"prompt_id": name, "prompt": f"prompt {name}"} for name in ("p1", "p2")]


def test_recorded_pairs_are_the_same_however_the_dataset_is_ordered() -> None:
    rows = [recorded(name, f"{name}-{number}", 1.0) for name in ("p1", "p2", "p3") for number in range(10)]
    chosen = choose_recorded(PROMPTS, rows, 3, drop=False, name="labels")
    assert chosen == choose_recorded(PROMPTS, rows[::-1], 3, drop=False, name="labels")
    assert [pair.prompt_id for pair, _ in chosen] == ["p1"] * 3 + ["p2"] * 3
    assert {pair.prompt for pair, _ in chosen} == {"prompt p1", "prompt p2"}
    assert choose_recorded(PROMPTS, rows, 2, drop=False, name="labels") == [*chosen[:2], *chosen[3:5]]


def test_decided_pairs_go_before_ties() -> None:
    rows = [recorded("p1", f"tie {number}", 0.5) for number in range(9)] + [recorded("p1", "decided", 0.0)]
    ((pair, preference),) = choose_recorded(PROMPTS[:1], rows, 1, drop=False, name="labels")
    assert (pair.a, preference) == ("decided", 0.0)


def test_a_prompt_without_recorded_pairs_is_an_error_unless_dropped() -> None:
    rows = [recorded("p1", "x", 1.0)]
    with pytest.raises(PermanentError, match=r"models\.labels\.preferences.*p2.*missing: drop"):
        choose_recorded(PROMPTS, rows, 1, drop=False, name="labels")
    assert len(choose_recorded(PROMPTS, rows, 1, drop=True, name="labels")) == 1


@given(st.lists(st.integers(0, 8), max_size=40), st.integers(1, 5))
def test_shards_cover_every_sample_once_and_never_part_a_prompt(prompt_numbers: list[int], size: int) -> None:
    table = pa.table({"prompt_id": pa.array([f"p{number}" for number in prompt_numbers], pa.string())})
    prompts = len(set(prompt_numbers))
    parts = [prompts_between(table, shard)["prompt_id"].to_pylist() for shard in cut(prompts, size)]
    assert sorted(name for part in parts for name in part) == sorted(table["prompt_id"].to_pylist())
    assert sum(len(set(part)) for part in parts) == prompts
    assert prompts_between(table, Shard(start=0, stop=prompts)).num_rows == len(prompt_numbers)


def test_similarity_scores_likeness_to_the_named_models() -> None:
    towards = pa.table({"prompt_id": ["p1", "p2"], "completion": ["the cat sat on the mat", "blue"]})
    texts = [
        ("p1", "the cat sat on the mat"),
        ("p1", "the cat sat on a mat"),
        ("p1", "a dog"),
        ("p2", "blue"),
        ("p2", ""),
        ("p9", "x"),
    ]
    candidates = [Candidate(prompt_id, "q", text) for prompt_id, text in texts]
    score = SimilarityModel.scorer({}, {"towards": towards})
    exact, close, far, same, empty, unknown = map(score, candidates)
    assert exact == same == 100.0 and exact > (close or 0) > (far or 0) and empty == 0.0 and unknown is None
