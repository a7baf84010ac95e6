"""Resolution: every name in a spec is pinned to content, once, before anything runs. The only I/O before the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.asking import Ask
from shared.bandit import KIND, is_bandit, parse_bandit
from shared.coverage import check_coverage, declared_errors, unjudged_teachers
from shared.datasets import DatasetInfo, find_dataset, read_dataset
from shared.errors import BadInput, BadInputs, FieldError
from shared.evaluation_data import evaluation_data_errors
from shared.hub import revision_of
from shared.llm.credentials import check_credentials
from shared.models import find_model
from shared.names import check_name
from shared.prices import price_errors
from shared.protocols.base import questions_count
from shared.settings import Settings
from shared.spec.base import DeclaredDataset
from shared.spec.battles import unjudged_players
from shared.spec.beside import unjudged_contrasts
from shared.spec.declared import declared_fields
from shared.spec.model import Policy, Prompts, SimulatedPrompts, Spec
from shared.spec.parse import parse_spec
from shared.splits import Splits, split_prompts
from shared.store import ObjectStore
from shared.uploaded_templates import pin_template, read_template
from shared.world.prompts import make_prompts

RESOLVED_SCHEMA = "touchstone/resolved/1"


class Resolved(BaseModel):
    """A spec with its names pinned: what an experiment is, and all that the plan is made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: str = RESOLVED_SCHEMA
    spec: dict[str, Any]
    datasets: dict[str, str] = {}
    """SHA-256 of each dataset, by name."""
    policies: dict[str, dict[str, str]] = {}
    """Of each policy that is not pretrained: {uploaded: sha256}, {hub: name, revision: commit} or, where it is not
    there, {declared: name, revision: as stated}."""
    counts: dict[str, int] = {}
    """Prompts in each split, near_duplicates, and the prompts of datasets that evaluations name (`questions_count`)."""
    unjudged: list[str] = []
    """Teachers whose recorded completions leave out eval prompts, so that they are not judged as arms."""

    @property
    def parsed(self) -> Spec:
        """The spec of an experiment that trains and judges. Raises `BadInput` of one of another kind."""
        return parse_spec(self.spec)

    @property
    def bounded(self) -> Spec | None:
        """The spec, of an experiment that may spend something."""
        return None if is_bandit(self.spec) else self.parsed


def resolve_any(data: Any, store: ObjectStore, settings: Settings, whole: bool = False) -> Resolved:
    """A spec of any kind, as plain data, checked and pinned; `whole`: nothing in it may be only declared.

    Raises: as `parse_spec` and `resolve` do.
    """
    if is_bandit(data):
        bandit = parse_bandit(data)
        pinned = {"kind": bandit.kind, "name": bandit.name, "seeds": bandit.seeds}
        return Resolved(spec=pinned | {"bandit": bandit.bandit.model_dump(mode="json")})
    if isinstance(data, Mapping) and "kind" in data:
        raise BadInput("kind", f"{str(data['kind'])[:80]!r} is unknown", f"Write `kind: {KIND}`, or leave it out.")
    spec = parse_spec(data)
    if whole and (declared := list(declared_fields(spec))):
        raise BadInputs(declared)
    return resolve(spec, store, settings)


def resolve(spec: Spec, store: ObjectStore, settings: Settings) -> Resolved:
    """Pin datasets and base models to content hashes and check that the data covers what is asked of it.

    Raises:
        BadInput: a name is not there, or a dataset lacks what the spec asks of it.
        Outage: the store or the model hub cannot be reached.
    """
    if not any(declared_fields(spec)):  # what can only be planned needs no key
        for name, entry in spec.models.items():
            check_credentials(settings, name, entry)
    if errors := [*_own_pins(spec), *price_errors(spec), *declared_errors(spec)]:
        raise BadInputs(errors)
    pins = {name: _dataset(store, field, name, kind) for field, name, kind in _named_datasets(spec)}
    policies = {
        name: _policy_model(store, f"policies.{name}.model", policy)
        for name, policy in spec.policies.items()
        if policy.base is None
    }
    templates = {
        name: _template(store, f"models.{name}.ask", entry.asks)
        for name, entry in spec.models.items()
        if entry.asks is not None and entry.asks.template is not None
    }
    checkpoints = {
        name: _base_model(store, f"models.{name}.model", entry.base_model)
        for name, entry in spec.models.items()
        if entry.base_model is not None
    }
    splits = None
    if isinstance(spec.prompts.source, DeclaredDataset):
        counts = _declared_counts(spec.prompts, spec.prompts.source)
    else:
        splits = prompt_splits(spec, {name: info.sha256 for name, info in pins.items()}, store)
        counts = {split: splits.count(split) for split in ("eval", "dev", "train")}
        counts["near_duplicates"] = splits.near_duplicates
        for name in spec.models:
            check_coverage(spec, name, pins, splits, store)
        if errors := list(evaluation_data_errors(spec, pins, splits, store)):
            raise BadInputs(errors)
    counts |= {
        questions_count(one.dataset): pins[one.dataset].rows
        for one in spec.evaluations.values()
        if one.dataset is not None and one.dataset_kind == "prompts"
    }
    unjudged = unjudged_teachers(spec, pins, splits, store)
    if errors := [*unjudged_contrasts(spec, unjudged), *unjudged_players(spec, unjudged)]:
        raise BadInputs(errors)
    return Resolved(
        spec=_pinned(spec, pins, templates, checkpoints),
        datasets={name: info.sha256 for name, info in pins.items()},
        policies=policies,
        counts=counts,
        unjudged=unjudged,
    )


