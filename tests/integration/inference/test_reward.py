"""The stage `reward`, by a real process with a tiny checkpoint made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from shared import records
from shared.llm.providers.reward_model import RewardModel
from shared.models import add_model
from shared.plan.comparisons import Candidate
from tests.integration.inference.place import Place
from tests.unit.inference.tiny_models import byte_tokenizer, save, tiny_llama, tiny_reward

ROWS = [
    {"prompt_id": f"p{at}", "sample_index": 0, "prompt": "Say.", "completion": text}
    for at, text in enumerate(["yes", "no, but at length", "", "é" * 300, "yes"])
]


def uploaded(place: Place, folder: Path, model: Any, tokenizer: Any) -> dict[str, str]:
    return {"uploaded": add_model(place.store, "tiny", save(folder, model, tokenizer))}


def rewards(place: Place, model: dict[str, str], **params: Any) -> list[dict[str, Any]]:
    given = {"model": model, "dtype": "float32", **params}
    rows: list[dict[str, Any]] = (
        place.done(place.unit("reward", given, completions=place.demonstrations(ROWS))).rows().to_pylist()
    )
    return rows


@pytest.mark.parametrize("template", [True, False])
def test_rewards_are_the_model_s_own_outputs_whatever_shares_a_batch(
    place: Place, tmp_path: Path, template: bool
) -> None:
    tokenizer = byte_tokenizer() if template else byte_tokenizer(None)
    model = tiny_reward(tokenizer)
    found = rewards(place, uploaded(place, tmp_path / "m", model, tokenizer))
    assert [(row["prompt_id"], row["completion"]) for row in found] == [(r["prompt_id"], r["completion"]) for r in ROWS]
    for row in found:
        turns = [{"role": "user", "content": "Say."}, {"role": "assistant", "content": row["completion"]}]
        text = tokenizer.apply_chat_template(turns, tokenize=False) if template else "Say." + row["completion"]
        ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)[:128]])
        with torch.inference_mode():
            assert row["reward"] == pytest.approx(model(input_ids=ids).logits[0, 0].item(), abs=1e-5)
        assert row["tokens"] == ids.shape[1]
    score = RewardModel.scorer({}, {"rewards/samples": records.from_rows(found, records.REWARDS)})
    assert score(Candidate("p0", "Say.", "yes")) == found[0]["reward"] and score(Candidate("p0", "Say.", "x")) is None


def test_a_trained_checkpoint_s_rewards_keep_one_sample_of_each_prompt(place: Place, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    model = place.checkpoint(save(tmp_path / "m", tiny_reward(tokenizer), tokenizer))
    texts = [("p0", "yes"), ("p0", "no, but at length"), ("p0", "yes"), ("p1", "perhaps"), ("p1", "")]
    rows: list[dict[str, Any]] = [
        {"prompt_id": name, "sample_index": index, "prompt": "Say.", "completion": text, "finish_reason": "stop"}
        for index, (name, text) in enumerate(texts)
    ]
    samples = place.demonstrations(rows)
    scored = place.unit("reward", {"dtype": "float32"}, checkpoint=model, completions=samples)
    rewards = place.done(scored).rows()["reward"].to_pylist()
    assert rewards[0] == pytest.approx(rewards[2], abs=1e-6) and len(set(rewards)) >= 4
    kept = place.done(place.unit("best", {}, samples=samples, rewards=place.reference(scored)))
    found = kept.rows().to_pylist()
    best = [max(some, key=lambda row: rewards[row["sample_index"]]) for some in (rows[:3], rows[3:])]
    assert [(row["prompt_id"], row["completion"]) for row in found] == [(r["prompt_id"], r["completion"]) for r in best]
    assert [row["sample_index"] for row in found] == [0, 0]
    assert (kept.manifest.metrics["prompts"], kept.manifest.metrics["samples"]) == (2, 5)
    assert kept.manifest.metrics["reward_of_best"] > kept.manifest.metrics["reward_of_all"]
    others = place.demonstrations(rows[::-1])
    marker = place.run(place.unit("best", {}, samples=others, rewards=place.reference(scored)))
    assert marker.permanent and "of other samples" in marker.message


def test_both_completions_of_recorded_pairs_are_scored(place: Place, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    model = uploaded(place, tmp_path / "m", tiny_reward(tokenizer), tokenizer)
    pairs = [{"prompt_id": "p0", "prompt": "Say.", "completion_a": "yes", "completion_b": "no", "preference": 1.0}]
    given = place.unit("reward", {"model": model, "dtype": "float32"}, completions=place.preferences(pairs))
    found = place.done(given).rows()
    assert found["completion"].to_pylist() == ["yes", "no"] and len(set(found["reward"].to_pylist())) == 2


@pytest.mark.parametrize(
    ("kind", "says"),
    [("language", "it is no sequence classifier"), ("two", "has 2 outputs, and a reward model has one")],
)
def test_what_is_no_reward_model_is_refused_for_good(place: Place, tmp_path: Path, kind: str, says: str) -> None:
    tokenizer = byte_tokenizer()
    model = tiny_llama(tokenizer) if kind == "language" else tiny_reward(tokenizer, outputs=2)
    given = {"model": uploaded(place, tmp_path / "m", model, tokenizer), "dtype": "float32"}
    marker = place.run(place.unit("reward", given, completions=place.demonstrations(ROWS)))
    assert marker.outcome == "error" and marker.permanent and says in marker.message
    left = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert not any("services.inference.rewarding" in words for words in left)
