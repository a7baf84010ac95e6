"""What a spec may say of a training besides its method: two steps of each, and what this trainer cannot do says so."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.errors import PermanentError
from tests.integration.trainer import tiny
from workers.trainer import reporting
from workers.trainer.adapter import keep
from workers.trainer.job import OUT, ROWS, Job, Lora, ModelSource
from workers.trainer.loading import load
from workers.trainer.messages import Message, Progress
from workers.trainer.methods import METHODS
from workers.trainer.outputs import merged_whole
from workers.trainer.speed import flops_per_token
from workers.trainer.training import arguments, build, run

# TRL asks models for what transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


def job_in(folder: Path, **more: Any) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    model = tiny.save_model(folder / "model", seed=7)
    pq.write_table(METHODS["sft"].rows([tiny.demonstrations()]), folder / ROWS)
    args = {"max_steps": 2, "per_device_train_batch_size": 8, "learning_rate": 1e-2, **more.pop("args", {})}
    return Job.model_validate({"method": "sft", "args": args, "seed": 3, "max_length": 32,
                               "model": ModelSource(folder=str(model)), **more})  # fmt: skip


def losses(folder: Path, **more: Any) -> list[float]:
    said: list[Message] = []
    run(job_in(folder, **more), folder, said.append)
    return [item.row["loss"] for item in said if isinstance(item, Progress) and item.row]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of two steps with nothing said."""
    return losses(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize(
    "settings",
    [
        {"args": {"gradient_checkpointing": True}},
        {"args": {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}},
        {"attention": "eager"},
        {"attention": "sdpa"},
        {"args": {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}},
    ],
    ids=str,
)
def test_what_saves_memory_or_time_changes_no_loss(
    tmp_path: Path, plain: list[float], settings: dict[str, Any]
) -> None:
    assert losses(tmp_path, **settings) == pytest.approx(plain, abs=1e-4)


def test_bfloat16_computes_almost_the_same(tmp_path: Path, plain: list[float]) -> None:
    found = losses(tmp_path, precision="bfloat16")
    assert found == pytest.approx(plain, rel=0.05) and found != plain


def test_checkpointing_and_attention_reach_the_model(tmp_path: Path) -> None:
    settings = {"args": {"gradient_checkpointing": True}, "attention": "eager"}
    trainer, _ = build(job_in(tmp_path, **settings), tmp_path)
    assert trainer.model.config._attn_implementation == "eager"
    assert trainer.args.activation_checkpointing is True


def test_packed_examples_do_not_see_each_other(tmp_path: Path) -> None:
    """All in one packed row, or each in its own: the same tokens, and the same mean loss."""
    whole = {"max_steps": 1, "per_device_train_batch_size": 24}
    apart = losses(tmp_path / "apart", args=whole)
    packed = losses(tmp_path / "packed", args={**whole, "packing": True, "packing_strategy": "bfd"}, max_length=64)
    assert packed == pytest.approx(apart, abs=1e-3)


def test_flash_attention_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    if find_spec("flash_attn") is not None:
        pytest.skip("flash-attn is installed")
    with pytest.raises(PermanentError, match=r"attention: .*flash_attention_2.*attention: sdpa"):
        load(job_in(tmp_path, attention="flash_attention_2", precision="bfloat16"))


def test_four_bits_without_a_gpu_are_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(PermanentError, match=r"lora.quantize: 4 bits need a GPU, and this trainer has none"):
        load(job_in(tmp_path, lora={"r": 2, "quantize": "nf4"}))


def test_four_bits_without_bitsandbytes_name_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("workers.trainer.loading.find_spec", lambda name: None)
    with pytest.raises(PermanentError, match=r"lora.quantize: bitsandbytes is not installed .*pip install"):
        load(job_in(tmp_path, lora={"r": 2, "quantize": "nf4"}))


def test_adapters_are_merged_into_the_weights_as_they_were_before_rounding(tmp_path: Path) -> None:
    job = job_in(tmp_path, lora={"r": 2}, args={"learning_rate": 0.1})
    trainer, _ = build(job, tmp_path)
    trainer.train()
    keep(trainer.model, job.model, tmp_path / "adapter")
    merged = merged_whole(job, tmp_path / "adapter").state_dict()
    usual = trainer.model.merge_and_unload().state_dict()
    start = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in merged.items())
    for name, value in usual.items():
        assert torch.allclose(merged[name], value, atol=1e-6), name


