"""A matrix: one spec multiplied into cells, each the same arms under another policy, critic, judge or fraction.

Cells share every stage that is the same in them: an SFT arm is trained once for all critics.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.errors import FieldError
from shared.spec.model import Arm, Matrix, Spec
from shared.splits import rows_between

MOST_CELLS = 100
AXES = {"policies": "policy", "critics": "critic", "judges": "judge", "fractions": "fraction"}
"""The fields of `matrix`, and what one value of each is called in a cell's name."""


def cells(spec: Spec) -> dict[str, Spec]:
    """The spec of each cell by its name (`policy=llama-7b,critic=gpt-4`); of a spec without a matrix itself, as ''."""
    if spec.matrix is None:
        return {"": spec}
    axes = _axes(spec.matrix)
    found = {}
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        found[",".join(f"{axis}={_text(value)}" for axis, value in chosen.items())] = _cell(spec, chosen)
    return found


def in_cell(cell: str, name: str) -> str:
    """How an arm or contrast of a cell is called where those of other cells stand beside it."""
    return f"{name} [{cell}]" if cell else name


def but_for_judge(cell: str) -> str:
    """A cell's name without its judge: cells for which this is the same differ in their judge alone."""
    return ",".join(part for part in cell.split(",") if not part.startswith("judge="))


def matrix_errors(spec: Spec) -> Iterator[FieldError]:
    """What is wrong with a matrix as such; whether its names exist, the cells' own checks say."""
    if spec.matrix is None:
        return
    axes = _axes(spec.matrix)
    fields = {axis: field for field, axis in AXES.items()}
    count = 1
    for axis, values in axes.items():
        count *= len(values)
        given = getattr(spec.matrix, fields[axis])
        if len(set(given)) != len(given):
            yield FieldError(f"matrix.{fields[axis]}", "the same value stands there twice", "Give each value once.")
    if count <= 1:
        yield FieldError(
            "matrix", f"has {'one' if count else 'no'} cell", "Give one of its axes two values or more, or remove it."
        )
    if count > MOST_CELLS:
        yield FieldError("matrix", f"has {count} cells, and {MOST_CELLS} are the most", "Write several specs.")
        return
    yield from _fraction_errors(axes.get("fraction", ()), spec.prompts.train)
    if 1.0 in (spec.matrix.fractions or ()) and all(arm.rl is not None for arm in spec.arms.values()):
        problem = "1.0 stands for the arms of SFT alone, and there is none"
        yield FieldError("matrix.fractions", problem, "Add an arm with `sft:` and no `rl:`, or remove it.")
    for axis in ("critic", "fraction"):
        if axis in axes and all(arm.rl is None for arm in spec.arms.values()):
            yield FieldError(f"matrix.{fields[axis]}", "changes nothing: no arm has an RL step", "Remove it.")
        elif axis == "critic" and axis in axes and all(not arm.rl or not arm.rl.critic for arm in spec.arms.values()):
            yield FieldError(f"matrix.{fields[axis]}", "changes nothing: no arm has a critic", "Remove it.")
    if "judge" in axes:
        yield from _judge_errors(spec)


def _fraction_errors(fractions: Sequence[float], train: int) -> Iterator[FieldError]:
    """The first fraction that leaves a step no prompts, or is another one's prompts or name."""
    rows: dict[int, float] = {}
    names: dict[str, float] = {}
    for fraction in dict.fromkeys(fractions):
        _, used = rows_between(train, 0.0, fraction)
        if used in {0, train}:
            problem = f"{fraction:g} of {train} train prompts leaves none to the SFT or to the RL step"
            yield FieldError("matrix.fractions", problem, "Write another fraction, or raise prompts.train.")
            return
        other = rows.get(used, names.get(_text(fraction)))
        if other is not None:
            problem = f"{other!r} and {fraction!r} of {train} train prompts make the same cell"
            yield FieldError("matrix.fractions", problem, "Keep one of them.")
            return
        rows[used] = names[_text(fraction)] = fraction


def _judge_errors(spec: Spec) -> Iterator[FieldError]:
    judged = {name: one for name, one in spec.evaluations.items() if "judge" in one.models()}
    if not judged:
        yield FieldError("matrix.judges", "changes nothing: no evaluation has a judge", "Remove it.")
    alike: dict[str, str] = {}
    for name, evaluation in judged.items():
        other = alike.setdefault(evaluation.model_copy(update={"judge": ""}).model_dump_json(), name)
        if other != name:
            problem = f"makes evaluations.{other} and evaluations.{name} the same: they differ in their judge alone"
            yield FieldError("matrix.judges", problem, f"Remove {name}.")


def _axes(matrix: Matrix) -> dict[str, list[Any]]:
    found = {axis: values for field, axis in AXES.items() if (values := getattr(matrix, field)) is not None}
    if "fraction" in found:
        # All prompts with demonstrations are the arms of SFT alone, which every cell has.
        found["fraction"] = [value for value in found["fraction"] if value < 1]
    return found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(spec: Spec, chosen: Mapping[str, Any]) -> Spec:
    arms = {name: _arm(arm, chosen) for name, arm in spec.arms.items()}
    evaluations = dict(spec.evaluations)
    if "judge" in chosen:
        for name, evaluation in evaluations.items():
            if "judge" in evaluation.models():
                evaluations[name] = evaluation.model_copy(update={"judge": chosen["judge"]})
    return spec.model_copy(update={"matrix": None, "arms": arms, "evaluations": evaluations})


def _arm(arm: Arm, chosen: Mapping[str, Any]) -> Arm:
    changes: dict[str, Any] = {"policy": chosen["policy"]} if "policy" in chosen else {}
    if arm.rl is not None and arm.rl.critic is not None and "critic" in chosen:
        changes["rl"] = arm.rl.model_copy(update={"critic": chosen["critic"]})
    if arm.rl is not None and "fraction" in chosen:
        changes["sft"] = arm.sft.model_copy(update={"fraction": chosen["fraction"]})
    return arm.model_copy(update=changes)
