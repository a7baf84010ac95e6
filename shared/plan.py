"""The plan: a resolved spec as a DAG of stages, each with its key. Pure: the same resolved spec, the same plan.

A stage's key is computed here and nowhere else (`stage_key`): the SHA-256 of its kind, the kind's format version, its
params and its inputs' keys. It holds all that changes the result and nothing that does not; what a worker must know
besides (credentials' names, limits, prices) is in `options`, outside the key. Same key, one accepted result: arms and
experiments that need the same stage share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.canonical import content_key, sha256_hex
from shared.kinds import KINDS
from shared.llm.providers import ModelSpec
from shared.protocols import TrainedArm
from shared.report_plan import report_params
from shared.resolve import Resolved
from shared.spec import Arm, Policy, Rl, Sft, SimulatedPrompts, Spec
from shared.specparse import evaluation_names, needed_models, policy_of, start_arms
from shared.templates import render_pairwise


@dataclass
class Stage:
    """One stage: `inputs` are other stages' keys by the name under which this one reads them."""

    key: str
    kind: str
    params: dict[str, Any]
    inputs: dict[str, str]
    options: dict[str, Any]
    arms: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """All stages of an experiment by key, in an order in which inputs come first; `report` is the last one's key."""

    stages: dict[str, Stage]
    report: str

    def ancestors(self, keys: Iterable[str]) -> list[str]:
        """The stages that `keys` need, themselves included, inputs first."""
        needed: set[str] = set()
        todo = list(keys)
        while todo:
            key = todo.pop()
            if key not in needed:
                needed.add(key)
                todo.extend(self.stages[key].inputs.values())
        return [key for key in self.stages if key in needed]


