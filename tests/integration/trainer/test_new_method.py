"""A method is one class and one entry: here IPO (Azar et al. 2023), from TRL's DPO trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest

from tests.integration.trainer import tiny
from workers.trainer.arguments import describe
from workers.trainer.job import OUT, ROWS, Job, ModelSource
from workers.trainer.messages import Message, Progress
from workers.trainer.methods import METHODS
from workers.trainer.methods.dpo import Dpo
from workers.trainer.training import run

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


class Ipo(Dpo):
    """Identity preference optimisation."""

    name: ClassVar[str] = "ipo"
    owned: ClassVar[frozenset[str]] = Dpo.owned | {"loss_type"}

    def arguments(self, job: Job) -> dict[str, Any]:
        return {**super().arguments(job), "loss_type": ["ipo"]}


def test_a_method_is_a_class_and_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "ipo", Ipo())
    assert "loss_type" in describe()["methods"]["ipo"]["owned"]
    pq.write_table(METHODS["ipo"].rows([tiny.preferences()]), tmp_path / ROWS)
    model = ModelSource(folder=str(tiny.save_model(tmp_path / "model")))
    said: list[Message] = []
    metrics = run(Job(method="ipo", beta=0.5, args={"max_steps": 2}, model=model), tmp_path, said.append)
    assert metrics["steps"] == 2 and metrics["reference"]["rows_checked"] == 4
    rows = [item.row for item in said if isinstance(item, Progress) and item.row]
    # At the start every margin is nought, and IPO's loss (1 / 2 beta)^2 = 1.
    assert rows[0]["loss"] == pytest.approx(1.0, abs=1e-4)
    assert (tmp_path / OUT / "model.safetensors").exists()
