"""A model's card, from manifests and the report: what it was made from, how, how well it does, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.api.exports.chosen import Tried, trials_table
from services.api.exports.markdown import LICENCE, LICENCE_WORDS, as_yaml, code, front_matter, table, text
from services.api.exports.rows import Rows
from services.api.exports.trained import Training
from services.api.lineage import Lineage, Source, Step

Data = Mapping[str, Any]
PRIVATE = frozenset({"base_url"})
"""Of a model's identity what says nothing to those who read a published card."""
ADAPTER = "adapter/"
OWN = ("method", "seed", "beta", "chat_template", "precision", "max_length", "lora", "labels", "length_within")


@dataclass(frozen=True)
class Facts:
    """All that the card tells. `params` are those of each training step; `report` is None while there is none."""

    experiment: str
    id: str
    training: Training
    seeds: tuple[int, ...]
    params: Mapping[str, Data]
    chosen: Mapping[str, Tried]
    """The steps whose settings were chosen on dev, with all that was tried."""
    rows: Sequence[Rows]
    lineage: Lineage
    weights: Mapping[str, str]
    """SHA-256 of each file of the model."""
    report: Data | None
    arm: Data | None
    """The arm's part of the report."""


def card(facts: Facts) -> str:
    """README.md of the exported folder."""
    parts = [
        front_matter(_head(facts)).rstrip(),
        f"# {text(facts.training.arm)} of {text(facts.experiment)}",
        summary(facts.experiment, facts.id, facts.training, facts.seeds, facts.params),
        _use(),
        of_adapter(facts.weights),
        *_recipe(facts),
        "## Where it comes from",
        _sources(facts.lineage.sources),
        *_measured(facts),
        "## Costs",
        _costs(facts),
        "## Lineage",
        _lineage(facts),
        LICENCE_WORDS,
        "",
    ]
    return "\n\n".join(part for part in parts if part is not None)


def _head(facts: Facts) -> dict[str, Any]:
    hub = next(
        (source.name for source in facts.lineage.sources if source.what == "base model" and _is_hub(source)), None
    )
    methods = dict.fromkeys(str(one["method"]) for one in facts.params.values())
    return {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        **LICENCE,
        **({} if hub is None else {"base_model": hub, "base_model_relation": "finetune"}),
        "tags": ["touchstone", "trl", *methods],
    }


def _is_hub(source: Source) -> bool:
    return "hub" in source.identity


def summary(experiment: str, id: str, training: Training, every_seed: Sequence[int], params: Mapping[str, Data]) -> str:
    """What the model is, in a sentence or two; `params` are those of each training step."""
    steps = ", then ".join(_step(str(one["method"])) for one in params.values())
    seeds = f" (of {', '.join(map(str, every_seed))})" if len(every_seed) > 1 else ""
    lora = ""
    if any(one.get("lora") for one in params.values()):
        lora = " What was trained were LoRA adapters; they are merged into the weights, and this is a whole model."
    return (
        f"The model that the arm {code(training.arm)} of the Touchstone experiment {code(experiment)} "
        f"({code(id)}) left with seed {training.seed}{seeds}: {steps}.{lora}"
    )


def _step(method: str) -> str:
    return "a reward model" if method == "reward" else method.replace("_", " ").upper()


def _use() -> str:
    return """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER_OR_REPOSITORY")
model = AutoModelForCausalLM.from_pretrained("FOLDER_OR_REPOSITORY")
chat = [{"role": "user", "content": "…"}]
inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0]))
```

`vllm serve FOLDER` and TGI's `--model-id FOLDER` take the same folder. It holds the chat template of its training."""


def of_adapter(files: Mapping[str, str]) -> str | None:
    """What a card says of the adapter among these files, if there is one."""
    if not any(path.startswith(ADAPTER) for path in files):
        return None
    return (
        f"The weights are whole. `{ADAPTER}` has what the LoRA of its last training learned, alone, as peft loads it "
        "over the model that this training began from."
    )


