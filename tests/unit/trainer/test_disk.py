"""What a training needs of the disk, told before it starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from shared.disk import GB
from shared.errors import Outage
from workers.trainer.disk import check_disk, needed, weight_shapes
from workers.trainer.job import Job, Lora, ModelSource

SHAPES = {"model.embed_tokens.weight": (1000, 10), "model.q_proj.weight": (10, 20), "model.norm.weight": (10,)}
WEIGHTS = 10_000 + 200 + 10


def job(**more: object) -> Job:
    return Job.model_validate({"method": "sft", **more})


def test_two_checkpoints_with_adams_state_and_the_result() -> None:
    assert needed(SHAPES, job()) == 2 * WEIGHTS * (4 + 8) + WEIGHTS * 4


@pytest.mark.parametrize(("optim", "bytes_"), [("adamw_torch_fused", 8), ("adamw_bnb_8bit", 2), ("sgd", 0)])
def test_an_optimiser_keeps_what_it_keeps(optim: str, bytes_: int) -> None:
    assert needed(SHAPES, job(args={"optim": optim})) == 2 * WEIGHTS * (4 + bytes_) + WEIGHTS * 4


def test_adapters_are_small_and_the_result_is_whole() -> None:
    assert needed(SHAPES, job(lora=Lora(r=4))) == 2 * 4 * (10 + 20) * 12 + WEIGHTS * 4


def test_shapes_are_read_of_all_files_whatever_their_type(tmp_path: Path) -> None:
    save_file({"a": np.zeros((3, 4), np.float16)}, tmp_path / "model-1.safetensors", metadata={"format": "pt"})
    save_file({"b": np.zeros(5, np.float32)}, tmp_path / "model-2.safetensors")
    assert weight_shapes(tmp_path) == {"a": (3, 4), "b": (5,)}


@pytest.mark.parametrize("data", [b"", b"x" * 40, b"\x02" + b"\0" * 7 + b"[]"])
def test_of_a_damaged_file_nothing_is_known(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    assert weight_shapes(tmp_path) == {}


def test_a_gguf_file_counts_a_weight_a_byte(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"x" * 77)
    assert weight_shapes(tmp_path) == {"model.gguf": (77,)}


def test_a_disk_that_cannot_hold_them_is_said_with_the_remedy(tmp_path: Path) -> None:
    save_file({"a": np.zeros((100, 100), np.float32)}, tmp_path / "model.safetensors")
    given = job(model=ModelSource(folder=str(tmp_path)))
    with pytest.raises(Outage, match=r"no room for the training's checkpoints: 280 kB .*500 bytes are free; make room"):
        check_disk(tmp_path, given, lambda _: 500)
    check_disk(tmp_path, given, lambda _: GB)


def test_a_training_without_a_model_needs_nothing_known(tmp_path: Path) -> None:
    check_disk(tmp_path, job(method="pretrain"), lambda _: 0)
