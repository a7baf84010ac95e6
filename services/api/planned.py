"""An experiment's plan, made once: what its stages are about, and which of them hold an arm's judgements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import structlog

from services.api.kept import Kept
from shared.artifacts import Manifest, commit_prefix, oldest
from shared.errors import BadInput
from shared.experiments import read_resolved
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.plan.tuning import CHECKPOINT, CHOOSE
from shared.spec.matrix import cells, in_cell
from shared.spec.model import Spec
from shared.spec.parse import contrasts
from shared.store import ObjectStore
from shared.trials import words_of

log = structlog.get_logger()


@dataclass(frozen=True)
class Judged:
    """Which judgements: an arm's (`name [cell]` in a matrix), of one training, under one evaluation."""

    arm: str
    seed: int
    evaluation: str


@dataclass(frozen=True)
class Battle:
    """Which judgements of arm a against arm b, of one training, under one evaluation."""

    a: str
    b: str
    seed: int
    evaluation: str


@dataclass(frozen=True)
class Planned:
    """A spec and its plan."""

    spec: Spec
    plan: Plan

    @cached_property
    def judged(self) -> dict[Judged, str]:
        """The keys of the stages that judged, by what they judged."""
        found = {}
        for name, key in self.plan.stages[self.plan.report].inputs.items():
            sort, _, rest = name.partition("/")
            if sort == "judge":
                # An arm's or a cell's name may hold a slash, a seed and an evaluation's name none.
                arm, seed, evaluation = rest.rsplit("/", 2)
                found[Judged(arm, int(seed), evaluation)] = key
        return found

    @cached_property
    def battles(self) -> dict[Battle, str]:
        """The names of the report's inputs in which two arms are judged against each other."""
        params = self.plan.stages[self.plan.report].params
        return {
            Battle(in_cell(cell, row["a"]), in_cell(cell, row["b"]), row["seed"], row["evaluation"]): row["input"]
            for cell, table in params.get("cells", {"": params}).items()
            for row in table.get("battles", [])
        }

    @cached_property
    def evaluations_of(self) -> dict[str, list[str]]:
        """The evaluations that a stage belongs to, by its key."""
        found: dict[str, list[str]] = {}
        for judged, key in self.judged.items():
            names = found.setdefault(key, [])
            if judged.evaluation not in names:
                names.append(judged.evaluation)
        inputs = self.plan.stages[self.plan.report].inputs
        for name, key in inputs.items():
            of = f"{name.rpartition('/')[2]} on dev"
            if name.startswith("dev/") and of not in found.setdefault(key, []):
                found[key].append(of)
        for battle, name in self.battles.items():
            names = found.setdefault(inputs[name], [])
            if battle.evaluation not in names:
                names.append(battle.evaluation)
        return found

    @cached_property
    def models(self) -> dict[str, str]:
        """The stage that left an arm's model, of its first seed: the last one of its training."""
        found: dict[str, tuple[int, str]] = {}
        for name, key in self.plan.stages[self.plan.report].inputs.items():
            sort, _, rest = name.partition("/")
            if sort == "train":
                arm, seed, _ = rest.rsplit("/", 2)
                if arm not in found or found[arm][0] == int(seed):
                    found[arm] = int(seed), key
        return {arm: key for arm, (_, key) in found.items()}

    @cached_property
    def prompts(self) -> str:
        """The stage that chose the prompts."""
        return next(key for key, stage in self.plan.stages.items() if stage.kind == "prompts")

    @cached_property
    def pairs(self) -> dict[str, tuple[str, str]]:
        """Every difference of two arms by its name, as the report calls them."""
        return {
            in_cell(cell, name): (in_cell(cell, a), in_cell(cell, b))
            for cell, spec in cells(self.spec).items()
            for name, (a, b) in contrasts(spec).items()
        }

    def about(self, key: str) -> str:
        """What sets a stage apart from others of its kind: model, split, temperature, seed."""
        stage = self.plan.stages.get(key)
        if stage is None:
            return ""
        tried = [self.tried[key]] if key in self.tried else []
        return ", ".join([*_about(stage, self.evaluations_of.get(key, []), self.spec), *tried])

    @cached_property
    def tried(self) -> dict[str, str]:
        """What each stage of a trial tries, in words."""
        stages, found = self.plan.stages, dict[str, str]()
        for stage in [one for one in stages.values() if one.kind == CHOOSE]:
            for place, trial in enumerate(stage.params["trials"]):
                for seed in stage.params["seeds"]:
                    model, judged = (stage.inputs[f"{what}/{place}/{seed}"] for what in ("model", "dev"))
                    of = [model, judged, *(key for name, key in stages[judged].inputs.items() if name == "samples")]
                    found |= dict.fromkeys(of, words_of(trial))
                    if stages[model].kind == CHECKPOINT:
                        found[stages[model].inputs["training"]] = words_of({"settings": trial["settings"]})
        return found


