"""The committed rows that the page shows side by side, read once and kept joined."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from services.api import side_by_side
from services.api.kept import Kept
from services.api.planned import Battle, Judged, Planned, Plans
from services.api.problems import not_found
from shared import records
from shared.artifacts import Manifest
from shared.datasets import read_dataset
from shared.errors import BadInput
from shared.judgements import mirrored
from shared.store import ObjectStore
from shared.world import tasks as world

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
    """What can be compared, and what is where nobody chose. Evaluations that compare arms directly are `together`."""

    arms: list[str]
    evaluations: list[str]
    seeds: list[int]
    usual: Choice
    together: list[str]


@dataclass(frozen=True)
class Side:
    """One arm's judgements; `turned` ones are written as those of the arm that it was compared with."""

    manifest: Manifest
    turned: bool = False

    @property
    def name(self) -> str:
        return f"{self.manifest.key}.{self.manifest.attempt}{'~' if self.turned else ''}"


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
        fought = [arm for one in planned.battles for arm in (one.a, one.b)]
        arms = list(dict.fromkeys([*(one.arm for one in found), *fought]))
        together = list(dict.fromkeys(one.evaluation for one in planned.battles))
        evaluations = list(dict.fromkeys([*(one.evaluation for one in found), *together]))
        seeds = list(dict.fromkeys(one.seed for one in found))
        spec = planned.spec
        pair = next((pair for name, pair in planned.pairs.items() if _base(name) == spec.primary.contrast), None)
        a, b = pair or (arms[0], arms[-1])
        # Of a choice among temperatures the rows are those of each.
        entry = spec.primary.evaluation.rpartition("@")[0]
        of_entry = [name for name in evaluations if name.rpartition("@")[0] == entry]
        shown = spec.primary.evaluation if spec.primary.evaluation in evaluations else of_entry[0]
        return planned, Choices(arms, evaluations, seeds, Choice(a, b, shown, seeds[0]), together)

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
        pair = self._sides(id, choice, choice.evaluation)
        if pair is None:
            return None
        found = [self._sides(id, choice, evaluation) for evaluation in self._other_judges(id, choice)]
        others = [one for one in found if one is not None]
        name = "|".join(side.name for both in (pair, *others) for side in both)
        prompts, direct = self._prompts(id, choice), choice.evaluation in self.choices(id)[1].together

        def make() -> pa.Table:
            a, b = (self._rows(side) for side in pair)
            tables = [(self._rows(one), self._rows(two)) for one, two in others]
            # What an arm was compared with stands beside it then, and is no reference.
            first = a.drop_columns(["reference"]) if direct else a
            return side_by_side.pair(prompts, first, b, tables, self._categories(id, prompts))

        return self._pairs.get(f"{id}|{name}", make)

    def _sides(self, id: str, choice: Choice, evaluation: str) -> tuple[Side, Side] | None:
        """Both arms' judgements; None while they are not committed, or where the evaluation never compares the two."""
        if evaluation in self.choices(id)[1].together:
            for turned, (a, b) in enumerate(((choice.arm_a, choice.arm_b), (choice.arm_b, choice.arm_a))):
                found = self._plans.battle(id, Battle(a, b, choice.seed, evaluation))
                if found is not None:
                    return Side(found, bool(turned)), Side(found, not turned)
            return None
        pair = [
            self._plans.judgements(id, Judged(arm, choice.seed, evaluation)) for arm in (choice.arm_a, choice.arm_b)
        ]
        return None if pair[0] is None or pair[1] is None else (Side(pair[0]), Side(pair[1]))

    def _other_judges(self, id: str, choice: Choice) -> list[str]:
        """Evaluations that differ from the chosen one in their judge alone."""
        planned, choices = self.choices(id)
        keys = {name: self._key(planned, choice, name) for name in choices.evaluations}
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

    def _key(self, planned: Planned, choice: Choice, evaluation: str) -> str | None:
        """The stage that judged the left arm."""
        inputs = planned.plan.stages[planned.plan.report].inputs
        for a, b in ((choice.arm_a, choice.arm_b), (choice.arm_b, choice.arm_a)):
            name = planned.battles.get(Battle(a, b, choice.seed, evaluation))
            if name is not None:
                return inputs[name]
        return planned.judged.get(Judged(choice.arm_a, choice.seed, evaluation))

    def _rows(self, side: Side) -> pa.Table:
        table = self._table(side.manifest)
        return mirrored(table) if side.turned else table

    def _prompts(self, id: str, choice: Choice) -> pa.Table | None:
        """The experiment's prompts, or an evaluation's own."""
        planned = self._plans.of(id)
        assert planned is not None
        judged = self._key(planned, choice, choice.evaluation)
        own = None if judged is None else planned.plan.stages[judged].inputs.get("prompts")
        manifest = self._plans.manifest(own or planned.prompts)
        return None if manifest is None else self._table(manifest)

    def _categories(self, id: str, prompts: pa.Table | None) -> dict[str, str]:
        """Categories of prompts by their ids: those of the dataset's rows, or the tasks of the simulated world."""
        planned = self._plans.of(id)
        assert planned is not None
        source = planned.plan.stages[planned.prompts].params["source"]
        if "world" in source:
            found = [] if prompts is None else prompts.select(["prompt_id", "prompt"]).to_pylist()
            return {row["prompt_id"]: world.parse(row["prompt"]).name for row in found}
        table = read_dataset(self._store, source["dataset"])
        if "category" not in table.column_names:
            return {}
        return dict(zip(table["prompt_id"].to_pylist(), table["category"].to_pylist(), strict=True))

    def _table(self, manifest: Manifest) -> pa.Table:
        (file,) = [ref for name, ref in manifest.files.items() if name.endswith(".parquet")]
        return self._tables.get(file.object, lambda: records.read(self._store.get(file.object)))


def _base(name: str) -> str:
    """A contrast's name without its cell."""
    return name.partition(SEPARATOR)[0]