def stage_key(kind: str, params: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The key of a stage."""
    version = KINDS[kind].version
    return content_key({"kind": kind, "version": version, "params": dict(params), "inputs": dict(inputs)})


def plan(resolved: Resolved) -> Plan:
    """The stages of an experiment and their keys."""
    spec = resolved.parsed
    build = PlanBuilder(spec, resolved)
    starts = start_arms(spec)
    scores: list[dict[str, Any]] = []
    training: list[dict[str, Any]] = []
    done: set[str] = set()
    for name, arm in spec.arms.items():
        recipes = [(starts[name], arm.model_copy(update={"rl": None}))] if name in starts else []
        for arm_name, recipe in [*recipes, (name, arm)]:
            if arm_name not in done:
                done.add(arm_name)
                _plan_arm(build, spec, arm_name, recipe, scores, training)
    order = [found for arm_name in spec.arms for found in (starts.get(arm_name), arm_name) if found]
    inputs = {row["input"]: row.pop("key") for row in [*scores, *training]}
    drawn = Plan(build.stages, "")
    stages_of = {one: drawn.ancestors(_of_arm(one, scores, training, inputs)) for one in dict.fromkeys(order)}
    for user, keys in stages_of.items():
        for key in keys:
            build.stages[key].arms.append(user)
    inputs |= {f"stage/{key}": key for key in build.stages}
    params = report_params(resolved, list(stages_of), starts, scores, training, stages_of, build.stages)
    report = build.add("report", params, inputs)
    build.stages[report].arms.extend(stages_of)
    return Plan(build.stages, report)


def _plan_arm(
    build: PlanBuilder,
    spec: Spec,
    name: str,
    arm: Arm,
    scores: list[dict[str, Any]],
    training: list[dict[str, Any]],
) -> None:
    """One arm's stages for every seed, and where the report finds its scores and training curves."""
    for seed in spec.seeds:
        trained = build.train(arm, seed)
        steps = [("sft", trained.start or trained.checkpoint), *([("rl", trained.checkpoint)] if arm.rl else [])]
        for step, key in steps:
            at = {"arm": name, "seed": seed, "step": step}
            training.append({**at, "input": f"train/{name}/{seed}/{step}", "key": key})
        for full, (entry, temperature) in evaluation_names(spec).items():
            key = spec.evaluations[entry].plan(build, trained, temperature)
            at = {"arm": name, "seed": seed, "evaluation": full}
            scores.append({**at, "input": f"judge/{name}/{seed}/{full}", "key": key})


def _of_arm(
    arm: str, scores: list[dict[str, Any]], training: list[dict[str, Any]], inputs: Mapping[str, str]
) -> list[str]:
    return [inputs[row["input"]] for row in [*scores, *training] if row["arm"] == arm]


class PlanBuilder:
    """Adds stages, each once; what `shared.protocols` may ask for is here too."""

    def __init__(self, spec: Spec, resolved: Resolved) -> None:
        self.spec = spec
        self.resolved = resolved
        self.stages: dict[str, Stage] = {}
        self.prompts = self.add("prompts", {**self._sizes(), "source": self._source()}, {})

    def add(self, kind: str, params: Mapping[str, Any], inputs: Mapping[str, str], model: str | None = None) -> str:
        """Add a stage unless it is there; `model` names the entry of `models` whose options it needs."""
        key = stage_key(kind, params, inputs)
        if key not in self.stages:
            self.stages[key] = Stage(key, kind, dict(params), dict(inputs), self._options(model))
        return key

    def train(self, arm: Arm, seed: int) -> TrainedArm:
        """The training stages of an arm."""
        name = policy_of(self.spec, arm)
        start = self._sft(self.spec.policies[name], name, arm.sft, seed)
        if arm.rl is None:
            return TrainedArm(name, seed, start)
        return TrainedArm(name, seed, self._rl(self.spec.policies[name], name, arm.sft, arm.rl, start, seed), start)

    def samples(self, arm: TrainedArm, temperature: float) -> str:
        params = {"split": "eval", "n": 1, "temperature": temperature, "seed": arm.seed}
        return self._sample(self.spec.policies[arm.policy], arm.checkpoint, params)

    def completions(self, model: str) -> str:
        return self._teach(model, "eval", 0.0, 1.0)

    def labelled(self, model: str, per_prompt: int) -> str:
        return self._recorded_pairs(model, "eval", 0.0, per_prompt)

    def likelihoods(self, arm: TrainedArm, checkpoint: str, completions: str, kind: str) -> str:
        policy = self.spec.policies[arm.policy]
        params = {
            "engine": policy.engine,
            "dtype": policy.precision,
            "chat_template": policy.chat_template,
            "max_length": policy.max_length,
        }
        return self.add("score", params, {"checkpoint": checkpoint, kind: completions})

    def judge(self, protocol: str, params: Mapping[str, Any], inputs: Mapping[str, str], judge: str | None) -> str:
        given = dict(inputs)
        full = {"protocol": protocol, **params}
        if judge is not None:
            entry = self.spec.models[judge]
            full |= {"judge": self._identity(judge), "template": self._template(judge)}
            given |= {field: self._teach(name, "eval", 0.0, 1.0) for field, name in needed_models(entry).items()}
        return self.add("judge", full, given, judge)

    def _sft(self, policy: Policy, name: str, sft: Sft, seed: int) -> str:
        params: dict[str, Any] = {"method": "sft", "seed": seed, **self._training(policy)}
        params["args"] = {**self.spec.defaults.sft, **sft.args}
        inputs = {"demonstrations": self._teach(sft.teacher, "train", 0.0, sft.fraction)}
        if policy.base is not None:
            settings = policy.base.pretrain.model_dump(mode="json")
            inputs["base"] = self.add("pretrain", {"settings": settings}, {"prompts": self.prompts})
        else:
            params["model"] = self.resolved.policies[name]
        return self.add("sft", params, inputs)

    def _rl(self, policy: Policy, name: str, sft: Sft, rl: Rl, start: str, seed: int) -> str:
        params: dict[str, Any] = {"method": rl.method, "seed": seed, "beta": rl.beta, **self._training(policy)}
        params["args"] = {**self.spec.defaults.rl, **rl.args}
        return self.add("rl", params, {"start": start, "preferences": self._pairs(policy, sft, rl, start, seed)})

    def _pairs(self, policy: Policy, sft: Sft, rl: Rl, start: str, seed: int) -> str:
        """The labelled pairs on P2, the train prompts from `sft.fraction` on."""
        if rl.pairs == "recorded":
            return self._recorded_pairs(rl.critic, "train", sft.fraction, rl.per_prompt)
        where = {"split": "train", "start": sft.fraction, "stop": 1.0}
        params = {**where, "n": rl.samples, "temperature": rl.temperature, "seed": seed}
        inputs = {"samples": self._sample(policy, start, params)}
        for name, model in needed_models(self.spec.models[rl.critic]).items():
            inputs[name] = self._teach(model, "train", 0.0, 1.0)
        label: dict[str, Any] = {"pairs": "on_policy", "critic": self._identity(rl.critic), "order": "both"}
        label["template"] = self._template(rl.critic)
        return self.add("label", label, inputs, rl.critic)

    def _recorded_pairs(self, model: str, split: str, start: float, per_prompt: int) -> str:
        where = {"split": split, "start": start, "stop": 1.0, "per_prompt": per_prompt}
        label = {"pairs": "recorded", "critic": self._identity(model), **where}
        return self.add("label", label, {"prompts": self.prompts}, model)

    def _teach(self, model: str, split: str, start: float, stop: float) -> str:
        params = {"model": self._identity(model), "split": split, "start": start, "stop": stop}
        return self.add("teach", params, {"prompts": self.prompts}, model)

    def _sample(self, policy: Policy, checkpoint: str, params: Mapping[str, Any]) -> str:
        full = {
            "engine": policy.engine,
            "dtype": policy.precision,
            "chat_template": policy.chat_template,
            "top_p": policy.top_p,
            "max_tokens": policy.max_tokens,
            "stop_sequences": policy.stop,
            "start": 0.0,
            "stop": 1.0,
            **params,
        }
        return self.add("sample", full, {"checkpoint": checkpoint, "prompts": self.prompts})

    def _training(self, policy: Policy) -> dict[str, Any]:
        return {
            "chat_template": policy.chat_template,
            "precision": policy.precision,
            "max_length": policy.max_length,
            "lora": None if policy.lora is None else policy.lora.model_dump(mode="json"),
        }

    def _identity(self, model: str) -> dict[str, Any]:
        entry: ModelSpec = self.spec.models[model]
        return entry.identity()

    def _template(self, model: str) -> str | None:
        """The hash of what a critic is asked; None for one that reads no words."""
        return None if self.spec.models[model].offline else sha256_hex(render_pairwise("prompt", "a", "b"))

    def _options(self, model: str | None) -> dict[str, Any]:
        return {} if model is None else {"name": model, **self.spec.models[model].options()}

    def _sizes(self) -> dict[str, int]:
        return {split: getattr(self.spec.prompts, split) for split in ("train", "dev", "eval")}

    def _source(self) -> dict[str, Any]:
        source = self.spec.prompts.source
        if isinstance(source, SimulatedPrompts):
            return source.model_dump(mode="json")
        return {"dataset": self.resolved.datasets[source.removeprefix("dataset:")]}
