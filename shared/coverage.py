"""Whether a spec's datasets cover what is asked of them: a row for every prompt, found out before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from shared.datasets import DatasetInfo, read_dataset
from shared.errors import BadInput, FieldError
from shared.llm.providers.recorded import RecordedModel
from shared.llm.providers.verifiable import VerifiableModel
from shared.plan.beside import judged_beside
from shared.plan.critics import critics_of
from shared.spec.base import DeclaredDataset
from shared.spec.matrix import cells
from shared.spec.model import Spec
from shared.spec.parse import needed_models
from shared.spec.sweeps import entries_on_dev
from shared.splits import Splits, rows_between
from shared.store import ObjectStore

LEAST_COVERED = 0.5
"""The share of the eval prompts that a teacher with `missing: drop` must have completions of to be judged."""


def check_coverage(spec: Spec, name: str, pins: dict[str, DatasetInfo], splits: Splits, store: ObjectStore) -> None:
    """A dataset must have a row for every prompt that its model will be asked about."""
    entry = spec.models[name]
    if not isinstance(entry, RecordedModel | VerifiableModel) or entry.dataset is None:
        return
    table = read_dataset(store, pins[entry.dataset].sha256)
    wanted = _wanted(spec, name, splits)
    field, drop = f"models.{name}.{entry.dataset_field}", entry.missing == "drop"
    if entry.records_preferences:
        _check_labels(field, entry.dataset, table, wanted, drop)
    else:
        recorded = dict(zip(table["prompt_id"].to_pylist(), table["completion"].to_pylist(), strict=True))
        _check_completions(field, entry.dataset, recorded, wanted, drop)
        if entry.can_teach:
            _check_demonstrations(field, entry.dataset, recorded, wanted)


def declared_errors(spec: Spec) -> Iterator[FieldError]:
    """Declared completions and labels that are fewer than the prompts which their model is asked about."""
    for name, entry in spec.models.items():
        if not isinstance(entry, RecordedModel) or entry.missing == "drop":
            continue
        given = getattr(entry, entry.dataset_field)
        wanted = sum(last - first for _, first, last in _ranges(spec, name))
        if isinstance(given, DeclaredDataset) and given.declared.rows < wanted:
            yield FieldError(
                f"models.{name}.{entry.dataset_field}.declared.rows",
                f"is {given.declared.rows:,}, and {name} is asked about {wanted:,} prompts",
                f"Declare {wanted:,} or more, or write `missing: drop` under models.{name}.",
            )


def unjudged_teachers(spec: Spec, pins: dict[str, DatasetInfo], splits: Splits | None, store: ObjectStore) -> list[str]:
    """Recorded teachers that cannot be judged as arms: completions of eval prompts are missing.

    Nobody need record more than the demonstrations, so this is no mistake. Of what is `declared` the number of rows
    tells; without `splits`, where prompts are, nothing is known and nothing left out.
    """
    named = {who.of for cell in cells(spec).values() for who in judged_beside(cell).values()}
    return [name for name in spec.models if name in named and not _covers_eval(spec, name, pins, splits, store)]


def _covers_eval(
    spec: Spec, name: str, pins: dict[str, DatasetInfo], splits: Splits | None, store: ObjectStore
) -> bool:
    entry = spec.models[name]
    if not isinstance(entry, RecordedModel):
        return True
    given = getattr(entry, entry.dataset_field)
    if isinstance(given, DeclaredDataset):
        wanted = {split: last - first for split, first, last in _ranges(spec, name)} | {"eval": spec.prompts.eval}
        return given.declared.rows >= sum(wanted.values())
    if splits is None or entry.dataset is None:
        return True
    recorded = set(read_dataset(store, pins[entry.dataset].sha256)["prompt_id"].to_pylist())
    there = [prompt.prompt_id in recorded for prompt in splits.prompts if prompt.split == "eval"]
    return sum(there) >= LEAST_COVERED * len(there) if entry.missing == "drop" else all(there)


def _wanted(spec: Spec, name: str, splits: Splits) -> list[tuple[str, str]]:
    """`(prompt_id, split)` of the prompts that a model is asked about, as far as the spec says."""
    ranges = _ranges(spec, name)
    return [
        (prompt.prompt_id, split)
        for split, first, last in ranges
        for prompt in splits.prompts
        if prompt.split == split and first <= prompt.rank < last
    ]


def _ranges(spec: Spec, name: str) -> list[tuple[str, int, int]]:
    """The ranks [first, last) of the splits that a model is asked about, each split once."""
    variants, sizes = cells(spec).values(), spec.prompts
    arms = [arm for cell in variants for arm in cell.arms.values()]
    evaluations = [evaluation for cell in variants for evaluation in cell.evaluations.values()]
    fractions = [arm.sft.fraction for arm in arms if arm.sft.teacher == name]
    towards = {model for entry in spec.models.values() for model in needed_models(entry).values()}
    asking = {name, *(whole for whole, entry in spec.models.items() if name in entry.parts)}
    labels = [arm.sft.fraction for arm in arms if arm.rl is not None and arm.rl.critic in asking]
    opposed = [arm.rl.opponent or arm.sft.teacher for arm in arms if arm.rl and arm.rl.pairs == "policy_vs_teacher"]
    opposed += [teacher for arm in arms if arm.control is not None for teacher in arm.control.teachers().values()]
    if labels:
        train = rows_between(sizes.train, min(labels), 1.0)
    elif name in opposed:
        train = 0, sizes.train
    else:
        train = rows_between(sizes.train, 0.0, 1.0 if name in towards else max(fractions, default=0.0))
    found = {"train": train}
    evaluated = {model for entry in evaluations for model in entry.models().values()} | towards
    if evaluated & asking:
        found["eval"] = 0, sizes.eval
    on_dev = [cell.evaluations[entry] for cell in variants for entry in entries_on_dev(cell)]
    if on_dev and ({model for entry in on_dev for model in entry.models().values()} | towards) & asking:
        found["dev"] = 0, sizes.dev
    if spec.critic_check is not None and {name, *asking} & {spec.critic_check.labels, *towards, *critics_of(spec)}:
        found[spec.critic_check.split] = 0, getattr(sizes, spec.critic_check.split)
    return [(split, *ranks) for split, ranks in found.items()]


def _check_labels(field: str, dataset: str, table: pa.Table, wanted: list[tuple[str, str]], drop: bool) -> None:
    labelled = set(table["prompt_id"].to_pylist())
    missing = [prompt_id for prompt_id, _ in wanted if prompt_id not in labelled]
    if len(missing) == len(wanted) and wanted:
        fix = "Its prompt_id column must hold the ids of prompts.source."
        raise BadInput(field, f"dataset {dataset!r} has labels for none of the prompts", fix)
    if missing and not drop:
        raise BadInput(
            field,
            f"dataset {dataset!r} has no pair for {len(missing)} prompts ({', '.join(missing[:5])} …)",
            f"Write `missing: drop` under {field.rsplit('.', 1)[0]} to leave them out.",
        )


def _check_completions(
    field: str, dataset: str, recorded: dict[str, str], wanted: list[tuple[str, str]], drop: bool
) -> None:
    missing = [prompt_id for prompt_id, _ in wanted if prompt_id not in recorded]
    if missing and not drop:
        raise BadInput(
            field,
            f"dataset {dataset!r} has no completion for {len(missing)} prompts ({', '.join(missing[:5])} …)",
            f"Write `missing: drop` under {field.rsplit('.', 1)[0]} to leave them out.",
        )


def _check_demonstrations(field: str, dataset: str, recorded: dict[str, str], wanted: list[tuple[str, str]]) -> None:
    empty = [key for key, split in wanted if split == "train" and key in recorded and not (recorded[key] or "").strip()]
    if empty:
        raise BadInput(
            field,
            f"dataset {dataset!r} has an empty completion for {', '.join(empty[:5])}",
            "A teacher's demonstration must say something: remove those rows and write `missing: drop`.",
        )
