"""An experiment's artifacts as the report stage finds them: the real plan, with generated but realistic contents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shared import records
from shared.artifacts import Artifact, CommitRef, Cost, FileRef, Manifest, commit_name
from shared.canonical import sha256_hex
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved
from shared.store import MemoryStore

WINS = {"weak": 0.50, "strong": 0.63}
TASKS = (
    ("Sort these words by their last letter: amber, river, cloud, stone.", "cloud, stone, amber, river"),
    ("Reverse the order of: red green blue.\n\nAnswer with the words alone.", "blue green red"),
    ("How many words are in this list: oak elm fir ash yew?", "5"),
    ("Pick every second word: one two three four five six.", "two four six"),
    ("What is not a colour: red, seven or blue?", "seven"),
)


def quickstart(**changes: Any) -> dict[str, Any]:
    """A spec like the quickstart's, the arms alone judged."""
    return {
        "name": "quickstart",
        "seeds": [0],
        "prompts": {"source": {"world": {"seed": 0}}, "train": 1500, "dev": 200, "eval": 300},
        "policies": {"toy": {"base": {"pretrain": {}}, "max_tokens": 16}},
        "models": {
            "weak-teacher": {"provider": "simulated", "accuracy": 0.5},
            "strong-teacher": {"provider": "simulated", "accuracy": 0.95},
            "reference": {"provider": "simulated", "accuracy": 0.6, "seed": 1},
            "critic": {"provider": "simulated", "error_rate": 0.1},
            "judge": {"provider": "simulated", "error_rate": 0.0, "seed": 1},
        },
        "preset": "teacher_or_critic",
        "weak": "weak-teacher",
        "strong": "strong-teacher",
        "critic": "critic",
        "fraction": 0.15,
        "rl": {"beta": 0.1, "temperature": 1.0},
        "defaults": {"sft": {"learning_rate": 1.0e-3}, "rl": {"learning_rate": 3.0e-4}},
        "evaluations": {
            "win-rate": {
                "protocol": "pairwise",
                "judge": "judge",
                "reference": "reference",
                "temperature": [1.0, 0.7, 0.0],
            }
        },
        "primary": {"contrast": "headline", "evaluation": "win-rate@0.7"},
        "worth": {"points": 2},
        "also_judge": [],
        "null_completions": False,
    } | changes


def offline(**changes: Any) -> dict[str, Any]:
    """A spec like the real-input example, the arms alone judged: recorded teachers, an offline judge, likelihood
    protocols beside it."""
    similarity = {"provider": "similarity", "towards": "gpt-4"}
    return {
        "name": "alpaca-eval-smollm2",
        "seeds": [0],
        "prompts": {"source": "dataset:alpaca-eval", "train": 200, "dev": 0, "eval": 50},
        "policies": {"smollm2-135m": {"model": "model:smollm2-135m", "precision": "bfloat16", "max_tokens": 128}},
        "models": {
            "gpt-3.5": {"provider": "recorded", "completions": "dataset:alpaca-eval-gpt-3.5"},
            "gpt-4": {"provider": "recorded", "completions": "dataset:alpaca-eval-gpt-4"},
            "text-davinci-003": {"provider": "recorded", "completions": "dataset:alpaca-eval-davinci"},
            "gpt-4-labels": {"provider": "recorded", "preferences": "dataset:alpaca-eval-labels"},
            "similarity": similarity,
        },
        "arms": {
            "sft-weak": {"sft": {"teacher": "gpt-3.5"}},
            "sft-strong": {"sft": {"teacher": "gpt-4"}},
            "rlaif-weak": {
                "sft": {"teacher": "gpt-3.5", "fraction": 0.2},
                "rl": {"critic": "gpt-4-labels", "pairs": "recorded", "beta": 0.05},
            },
            "rlaif-strong": {
                "sft": {"teacher": "gpt-4", "fraction": 0.2},
                "rl": {"critic": "gpt-4-labels", "pairs": "recorded", "beta": 0.05},
            },
            "rlaif-weak-on-policy": {
                "sft": {"teacher": "gpt-3.5", "fraction": 0.2},
                "rl": {"critic": "similarity", "pairs": "on_policy", "beta": 0.05},
            },
        },
        "evaluations": {
            "win-rate": {
                "protocol": "pairwise",
                "judge": "similarity",
                "reference": "text-davinci-003",
                "temperature": 0.7,
            },
            "preference-accuracy": {"protocol": "preference_accuracy", "labels": "gpt-4-labels"},
            "nll": {"protocol": "nll", "completions": "gpt-4"},
        },
        "primary": {"contrast": "headline", "evaluation": "win-rate@0.7"},
        "worth": {"points": 2},
        "also_judge": [],
        "null_completions": False,
    } | changes


