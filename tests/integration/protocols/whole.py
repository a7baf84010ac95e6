"""A whole experiment without workers: every stage by the function that its worker runs, on a real store and Redis.

Only the trainings are made by hand: their stages commit small models that were pretrained for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from services.analyst.tasks import report
from services.critic.judge import judge
from services.critic.label import label
from services.inference.keeper import Keeper
from services.inference.reward import Raters, reward
from services.inference.sample import sample
from services.inference.score import score
from services.teacher.prompts import prompts
from services.teacher.teach import teach
from shared.artifacts import Artifact, CommitRef, StageResult
from shared.context import StageContext
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec.parse import parse_spec
from shared.spec.resolve import resolve
from shared.units import Unit
from tests.place import Place

Handler = Callable[[StageContext], StageResult]


class Whole(Place):
    """Runs experiments; `trained` has the folder of the model that each arm's training leaves."""

    def run_all(self, spec: Mapping[str, object], trained: Mapping[str, Path], keeper: Keeper, raters: Raters) -> Plan:
        """Run what is not committed yet."""
        made = plan(resolve(parse_spec(spec), self.store, self.settings))
        handlers: dict[str, Handler] = {
            "prompts": prompts,
            "teach": teach,
            "label": label,
            "sample": lambda ctx: sample(ctx, keeper),
            "score": lambda ctx: score(ctx, keeper),
            "reward": lambda ctx: reward(ctx, raters),
            "judge": judge,
            "report": report,
        }
        for stage in made.stages.values():
            handler = handlers.get(stage.kind) or leaves(trained[stage.arms[0]])
            marker = self.attempt(self.unit_of(stage), handler) if not self.done(stage) else None
            assert marker is None or marker.outcome == "committed", f"{stage.kind}: {marker.message}"
        return made

    def unit_of(self, stage: Stage) -> Unit:
        inputs = {name: self.of(key) for name, key in stage.inputs.items()}
        return Unit(
            key=stage.key,
            kind=stage.kind,
            params=stage.params,
            options=stage.options,
            inputs=inputs,
            experiment="e1",
            generation=1,
        )

    def of(self, key: str) -> CommitRef:
        return self.reference(Unit(key=key, kind="prompts", params={}))

    def done(self, stage: Stage) -> bool:
        return self.committed(Unit(key=stage.key, kind=stage.kind, params={}))

    def left(self, key: str) -> Artifact:
        """What a stage left."""
        return self.load(self.of(key))


def leaves(folder: Path) -> Handler:
    """A training that leaves this model."""
    files = {path.name: path for path in sorted(folder.iterdir()) if path.name != "versions.json"}
    return lambda ctx: StageResult(
        dict(files), {"steps": 1, "tokens": 1, "parameters": 1, "examples": 1, "epochs": 1.0}
    )
