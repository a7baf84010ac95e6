"""Which trainings left which arm's model: pure, from the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.api.problems import Problem
from shared.errors import BadInput
from shared.plan.model import Plan


@dataclass(frozen=True)
class Training:
    """An arm's training with one seed: by step (`sft`, `rl`, `rl-2`), in their order, the key of each stage."""

    arm: str
    seed: int
    steps: Mapping[str, str]

    @property
    def key(self) -> str:
        """The stage that left the model."""
        return list(self.steps.values())[-1]

    def input(self, step: str) -> str:
        """What the report calls the step among its inputs."""
        return f"train/{self.arm}/{self.seed}/{step}"


def trainings(plan: Plan) -> dict[str, dict[int, Training]]:
    """Every arm's trainings by seed; of a matrix an arm is called `name [cell]`."""
    steps: dict[str, dict[int, dict[str, str]]] = {}
    for name, key in plan.stages[plan.report].inputs.items():
        sort, _, rest = name.partition("/")
        if sort == "train":
            # An arm's or a cell's name may hold a slash, a seed and a step's name none.
            arm, seed, step = rest.rsplit("/", 2)
            steps.setdefault(arm, {}).setdefault(int(seed), {})[step] = key
    return {
        arm: {seed: Training(arm, seed, of_seed) for seed, of_seed in seeds.items()} for arm, seeds in steps.items()
    }


def training_of(plan: Plan, arm: str, seed: int | None, experiment: str) -> Training:
    """The training that is meant: without a seed the first one's. In a matrix the arm's name alone will do where it is
    the same model in every cell.

    Raises:
        Problem: 404, no arm is called so; it names those that there are.
        BadInput: the arm was not trained with this seed.
    """
    found = trainings(plan)
    alike = {name: seeds for name, seeds in found.items() if name == arm or name.startswith(f"{arm} [")}
    if not alike or len({_models(seeds.values()) for seeds in alike.values()}) > 1:
        few = alike or found
        several = " alone: say which cell's" if alike else ""
        there = f"there are {', '.join(few)}" if few else "it trains none"
        raise Problem(404, f"experiment {experiment} has no arm {arm[:200]!r}{several}; {there}")
    seeds = next(iter(alike.values()))
    if seed is None:
        return next(iter(seeds.values()))
    if seed not in seeds:
        there = ", ".join(str(one) for one in seeds)
        raise BadInput("seed", f"arm {arm!r} was not trained with seed {seed}", f"Use one of: {there}.")
    return seeds[seed]


def _models(seeds: Iterable[Training]) -> tuple[str, ...]:
    return tuple(one.key for one in seeds)
