"""Simulated teachers and critics have the qualities that their settings say."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadInput
from shared.world.critic import prefer
from shared.world.models import CriticSettings, ModelSettings, TeacherSettings
from shared.world.names import encode, parse
from shared.world.prompts import draw_prompt, make_prompts
from shared.world.reward import reward
from shared.world.tasks import gold
from shared.world.teacher import teach

POOL = [prompt.text for prompt in make_prompts(3000, 7)]
PROMPTS = st.integers(0, 2**32).map(lambda seed: draw_prompt(random.Random(seed)))
TURNED = {"a": "b", "b": "a", "tie": "tie"}

probabilities = st.floats(0, 1)
models: st.SearchStrategy[ModelSettings] = st.one_of(
    st.builds(TeacherSettings, accuracy=probabilities, seed=st.integers(0, 2**40)),
    st.builds(
        CriticSettings,
        role=st.sampled_from(["critic", "judge"]),
        error_rate=probabilities,
        position_bias=probabilities,
        length_bias=probabilities,
        seed=st.integers(0, 2**40),
    ),
)


def near(share: float, expected: float, n: int) -> bool:
    """Within 4.5 standard errors; the draws are fixed, so this never flickers."""
    return abs(share - expected) <= 4.5 * math.sqrt(expected * (1 - expected) / n)


def pairs() -> list[tuple[str, str, str]]:
    """Prompts with two answers of different reward, the better one on either side."""
    poor = TeacherSettings(accuracy=0.0, seed=1)
    out = []
    for index, prompt in enumerate(POOL):
        first, second = gold(prompt), teach(poor, prompt)
        out.append((prompt, first, second) if index % 2 else (prompt, second, first))
    return out


@pytest.mark.parametrize("accuracy", [0.0, 0.25, 0.5, 0.95, 1.0])
def test_a_teachers_accuracy_is_recovered(accuracy: float) -> None:
    settings = TeacherSettings(accuracy=accuracy)
    right = sum(reward(prompt, teach(settings, prompt)) == 1 for prompt in POOL) / len(POOL)
    assert near(right, accuracy, len(POOL))


def test_a_teacher_repeats_itself_and_varies_with_seed_and_sample() -> None:
    settings = TeacherSettings(accuracy=0.5)
    answers = [teach(settings, prompt) for prompt in POOL]
    assert answers == [teach(settings, prompt) for prompt in POOL]
    assert answers != [teach(TeacherSettings(accuracy=0.5, seed=1), prompt) for prompt in POOL]
    assert answers != [teach(settings, prompt, (0, 1)) for prompt in POOL]
    assert answers != [teach(settings, prompt, (1, 0)) for prompt in POOL]


def test_a_better_teacher_of_the_same_seed_knows_all_that_a_worse_one_does() -> None:
    weak, strong = (TeacherSettings(accuracy=accuracy) for accuracy in (0.3, 0.6))
    known = [prompt for prompt in POOL if teach(weak, prompt) == gold(prompt)]
    assert known
    assert all(teach(strong, prompt) == gold(prompt) for prompt in known)


@given(PROMPTS, st.data())
def test_a_perfect_critic_orders_by_reward(prompt: str, data: st.DataObject) -> None:
    words = [*prompt.split(), "."]
    first, second = (data.draw(st.lists(st.sampled_from(words), max_size=6).map(" ".join)) for _ in range(2))
    difference = reward(prompt, first) - reward(prompt, second)
    expected = "tie" if difference == 0 else "a" if difference > 0 else "b"
    assert prefer(CriticSettings(), prompt, first, second) == expected


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 1.0])
def test_a_critics_error_rate_is_recovered(rate: float) -> None:
    wrong = sum(
        (prefer(CriticSettings(error_rate=rate), prompt, a, b) == "a") != (reward(prompt, a) > reward(prompt, b))
        for prompt, a, b in pairs()
    )
    assert near(wrong / len(POOL), rate, len(POOL))


def test_a_critics_error_stays_when_the_order_is_turned() -> None:
    critic = CriticSettings(error_rate=0.3)
    assert all(prefer(critic, prompt, a, b) == TURNED[prefer(critic, prompt, b, a)] for prompt, a, b in pairs())


@pytest.mark.parametrize("bias", [0.0, 0.2, 1.0])
def test_a_critics_position_bias_is_recovered_from_its_contradictions(bias: float) -> None:
    """It contradicts itself when the bias decides the order in which the worse answer comes first."""
    critic = CriticSettings(position_bias=bias)
    torn = sum(prefer(critic, prompt, a, b) == prefer(critic, prompt, b, a) == "a" for prompt, a, b in pairs())
    assert near(torn / len(POOL), bias, len(POOL))


@pytest.mark.parametrize("bias", [0.0, 0.2, 1.0])
def test_a_critics_length_bias_is_recovered(bias: float) -> None:
    longer_is_worse = [
        (prompt, a, b)
        for prompt, a, b in pairs()
        if len(a) != len(b) and (len(a) > len(b)) != (reward(prompt, a) > reward(prompt, b))
    ]
    critic = CriticSettings(length_bias=bias)
    longer = sum((prefer(critic, prompt, a, b) == "a") == (len(a) > len(b)) for prompt, a, b in longer_is_worse)
    assert len(longer_is_worse) > 300
    assert near(longer / len(longer_is_worse), bias, len(longer_is_worse))


def test_equal_answers_are_a_tie_unless_their_place_decides() -> None:
    prompt = POOL[0]
    assert prefer(CriticSettings(error_rate=1, length_bias=1), prompt, "x", "x") == "tie"
    assert prefer(CriticSettings(position_bias=1), prompt, "x", "x") == "a"


def test_a_critic_and_a_judge_of_the_same_settings_err_on_different_pairs() -> None:
    critic, judge = (CriticSettings(role=role, error_rate=0.3) for role in ("critic", "judge"))
    assert any(prefer(critic, *pair) != prefer(judge, *pair) for pair in pairs())


@given(models)
def test_a_models_name_carries_its_settings(settings: ModelSettings) -> None:
    assert parse(encode(settings)) == settings
    assert encode(parse(encode(settings))) == encode(settings)


def test_names_are_canonical() -> None:
    name = "critic?error_rate=0.1&length_bias=0&position_bias=0&seed=0"
    assert encode(CriticSettings(error_rate=0.1)) == name
    assert encode(parse("critic?position_bias=0.0&error_rate=0.10")) == name
    assert encode(TeacherSettings(accuracy=0.5)) == "teacher?accuracy=0.5&seed=0"
    assert encode(parse("judge")) == "judge?error_rate=0&length_bias=0&position_bias=0&seed=0"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpt-4",
        "teacher",
        "teacher?",
        "teacher?accuracy=2",
        "teacher?accuracy=x",
        "teacher?accuracy=nan",
        "teacher?accuracy=0.5&mood=good",
        "teacher?accuracy=0.5&accuracy=0.6",
        "teacher?accuracy=0.5&role=critic",
        "critic?error_rate",
        "critic?accuracy=0.5",
    ],
)
def test_a_name_that_says_no_model_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="model"):
        parse(name)
