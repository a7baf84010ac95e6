"""A reference of a stage of its own: trainings that are given it are those that compute it themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from shared.artifacts import CommitRef
from shared.errors import PermanentError
from shared.selection import selected
from shared.settings import Settings
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place
from tests.integration.trainer.test_faults import running
from workers.trainer import references, scoring
from workers.trainer.job import OUT, ROWS, Job, ModelSource
from workers.trainer.messages import Message, Progress, Saved
from workers.trainer.methods import METHODS
from workers.trainer.training import run

# TRL asks models for what transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
ARGS = {"per_device_train_batch_size": 8, "max_steps": 4, "learning_rate": 1e-2}
PAIRS = tiny.preferences(48)
FILES = ("model.safetensors", "loss.parquet")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Checkpoints every fraction of a second."""
    return settings.model_copy(update={"checkpoint_seconds": 0.2})


def scoring_job(folder: Path, pairs: pa.Table = PAIRS, at_once: int = 8, **more: Any) -> Job:
    """The job of a reference stage on the tiny pairs, in `folder`, from the start beside it."""
    folder.mkdir()
    start = folder.parent / "start"
    if not start.exists():
        tiny.save_model(start, seed=7)
    pq.write_table(METHODS["dpo"].rows([references.numbered(pairs)]), folder / ROWS)
    given = {"args": {"per_device_train_batch_size": at_once}, "max_length": 32, **more}
    return Job(method="dpo", reference="wanted", model=ModelSource(folder=str(start)), **given)


def scored(folder: Path, pairs: pa.Table = PAIRS, **settings: Any) -> pa.Table:
    """What a reference stage leaves."""
    scoring.run(scoring_job(folder, pairs, **settings), folder, lambda _: None)
    return pq.read_table(folder / OUT / references.FILE)


def trained(
    folder: Path,
    reference: pa.Table | None,
    selection: dict[str, Any] | None = None,
    pairs: pa.Table = PAIRS,
    **more: Any,
) -> Path:
    """Train a little from the start beside `folder`, given a reference or not; returns where the outcome lies."""
    folder.mkdir()
    method = more.pop("method", "dpo")
    pairs = pairs if reference is None else references.joined(pairs, reference)
    pq.write_table(METHODS[method].rows([selected(pairs, selection or {})]), folder / ROWS)
    given = {"args": {**ARGS, **more.pop("args", {})}, "max_length": 32, "seed": 3, "beta": 0.1, **more}
    start = ModelSource(folder=str(folder.parent / "start"))
    job = Job(method=method, reference="own" if reference is None else "given", model=start, **given)
    run(job, folder, lambda _: None)
    return folder / OUT


def assert_same(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_training_that_is_given_it_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    """With as many pairs at once, so that batches are padded alike."""
    reference = scored(tmp_path / "reference")
    for name, more in (
        ("plain", {}),
        ("lora", {"lora": {"r": 2, "dropout": 0.2}}),
        ("ipo", {"beta": 0.3, "args": {"loss_type": ["ipo"], "learning_rate": 1e-3}}),
    ):
        own = trained(tmp_path / f"{name}-own", None, **more)
        assert_same(own, trained(tmp_path / f"{name}-given", reference, **more))


def test_other_batches_and_exchanged_labels_differ_by_rounding_alone(tmp_path: Path) -> None:
    reference = scored(tmp_path / "reference", at_once=3)
    control = {"labels": "random", "seed": 5, "length_within": 0.4}
    outs = [trained(tmp_path / name, given, control) for name, given in (("own", None), ("given", reference))]
    curves = [pq.read_table(out / "loss.parquet")["loss"].to_pylist() for out in outs]
    assert curves[1] == pytest.approx(curves[0], abs=1e-5)
    weights = [load_file(out / "model.safetensors") for out in outs]
    assert max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0]) < 1e-3


def test_kto_without_its_kl_term_takes_the_halves(tmp_path: Path) -> None:
    reference = scored(tmp_path / "reference")
    more: dict[str, Any] = {"method": "kto", "args": {"loss_type": "apo_zero_unpaired"}}
    own, given = (trained(tmp_path / name, table, **more) for name, table in (("own", None), ("given", reference)))
    curves = [pq.read_table(out / "loss.parquet")["loss"].to_pylist() for out in (own, given)]
    assert curves[1] == pytest.approx(curves[0], abs=1e-5)


