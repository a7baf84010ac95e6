"""DPO's reference is the arm's own SFT start, by its log-probabilities."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.errors import PermanentError
from tests.integration.trainer import tiny
from workers.trainer import reference
from workers.trainer.job import ROWS, Job, ModelSource
from workers.trainer.methods import METHODS
from workers.trainer.training import build

# TRL asks models for what transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
DPO = METHODS["dpo"]


def make_job(folder: Path, **settings: object) -> Job:
    """A job whose start lies in `folder/start`, where its configuration names another model as its origin."""
    tiny.save_model(folder / "start", seed=7)
    pq.write_table(DPO.rows([tiny.preferences()]), folder / ROWS)
    args = {"per_device_train_batch_size": 5, "num_train_epochs": 1}
    given = {"method": "dpo", "beta": 0.1, "args": args, "max_length": 32, **settings}
    return Job.model_validate({**given, "model": ModelSource(folder=str(folder / "start"))})


def log_probability(folder: Path, prompt: str, completion: str) -> float:
    """log p(completion | prompt) in nats, with nothing of TRL's: the template's text, one row, plain softmax."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    user = [{"role": "user", "content": prompt}]
    before = tokenizer.apply_chat_template(user, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*user, {"role": "assistant", "content": completion}], tokenize=False)
    skipped = len(tokenizer(before)["input_ids"])
    ids = torch.tensor([tokenizer(whole)["input_ids"]])
    with torch.no_grad():
        logps = torch.log_softmax(model(input_ids=ids).logits[0], dim=-1)
    return sum(float(logps[at - 1, ids[0, at]]) for at in range(skipped, ids.shape[1]))


@pytest.mark.parametrize("lora", [None, {"r": 2}])
def test_every_reference_log_probability_is_the_starts(tmp_path: Path, lora: object) -> None:
    trainer, _ = build(make_job(tmp_path, lora=lora), tmp_path)
    pairs = DPO.rows([tiny.preferences()]).to_pylist()
    assert len(trainer.train_dataset) == len(pairs) == 20
    for row, pair in zip(trainer.train_dataset, pairs, strict=True):
        for name in ("chosen", "rejected"):
            own = log_probability(tmp_path / "start", pair["prompt"], pair[name])
            assert row[f"ref_{name}_logps"] == pytest.approx(own, abs=1e-4)


def test_what_trl_would_take_without_us(tmp_path: Path) -> None:
    """Without precomputing, TRL takes the reference from the folder that the configuration names: the trap itself."""
    from trl import DPOConfig, DPOTrainer

    tiny.save_model(tmp_path / "base", seed=7)
    job = make_job(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    config = DPOConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, activation_checkpointing=False)
    rows = Dataset.from_list([DPO.example(row) for row in pq.read_table(tmp_path / ROWS).to_pylist()])
    tokenizer = AutoTokenizer.from_pretrained(job.model.folder)
    trainer = DPOTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
    reference_weight = next(iter(trainer.ref_model.parameters()))
    assert not torch.equal(reference_weight, next(iter(model.parameters())))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_another_reference_is_an_error(tmp_path: Path, precision: str) -> None:
    job = make_job(tmp_path, precision=precision)
    trainer, rows = build(job, tmp_path)
    evidence = DPO.evidence(trainer, job, rows)["reference"]
    assert evidence["rows_checked"] == 4
    assert evidence["largest_difference"] < {"float32": 1e-4, "bfloat16": 0.1}[precision]

    # What another model's reference would look like: as many tokens, other log-probabilities.
    shutil.rmtree(tmp_path / "start")
    tiny.save_model(tmp_path / "start", seed=8)
    other, _ = build(job, tmp_path)
    trainer.train_dataset = other.train_dataset
    with pytest.raises(PermanentError, match="DPO's reference is not the start"):
        DPO.evidence(trainer, job, rows)


def test_tokens_beyond_the_shorter_completion_may_count_less(tmp_path: Path) -> None:
    job = make_job(tmp_path, args={"per_device_train_batch_size": 5, "ld_alpha": 0.3})
    trainer, _ = build(job, tmp_path)
    assert reference.prove(trainer, job)["reference"]["largest_difference"] < 1e-4