def test_the_template_that_was_trained_with_is_stored_with_the_checkpoint(tmp_path: Path) -> None:
    job = job_in(tmp_path, chat_template=tiny.TEMPLATE.replace("<assistant> ", "<assistant>  "))
    run(job, tmp_path, lambda _: None)
    assert AutoTokenizer.from_pretrained(tmp_path / OUT).chat_template == job.chat_template


@pytest.mark.parametrize("name", ["mlflow", "wandb", "tensorboard"])
def test_who_is_to_be_told_is_installed_or_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.trainer.reporting.find_spec", lambda package: None)
    with pytest.raises(PermanentError, match=rf"report_to: {name} is not installed .* `pip install {name}`"):
        run(job_in(tmp_path, report_to=[name]), tmp_path, lambda _: None)


@pytest.mark.parametrize(("name", "variable"), [("mlflow", "MLFLOW_TRACKING_URI"), ("wandb", "WANDB_API_KEY")])
def test_who_is_told_has_an_address(tmp_path: Path, name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in reporting.NEEDED[name]:
        monkeypatch.delenv(needed, raising=False)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setattr("workers.trainer.reporting.find_spec", lambda package: package)
    with pytest.raises(PermanentError, match=rf"report_to: {name} needs {variable}"):
        reporting.prepare([name], None, tmp_path)
    monkeypatch.setenv(variable, "x")
    reporting.prepare([name], None, tmp_path)


def test_trl_is_told_whom_to_tell(tmp_path: Path) -> None:
    given = arguments(job_in(tmp_path, report_to=["tensorboard"], run="sft-abc"), METHODS["sft"], tmp_path)
    assert (given["report_to"], given["run_name"]) == (["tensorboard"], "sft-abc")
    assert arguments(job_in(tmp_path), METHODS["sft"], tmp_path)["report_to"] == "none"


def test_tensorboard_s_files_are_where_the_operator_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")
    run(job_in(tmp_path, report_to=["tensorboard"], logs=str(tmp_path / "logs")), tmp_path, lambda _: None)
    assert list((tmp_path / "logs").glob("events.out.*"))


def test_how_fast_it_was_is_in_the_metrics_and_nothing_is_made_up_of_a_cpu(tmp_path: Path) -> None:
    metrics = run(job_in(tmp_path), tmp_path, lambda _: None)
    speed = metrics["speed"]
    assert (speed["device"], speed["devices"], speed["steps"]) == ("cpu", 1, 2)
    # Of milliseconds there are not many.
    seconds = pytest.approx(speed["seconds"], abs=0.0006, rel=0.01)
    assert metrics["tokens"] / speed["tokens_per_second"] == seconds
    # Two steps of eight examples.
    assert 16 / speed["samples_per_second"] == seconds
    assert speed["peak_memory_bytes"] > 50e6
    assert "mfu" not in speed


def test_after_a_resumption_speed_is_that_of_what_was_left(tmp_path: Path) -> None:
    job = job_in(tmp_path, args={"max_steps": 6}, checkpoint_seconds=0.0)
    run(job, tmp_path, lambda _: None)
    rest = run(job.model_copy(update={"resume": "checkpoints/checkpoint-3"}), tmp_path, lambda _: None)
    assert rest["steps"] == 6 and rest["speed"]["steps"] == 3
    seconds = 24 / rest["speed"]["samples_per_second"]
    assert seconds == pytest.approx(rest["speed"]["seconds"], abs=0.0006, rel=0.01)


@pytest.mark.parametrize(("lora", "each"), [(None, 6), (Lora(r=2), 4)])
def test_operations_are_six_for_a_weight_and_four_for_a_frozen_one(
    tmp_path: Path, lora: Lora | None, each: int
) -> None:
    trainer, _ = build(job_in(tmp_path, lora=lora), tmp_path)
    weights = sum(one.numel() for one in AutoModelForCausalLM.from_pretrained(tmp_path / "model").parameters())
    adapters = sum(one.numel() for one in trainer.model.parameters()) - weights
    # The embedding is tied to the output layer, so it counts.
    assert flops_per_token(trainer.model) == each * weights + 6 * adapters