def test_what_the_stage_says_and_that_it_goes_on_where_it_was(tmp_path: Path) -> None:
    said: list[Message] = []
    job = scoring_job(tmp_path / "whole", checkpoint_seconds=0.0)
    metrics = scoring.run(job, tmp_path / "whole", said.append)
    assert (metrics["examples"], metrics["truncated"], metrics["dropped"]) == (40, 0, 0)
    # A prompt of two words and two markers with each completion, one of two words and one of three, and their ends.
    assert metrics["tokens"] == 40 * (4 + 3 + 4 + 4)
    assert metrics["speed"]["samples_per_second"] > 0
    steps = [(item.step, item.total) for item in said if isinstance(item, Progress)]
    assert steps[0] == (0, 40) and steps[-1] == (40, 40)
    saved = [item for item in said if isinstance(item, Saved)]
    assert [item.step for item in saved] == [8, 16, 24, 32, 40]

    on = scoring_job(tmp_path / "on")
    resumed = on.model_copy(update={"resume": str(tmp_path / "whole" / saved[1].folder)})
    later: list[Message] = []
    scoring.run(resumed, tmp_path / "on", later.append)
    assert next(item.step for item in later if isinstance(item, Progress)) == 16
    files = [(tmp_path / name / OUT / references.FILE).read_bytes() for name in ("whole", "on")]
    assert files[0] == files[1]


def test_another_start_s_reference_is_refused(tmp_path: Path) -> None:
    reference = scored(tmp_path / "reference")
    for path in (tmp_path / "start").iterdir():
        path.unlink()
    tiny.save_model(tmp_path / "start", seed=8)
    with pytest.raises(PermanentError, match="DPO's reference is not the start"):
        trained(tmp_path / "given", reference)


def test_a_training_that_is_given_it_computes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = scored(tmp_path / "reference")
    from trl import DPOTrainer

    def never(*_: Any) -> None:
        raise AssertionError("a forward pass of the reference")

    monkeypatch.setattr(DPOTrainer, "compute_ref_log_probs", never)
    assert (trained(tmp_path / "given", reference) / "model.safetensors").exists()


@pytest.mark.slow
def test_the_stages_as_a_worker_runs_them(place: Place, base: CommitRef, preferences: CommitRef) -> None:
    params: dict[str, Any] = {"chat_template": None, "precision": "float32", "max_length": 32, "args": {}}
    unit = place.unit("reference", params, start=base, preferences=preferences)
    assert place.train(unit).outcome == "committed", place.log(unit)
    found = place.artifact(unit)
    assert found.manifest.files[references.FILE].rows == 20 and found.manifest.cost.device_seconds > 0
    training = {"method": "dpo", "seed": 1, "beta": 0.1, "max_length": 32, "args": {"max_steps": 2}}
    rl = place.unit("rl", training, start=base, preferences=preferences, reference=place.reference(unit))
    assert place.train(rl).outcome == "committed", place.log(rl)
    metrics = place.artifact(rl).manifest.metrics
    assert metrics["forward_passes"] == {"once": 0.0, "every_epoch": 0.0}
    assert metrics["reference"]["rows_checked"] == 4


@pytest.mark.slow
def test_a_killed_reference_goes_on(place: Place, base: CommitRef) -> None:
    many = place.commit("many", {"preferences.parquet": tiny.preferences(2400)})
    args = {"precompute_ref_batch_size": 1}
    params: dict[str, Any] = {"chat_template": None, "precision": "float32", "max_length": 32, "args": args}
    unit = place.unit("reference", params, start=base, preferences=many)
    with running(place, unit) as process:
        process.kill()
    assert "was killed (SIGKILL)" in place.markers(unit)[-1].message
    assert place.train(unit).outcome == "committed", place.log(unit)
    assert "going on from the checkpoint of step" in place.log(unit)
    assert place.artifact(unit).manifest.files[references.FILE].rows == 2000


def test_a_prompt_that_fills_the_length_has_none_and_is_not_trained_on(tmp_path: Path) -> None:
    rows = PAIRS.to_pylist()
    rows[1]["prompt"] = "say a b c d e f"
    pairs = pa.Table.from_pylist(rows, schema=PAIRS.schema)
    reference = scored(tmp_path / "reference", pairs, max_length=8)
    assert reference["row"].to_pylist()[:3] == [0, 2, 3] and reference.num_rows == 39
    own = trained(tmp_path / "own", None, pairs=pairs, max_length=8)
    assert_same(own, trained(tmp_path / "given", reference, pairs=pairs, max_length=8))
