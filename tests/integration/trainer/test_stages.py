"""Trainings from end to end: the worker's side, the child, TRL, and what is committed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.artifacts import CommitRef
from shared.models import add_model
from shared.settings import Settings
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place

SFT = {"method": "sft", "seed": 1, "chat_template": None, "precision": "float32", "max_length": 32, "lora": None}
ARGS = {
    "per_device_train_batch_size": 8,
    "num_train_epochs": 12,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
}
DPO_ARGS = {"per_device_train_batch_size": 5, "num_train_epochs": 2, "learning_rate": 1e-3}


def answer(folder: Path, prompt: str) -> str:
    """The model's greedy answer, with the committed tokenizer and its template."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "user", "content": prompt}]
    inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    made = model.generate(**inputs, do_sample=False, max_new_tokens=8)
    return str(tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def test_sft_then_dpo(place: Place, base: CommitRef, demonstrations: CommitRef, preferences: CommitRef) -> None:
    sft = place.unit("sft", {**SFT, "args": ARGS}, base=base, demonstrations=demonstrations)
    assert place.train(sft).outcome == "committed", place.log(sft)
    start = place.artifact(sft)
    files = set(start.manifest.files)
    assert {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "chat_template.jinja",
    } <= files
    assert {"loss.parquet", "trl_config.json", "versions.json"} <= files
    assert not any(name.endswith((".pt", ".pth", ".bin", ".pkl")) for name in files)
    metrics = start.manifest.metrics
    assert (metrics["steps"], metrics["examples"], metrics["truncated"], metrics["dropped"]) == (36, 24, 0, 0)
    curve = start.table("loss.parquet")
    assert curve["step"].to_pylist() == list(range(1, 37))
    assert {"learning_rate", "grad_norm"} <= set(curve.column_names)
    assert curve["loss"][0].as_py() > 5 * metrics["final_loss"]
    assert start.manifest.cost.device_seconds > 0
    # Every row has two user tokens, the two markers, the answer and the end.
    assert metrics["tokens"] == 12 * 24 * 6
    weights = AutoModelForCausalLM.from_pretrained(start.folder())
    assert metrics["parameters"] == sum(parameter.numel() for parameter in weights.parameters())
    assert [answer(start.folder(), f"say {word}") for word in tiny.THINGS] == tiny.THINGS
    config = json.loads(start.path("trl_config.json").read_text())["config"]
    assert (config["learning_rate"], config["completion_only_loss"], config["seed"]) == (1e-2, True, 1)
    assert not any(str(place.settings.data_dir) in start.path(name).read_text() for name in files if name.endswith("n"))

    params = {**SFT, "method": "dpo", "beta": 0.2, "args": DPO_ARGS}
    rl = place.unit("rl", params, start=place.reference(sft), preferences=preferences)
    assert place.train(rl).outcome == "committed", place.log(rl)
    trained = place.artifact(rl)
    assert (trained.manifest.metrics["examples"], trained.manifest.metrics["steps"]) == (20, 8)
    assert trained.manifest.metrics["reference"]["rows_checked"] == 4
    curve = trained.table("loss.parquet")
    assert curve["loss"][0].as_py() == pytest.approx(0.6931, abs=1e-3)
    assert curve["rewards/margins"][-1].as_py() > 0
    assert {"rewards/accuracies", "rewards/chosen"} <= set(curve.column_names)


@pytest.mark.slow
def test_the_same_training_gives_the_same_bytes(place: Place, base: CommitRef, demonstrations: CommitRef) -> None:
    hashes = []
    for extra in ({}, {"again": True}):
        unit = place.unit("sft", {**SFT, "args": ARGS, **extra}, base=base, demonstrations=demonstrations)
        assert place.train(unit).outcome == "committed", place.log(unit)
        hashes.append({name: ref.sha256 for name, ref in place.artifact(unit).manifest.files.items()})
    assert hashes[0] == hashes[1]


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_an_uploaded_model_with_lora_in_bfloat16(
    place: Place, settings: Settings, demonstrations: CommitRef, tmp_path: Path
) -> None:
    """The adapter is merged, so that what is committed is a whole model, and kept below it, for peft over the base; a
    named template is kept too."""
    base = tiny.save_model(tmp_path / "uploaded", template=None)
    (base / "chat_template.jinja").unlink(missing_ok=True)
    sha256 = add_model(place.store, "tiny", base)
    params = {
        **SFT,
        "model": {"uploaded": sha256},
        "precision": "bfloat16",
        "lora": {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": "all-linear"},
        "chat_template": "human_assistant",
        "args": {**ARGS, "num_train_epochs": 1},
    }
    unit = place.unit("sft", params, demonstrations__0=demonstrations, demonstrations__1=demonstrations)
    assert place.train(unit).outcome == "committed", place.log(unit)
    artifact = place.artifact(unit)
    assert artifact.manifest.metrics["examples"] == 48
    assert "adapter_model.safetensors" not in artifact.manifest.files
    assert "Human:" in artifact.path("chat_template.jinja").read_text()
    before, after = (AutoModelForCausalLM.from_pretrained(folder) for folder in (base, artifact.folder()))
    assert after.dtype == torch.float32
    changed = [name for name, value in after.state_dict().items() if not torch.equal(value, before.state_dict()[name])]
    assert changed and not any("norm" in name or "embed" in name for name in changed)
    kept = sorted(path.name for path in (artifact.folder() / "adapter").iterdir())
    assert kept == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((artifact.folder() / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] is None and config["target_modules"] == sorted(config["target_modules"])
    merged = PeftModel.from_pretrained(before, artifact.folder() / "adapter").merge_and_unload().state_dict()
    assert all(torch.allclose(value, merged[name], atol=1e-6) for name, value in after.state_dict().items())


def test_pretraining(place: Place) -> None:
    from shared import records

    prompts = [{"prompt_id": "p", "prompt": "Count the items in : cat dog =", "split": "eval", "rank": 0}]
    table = place.commit("prompts", {"prompts.parquet": records.from_rows(prompts, records.PROMPTS)})
    settings = {"steps": 12, "mixed_steps": 4, "width": 24, "layers": 1, "batch_size": 4, "seed": 3}
    unit = place.unit("pretrain", {"settings": settings}, prompts=table)
    assert place.train(unit).outcome == "committed", place.log(unit)
    artifact = place.artifact(unit)
    assert artifact.table("loss.parquet").num_rows == 12
    AutoModelForCausalLM.from_pretrained(artifact.folder())
    assert AutoTokenizer.from_pretrained(artifact.folder()).chat_template


@pytest.mark.slow
def test_truncated_and_dropped_rows_are_counted(place: Place, base: CommitRef) -> None:
    rows = tiny.demonstrations(6).to_pylist()
    rows[0]["completion"] = "a b c d e f"
    rows[1]["completion"] = "a b c"
    rows[2]["prompt"] = "say a b c d e f"
    from shared import records

    table = place.commit("long", {"completions.parquet": records.from_rows(rows, records.COMPLETIONS)})
    params = {**SFT, "max_length": 8, "args": {**ARGS, "num_train_epochs": 1}}
    unit = place.unit("sft", params, base=base, demonstrations=table)
    assert place.train(unit).outcome == "committed", place.log(unit)
    metrics = place.artifact(unit).manifest.metrics
    # The row with three letters just fits; the long prompt leaves nothing of its completion.
    assert (metrics["examples"], metrics["truncated"], metrics["dropped"]) == (5, 1, 1)