@dataclass
class Experiment:
    """A planned experiment whose stages are all committed to a store in memory."""

    plan: Plan
    store: MemoryStore
    refs: dict[str, CommitRef]
    cache: Path

    @property
    def params(self) -> dict[str, Any]:
        return self.plan.stages[self.plan.report].params

    def artifacts(self, without: tuple[str, ...] = ()) -> dict[str, Artifact]:
        """The report's inputs by name; those whose stage's key is in `without` are not committed yet."""
        inputs = self.plan.stages[self.plan.report].inputs
        return {
            name: Artifact.load(self.store, self.refs[key], self.cache)
            for name, key in inputs.items()
            if key not in without
        }

    def keys(self, kind: str) -> list[str]:
        return [key for key, stage in self.plan.stages.items() if stage.kind == kind]

    def commit(self, key: str, files: dict[str, pa.Table], metrics: dict[str, Any]) -> None:
        """Commit a stage with these contents in place of the made-up ones."""
        self.refs[key] = _commit(self, key, files, 0, 0.0, metrics)


def experiment(folder: Path, spec: dict[str, Any] | None = None, shift: float = 0.0, usd: float = 0.0) -> Experiment:
    """Plan a spec and commit made-up results of every stage; `shift` adds points to what RL arms win."""
    parsed = parse_spec(spec or quickstart())
    data = parsed.model_dump(mode="json", exclude_defaults=True) | {"seeds": parsed.seeds}
    sizes = {split: getattr(parsed.prompts, split) for split in ("train", "dev", "eval")}
    hashes: dict[str, dict[str, Any]] = {"datasets": {}, "policies": {}}
    for name in parsed.policies:
        hashes["policies"][name] = {"uploaded": "0" * 64}
    source = parsed.prompts.source
    if isinstance(source, str):
        hashes["datasets"][source.removeprefix("dataset:")] = "1" * 64
    made = Experiment(
        plan(Resolved(spec=data, counts={**sizes, "near_duplicates": 15}, **hashes)), MemoryStore(), {}, folder
    )
    report = made.plan.stages[made.plan.report]
    tables = list(report.params.get("cells", {"": report.params}).values())
    scored = {report.inputs[row["input"]]: row for table in tables for row in [*table["scores"], *table["dev_scores"]]}
    scored |= {report.inputs[row["input"]]: row for table in tables for row in table.get("battles", [])}
    for place, (key, stage) in enumerate(made.plan.stages.items()):
        if stage.kind != "report":
            row = scored.get(key)
            what = stage.kind if row is None else row["input"].removeprefix("judge/")
            on_dev = row is not None and row["input"].startswith("dev/")
            prompts = parsed.prompts.dev if on_dev else parsed.prompts.eval
            files = _files(stage, row, prompts, shift, np.random.default_rng([len(what), *what.encode()]))
            made.refs[key] = _commit(made, key, files, place, usd)
    return made


def _files(
    stage: Stage, row: dict[str, Any] | None, prompts: int, shift: float, rng: np.random.Generator
) -> dict[str, pa.Table]:
    if stage.kind == "prompts":
        rows = [
            {"prompt_id": f"p{i:04}", "prompt": f"{TASKS[i % len(TASKS)][0]} <em>&</em>", "split": "eval", "rank": i}
            for i in range(prompts)
        ]
        return {"prompts.parquet": records.from_rows(rows, records.PROMPTS)}
    if stage.kind in {"sft", "rl"}:
        return {"loss.parquet": _curve(stage.kind, rng)}
    if stage.kind == "choose":
        return {"loss.parquet": _curve("rl" if "beta" in stage.params["trials"][0]["settings"] else "sft", rng)}
    if row is not None:
        return {"judgements.parquet": _judgements(row, prompts, shift, rng)}
    return {}


def _curve(kind: str, rng: np.random.Generator) -> pa.Table:
    steps = np.arange(1, 121)
    noise = rng.normal(0, 0.05, len(steps))
    if kind == "sft":
        loss = 0.5 + 1.9 * np.exp(-steps / 25) + noise
        return pa.table({"step": pa.array(steps, pa.int32()), "loss": loss, "learning_rate": np.full(120, 1e-3)})
    gain = 1 - np.exp(-steps / 40)
    loss = math.log(2) - 0.35 * gain + noise
    return pa.table(
        {
            "step": pa.array(steps, pa.int32()),
            "loss": loss,
            "rewards/accuracies": np.clip(0.5 + 0.38 * gain + noise, 0, 1),
        }
    )


def _mean(arm: str, shift: float) -> float:
    mean = WINS["strong" if "strong" in arm else "weak"]
    mean += (shift / 100 if arm.startswith("rlaif") else 0.0) - (0.1 if arm.startswith("start-weak") else 0.0)
    return mean - {"base": 0.25, "null": 0.45}.get(arm.partition(":")[0], 0.0)


