"""Who is judged beside a spec's recipes: its untrained policies, its teachers, and answers that say nothing.

Their names cannot be those of arms: `base` and `teacher` are no arm's to take (`shared.spec.parse` refuses them), and
no arm's name has a colon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from shared.nulls import NULLS
from shared.protocols import Evaluation
from shared.spec.model import Spec
from shared.spec.names import policy_of

Role = Literal["base", "teacher", "null"]
BASE: Role = "base"
TEACHER: Role = "teacher"
NULL: Role = "null"
RESERVED = (BASE, TEACHER)
"""Names that no arm may have; they are the roles of who is judged beside the arms."""


@dataclass(frozen=True)
class Beside:
    """Who it is: `of` names a policy, a model or a null completion."""

    role: Role
    of: str


def judged_beside(spec: Spec) -> dict[str, Beside]:
    """The untrained policies and teachers of a cell by the names that they are judged under."""
    found: dict[str, Beside] = {}
    if "base" in spec.also_judge:
        policies = list(dict.fromkeys(policy_of(spec, arm) for arm in spec.arms.values()))
        for policy in policies:
            found[BASE if len(policies) == 1 else f"{BASE}:{policy}"] = Beside(BASE, policy)
    if "teachers" in spec.also_judge:
        found |= {f"{TEACHER}:{name}": Beside(TEACHER, name) for name in teachers_of(spec)}
    return found


def nulls_beside(spec: Spec) -> dict[str, Beside]:
    """The null completions by the names that they are judged under."""
    return {f"{NULL}:{name}": Beside(NULL, name) for name in NULLS} if spec.null_completions else {}


def teachers_of(spec: Spec) -> list[str]:
    """The models whose completions a cell's arms are trained on, each once."""
    of_controls = [arm.control.teachers().values() for arm in spec.arms.values() if arm.control is not None]
    return list(dict.fromkeys([*(arm.sft.teacher for arm in spec.arms.values()), *chain(*of_controls)]))


def is_judged(who: Beside, evaluation: Evaluation) -> bool:
    """Whether an evaluation can say anything of them.

    Completions without a policy have no likelihood, and a teacher's are no better or worse than themselves as the
    reference. Whether a judge rewards emptiness, only an evaluation with a judge can tell.
    """
    if who.role == BASE:
        return True
    if not evaluation.judges_completions or (who.role == NULL and "judge" not in evaluation.models()):
        return False
    return evaluation.models().get("reference") != who.of or who.role == NULL


def is_judged_everywhere(names: Mapping[str, Beside], arms: tuple[str, str], evaluation: Evaluation) -> bool:
    """Whether both arms of a contrast are judged under an evaluation; recipes are under each."""
    return all(arm not in names or is_judged(names[arm], evaluation) for arm in arms)
