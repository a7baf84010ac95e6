"""Every evaluation protocol from a spec to its report, on the simulated world, by the functions that workers run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import redis

from services.inference.keeper import Keeper
from services.inference.reward import Raters
from shared.datasets import add_dataset
from shared.llm.session import close_sessions
from shared.models import add_model
from shared.protocols import PROTOCOLS
from shared.settings import Settings
from shared.store import S3Store
from shared.world.prompts import make_prompts
from shared.world.reward import reward
from shared.world.tasks import gold
from tests.integration.llm.traffic import start_simulator
from tests.integration.protocols.whole import Whole
from tests.stack import Stack
from tests.unit.inference.tiny_models import byte_tokenizer, save, tiny_reward
from tests.unit.two_turns import add_questions, questions

PROMPTS, EVAL, QUESTIONS = 34, 12, 14
AT = 0.7
EVALUATIONS: dict[str, dict[str, Any]] = {
    "win-rate": {"protocol": "pairwise", "judge": "judge", "reference": "weak", "temperature": AT},
    "preferences": {"protocol": "preference_accuracy", "labels": "labels"},
    "nll": {"protocol": "nll", "completions": "strong"},
    "alpaca": {"protocol": "alpaca_eval", "judge": "judge", "reference": "weak", "temperature": AT},
    "length": {"protocol": "length_controlled", "judge": "judge", "reference": "weak", "temperature": AT},
    "ratings": {"protocol": "arena", "judge": "judge", "arms": ["one", "other"], "temperature": AT},
    "right": {"protocol": "verifiable", "check": "world", "temperature": AT},
    "liked": {"protocol": "reward_model", "model": "rm", "temperature": AT},
    "mt": {"protocol": "mt_bench", "judge": "judge", "questions": "dataset:two-turns", "temperature": AT},
}
SPEC: dict[str, Any] = {
    "name": "every-protocol",
    "prompts": {"source": {"world": {"seed": 0, "count": PROMPTS}}, "train": 20, "eval": EVAL},
    "policies": {"toy": {"model": "model:base", "max_tokens": 12}},
    "models": {
        "weak": {"provider": "simulated", "accuracy": 0.5},
        "strong": {"provider": "simulated", "accuracy": 0.95},
        "judge": {"provider": "simulated", "error_rate": 0.0, "seed": 1},
        "labels": {"provider": "recorded", "preferences": "dataset:labels"},
        "rm": {"provider": "reward_model", "model": "model:rm"},
    },
    "arms": {"one": {"sft": {"teacher": "weak"}}, "other": {"sft": {"teacher": "strong"}}},
    "contrasts": {"difference": ["other", "one"]},
    "evaluations": EVALUATIONS,
    "null_completions": False,
}
UNITS = {
    f"win-rate@{AT}": "points",
    "preferences": "points",
    "nll": "-nats/token",
    f"alpaca@{AT}": "points",
    f"length@{AT}": "points",
    f"ratings@{AT}": "Elo",
    f"right@{AT}": "points",
    f"liked@{AT}": "reward",
    f"mt@{AT}": "points of 10",
}


def deciding(evaluation: str, **worth: float) -> dict[str, Any]:
    return {**SPEC, "primary": {"contrast": "difference", "evaluation": evaluation}, "worth": worth}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models of the world's words, pretrained for a moment and for a little longer."""
    from shared.world.pretrain import PretrainSettings
    from workers.trainer.pretrain import pretrain

    found = {}
    for arm, steps in (("one", 15), ("other", 90)):
        found[arm] = tmp_path_factory.mktemp("models") / arm
        given = PretrainSettings(steps=steps, mixed_steps=0, width=32, layers=1, batch_size=32)
        pretrain(given, frozenset(), found[arm], 0, lambda step, of, loss: None)
    return found


@pytest.fixture
def whole(
    settings: Settings,
    store: S3Store,
    redis_server: redis.Redis,
    servers: Stack,
    bases: dict[str, Path],
    tmp_path: Path,
) -> Iterator[Whole]:
    """A place with the datasets and models that the spec names, and a simulator."""
    start_simulator(servers, latency_ms=0)
    add_model(store, "base", bases["one"])
    tokenizer = byte_tokenizer()
    add_model(store, "rm", save(tmp_path / "rm", tiny_reward(tokenizer), tokenizer))
    add_questions(store, "two-turns", QUESTIONS)
    pairs = [(prompt.prompt_id, gold(prompt.text), "cat .") for prompt in make_prompts(PROMPTS, 0)]
    ids, right, wrong = zip(*pairs, strict=True)
    columns = {"prompt_id": ids, "completion_a": right, "completion_b": wrong, "preference": [1.0] * PROMPTS}
    add_dataset(store, "labels", pa.table({name: list(values) for name, values in columns.items()}))
    made = Whole(settings, store, redis_server)
    yield made
    made.close()
    close_sessions()
    servers.kill("simulator")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_protocol_is_run_from_its_spec_to_the_report(whole: Whole, bases: dict[str, Path]) -> None:
    assert {one["protocol"] for one in EVALUATIONS.values()} == set(PROTOCOLS), "a new protocol has its run here"
    keeper, raters = Keeper(whole.settings), Raters()
    try:
        made = whole.run_all(deciding(f"right@{AT}", points=2), bases, keeper, raters)
        check_points(whole, made)
        check_rows(whole, made)
        made = whole.run_all(deciding(f"mt@{AT}", score=0.5), bases, keeper, raters)
        check_turns(whole, made)
        made = whole.run_all(deciding(f"liked@{AT}", score=0.01), bases, keeper, raters)
        check_rewards(whole, made)
    finally:
        keeper.close()
        raters.close()