def _judgements(row: dict[str, Any], prompts: int, shift: float, rng: np.random.Generator) -> pa.Table:
    """Judgements whose prompts are as hard for every arm and seed."""
    difficulty = np.random.default_rng(99).normal(0, 0.25, prompts)
    arm, other = row.get("a", row.get("arm", "")), row.get("b")
    mean = _mean(arm, shift) if other is None else 0.5 + _mean(arm, shift) - _mean(other, shift)
    prompts = min(prompts, 50) if arm.startswith("null:") else prompts
    sort = "d" if row["input"].startswith("dev/") else "p"
    difficulty = difficulty[:prompts]
    win = np.clip(mean + difficulty + rng.normal(0, 0.1), 0.02, 0.98) if "@" in row["evaluation"] else None
    if win is None:
        scale = {"nll": lambda: rng.normal(-1.83, 0.4, prompts)}
        scores = scale.get(row["evaluation"], lambda: 100.0 * (rng.random(prompts) < mean))()
        rows = [{"prompt_id": f"p{i:04}", "score": float(score), "valid": True} for i, score in enumerate(scores)]
        return records.from_rows(rows, records.JUDGEMENTS)
    rows = []
    for i in range(prompts):
        first, second = (str(rng.choice(["a", "b"], p=[win[i], 1 - win[i]])) for _ in range(2))
        second = first if rng.random() < 0.8 else second
        broken = i % 97 == 5
        answer = TASKS[i % len(TASKS)][1]
        rows.append(
            {
                "prompt_id": f"{sort}{i:04}",
                "score": None if broken else 50.0 * ((first == "a") + (second == "a")),
                "valid": not broken,
                "completion": answer if first == "a" else "",
                "reference": answer,
                "verdict_ab": first,
                "verdict_ba": "unparsable" if broken else second,
                "raw_ab": f"Output ({'a' if first == 'a' else 'b'}) is better.",
                "raw_ba": "…" if broken else "The first.",
            }
        )
    return records.from_rows(rows, records.JUDGEMENTS)


def _metrics(stage: Stage) -> dict[str, Any]:
    """What the real stages of a kind count, for rows of ten tokens and a model of a thousand parameters."""
    share = stage.params.get("stop", 1.0) - stage.params.get("start", 0.0)
    match stage.kind:
        case "sft":
            return {"steps": 100, "epochs": 2.0, "tokens": 20_000, "parameters": 1000, "examples": 1000}
        case "rl":
            return {"steps": 60, "epochs": 4.0, "tokens": 80_000, "parameters": 1000, "examples": 900}
        case "sample":
            completions = round(1000 * share) * stage.params["n"]
            return {"prompts": 1000, "input_tokens": 10 * completions, "output_tokens": 5 * completions}
        case "label":
            return {"pairs": 1275, "compared": 1275, "usable": 900}
        case "choose":
            return {"chosen": 1, "dev_prompts": 196, "seeds": len(stage.params["seeds"]), "trials": _trials(stage)}
    return {}


def _trials(stage: Stage) -> list[dict[str, Any]]:
    """What dev said: the second trial does best, and the last one diverged where there are more than two."""
    rows = []
    for place, trial in enumerate(stage.params["trials"]):
        lost = place == len(stage.params["trials"]) - 1 > 1
        mean = 40.0 + (12.5 if place == 1 else place)
        told = {"estimate": mean, "interval": [mean - 5, mean + 5], "out": None}
        lost_told = {"estimate": None, "interval": None, "out": "diverged: after step 7, the loss is nan at step 7"}
        place_told = {"checkpoint": trial.get("checkpoint"), "of": trial.get("of"), "chosen": place == 1}
        rows.append({"settings": trial["settings"], **(lost_told if lost else told), **place_told})
    return rows


def _commit(
    made: Experiment,
    key: str,
    files: dict[str, pa.Table],
    place: int,
    usd: float,
    metrics: dict[str, Any] | None = None,
) -> CommitRef:
    store, stage, refs = made.store, made.plan.stages[key], {}
    for name, table in files.items():
        data = records.to_bytes(table)
        at = f"stages/{stage.kind}/{key}/{sha256_hex(data)}.parquet"
        store.put(at, data)
        refs[name] = FileRef(object=at, sha256=sha256_hex(data), size=len(data), rows=table.num_rows)
    trained = stage.kind in {"sft", "rl", "sample", "pretrain"}
    manifest = Manifest(
        key=key,
        kind=stage.kind,
        attempt="a1",
        files=refs,
        inputs={name: made.refs[source] for name, source in stage.inputs.items()},
        metrics=metrics or _metrics(stage),
        cost=Cost(usd=usd if stage.kind in {"judge", "label"} else 0.0, device_seconds=17.25 if trained else 0.0),
        versions={"python": "3.11.9", "touchstone-rlaif": "0.1.0", **({"trl": "1.16.0"} if trained else {})},
        host=f"worker-{place % 3}",
        started=f"2026-11-23T18:{place % 60:02}:00+00:00",
        finished=f"2026-11-23T18:{place % 60:02}:41.512+00:00",
    )
    data = manifest.to_json()
    store.put(commit_name(key, "a1"), data)
    return CommitRef(key=key, object=commit_name(key, "a1"), sha256=sha256_hex(data))
