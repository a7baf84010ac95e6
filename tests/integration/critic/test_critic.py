"""The critic worker as a real process: pairs labelled, arms judged, with and without an endpoint."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shared import records
from shared.datasets import add_dataset
from shared.llm.providers.recorded import RecordedModel
from shared.llm.providers.similarity import SimilarityModel
from shared.world.reward import reward
from tests.integration.critic.rows import CRITIC, PROMPTS, completions, words
from tests.integration.llm.traffic import start_simulator, traffic
from tests.integration.llm.units import artifact, made, run, shards, unit
from tests.stack import Stack


def test_on_policy_pairs_are_labelled_in_both_orders(critic: Stack) -> None:
    log = start_simulator(critic, latency_ms=0)
    first, second = words(1), words(2)
    second[7] = first[7]
    samples = made(critic, "sample", completions(first, second), {"prompts": 30})
    params = {"pairs": "on_policy", "critic": CRITIC.identity(), "order": "both"}
    whole = unit("label", params, {"samples": samples}, options={"name": "critic"})
    parts = [artifact(critic, run(critic, part)) for part in shards(whole, 0, 13, 30)]
    rows = [row for part in parts for row in part.rows().to_pylist()]

    assert [row["prompt_id"] for row in rows] == [prompt.prompt_id for prompt in PROMPTS]
    for row in rows:
        a, b = (reward(row["prompt"], row[f"completion_{place}"]) for place in "ab")
        assert row["preference"] == (0.5 if a == b else float(a > b))
        assert row["chosen"] == (None if a == b else row["completion_a"] if a > b else row["completion_b"])
        assert row["dropped"] == (
            "identical" if row["prompt_id"] == PROMPTS[7].prompt_id else "tie" if a == b else None
        )
    assert all("Verdict" in row["raw_ab"] for row in rows if row["dropped"] != "identical")
    assert len(traffic(log)) == 2 * 29
    metrics = [part.manifest.metrics for part in parts]
    assert sum(one["pairs"] for one in metrics) == 30 and sum(one["flips"] for one in metrics) == 0
    assert sum(one["requests_paid"] for one in metrics) == 58


def test_an_arm_is_judged_against_a_reference(critic: Stack) -> None:
    start_simulator(critic, latency_ms=0)
    samples = made(critic, "sample", completions(words(1)), {"prompts": 30})
    reference = made(critic, "teach", completions(words(3)))
    params: dict[str, Any] = {"protocol": "pairwise", "order": "both", "judge": CRITIC.identity()}
    given = unit("judge", params, {"samples": samples, "reference": reference}, options={"name": "judge"})
    rows = artifact(critic, run(critic, given)).rows().to_pylist()
    assert len(rows) == 30 and all(row["valid"] for row in rows)
    for row, prompt in zip(rows, PROMPTS, strict=True):
        a, b = reward(prompt.text, row["completion"]), reward(prompt.text, row["reference"])
        assert row["score"] == (50.0 if a == b else 100.0 * (a > b))


def test_an_offline_judge_needs_no_endpoint(critic: Stack) -> None:
    samples = made(critic, "sample", completions(words(1)), {"prompts": 30})
    reference = made(critic, "teach", completions(words(3)))
    judge = SimilarityModel(provider="similarity", towards="gpt-4")
    params: dict[str, Any] = {"protocol": "pairwise", "order": "both", "judge": judge.identity()}
    inputs = {"samples": samples, "reference": reference, "towards": samples}
    rows = artifact(critic, run(critic, unit("judge", params, inputs, options={"name": "judge"}))).rows().to_pylist()
    assert {row["score"] for row in rows} <= {100.0, 50.0} and rows[0]["raw_ab"].startswith("chrF")


def test_recorded_preferences_become_pairs(critic: Stack) -> None:
    labels = {
        "prompt_id": [prompt.prompt_id for prompt in PROMPTS for _ in range(4)],
        "completion_a": [f"a{number}" for _ in PROMPTS for number in range(4)],
        "completion_b": [f"b{number}" for _ in PROMPTS for number in range(4)],
        "preference": [1.0, 0.0, 0.5, 1.0] * len(PROMPTS),
    }
    sha256 = add_dataset(critic.store, "labels", pa.table(labels))
    model = RecordedModel(provider="recorded", preferences="dataset:labels", pinned=sha256)
    table = records.from_rows(
        [
            {"prompt_id": prompt.prompt_id, "prompt": prompt.text, "split": "train", "rank": rank}
            for rank, prompt in enumerate(PROMPTS)
        ],
        records.PROMPTS,
    )
    prompts = made(critic, "prompts", table, {"train": 30})
    params = {"pairs": "recorded", "critic": model.identity(), "split": "train", "start": 0.2, "stop": 1.0}
    given = unit("label", {**params, "per_prompt": 2}, {"prompts": prompts}, options={"name": "labels"})
    found = artifact(critic, run(critic, given))
    rows = found.rows().to_pylist()
    assert [row["prompt_id"] for row in rows] == [prompt.prompt_id for prompt in PROMPTS[6:] for _ in range(2)]
    assert found.manifest.metrics["usable"] == 48
    assert all(row["chosen"][0] == ("a" if row["preference"] > 0.5 else "b") for row in rows)