def _recipe(facts: Facts) -> Iterator[str]:
    yield "## How it was trained"
    rows = {one.step: one for one in facts.rows}
    for name, params in facts.params.items():
        own = {key: params[key] for key in OWN if params.get(key) is not None}
        trained = rows.get(name)
        on = f", on {trained.table.num_rows:,} rows (config `{name}` of the dataset)" if trained else ""
        yield f"**{name}**: {code(params['method'])}{on}. Of TRL's arguments the experiment set:"
        yield as_yaml({**own, "args": dict(params.get("args", {}))})
        if name in facts.chosen:
            yield "Chosen on the experiment's dev prompts, by the highest mean score, among these:"
            yield trials_table(facts.chosen[name])
    if facts.rows:
        yield "The rows lie in `dataset/` of the exported folder; on the hub, in the dataset of the same name."
    yield "Every argument with its value is in `training/trl_config.json`, the loss by step in `training/loss.parquet`."


def _sources(sources: Sequence[Source]) -> str:
    return table(
        ["what", "name", "identity"], ([one.what, one.name or "–", _identity(one.identity)] for one in sources)
    )


def _identity(identity: Data) -> str:
    shown = {key: value for key, value in identity.items() if key not in PRIVATE and value is not None}
    return ", ".join(f"{key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in shown.items())


def _measured(facts: Facts) -> Iterator[str]:
    yield "## How well it does"
    found = {} if facts.arm is None else facts.arm.get("evaluations") or {}
    rows = [[name, _points(one), _interval(one), one.get("n", "–")] for name, one in found.items()]
    if not rows or facts.report is None:
        yield "There was no evaluation yet when this card was written."
        return
    over = f" and the seeds {', '.join(map(str, facts.seeds))}" if len(facts.seeds) > 1 else ""
    early = " The experiment was not finished: these numbers may still change." if facts.report.get("partial") else ""
    yield f"Means over the eval prompts{over}, with 95% intervals; a win rate's 50 is as good as the reference.{early}"
    yield table(["evaluation", "score", "95% interval", "prompts"], rows)
    sentence = (facts.report.get("verdict") or {}).get("sentence")
    if sentence:
        yield f"The experiment's verdict: {text(sentence)}"


def _points(one: Data) -> str:
    value = one.get("estimate")
    return "–" if value is None else f"{value:.4g}"


def _interval(one: Data) -> str:
    ends = one.get("interval") or (None, None)
    return "–" if None in ends else f"{ends[0]:.4g} to {ends[1]:.4g}"


def _costs(facts: Facts) -> str:
    cost = (facts.arm or {}).get("cost")
    if cost:
        usd, hours = cost["usd"], cost["device_hours"]
        return (
            f"For answers ${usd:.2f}, and {hours:.2f} device hours, as if the arm were run alone, evaluation included."
        )
    made = [step.commit[1].cost for step in _steps(facts) if step.commit is not None]
    usd, hours = sum(one.usd for one in made), sum(one.device_seconds for one in made) / 3600
    return f"For answers ${usd:.2f}, and {hours:.2f} device hours: those of the stages below."


def _steps(facts: Facts) -> list[Step]:
    return [*facts.lineage.made_from, facts.lineage.stage]


def _lineage(facts: Facts) -> str:
    stages = table(
        ["stage", "about", "key", "SHA-256 of its commit", "USD", "device s"],
        ([step.row["kind"], step.about or "–", step.key, *_made(step)] for step in _steps(facts)),
    )
    files = table(["file", "SHA-256"], sorted(facts.weights.items()))
    words = (
        "A stage's key is the hash of all that changes its result; its commit names its files and what it read by "
        "their hashes."
    )
    return f"{words}\n\n{stages}\n\n{files}"


def _made(step: Step) -> list[str]:
    if step.commit is None:
        return ["–", "–", "–"]
    ref, manifest = step.commit
    return [ref.sha256, f"{manifest.cost.usd:.4f}", f"{manifest.cost.device_seconds:.1f}"]
