"""Prompts, right answers, wrong answers and the true reward."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadInput
from shared.splits import normalise
from shared.world.corruption import corrupt
from shared.world.prompts import draw_prompt, make_prompts
from shared.world.reward import edit_distance, reward
from shared.world.tasks import gold, parse, render
from shared.world.vocabulary import ANSWER_ENDS, QUESTIONS, TEMPLATES, VOCABULARY

SEEDS = st.integers(0, 2**32)
PROMPTS = SEEDS.map(lambda seed: draw_prompt(random.Random(seed)))
ANSWERS = st.lists(st.sampled_from(VOCABULARY), max_size=10).map(" ".join)


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Reverse this list : cat plum saw =", "saw plum cat ."),
        ("Write these items again : cat plum saw =", "cat plum saw ."),
        ("What is the first item of : cat plum saw =", "cat ."),
        ("Name only the last item in : cat plum saw =", "saw ."),
        ("List only the fruits in : cat plum saw fig =", "plum fig ."),
        ("Sort these numbers : 9 30 10 =", "9 10 30 ."),
        ("What is the largest number in : 9 30 10 =", "30 ."),
        ("Count the items in : cat plum saw fig =", "4 ."),
    ],
)
def test_the_right_answer_follows_from_the_prompts_text(prompt: str, answer: str) -> None:
    assert gold(prompt) == answer


@given(PROMPTS)
def test_a_made_prompt_parses_back_to_itself(prompt: str) -> None:
    task = parse(prompt)
    questions = [question for question, asked in QUESTIONS.items() if asked == (task.name, task.category)]
    assert prompt in [render(question, task.items) for question in questions]


@given(PROMPTS)
def test_every_word_is_in_the_vocabulary(prompt: str) -> None:
    assert set(prompt.split()) | set(gold(prompt).split()) <= set(VOCABULARY)


def test_every_task_is_asked() -> None:
    assert {parse(prompt.text).name for prompt in make_prompts(200, 0)} == set(TEMPLATES)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "=",
        "Who are you?",
        "Sort these numbers : cat dog =",
        "Reverse this list : =",
        "Reverse this list : cat dog",
        "List only the fruits in : cat dog =",
        "List only the cities in : cat dog =",
    ],
)
def test_a_prompt_of_another_world_is_refused(prompt: str) -> None:
    with pytest.raises(BadInput, match="no prompt of the simulated world"):
        gold(prompt)


def test_prompts_are_distinct_even_when_normalised() -> None:
    prompts = make_prompts(3000, 1)
    assert len({normalise(prompt.text) for prompt in prompts}) == 3000
    assert len({prompt.prompt_id for prompt in prompts}) == 3000


def test_prompts_depend_on_the_seed_alone_and_a_larger_pool_begins_with_the_smaller() -> None:
    assert make_prompts(50, 3) == make_prompts(200, 3)[:50]
    assert not {p.text for p in make_prompts(50, 3)} & {p.text for p in make_prompts(50, 4)}


@pytest.mark.parametrize("count", [0, -1, 10**7])
def test_a_pool_of_an_impossible_size_is_refused(count: int) -> None:
    with pytest.raises(BadInput, match="cannot be made"):
        make_prompts(count, 0)


@given(PROMPTS, ANSWERS)
def test_reward_is_a_share_and_full_only_for_the_right_answer(prompt: str, answer: str) -> None:
    assert 0 <= reward(prompt, answer) <= 1
    assert (reward(prompt, answer) == 1) == (answer.split() == gold(prompt).split())


@given(PROMPTS)
def test_the_right_answer_has_full_reward_and_none_has_no_reward(prompt: str) -> None:
    assert reward(prompt, gold(prompt)) == 1
    assert reward(prompt, "") == 0


@given(PROMPTS, SEEDS)
def test_a_corrupted_answer_is_never_right(prompt: str, seed: int) -> None:
    wrong = corrupt(random.Random(seed), parse(prompt))
    assert wrong
    assert reward(prompt, wrong) < 1


def test_corruptions_are_of_many_kinds() -> None:
    task = parse("Reverse this list : cat plum saw fig =")
    wrong = {corrupt(random.Random(seed), task) for seed in range(300)}
    assert {"fig saw .", "saw fig plum cat .", "fig saw plum cat", "cat plum saw fig ."} <= wrong
    assert any(
        answer.startswith("fig saw plum cat ") and answer != f"fig saw plum cat {ANSWER_ENDS}" for answer in wrong
    )


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_edit_distance_is_a_metric(first: list[str], second: list[str]) -> None:
    distance = edit_distance(first, second)
    assert distance == edit_distance(second, first)
    assert (distance == 0) == (first == second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))


def test_edit_distance_of_a_known_pair() -> None:
    assert edit_distance("kitten", "sitting") == 3
