"""Where pairs come from, and critics that are several or none: by the critic worker as a real process."""

from __future__ import annotations

from shared import records
from shared.llm.providers.ensemble import EnsembleModel
from shared.llm.providers.reward_model import RewardModel
from shared.llm.providers.similarity import SimilarityModel
from shared.llm.providers.verifiable import VerifiableModel
from shared.world.reward import reward
from tests.integration.critic.rows import CRITIC, PROMPTS, completions, label_params, labelled, samples_of, words
from tests.integration.llm.traffic import start_simulator, traffic
from tests.integration.llm.units import made
from tests.stack import Stack

WORLD = VerifiableModel(provider="verifiable", check="world").identity()


def test_the_best_of_four_samples_against_the_worst(critic: Stack) -> None:
    log = start_simulator(critic, latency_ms=0)
    samples = samples_of(critic, *(words(first) for first in range(1, 5)))
    params = {**label_params(CRITIC.identity(), kind="score", scale=[0, 100]), "choose": "best_worst"}
    rows, metrics = labelled(critic, params, samples)
    assert (len(rows), metrics["compared"], metrics["pairs"]) == (30, 180, 30)
    assert len(traffic(log)) <= 120, "each completion is asked about once, however many pairs it is in"
    for prompt, row in zip(PROMPTS, rows, strict=True):
        place = PROMPTS.index(prompt)
        true = sorted(round(100 * reward(prompt.text, words(first)[place])) for first in range(1, 5))
        assert sorted((row["score_a"], row["score_b"])) == [true[0], true[-1]]
        assert (row["chosen"] is None) == (true[0] == true[-1])


def test_a_policy_against_a_teacher_by_a_check(critic: Stack) -> None:
    teacher = words(3)
    opponent = made(critic, "teach", completions(teacher[:29]))
    params = {**label_params(WORLD), "pairs": "policy_vs_teacher"}
    rows, metrics = labelled(critic, params, samples_of(critic, words(1)), inputs={"opponent": opponent})
    assert [row["completion_b"] for row in rows] == teacher[:29] and metrics["missing"] == 1
    for row in rows:
        a, b = (reward(row["prompt"], row[f"completion_{place}"]) for place in "ab")
        assert row["margin"] == a - b and row["preference"] == (0.5 if a == b else float(a > b))


def test_an_ensemble_of_critics_with_and_without_an_endpoint(critic: Stack) -> None:
    log = start_simulator(critic, latency_ms=0)
    samples = samples_of(critic, words(1), words(2))
    rewards = [{**row, "reward": float(len(row["completion"]))} for row in completions(words(1), words(2)).to_pylist()]
    given = [{name: row[name] for name in ("prompt_id", "sample_index", "completion", "reward")} for row in rewards]
    inputs = {
        "members/1/towards": made(critic, "teach", completions(words(2))),
        "members/2/rewards/samples": made(critic, "reward", records.from_rows(given, records.REWARDS)),
    }
    members = [
        CRITIC.identity(),
        SimilarityModel(provider="similarity", towards="gpt-4").identity(),
        RewardModel(provider="reward_model", model="model:length").identity(),
    ]
    ensemble = EnsembleModel(provider="ensemble", members=["a", "b", "c"], vote="majority").identity()
    params = label_params({**ensemble, "members": [{"critic": one} for one in members]})
    options = {"name": "all", "members": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}
    rows, metrics = labelled(critic, params, samples, inputs=inputs, options=options)
    assert len(traffic(log)) == 60 == metrics["requests"] == metrics["members"]["0"]["requests"]
    for row in rows:
        by_world, by_likeness, by_length = (vote["preference"] for vote in row["votes"])
        a, b = (reward(row["prompt"], row[f"completion_{place}"]) for place in "ab")
        assert by_world == (0.5 if a == b else float(a > b)) and by_likeness == 0.0
        lengths = [len(row["completion_a"]), len(row["completion_b"])]
        assert by_length == (0.5 if lengths[0] == lengths[1] else float(lengths[0] > lengths[1]))
        counts = [[by_world, by_likeness, by_length].count(value) for value in (0.0, 0.5, 1.0)]
        most = [value for value, count in zip((0.0, 0.5, 1.0), counts, strict=True) if count == max(counts)]
        assert row["preference"] == (most[0] if len(most) == 1 else 0.5)