def reported(whole: Whole, made: Any) -> tuple[dict[str, Any], str]:
    """The report as JSON and as HTML."""
    artifact = whole.left(made.report)
    return json.loads(artifact.path("report.json").read_bytes()), artifact.path("report.html").read_text()


def check_points(whole: Whole, made: Any) -> None:
    """Every evaluation has numbers in its own unit; the primary's delta is in points."""
    report, page = reported(whole, made)
    assert {name: one["unit"] for name, one in report["evaluations"].items()} == UNITS
    assert set(report["arms"]) == {"one", "other", "base", "teacher:weak", "teacher:strong"}
    for arm in (report["arms"][name] for name in ("one", "other", "base")):
        assert set(arm["evaluations"]) | {f"ratings@{AT}"} == set(UNITS)
        assert 1 <= arm["evaluations"][f"mt@{AT}"]["estimate"] <= 10
    assert set(report["contrasts"]["difference"]) == set(UNITS)
    assert report["verdict"]["unit"] == "points" and report["verdict"]["delta"] == 2
    assert report["verdict"]["level"] != "invalid", "right answers are no imitation"
    written = set(report["arms"]["teacher:strong"]["evaluations"])
    assert {f"right@{AT}", f"liked@{AT}"} < written and f"mt@{AT}" not in written, "a teacher has no second turn"
    assert any("teacher:weak and teacher:strong are not judged" in note["text"] for note in report["notes"])
    for name in ("forest-wide", "forest-reward-wide", "forest-points-of-10-wide"):
        assert f'id="{name}-title"' in page


def check_rows(whole: Whole, made: Any) -> None:
    """What was judged is what was sampled, and a check's score is the true reward."""
    for stage in made.stages.values():
        if stage.kind != "judge" or stage.params["protocol"] != "verifiable":
            continue
        rows = whole.left(stage.key).rows().to_pylist()
        asked = {row["prompt_id"]: row["prompt"] for row in whole.left(stage.inputs["samples"]).rows().to_pylist()}
        assert len(rows) == EVAL and whole.left(stage.key).manifest.cost.usd == 0
        assert all(row["score"] == 100 * reward(asked[row["prompt_id"]], row["completion"]) for row in rows)


def check_turns(whole: Whole, made: Any) -> None:
    """Both turns are sampled, the second after the first answer, and rated by what is right; categories are shown."""
    report, page = reported(whole, made)
    assert report["verdict"]["unit"] == "points of 10" and report["verdict"]["delta"] == 0.5
    assert "points of 10" in report["verdict"]["sentence"]
    known = {row["prompt_id"]: row for row in questions(QUESTIONS)}
    judged = [one for one in made.stages.values() if one.kind == "judge" and one.params["protocol"] == "mt_bench"]
    assert len(judged) == 3, "both arms and their base"
    for stage in judged:
        table = whole.left(stage.key)
        assert table.manifest.metrics["conversations"] == QUESTIONS
        assert table.manifest.metrics["requests"] == 2 * QUESTIONS
        second = {row["prompt_id"]: row for row in whole.left(stage.inputs["second"]).rows().to_pylist()}
        first = {row["prompt_id"]: row for row in whole.left(stage.inputs["samples"]).rows().to_pylist()}
        for row in table.rows().to_pylist():
            turns = known[row["prompt_id"]]["turns"]
            assert row["question_2"] == second[row["prompt_id"]]["prompt"] == turns[1]
            assert row["completion_2"] == second[row["prompt_id"]]["completion"]
            assert second[row["prompt_id"]]["input_tokens"] > first[row["prompt_id"]]["input_tokens"]
            rewards = reward(turns[0], row["completion"]), reward(turns[1], row["completion_2"])
            assert (row["score_1"], row["score_2"]) == tuple(1 + round(9 * one) for one in rewards)
            assert row["score"] == (row["score_1"] + row["score_2"]) / 2
            assert row["category"] == known[row["prompt_id"]]["category"]
    found = report["categories"][f"mt@{AT}"]
    assert found["exploratory"] and set(found["categories"]) == {row["category"] for row in known.values()}
    arms = {arm: one["evaluations"].get(f"mt@{AT}") for arm, one in report["arms"].items()}
    for arm, estimate in ((arm, one["estimate"]) for arm, one in arms.items() if one is not None):
        turns = [found["turns"][turn]["arms"][arm]["estimate"] for turn in "12"]
        assert sum(turns) / 2 == pytest.approx(estimate)
    assert "By category" in page


def check_rewards(whole: Whole, made: Any) -> None:
    """A primary in rewards speaks of units of reward, in the sentence and the facts."""
    report, page = reported(whole, made)
    assert report["verdict"]["unit"] == "reward" and "units of reward" in report["verdict"]["sentence"]
    assert "0.010 units of reward" in page and "difference in units of reward" in page
