"""Adding stages to a plan, each once: what an arm, a critic or an evaluation needs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from shared.asking import DEFAULT, Ask
from shared.controls import Started
from shared.controls.base import Steps, Tuned
from shared.engines import served_by
from shared.gold import EVERY_PAIR
from shared.llm.providers import ModelSpec
from shared.llm.providers.ensemble import MEMBERS
from shared.llm.providers.reward_model import REWARDS
from shared.methods import PREFERENCES
from shared.nulls import NULLS, PROMPTS
from shared.plan.beside import BASE, NULL, Beside
from shared.plan.model import Stage, stage_key
from shared.plan.references import is_shared, own_arguments, reference_params
from shared.plan.tuning import TRIED, choose
from shared.prices import FREE, price_of
from shared.protocols import JudgedArm
from shared.protocols.base import BestOf, questions_count
from shared.spec.base import DeclaredDataset
from shared.spec.model import Arm, Policy, RewardTraining, Rl, Sft, SimulatedPrompts, Spec
from shared.spec.names import policy_of
from shared.spec.parse import needed_models
from shared.spec.recipes import rl_arguments
from shared.spec.resolve import Resolved
from shared.spec.sweeps import is_tuned
from shared.spec.training import bound_params, training_options, training_params


class PlanBuilder:
    """Adds stages, each once; what `shared.protocols` may ask for is here too."""

    def __init__(self, spec: Spec, resolved: Resolved) -> None:
        self.spec = spec
        self.resolved = resolved
        self.stages: dict[str, Stage] = {}
        self.split = "eval"
        self.cell = spec
        self._starts: dict[tuple[str, str, int], str] = {}
        self._critics: dict[tuple[str, str, str | None], dict[str, Any]] = {}
        self.prompts = self.add("prompts", {**self._sizes(), "source": self._source()}, {})

    def on(self, split: str) -> PlanBuilder:
        """The same plan, for evaluations on the prompts of another split."""
        other = copy.copy(self)
        other.split = split
        return other

    def within(self, cell: Spec) -> PlanBuilder:
        """The same plan, where arms that others name, and who judges on dev, are those of a matrix's cell."""
        other = copy.copy(self)
        other.cell, other._starts = cell, {}
        return other

    def add(
        self,
        kind: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        model: str | None = None,
        trained: Policy | None = None,
    ) -> str:
        """Add a stage unless it is there; `model` names the entry of `models` whose options it needs, `trained` is the
        policy that it trains."""
        key = stage_key(kind, params, inputs)
        if key not in self.stages:
            told = {} if trained is None else training_options(self.spec, trained)
            self.stages[key] = Stage(key, kind, dict(params), dict(inputs), {**self._options(model), **told})
        return key

    def trained(self, arm: Arm, seed: int, steps: Steps) -> JudgedArm:
        """An arm after its training stages."""
        name = policy_of(self.spec, arm)
        if arm.control is not None and arm.rl is not None:
            at = Started(name, arm.sft, arm.rl, steps["sft"], seed)
            if (best := arm.control.sampled(self, at)) is not None:
                return JudgedArm(name, seed, at.start, best=best)
        first, *after = steps.values()
        return JudgedArm(name, seed, after[-1], first) if after else JudgedArm(name, seed, first)

    def steps(self, arm: Arm, seed: int) -> Steps:
        """The keys of an arm's training stages in their order, by a name that begins with sft, reward or rl."""
        name = policy_of(self.spec, arm)
        start = self._sft(self.spec.policies[name], name, arm.sft, seed)
        if arm.rl is None:
            return {"sft": start}
        at = Started(name, arm.sft, arm.rl, start, seed)
        after = self.optimised(at, {}) if arm.control is None else arm.control.steps(self, at)
        return after if "sft" in after else {"sft": start, **after}

    def optimised(self, at: Started, selection: Mapping[str, Any]) -> Steps:
        """The rounds of an RL step, each from the policy that the one before left; of several settings the last round
        of the one that dev chose."""
        if not is_tuned(at.rl):
            return self._rounds(at, selection, {})
        own: Steps = {}

        def train(rl: Rl, seed: int, more: Mapping[str, Any]) -> tuple[str, str | None]:
            started = self._with_seed(at, seed)
            rounds = self._rounds(replace(started, rl=rl), selection, more)
            own.update(rounds if seed == at.seed else {})
            return list(rounds.values())[-1], started.start

        chosen = choose(self, at.policy, at.rl, at.seed, train)
        return {**({"reward": own["reward"]} if "reward" in own else {}), "rl": chosen}

    def _with_seed(self, at: Started, seed: int) -> Started:
        """Where the same arm parts from its start with another seed."""
        if seed == at.seed:
            return at
        return replace(at, seed=seed, start=self._sft(self.spec.policies[at.policy], at.policy, at.sft, seed))

    def _rounds(self, at: Started, selection: Mapping[str, Any], more: Mapping[str, Any]) -> Steps:
        """`more` are further params of the trainings; of all states of one, only the last round's are any arm's."""
        found: Steps = {}
        policy, early = at.start, {name: value for name, value in more.items() if name != "checkpoints"}
        for number in range(1, at.rl.rounds + 1):
            params = {**selection, **(more if number == at.rl.rounds else early)}
            policy = self._rl(self.spec.policies[at.policy], at.policy, at.sft, at.rl, policy, at.seed, params)
            found["rl" if number == 1 else f"rl-{number}"] = policy
        if at.rl.reward is not None:
            return {"reward": self.stages[policy].inputs["reward"], **found}
        return found

    def tuned(self, at: Started, control: Tuned, source: Callable[[Started], Mapping[str, str]]) -> Steps:
        """SFT that goes on from a start, by the control's own arguments; of several settings the one that dev chose."""
        policy = self.spec.policies[at.policy]

        def train(one: Tuned, seed: int, more: Mapping[str, Any]) -> tuple[str, str | None]:
            started = self._with_seed(at, seed)
            params: dict[str, Any] = {"method": "sft", "seed": seed, **training_params(policy)}
            params |= {"args": {**self.spec.defaults.sft, **at.sft.args, **one.args}, **bound_params(at.sft), **more}
            return self.add("sft", params, {"base": started.start, **source(started)}, trained=policy), started.start

        return {"sft-2": choose(self, at.policy, control, at.seed, train)}

    def pairs(self, at: Started, changes: Mapping[str, Any]) -> str:
        """The labelled pairs of an RL step from its start, with some settings changed."""
        rl = at.rl.model_copy(update=dict(changes))
        return self._pairs(at.policy, at.sft, rl, at.start, at.seed)

    def taught(self, at: Started, teacher: str) -> str:
        """A teacher's completions of the prompts of an RL step."""
        return self._teach(teacher, "train", at.sft.fraction, 1.0)

    def rater(self, at: Started, n: int) -> BestOf:
        assert at.rl.critic is not None
        if at.rl.reward is None and self.spec.models[at.rl.critic].base_model is not None:
            return BestOf(n, model=at.rl.critic)
        return BestOf(n, checkpoint=self._reward_model(at.policy, at.sft, at.rl, at.start, at.seed, {}))

    def best(self, at: Started, of: BestOf) -> str:
        where = {"split": "train", "start": at.sft.fraction, "stop": 1.0}
        params = {**where, "n": of.n, "temperature": at.rl.temperature, "seed": at.seed}
        return self._kept(of, self._sample(at.policy, at.start, params))

    def _kept(self, of: BestOf, samples: str) -> str:
        if of.model is not None:
            rewards = self.rewards(of.model, samples)
        else:
            assert of.checkpoint is not None
            # In the precision in which a training is rewarded by it.
            given = {"checkpoint": of.checkpoint, "completions": samples}
            rewards = self.add("reward", {"dtype": "float32"}, given)
        return self.add("best", {}, {"samples": samples, "rewards": rewards})

    def beside(self, who: Beside, seed: int) -> JudgedArm:
        """A policy as it is before any training, or completions that no policy wrote."""
        if who.role == BASE:
            return JudgedArm(who.of, seed, self._pretrained(self.spec.policies[who.of]))
        if who.role == NULL:
            return JudgedArm("", seed, completions=self._null(NULLS[who.of]))
        return JudgedArm("", seed, completions=self.completions(who.of))

    def questions(self, dataset: str) -> str:
        sizes = {"train": 0, "dev": 0, "eval": self.resolved.counts[questions_count(dataset)]}
        source = {"dataset": self.resolved.datasets[dataset]}
        return self.add("prompts", {**sizes, "source": source}, {})

    def samples(self, arm: JudgedArm, temperature: float, prompts: str | None = None) -> str:
        if arm.completions is not None:
            return arm.completions
        params = self._sampling(arm, temperature, prompts)
        source = {"prompts": prompts or self.prompts}
        # Without chance all samples are alike.
        if arm.best is None or temperature == 0:
            return self._sample(arm.policy, arm.checkpoint, params, source)
        return self._kept(arm.best, self._sample(arm.policy, arm.checkpoint, {**params, "n": arm.best.n}, source))

    def second_turn(self, arm: JudgedArm, temperature: float, first: str, prompts: str) -> str:
        params = {**self._sampling(arm, temperature, prompts), "turn": 2}
        return self._sample(arm.policy, arm.checkpoint, params, {"prompts": prompts, "first": first})

    def _sampling(self, arm: JudgedArm, temperature: float, prompts: str | None) -> dict[str, Any]:
        """One sample a prompt of the split; questions of an evaluation's own are all eval prompts."""
        split = self.split if prompts in (None, self.prompts) else "eval"
        return {"split": split, "n": 1, "temperature": temperature, "seed": arm.seed}

    def rewards(self, model: str, completions: str) -> str:
        params = {name: value for name, value in self._identity(model).items() if name != "provider"}
        return self.add("reward", params, {"completions": completions}, model)

    def completions(self, model: str) -> str:
        return self._teach(model, self.split, 0.0, 1.0)

    def labelled(self, model: str, per_prompt: int) -> str:
        return self._recorded_pairs(model, self.split, 0.0, per_prompt)

    def every_label(self, model: str) -> str:
        """All recorded pairs of the eval prompts."""
        return self._recorded_pairs(model, "eval", 0.0, EVERY_PAIR)

    def likelihoods(self, arm: JudgedArm, checkpoint: str | None, completions: str, kind: str) -> str:
        policy = self.spec.policies[arm.policy]
        params = {
            **served_by(policy.engine, policy.engine_args),
            "dtype": policy.precision,
            "chat_template": policy.chat_template,
            "max_length": policy.max_length,
        }
        return self._from_model("score", arm.policy, checkpoint, params, {kind: completions})

    def judge(
        self,
        protocol: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        judge: str | None,
        order: str | None = None,
        ask: Ask | None = None,
    ) -> str:
        given = dict(inputs)
        full = {"protocol": protocol, **params}
        if judge is not None and ask is not None:
            full |= {"judge": self._identity(judge), "template": ask.fingerprint(), "ask": ask.params()}
        elif judge is not None:
            full |= self._critic(judge, "judge", order)
            given |= self._critic_inputs(judge, self.split, 0.0, inputs)
        return self.add("judge", full, given, judge)

    def _sft(self, policy: Policy, name: str, sft: Sft, seed: int) -> str:
        """An arm's SFT from the base model, and of several settings the one that dev chose; made once."""
        given = (name, sft.model_dump_json(), seed)
        if given not in self._starts:
            self._starts[given] = choose(self, name, sft, seed, partial(self._fine_tuned, policy, name))
        return self._starts[given]

    def _fine_tuned(
        self, policy: Policy, name: str, sft: Sft, seed: int, more: Mapping[str, Any]
    ) -> tuple[str, str | None]:
        params: dict[str, Any] = {"method": "sft", "seed": seed, **training_params(policy)}
        params |= {"args": {**self.spec.defaults.sft, **sft.args}, **bound_params(sft), **more}
        inputs = {"demonstrations": self._teach(sft.teacher, "train", 0.0, sft.fraction)}
        base = self._pretrained(policy)
        if base is not None:
            inputs["base"] = base
        else:
            params["model"] = self.resolved.policies[name]
        return self.add("sft", params, inputs, trained=policy), None

    def _pretrained(self, policy: Policy) -> str | None:
        """The stage that makes a base model on the spot; None where it is a hub's or uploaded."""
        if policy.base is None:
            return None
        settings = policy.base.pretrain.model_dump(mode="json")
        return self.add("pretrain", {"settings": settings}, {"prompts": self.prompts})

    def _rl(self, policy: Policy, name: str, sft: Sft, rl: Rl, start: str, seed: int, more: Mapping[str, Any]) -> str:
        """`more` are further params: a selection of the pairs, and what a trial has."""
        selection = {key: value for key, value in more.items() if key not in TRIED}
        beta = PREFERENCES[rl.method].beta if rl.beta is None else rl.beta
        params: dict[str, Any] = {"method": rl.method, "seed": seed, "beta": beta, **training_params(policy)}
        args = rl_arguments(rl, self.spec.defaults.rl)
        params |= {"args": own_arguments(args), **bound_params(rl)}
        if PREFERENCES[rl.method].guide == "pairs":
            inputs = {"start": start, "preferences": self._pairs(name, sft, rl, start, seed)}
            if is_shared(args):
                inputs["reference"] = self.add("reference", reference_params(policy, args), inputs, trained=policy)
            return self.add("rl", {**params, **more}, inputs, trained=policy)
        params |= {"split": "train", "start": sft.fraction, "stop": 1.0}
        params |= {"temperature": rl.temperature, "top_p": policy.top_p, "max_tokens": policy.max_tokens}
        guiding, inputs = self._guide(name, sft, rl, start, seed, selection)
        given = {"start": start, "prompts": self.prompts, **inputs}
        tried = {key: more[key] for key in TRIED if key in more}
        return self.add("rl", {**params, **guiding, **tried}, given, trained=policy)

    def _guide(
        self, policy: str, sft: Sft, rl: Rl, start: str, seed: int, selection: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Params and inputs that say what guides a step which samples for itself."""
        if (teacher := rl.teacher) is not None:
            if teacher.arm is not None:
                *_, last = self.steps(self.cell.arms[teacher.arm], seed).values()
                return {}, {"teacher": last}
            assert teacher.policy is not None
            if (base := self._pretrained(self.spec.policies[teacher.policy])) is not None:
                return {}, {"teacher": base}
            return {"teacher": self.resolved.policies[teacher.policy]}, {}
        assert rl.critic is not None
        if rl.reward is None:
            return {"reward": self._identity(rl.critic)}, {}
        return {}, {"reward": self._reward_model(policy, sft, rl, start, seed, selection)}

    def _reward_model(self, policy: str, sft: Sft, rl: Rl, start: str, seed: int, selection: Mapping[str, Any]) -> str:
        training = rl.reward or RewardTraining()
        params = {"method": "reward", "seed": seed, "holdout": training.holdout}
        params |= training_params(self.spec.policies[policy])
        params |= {"args": {**self.spec.defaults.reward, **training.args}, **selection}
        labelled = {"start": start, "preferences": self._pairs(policy, sft, rl, start, seed)}
        return self.add("reward_model", params, labelled, trained=self.spec.policies[policy])

    def _pairs(self, policy: str, sft: Sft, rl: Rl, start: str, seed: int) -> str:
        """The labelled pairs on P2, the train prompts from `sft.fraction` on."""
        assert rl.critic is not None
        if rl.pairs == "recorded":
            return self._recorded_pairs(rl.critic, "train", sft.fraction, rl.per_prompt)
        where = {"split": "train", "start": sft.fraction, "stop": 1.0}
        params = {**where, "n": rl.sampled, "temperature": rl.temperature, "seed": seed}
        inputs = {"samples": self._sample(policy, start, params)}
        source = {"pairs": rl.pairs, **({} if rl.choose == "first_two" else {"choose": rl.choose})}
        if rl.pairs == "policy_vs_teacher":
            inputs["opponent"] = self._teach(rl.opponent or sft.teacher, "train", sft.fraction, 1.0)
        inputs |= self._critic_inputs(rl.critic, "train", sft.fraction, inputs)
        return self.add("label", {**source, **self._critic(rl.critic, "critic")}, inputs, rl.critic)

    def _critic(self, model: str, role: str, order: str | None = None) -> dict[str, Any]:
        """All that a stage's key holds of a critic or judge: who it is, and how it is asked where that is not usual.

        `order` takes the place of its own `ask.order`.
        """
        if (model, role, order) not in self._critics:
            self._critics[model, role, order] = self._describe_critic(model, role, order)
        return self._critics[model, role, order]

    def _describe_critic(self, model: str, role: str, order: str | None) -> dict[str, Any]:
        entry = self.spec.models[model]
        who = self._identity(model)
        if entry.parts:
            who["members"] = [self._critic(part, "critic", order) for part in entry.parts]
        ask = entry.asks
        if ask is None:
            return {role: who, "order": "both", "template": None}
        if order is not None:
            ask = ask.in_order(order)
        unusual = {} if ask.params() == DEFAULT.params() else {"ask": ask.params()}
        return {role: who, "order": ask.shown, "template": ask.fingerprint(), **unusual}

    def _critic_inputs(self, model: str, split: str, start: float, compared: Mapping[str, str]) -> dict[str, str]:
        """The stages that a critic of completions needs, on the prompts of a split from `start` on."""
        entry = self.spec.models[model]
        found: dict[str, str] = {}
        for needed, name in needed_models(entry).items():
            if needed == "towards":
                found["towards"] = self._teach(name, split, 0.0, 1.0)
            else:
                found["reference_answers"] = self._teach(name, split, start, 1.0)
        if entry.base_model is not None:
            found |= {f"{REWARDS}{name}": self.rewards(model, key) for name, key in compared.items()}
        for number, part in enumerate(entry.parts):
            of_part = self._critic_inputs(part, split, start, compared)
            found |= {f"{MEMBERS}{number}/{name}": key for name, key in of_part.items()}
        return found

    def check(self, critic: str, labels: str, split: str) -> str:
        """A critic's labels of recorded pairs, to be compared with the recorded labels."""
        inputs = {"preferences": self._recorded_pairs(labels, split, 0.0, 1)}
        inputs |= self._critic_inputs(critic, split, 0.0, inputs)
        return self.add("label", {"pairs": "given", **self._critic(critic, "critic")}, inputs, critic)

    def _recorded_pairs(self, model: str, split: str, start: float, per_prompt: int) -> str:
        where = {"split": split, "start": start, "stop": 1.0, "per_prompt": per_prompt}
        label = {"pairs": "recorded", "critic": self._identity(model), **where}
        return self.add("label", label, {"prompts": self.prompts}, model)

    def _null(self, text: str) -> str:
        """The same completion of the first eval prompts, or of all where they are fewer."""
        share = min(1.0, PROMPTS / self.spec.prompts.eval)
        params = {"model": {"provider": "null", "text": text}, "split": "eval", "start": 0.0, "stop": share}
        return self.add("teach", params, {"prompts": self.prompts})

    def _teach(self, model: str, split: str, start: float, stop: float) -> str:
        params = {"model": self._identity(model), "split": split, "start": start, "stop": stop}
        return self.add("teach", params, {"prompts": self.prompts}, model)

    def _sample(
        self,
        name: str,
        checkpoint: str | None,
        params: Mapping[str, Any],
        inputs: Mapping[str, str] | None = None,
    ) -> str:
        policy = self.spec.policies[name]
        full = {
            **served_by(policy.engine, policy.engine_args),
            "dtype": policy.precision,
            "chat_template": policy.chat_template,
            "top_p": policy.top_p,
            "max_tokens": policy.max_tokens,
            "stop_sequences": policy.stop,
            "start": 0.0,
            "stop": 1.0,
            **params,
        }
        return self._from_model("sample", name, checkpoint, full, inputs or {"prompts": self.prompts})

    def _from_model(
        self, kind: str, policy: str, checkpoint: str | None, params: Mapping[str, Any], inputs: Mapping[str, str]
    ) -> str:
        """A stage that runs a checkpoint, or the untrained model that a policy names."""
        if checkpoint is not None:
            return self.add(kind, params, {"checkpoint": checkpoint, **inputs})
        return self.add(kind, {**params, "model": self.resolved.policies[policy]}, inputs)

    def _identity(self, model: str) -> dict[str, Any]:
        entry: ModelSpec = self.spec.models[model]
        return entry.identity()

    def _options(self, model: str | None) -> dict[str, Any]:
        if model is None:
            return {}
        entry = self.spec.models[model]
        parts = {"members": [self._options(part) for part in entry.parts]} if entry.parts else {}
        price = price_of(entry)
        known = {} if price in (None, FREE) else {"price": price.model_dump(exclude_none=True)}
        return {"name": model, **known, **entry.options(), **parts}

    def _sizes(self) -> dict[str, int]:
        return {split: getattr(self.spec.prompts, split) for split in ("train", "dev", "eval")}

    def _source(self) -> dict[str, Any]:
        source = self.spec.prompts.source
        if isinstance(source, SimulatedPrompts | DeclaredDataset):
            return source.model_dump(mode="json")
        return {"dataset": self.resolved.datasets[source.removeprefix("dataset:")]}
