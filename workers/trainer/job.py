"""What the worker tells the training: one JSON file in the folder that both share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

FILE = "job.json"
ROWS = "rows.parquet"
EXCLUDED = "excluded.json"
OUT = "out"
CHECKPOINTS = "checkpoints"
STATES = "states"
SAVE = "save-now"
"""A file of this name asks the training to save itself at its next step; it removes the file when it has."""


class ModelSource(BaseModel):
    """Where a model lies: a local folder; None of a training that makes one. `hub` and `revision`: whose it is, where
    others can find it by that name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str | None = None
    hub: str | None = None
    revision: str | None = None


class Lora(BaseModel):
    """Low-rank adapters (Hu et al. 2021), merged into the weights before they are saved, and kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    target_modules: list[str] | str = "all-linear"
    quantize: Literal["nf4", "fp4"] | None = None
    """QLoRA (Dettmers et al. 2023, arXiv 2305.14314): the weights beneath in 4 bits while training."""


class Sampling(BaseModel):
    """How a training that samples completions for itself does so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 512


class Grader(BaseModel):
    """What rewards completions in a training: a check of `shared/checks`, or a sequence classifier with one output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str | None = None
    pattern: str | None = None
    model: ModelSource | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    max_length: int | None = None


class Job(BaseModel):
    """One training. `method` is pretrain or one of `METHODS`; paths are relative to the job's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    seed: int = 0
    args: dict[str, Any] = {}
    beta: float | None = None
    model: ModelSource = ModelSource()
    chat_template: str | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    max_length: int | None = None
    lora: Lora | None = None
    sampling: Sampling | None = None
    grader: Grader | None = None
    teacher: ModelSource | None = None
    reference: Literal["own", "given", "wanted"] = "own"
    """The reference's log-probabilities are computed before the training, stand in its rows, or are all that the job is
    to compute."""
    holdout: float = 0.0
    """The share of the prompts that a reward model is measured on and not trained on."""
    attention: str | None = None
    """transformers' attn_implementation; None: the model's own."""
    max_loss: float | None = None
    """The loss beyond which the training has diverged; None: `guard.FACTOR` times the first."""
    report_to: list[str] = []
    run: str = ""
    """What the training is called wherever else it is told of."""
    logs: str | None = None
    """Where TensorBoard's files go."""
    settings: dict[str, Any] = {}
    """pretrain's settings."""
    checkpoints: int = 1
    """How many of its states are tried, its end among them."""
    trial: bool = False
    """Whether it is one of several: where it diverges it leaves the model that it began with, and says so."""
    strategy: Literal["ddp", "fsdp", "deepspeed"] = "ddp"
    """What several ranks do with the model: hold it whole each, or a share of it."""
    zero_stage: Literal[2, 3] = 2
    """DeepSpeed's: 2 divides the optimizer's state and the gradients, 3 the weights too."""
    resume: str | None = None
    """The checkpoint to go on from."""
    checkpoint_seconds: float = 300.0
    threads: int = 1
    trust_remote_code: bool = False

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(self.model_dump_json())

    @classmethod
    def read(cls, folder: Path) -> Job:
        return cls.model_validate_json((folder / FILE).read_text())
