"""The committed rows that the page shows side by side, read once and kept joined."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from services.api import side_by_side
from services.api.kept import Kept
from services.api.planned import Judged, Planned, Plans
from services.api.problems import not_found
from shared import records
from shared.artifacts import Manifest
from shared.errors import BadInput
from shared.store import ObjectStore

SEPARATOR = " ["


@dataclass(frozen=True)
class Choice:
    """What is compared: two arms under one evaluation, of one training's seed."""

    arm_a: str
    arm_b: str
    evaluation: str
    seed: int


@dataclass(frozen=True)
class Choices:
    """What can be compared, and what is where nobody chose."""

    arms: list[str]
    evaluations: list[str]
    seeds: list[int]
    usual: Choice


class JudgedRows:
    """Reads and keeps the tables of the last few comparisons."""

    def __init__(self, store: ObjectStore, plans: Plans) -> None:
        self._store = store
        self._plans = plans
        self._tables: Kept[pa.Table] = Kept(48)
        self._pairs: Kept[pa.Table] = Kept(12)

    def choices(self, id: str) -> tuple[Planned, Choices]:
        """What an experiment's plan allows. Raises `Problem` (404) where there is no plan, or nobody judges in it."""
        planned = self._plans.of(id)
        if planned is None or not planned.judged:
            raise not_found(f"judged sample of experiment {id!r}")
        found = list(planned.judged)
        arms = list(dict.fromkeys(one.arm for one in found))
        evaluations = list(dict.fromkeys(one.evaluation for one in found))
        seeds = list(dict.fromkeys(one.seed for one in found))
        spec = planned.spec
        pair = next((pair for name, pair in planned.pairs.items() if _base(name) == spec.primary.contrast), None)
        a, b = pair or (arms[0], arms[-1])
        # Of a choice among temperatures the rows are those of each.
        entry = spec.primary.evaluation.rpartition("@")[0]
        of_entry = [name for name in evaluations if name.rpartition("@")[0] == entry]
        shown = spec.primary.evaluation if spec.primary.evaluation in evaluations else of_entry[0]
        return planned, Choices(arms, evaluations, seeds, Choice(a, b, shown, seeds[0]))

    def choose(self, id: str, arm_a: str, arm_b: str, evaluation: str, seed: int | None) -> Choice:
        """What was asked for, with the usual for what was left out. Raises `BadInput` for a name that is none."""
        _, choices = self.choices(id)
        usual = choices.usual
        choice = Choice(
            arm_a or usual.arm_a,
            arm_b or usual.arm_b,
            evaluation or usual.evaluation,
            usual.seed if seed is None else seed,
        )
        for field, value, known in (
            ("arm_a", choice.arm_a, choices.arms),
            ("arm_b", choice.arm_b, choices.arms),
            ("evaluation", choice.evaluation, choices.evaluations),
            ("seed", choice.seed, choices.seeds),
        ):
            if value not in known:
                raise BadInput(
                    field, f"{value!r} is none of this experiment", f"Use one of {', '.join(map(str, known))}."
                )
        return choice

    def rows(self, id: str, choice: Choice) -> pa.Table | None:
        """The joined rows (`side_by_side.pair`); None while an arm's judgements are not committed. Raises `Outage`."""
        a, b = (self._manifest(id, arm, choice, choice.evaluation) for arm in (choice.arm_a, choice.arm_b))
        if a is None or b is None:
            return None
        others = []
        for evaluation in self._other_judges(id, choice):
            pair = [self._manifest(id, arm, choice, evaluation) for arm in (choice.arm_a, choice.arm_b)]
            others.append([one for one in pair if one is not None])
        ready = [(pair[0], pair[1]) for pair in others if len(pair) == 2]
        used = [a, b, *(one for pair in ready for one in pair)]
        name = "|".join(f"{one.key}.{one.attempt}" for one in used)
        prompts = self._prompts(id)

        def make() -> pa.Table:
            tables = [(self._table(one), self._table(two)) for one, two in ready]
            return side_by_side.pair(prompts, self._table(a), self._table(b), tables)

        return self._pairs.get(f"{id}|{name}", make)

    def _manifest(self, id: str, arm: str, choice: Choice, evaluation: str) -> Manifest | None:
        return self._plans.judgements(id, Judged(arm, choice.seed, evaluation))

    def _other_judges(self, id: str, choice: Choice) -> list[str]:
        """Evaluations that differ from the chosen one in their judge alone."""
        planned, choices = self.choices(id)
        keys = {name: planned.judged.get(Judged(choice.arm_a, choice.seed, name)) for name in choices.evaluations}
        mine = keys[choice.evaluation]
        stages = planned.plan.stages
        return [
            name
            for name, key in keys.items()
            if key is not None
            and mine is not None
            and key != mine
            and stages[key].params.get("protocol") == stages[mine].params.get("protocol")
            and stages[key].inputs.get("samples") == stages[mine].inputs.get("samples")
            and stages[key].inputs.get("reference") == stages[mine].inputs.get("reference")
        ]

    def _prompts(self, id: str) -> pa.Table | None:
        planned = self._plans.of(id)
        assert planned is not None
        key = next((key for key, stage in planned.plan.stages.items() if stage.kind == "prompts"), None)
        manifest = None if key is None else self._plans.manifest(key)
        return None if manifest is None else self._table(manifest)

    def _table(self, manifest: Manifest) -> pa.Table:
        (file,) = [ref for name, ref in manifest.files.items() if name.endswith(".parquet")]
        return self._tables.get(file.object, lambda: records.read(self._store.get(file.object)))


def _base(name: str) -> str:
    """A contrast's name without its cell."""
    return name.partition(SEPARATOR)[0]
