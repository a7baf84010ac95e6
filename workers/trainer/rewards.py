"""What rewards completions in a training: a check of `shared/checks`, or a sequence classifier with one output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from shared.checks import CHECKS
from shared.checks.base import Checked
from shared.errors import PermanentError
from workers.trainer.job import Grader, Job
from workers.trainer.loading import load_classifier

AT_ONCE = 16
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Turns = list[dict[str, str]]


class Reward(Protocol):
    """What TRL calls with a batch's prompts and completions as messages, and the rows' other columns.

    `size` is the number of parameters that look at each completion.
    """

    __name__: str
    size: int

    def __call__(self, prompts: list[Turns], completions: list[Turns], **columns: Any) -> list[float]: ...


def reward_of(job: Job) -> Reward:
    """What a job rewards completions by.

    Raises:
        PermanentError: there is none, or its checkpoint is no reward model.
        Outage: the model hub cannot be reached.
    """
    grader = job.grader
    if grader is None or (grader.check is None and grader.model is None):
        raise PermanentError(f"rl.method {job.method}: nothing rewards its completions")
    return ByCheck(grader) if grader.check is not None else ByModel(grader, job)


class ByCheck:
    """Rewards what is right, or a share of it."""

    def __init__(self, grader: Grader) -> None:
        assert grader.check is not None
        self.__name__ = "check"
        self.size = 0
        self._score = CHECKS[grader.check].score
        self._pattern = grader.pattern

    def __call__(self, prompts: list[Turns], completions: list[Turns], **columns: Any) -> list[float]:
        answers = columns.get("answer") or [None] * len(prompts)
        return [
            self._score(Checked(prompt[-1]["content"], completion[0]["content"], answer, self._pattern))
            for prompt, completion, answer in zip(prompts, completions, answers, strict=True)
        ]


class ByModel:
    """Rewards by a classifier's output, which needs no scale: only differences within a prompt count."""

    def __init__(self, grader: Grader, job: Job) -> None:
        assert grader.model is not None
        self.__name__ = "reward_model"
        model, self._tokenizer = load_classifier(grader.model, job, DTYPES[grader.precision])
        self._model = model.requires_grad_(False)
        self._longest = grader.max_length
        self.size = sum(parameter.numel() for parameter in model.parameters())

    def __call__(self, prompts: list[Turns], completions: list[Turns], **columns: Any) -> list[float]:
        texts = [(prompt[-1]["content"], made[0]["content"]) for prompt, made in zip(prompts, completions, strict=True)]
        # Not before: which device is this rank's is settled after the model was loaded.
        model = self._model.to("cuda" if torch.cuda.is_available() else "cpu")
        return scores(model, self._tokenizer, texts, self._longest)


def scores(model: Any, tokenizer: Any, texts: Sequence[tuple[str, str]], longest: int | None) -> list[float]:
    """The output for each prompt and completion, in the model's evaluation mode.

    By the chat template where there is one, else as a pair of texts; what is longer than `longest` tokens, or than the
    model's context, loses its end. The same as the stage `reward` does.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limit = min((length for length in (longest, context) if length), default=None)
    rows = [_tokens(tokenizer, prompt, completion)[:limit] for prompt, completion in texts]
    pad = tokenizer.pad_token_id
    model.config.pad_token_id = pad
    training = model.training
    model.eval()
    found: list[float] = []
    # Without a token to pad with each is its own batch.
    step = 1 if pad is None else AT_ONCE
    for first in range(0, len(rows), step):
        found += _outputs(model, rows[first : first + step], pad or 0)
    model.train(training)
    return found


def _tokens(tokenizer: Any, prompt: str, completion: str) -> list[int]:
    if not tokenizer.chat_template:
        return list(tokenizer(prompt, completion)["input_ids"])
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    return list(tokenizer.encode(whole, add_special_tokens=False))


def _outputs(model: Any, rows: list[list[int]], pad: int) -> list[float]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=model.device)
    with torch.inference_mode():
        given: list[float] = model(input_ids=ids, attention_mask=mask).logits[:, 0].float().tolist()
    return given
