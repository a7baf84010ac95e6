"""What a strategy tells TRL, as those read it who are told."""

from __future__ import annotations

import re
from inspect import getsource

import pytest
import torch
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

from shared.errors import PermanentError
from workers.trainer import sharding
from workers.trainer.job import Job


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_s_settings_are_read_as_they_are_meant(stage: int) -> None:
    job = Job(method="sft", strategy="deepspeed", zero_stage=stage)
    read = HfDeepSpeedConfig(sharding.arguments(job)["deepspeed"])
    assert (read.is_zero2(), read.is_zero3(), read.is_offload()) == (stage == 2, stage == 3, False)
    filled = set(re.findall(r"fill_\w+\(\s*\"([\w.]+)\"", getsource(HfTrainerDeepSpeedConfig)))
    left = {name for name in sharding.zero(job) if read.get_value(name) == sharding.AUTO} | {"bf16.enabled"}
    assert len(left) == 5 and left <= filled


def test_nothing_is_told_where_every_rank_has_the_whole_model() -> None:
    assert sharding.arguments(Job(method="sft")) == {}


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a trainer without GPUs")
def test_deepspeed_without_a_gpu_says_so() -> None:
    with pytest.raises(PermanentError, match="needs GPUs here"):
        sharding.prepare(Job(method="sft", strategy="deepspeed"))
