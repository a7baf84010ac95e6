"""An export: a list of files by their paths, each an object of the store with its hash; kept, and never changed.

experiments/<id>/exports/<sha256>.json          the list, named by its content
experiments/<id>/exports/files/<sha256>         what was written for it: cards and rows; weights stay where they are
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from services.api.exports.card import Facts, card
from services.api.exports.chosen import Tried, source, tried
from services.api.exports.dataset import dataset_files
from services.api.exports.rows import Rows, rows_of, source_of
from services.api.exports.trained import Training, trainings
from services.api.lineage import Lineages
from services.api.planned import Planned, Plans
from services.api.problems import Problem
from services.api.reportfiles import Reports
from shared import records
from shared.artifacts import FileRef, Manifest
from shared.canonical import sha256_hex
from shared.experiments import PREFIX
from shared.store import NotFound, ObjectStore
from shared.trials import TRIALS

SCHEMA = "touchstone/export/1"
TRAINING_FILES = frozenset({"loss.parquet", "trl_config.json", "versions.json", TRIALS})
"""What a training leaves beside the model: no loader looks for it."""


class Kept(BaseModel):
    """What is kept of an export."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: str = SCHEMA
    experiment: str
    arm: str
    seed: int
    stage: str
    files: dict[str, FileRef]


class Exports:
    """Makes exports of an experiment's arms, and reads those that were made."""

    def __init__(self, store: ObjectStore, plans: Plans, reports: Reports, lineages: Lineages) -> None:
        self._store = store
        self._plans = plans
        self._reports = reports
        self._lineages = lineages

    def make(self, summary: dict[str, Any], planned: Planned, training: Training) -> tuple[str, Kept]:
        """An arm's model, card and rows as they are now; the same again gives the same.

        Raises:
            Problem: 409, the training is not committed yet.
            Outage: the store is away.
        """
        id = str(summary["id"])
        manifests = {step: self._manifest(planned, training, step, summary) for step in training.steps}
        model = _model_files(list(manifests.values())[-1])
        trained = {step: self._trained(planned, training.steps[step], of) for step, of in manifests.items()}
        rows = [
            found
            for step, (key, manifest) in trained.items()
            if (found := self._rows(planned.plan.stages[key].params, step, manifest)) is not None
        ]
        params = {step: planned.plan.stages[key].params for step, (key, _) in trained.items()}
        chosen = {step: trials for step, manifest in manifests.items() if (trials := tried(manifest)) is not None}
        facts = self._facts(summary, planned, training, rows, model, params, chosen)
        written = {
            "README.md": card(facts).encode(),
            **dataset_files(facts.experiment, training.arm, training.seed, rows),
        }
        files = {**model, **{path: self._write(id, data) for path, data in written.items()}}
        kept = Kept(experiment=id, arm=training.arm, seed=training.seed, stage=training.key, files=files)
        data = kept.model_dump_json().encode()
        sha256 = sha256_hex(data)
        self._put(_name(id, sha256), data)
        return sha256, kept

    def read(self, id: str, sha256: str) -> Kept | None:
        """An export that was made; None where there is none of this name."""
        try:
            return Kept.model_validate_json(self._store.get(_name(id, sha256)))
        except NotFound:
            return None

    def _manifest(self, planned: Planned, training: Training, step: str, summary: Mapping[str, Any]) -> Manifest:
        manifest = self._plans.used(planned, training.input(step))
        if manifest is not None:
            return manifest
        key, name = training.steps[step], summary["name"]
        row = next((row for row in summary["stages"] if row["key"] == key), {"state": "pending"})
        raise Problem(
            409,
            f"arm {training.arm!r} is not trained yet: its step {step} with seed {training.seed} is {row['state']}; "
            f"see `touchstone watch {name}`",
        )

    def _trained(self, planned: Planned, key: str, manifest: Manifest) -> tuple[str, Manifest]:
        """The training that left a step's model, and its commit: the one that was chosen, of several."""
        while (ref := source(manifest, planned.plan.stages[key].params)) is not None:
            key, manifest = ref.key, Manifest.from_json(self._store.get(ref.object))
        return key, manifest

    def _rows(self, params: Mapping[str, Any], step: str, manifest: Manifest) -> Rows | None:
        name = source_of(manifest.inputs)
        if name is None:
            return None
        read = Manifest.from_json(self._store.get(manifest.inputs[name].object))
        (table,) = [ref for file, ref in read.files.items() if file.endswith(".parquet")]
        return rows_of(step, params, name, records.read(self._store.get(table.object)))

    def _facts(
        self,
        summary: dict[str, Any],
        planned: Planned,
        training: Training,
        rows: list[Rows],
        model: Mapping[str, FileRef],
        params: Mapping[str, Mapping[str, Any]],
        chosen: Mapping[str, Tried],
    ) -> Facts:
        lineage = self._lineages.of(summary["stages"], planned, training.key)
        if lineage is None:
            raise Problem(409, f"the stages of experiment {summary['id']} are not known yet; try again in a moment")
        report = self._reports.data(summary)
        return Facts(
            experiment=str(summary["name"]),
            id=str(summary["id"]),
            training=training,
            seeds=tuple(trainings(planned.plan)[training.arm]),
            params=params,
            chosen=chosen,
            rows=rows,
            lineage=lineage,
            weights={path: ref.sha256 for path, ref in model.items() if not path.startswith("training/")},
            report=report,
            arm=None if report is None else report.get("arms", {}).get(training.arm),
        )

    def _write(self, id: str, data: bytes) -> FileRef:
        sha256 = sha256_hex(data)
        name = f"{PREFIX}{id}/exports/files/{sha256}"
        self._put(name, data)
        return FileRef(object=name, sha256=sha256, size=len(data))

    def _put(self, name: str, data: bytes) -> None:
        if not self._store.exists(name):
            self._store.put(name, data)


def _name(id: str, sha256: str) -> str:
    return f"{PREFIX}{id}/exports/{sha256}.json"


def _model_files(manifest: Manifest) -> dict[str, FileRef]:
    """A training's files by their paths in the export."""
    return {f"training/{name}" if name in TRAINING_FILES else name: ref for name, ref in manifest.files.items()}
