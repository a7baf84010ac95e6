"""What each side of a contrast was made with, so that a reader sees what was not held equal.

Floating-point operations are the usual estimate (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), N parameters and
T tokens, attention's own products left out:

    training  6 N T, forward and backward; DPO's reference adds its one forward pass, 2 N T / epochs, or has a stage
              that counts it; KTO's two, and its KL term one in every epoch; ORPO, CPO and SimPO have no reference;
              GRPO, RLOO, online DPO and distillation sample each token by a forward pass, and a reference, reward
              model or teacher adds its own, by its size
    sampling  2 N T, forward only, T prompt and completion tokens, as if each completion read its prompt anew

What an endpoint's model computes is not known and not in it. Evaluation and the base model's making are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any, Protocol

from services.analyst.params import RecipeParams


class Stage(Protocol):
    """What is asked of a committed stage (`model.StageFacts`)."""

    @property
    def kind(self) -> str: ...

    @property
    def usd(self) -> float: ...

    @property
    def device_seconds(self) -> float: ...

    @property
    def declared_usd(self) -> float: ...

    @property
    def metrics(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Used:
    """What makes one model of an arm: the mean over its seeds. None where a stage did not record it.

    `demonstrations` and `pairs` are rows trained on (of KTO the pairs that its completions were; of GRPO, RLOO and
    online DPO those of their reward model), `labels` pairs that a critic compared, `steps` gradient steps and `tokens`
    those that training saw (every epoch's, prompts included), over SFT, reward model and RL together, a distillation's
    teacher included where it is an arm; `usd` is what endpoints were paid and recorded data would have cost,
    `device_hours` those of training and of sampling for pairs. `samples` are those that an answer takes once the model
    is made: more than one where the best of them is kept. `trials` are settings and checkpoints tried on dev, whose
    steps, tokens, FLOPs, dollars and hours are all counted.
    """

    prompts: float
    demonstrations: float | None
    labels: float | None
    pairs: float | None
    steps: float | None
    tokens: float | None
    training_flops: float | None
    sampling_flops: float | None
    usd: float
    device_hours: float
    samples: float
    trials: float = 0.0


Sides = Mapping[str, tuple[float | None, float | None]]
"""By quantity: A's and B's."""

ON_PAIRS = ("reward_model", "rl")
KINDS = ("sft", *ON_PAIRS, "reference", "sample", "label")
QUANTITIES = tuple(field.name for field in fields(Used))


def used(recipe: RecipeParams, stages: Mapping[str, Stage]) -> Used | None:
    """What an arm's model was made with; None while a stage of it is missing."""
    if not recipe.stages or any(key not in stages for keys in recipe.stages for key in keys):
        return None
    again = frozenset(recipe.tried_again)
    runs = [_run(recipe, [stages[key] for key in keys], [key not in again for key in keys]) for keys in recipe.stages]
    return Used(**{name: _mean([getattr(run, name) for run in runs]) for name in QUANTITIES})


def sides(a: Used, b: Used) -> Sides:
    """Both arms' quantities side by side."""
    return {name: (getattr(a, name), getattr(b, name)) for name in QUANTITIES}


def _mean(values: Sequence[float | None]) -> Any:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _run(recipe: RecipeParams, stages: Sequence[Stage], first: Sequence[bool]) -> Used:
    """One seed's. Rows count once however often they are tried: `first` says of which stages."""
    rows = [stage for stage, counts in zip(stages, first, strict=True) if counts]
    of = {kind: [stage for stage in stages if stage.kind == kind] for kind in KINDS}
    training = [stage for kind in ("sft", *ON_PAIRS) for stage in of[kind]]
    parameters = next((stage.metrics["parameters"] for stage in training if stage.metrics.get("parameters")), None)
    own = [stage for stage in stages if stage.kind not in {"prompts", "pretrain"}]
    return Used(
        prompts=recipe.prompts,
        demonstrations=_sum(stage.metrics.get("examples") for stage in rows if stage.kind == "sft"),
        labels=_sum(stage.metrics.get("compared", stage.metrics.get("pairs")) for stage in of["label"]),
        pairs=_sum(
            stage.metrics.get("pairs", stage.metrics.get("examples")) for stage in rows if stage.kind in ON_PAIRS
        ),
        steps=_sum(stage.metrics.get("steps") for stage in training),
        tokens=_sum(stage.metrics.get("tokens") for stage in training),
        training_flops=_sum(training_flops(stage, parameters) for stage in [*training, *of["reference"]]),
        sampling_flops=_sum(sampling_flops(stage, parameters) for stage in of["sample"]),
        usd=sum(stage.usd + stage.declared_usd for stage in own),
        device_hours=sum(stage.device_seconds for stage in own) / 3600,
        samples=recipe.samples,
        trials=recipe.trials,
    )


def _sum(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def training_flops(stage: Stage, parameters: float | None) -> float | None:
    """6 N T, and of RL 2 N T for each further forward pass: one beforehand, where the stage says nothing else."""
    tokens, epochs = stage.metrics.get("tokens"), stage.metrics.get("epochs")
    # A distillation's teacher may be of another size.
    parameters = stage.metrics.get("parameters") or parameters
    if parameters is None or tokens is None:
        return None
    if stage.kind == "reference":
        return 2.0 * parameters * float(tokens)
    if stage.kind != "rl":
        return 6.0 * parameters * float(tokens)
    if not epochs:
        return None
    passes = stage.metrics.get("forward_passes", {"once": 1.0, "every_epoch": 0.0})
    extra = float(passes["every_epoch"]) + float(passes["once"]) / float(epochs)
    return parameters * float(tokens) * (6.0 + 2.0 * extra)


def sampling_flops(stage: Stage, parameters: float | None) -> float | None:
    """2 N T."""
    given, out = stage.metrics.get("input_tokens"), stage.metrics.get("output_tokens")
    return None if parameters is None or given is None or out is None else 2.0 * parameters * (given + out)