def _about(stage: Stage, evaluations: list[str], spec: Spec) -> list[str]:
    params, words = stage.params, []
    if evaluations:
        words.append(" and ".join(evaluations))
    elif name := stage.options.get("name"):
        words.append(str(name))
    if stage.kind in {"teach", "sample"} and "split" in params:
        words.append(f"{params['split']} prompts")
    if "turn" in params:
        words.append(f"turn {params['turn']}")
    if "temperature" in params:
        words.append(f"temperature {params['temperature']:g}")
    if stage.kind == CHOOSE:
        words.append(f"{len(params['trials'])} trials")
    if stage.kind == "rl":
        words.append(str(params.get("method", "")))
        words += ["random labels"] if params.get("labels") == "random" else []
        words += [f"lengths within {params['length_within']:g}"] if "length_within" in params else []
    if params.get("seed") is not None and len(spec.seeds) > 1:
        words.append(f"seed {params['seed']}")
    return words


class Plans:
    """Plans of experiments, the last few kept: a resolved spec never changes."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._kept: Kept[Planned | None] = Kept(64)
        self._manifests: Kept[Manifest] = Kept(4096)

    def of(self, id: str) -> Planned | None:
        """An experiment's plan; None where this version cannot make one, or it has no arms. Raises `Outage`."""
        return self._kept.get(id, lambda: self._read(id))

    def manifest(self, key: str) -> Manifest | None:
        """The oldest commit of a stage; None while there is none. Raises `Outage`."""
        first = oldest(self._store.list(commit_prefix(key)))
        if first is None:
            return None
        return self._kept_manifest(first.name)

    def _kept_manifest(self, name: str) -> Manifest:
        return self._manifests.get(name, lambda: Manifest.from_json(self._store.get(name)))

    def judgements(self, id: str, wanted: Judged) -> Manifest | None:
        """The commit of some judgements: the one that the report was made from, where it is there."""
        planned = self.of(id)
        if planned is None or wanted not in planned.judged:
            return None
        return self.used(planned, f"judge/{wanted.arm}/{wanted.seed}/{wanted.evaluation}")

    def battle(self, id: str, wanted: Battle) -> Manifest | None:
        """The same of judgements of two arms against each other."""
        planned = self.of(id)
        name = None if planned is None else planned.battles.get(wanted)
        return None if planned is None or name is None else self.used(planned, name)

    def used(self, planned: Planned, name: str) -> Manifest | None:
        """The commit of a report's input: the one that was read for it, where it is there; None while there is none."""
        report = self.manifest(planned.plan.report)
        if report is not None:
            return self._kept_manifest(report.inputs[name].object)
        return self.manifest(planned.plan.stages[planned.plan.report].inputs[name])

    def _read(self, id: str) -> Planned | None:
        try:
            resolved = read_resolved(self._store, id)
            if resolved is None or (spec := resolved.bounded) is None:
                return None
            return Planned(spec, plan(resolved))
        except (BadInput, ValueError, KeyError) as error:
            log.info("page.plan_skipped", experiment=id, error=str(error))
            return None