def _own_pins(spec: Spec) -> Iterator[FieldError]:
    """Pins that a person wrote: what they would mean, nobody has looked at."""
    fix = "Remove it: it is filled in when the spec is resolved."
    for name, evaluation in spec.evaluations.items():
        if getattr(evaluation, "pinned", None) is not None:
            yield FieldError(f"evaluations.{name}.pinned", "is not yours to write", fix)
    for name, entry in spec.models.items():
        if getattr(entry, "pinned", None) is not None:
            yield FieldError(f"models.{name}.pinned", "is not yours to write", fix)
        if entry.asks is not None and entry.asks.pinned is not None:
            yield FieldError(f"models.{name}.ask.pinned", "is not yours to write", fix)


def _pinned(
    spec: Spec, pins: dict[str, DatasetInfo], templates: dict[str, str], checkpoints: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """The spec as plain data, seeds written out and every model with what its dataset, template or checkpoint is."""
    data: dict[str, Any] = spec.model_dump(mode="json", exclude_defaults=True) | {"seeds": spec.seeds}
    for name, entry in spec.models.items():
        if entry.dataset is not None:
            data["models"][name]["pinned"] = pins[entry.dataset].sha256
        if name in templates:
            data["models"][name]["ask"]["pinned"] = templates[name]
        if name in checkpoints:
            data["models"][name]["pinned"] = checkpoints[name]
    for name, evaluation in spec.evaluations.items():
        if evaluation.dataset is not None:
            data["evaluations"][name]["pinned"] = pins[evaluation.dataset].sha256
    return data


def _declared_counts(prompts: Prompts, source: DeclaredDataset) -> dict[str, int]:
    counts = {split: int(getattr(prompts, split)) for split in ("eval", "dev", "train")}
    if (wanted := sum(counts.values())) > source.declared.rows:
        problem = f"train, dev and eval are {wanted:,} prompts, and {source.declared.rows:,} are declared"
        raise BadInput("prompts.source.declared.rows", problem, f"Declare {wanted:,} or more, or lower the splits.")
    return counts | {"near_duplicates": 0}


def prompt_splits(spec: Spec, pins: dict[str, str], store: ObjectStore) -> Splits:
    """The prompts of an experiment, not declared ones, in their splits. Raises `BadInput` when there are too few."""
    sizes = (("train", spec.prompts.train), ("dev", spec.prompts.dev), ("eval", spec.prompts.eval))
    source = spec.prompts.source
    if isinstance(source, SimulatedPrompts):
        return _world_splits(source.world.count, source.world.seed, sizes)
    assert isinstance(source, str), "declared prompts have no text"
    return _dataset_splits(store, pins[source.removeprefix("dataset:")], sizes)  # type: ignore[arg-type]


# Content never changes under its hash, nor the world under its seed: people submit and plan the same prompts again and
# again, and the API answers in milliseconds only if it need not draw and rank thousands of them each time.
@lru_cache(maxsize=8)
def _world_splits(count: int, seed: int, sizes: tuple[tuple[str, int], ...]) -> Splits:
    pool = make_prompts(count, seed)
    return split_prompts([(prompt.prompt_id, prompt.text) for prompt in pool], dict(sizes), exact=True)


@lru_cache(maxsize=8)
def _dataset_splits(store: ObjectStore, sha256: str, sizes: tuple[tuple[str, int], ...]) -> Splits:
    table = read_dataset(store, sha256)
    prompts = zip(*(table[name].to_pylist() for name in ("prompt_id", "prompt")), strict=True)
    return split_prompts(list(prompts), dict(sizes))


def _named_datasets(spec: Spec) -> Iterator[tuple[str, str, str]]:
    """Field, dataset name and kind of every dataset that the spec names."""
    if isinstance(spec.prompts.source, str):
        yield "prompts.source", spec.prompts.source.removeprefix("dataset:"), "prompts"
    for name, entry in spec.models.items():
        if entry.dataset is not None:
            kind = "preferences" if entry.records_preferences else "completions"
            yield f"models.{name}.{entry.dataset_field}", entry.dataset, kind
    for name, evaluation in spec.evaluations.items():
        if evaluation.dataset is not None:
            yield f"evaluations.{name}.{evaluation.dataset_field}", evaluation.dataset, evaluation.dataset_kind


def _dataset(store: ObjectStore, field: str, name: str, kind: str) -> DatasetInfo:
    info = find_dataset(store, name)
    if info is None:
        fix = f"Add it first: touchstone dataset add FILE --name {name}"
        raise BadInput(field, f"there is no dataset {name!r}", fix)
    if info.kind != kind and not (kind == "prompts" and info.kind == "completions" and "prompt" in info.columns):
        raise BadInput(field, f"dataset {name!r} holds {info.kind}, and {kind} are needed", f"Name one with {kind}.")
    return info


def _template(store: ObjectStore, field: str, ask: Ask) -> str:
    """The content hash of an uploaded template, which must suit the way of asking."""
    assert ask.template is not None
    sha256 = pin_template(store, f"{field}.template", ask.template, ask.sort)
    ask.check_template(read_template(store, sha256), field)
    return sha256


def _policy_model(store: ObjectStore, field: str, policy: Policy) -> dict[str, str]:
    if policy.declared is not None:
        return {"declared": policy.declared.model, "revision": policy.declared.revision}
    assert policy.model is not None
    return _base_model(store, field, policy.model)


def _base_model(store: ObjectStore, field: str, model: str) -> dict[str, str]:
    """What a hub's or an uploaded model's name stands for now."""
    if model.startswith("model:"):
        name = check_name(model.removeprefix("model:"), field)
        info = find_model(store, name)
        if info is None:
            raise BadInput(field, f"there is no model {name!r}", f"Add it first: touchstone model add {name} FOLDER")
        return {"uploaded": info.sha256}
    return {"hub": model, "revision": revision_of(field, model)}
