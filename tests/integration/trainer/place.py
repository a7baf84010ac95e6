"""Training stages, run as the trainer worker would."""

from __future__ import annotations

from shared.attempts import Marker
from shared.units import Unit
from tests import place
from workers.trainer.stage import train


class Place(place.Place):
    """Runs training stages in this process."""

    def train(self, unit: Unit) -> Marker:
        """Run a unit; returns how its attempt ended."""
        return self.attempt(unit, train)

    def checkpoints(self, unit: Unit) -> set[int]:
        """The steps of complete checkpoints in the store."""
        names = [info.name for info in self.store.list(f"scratch/{unit.key}/checkpoints/")]
        return {int(name.split("/")[3][:8]) for name in names if name.endswith("/checkpoint.json")}
