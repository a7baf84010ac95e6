"""A judge that likes whatever is longer, in the simulated world, whose truth is known: seen, and corrected by gold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from services.analyst.contrasts import Contrast, compare
from services.analyst.gold import GoldScores
from services.analyst.params import EvaluationParams
from services.analyst.people import Voted
from services.analyst.scores import ArmScores
from services.analyst.trust import Row, trust
from shared.human import rank
from shared.world.critic import prefer
from shared.world.models import CriticSettings, TeacherSettings
from shared.world.prompts import make_prompts
from shared.world.reward import reward
from shared.world.teacher import teach

A, B, PROMPTS, LABELLED = "rlaif-weak", "sft-strong", 300, 100
SHARES = {"a": 100.0, "tie": 50.0, "b": 0.0}
LONG = CriticSettings(role="judge", length_bias=0.5)


def judged(settings: CriticSettings, prompt: str, answer: str, reference: str) -> float:
    """W of one completion: both orders averaged."""
    turned = {"a": "b", "b": "a", "tie": "tie"}[prefer(settings, prompt, reference, answer)]
    return (SHARES[prefer(settings, prompt, answer, reference)] + SHARES[turned]) / 2


def right(prompt: str, answer: str, reference: str) -> float:
    """What a check of kind `world` says."""
    one, other = reward(prompt, answer), reward(prompt, reference)
    return 50.0 + 50.0 * ((one > other) - (one < other))


def rows(seed: int) -> tuple[float, Row, Row]:
    """The true difference over all prompts, and the contrast by the judge and corrected; A's answers are padded."""
    prompts = make_prompts(PROMPTS, seed)
    ids = [prompt.prompt_id for prompt in prompts]
    scores: dict[str, list[float]] = {A: [], B: []}
    truth: dict[str, list[float]] = {A: [], B: []}
    for place, prompt in enumerate(one.text for one in prompts):
        reference = teach(TeacherSettings(accuracy=0.6, seed=1), prompt, (seed, place))
        for arm, who in ((A, 2), (B, 3)):
            answer = teach(TeacherSettings(accuracy=0.6, seed=who), prompt, (seed, place))
            answer += " and more of it" if arm == A and place % 3 == 0 else ""
            scores[arm].append(judged(LONG, prompt, answer, reference))
            truth[arm].append(right(prompt, answer, reference))
    tables = {arm: ArmScores(arm, "win-rate@0.7", (0,), np.array(ids), np.array([one])) for arm, one in scores.items()}
    primary = compare(Contrast("headline", ((1, A), (-1, B))), tables, 0.05)
    chosen = set(sorted(ids, key=rank)[:LABELLED])
    golden: dict[str, dict[int, Mapping[str, float]]] = {
        arm: {0: {id: score for id, score in zip(ids, one, strict=True) if id in chosen}} for arm, one in truth.items()
    }
    about = EvaluationParams(protocol="pairwise", judge="long")
    assert primary is not None
    found = trust(primary, about, tables, {}, [], GoldScores("truth", LABELLED, golden), Voted(), 2.0, 0.05)
    assert found is not None
    raw, corrected = found.rows
    return float(np.mean(truth[A]) - np.mean(truth[B])), raw, corrected


def holds(row: Row, value: float) -> bool:
    assert row.interval is not None
    return row.interval[0] <= value <= row.interval[1]


def test_the_judges_contrast_misses_the_truth_and_the_corrected_one_holds_it() -> None:
    worlds = [rows(seed) for seed in range(20)]
    assert sum(holds(raw, truth) for truth, raw, _ in worlds) <= 8
    assert sum(holds(corrected, truth) for truth, _, corrected in worlds) >= 18
    bias = float(np.mean([row.bias for _, _, row in worlds if row.bias is not None]))
    assert bias == pytest.approx(np.mean([raw.estimate - truth for truth, raw, _ in worlds if raw.estimate]), abs=3)
    assert bias > 8, "in favour of the arm whose answers are padded"
