"""`alpaca_eval` and `length_controlled` beside `pairwise` in the simulated world, by real critics and analysts."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from shared import records
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved
from shared.world.prompts import make_prompts
from shared.world.tasks import gold
from tests.integration.llm.traffic import start_simulator, traffic
from tests.integration.llm.units import artifact, made, run, unit
from tests.stack import Stack
from tests.unit.analyst.fixture import quickstart

PROMPTS = make_prompts(80, seed=3)
AGAINST = {"judge": "judge", "reference": "reference", "temperature": 0.7}
EVALUATIONS = {
    "win-rate": {"protocol": "pairwise", **AGAINST},
    "alpaca": {"protocol": "alpaca_eval", **AGAINST},
    "lc": {"protocol": "length_controlled", **AGAINST},
    "alpaca-lc": {
        "protocol": "length_controlled",
        "length_controlled": "alpaca_eval_minimal",
        "order": "random",
        **AGAINST,
    },
}
ARMS = {"sft-weak": {"sft": {"teacher": "weak-teacher"}}, "sft-strong": {"sft": {"teacher": "strong-teacher"}}}
RIGHT = {"sft-weak": 0.4, "sft-strong": 0.8}


def planned() -> Plan:
    given = quickstart(arms=ARMS, evaluations=EVALUATIONS, primary={"contrast": "teacher", "evaluation": "alpaca@0.7"})
    for field in ("preset", "weak", "strong", "critic", "fraction", "rl"):
        del given[field]
    spec = parse_spec(given)
    counts = {"train": 1500, "dev": 0, "eval": len(PROMPTS), "near_duplicates": 0}
    data = spec.model_dump(mode="json", exclude_defaults=True) | {"seeds": spec.seeds}
    return plan(Resolved(spec=data, counts=counts, policies={"toy": {}}))


def answers(right: float, seed: int) -> pa.Table:
    """The right answer to a share of the prompts; else a part of the question, which is longer or shorter."""
    random = Random(seed)
    rows = []
    for prompt in PROMPTS:
        words = prompt.text.split()
        wrong = " ".join(words[: random.randint(1, len(words))])
        answer = gold(prompt.text) if random.random() < right else wrong
        rows.append({"prompt_id": prompt.prompt_id, "sample_index": 0, "prompt": prompt.text, "completion": answer})
    return records.from_rows(rows, records.COMPLETIONS)


@pytest.fixture
def workers(stack: Stack) -> Stack:
    stack.start("critic")
    stack.start("analyst")
    return stack


@pytest.mark.slow
def test_one_set_of_samples_is_judged_four_ways_and_length_control_asks_nothing(workers: Stack) -> None:
    log = start_simulator(workers, latency_ms=0)
    whole = planned()
    report = whole.stages[whole.report]
    samples = {arm: made(workers, "sample", answers(right, seed), {"prompts": len(PROMPTS)})
               for seed, (arm, right) in enumerate(RIGHT.items())}  # fmt: skip
    reference = made(workers, "teach", answers(0.6, 9))
    committed: dict[str, Any] = {}
    for row in report.params["scores"]:
        key = report.inputs[row["input"]]
        if key not in committed:
            stage = whole.stages[key]
            given = {"samples": samples[row["arm"]], "reference": reference}
            assert set(stage.inputs) == set(given)
            committed[key] = run(workers, unit("judge", stage.params, given, options=stage.options))
    assert len(committed) == 4, "the raw evaluations' stages, and no others"
    rows = {row["input"]: artifact(workers, committed[report.inputs[row["input"]]]).rows().to_pylist()
            for row in report.params["scores"]}  # fmt: skip
    pairs = {
        (row["prompt_id"], row["completion"])
        for name, of in rows.items()
        if name.endswith("/win-rate@0.7")
        for row in of
        if row["completion"] != row["reference"]
    }
    assert len(traffic(log)) == 2 * len(pairs), "a random order is one of both, whose answers are in the ledger"
    inputs = {name: committed[key] for name, key in report.inputs.items() if key in committed}
    found = artifact(workers, run(workers, unit("report", report.params, inputs), timeout=120))
    data = json.loads(found.path("report.json").read_text())
    check(data)


def check(data: dict[str, Any]) -> None:
    """What the report says: each evaluation of each arm, the fits, and who is better."""
    for arm in RIGHT:
        evaluations = data["arms"][arm]["evaluations"]
        assert set(evaluations) == {f"{name}@0.7" for name in EVALUATIONS}
        told = evaluations["alpaca@0.7"]["alpaca_eval"]["0"]
        assert told["win_rate"] == pytest.approx(evaluations["alpaca@0.7"]["estimate"])
        assert told["n_total"] == len(PROMPTS) == evaluations["lc@0.7"]["n"]
    controlled = data["lengths"]["controlled"]
    assert {name: (one["method"], one["raw"]) for name, one in controlled.items()} == {
        "lc@0.7": ("joint", "win-rate@0.7"),
        "alpaca-lc@0.7": ("alpaca_eval_minimal", "alpaca@0.7"),
    }
    teacher = data["contrasts"]["teacher"]
    assert all(one["estimate"] > 10 and one["length_ratio"] > 0 for one in teacher.values())
    assert data["verdict"]["primary"] == {"contrast": "teacher", "evaluation": "alpaca@0.7"}
