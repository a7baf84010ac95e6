"""The methods that sample completions for themselves at every step, by transformers' own `generate`.

A killed training must go on as if nothing had happened, so every step samples anew: completions that several steps
share would be gone. And TRL draws each epoch's order of prompts from a state that no checkpoint keeps; here the seed
and the epoch give it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from shared.errors import PermanentError
from shared.trl import batch_of
from workers.trainer.job import Job
from workers.trainer.methods.base import Method, turn

OWNED = frozenset(
    {
        "beta",
        "cache_implementation",
        "chat_template_kwargs",
        "generation_kwargs",
        "log_completions",
        "log_unique_prompts",
        "max_completion_length",
        "num_completions_to_print",
        "shuffle_dataset",
        "temperature",
        "top_p",
        "train_sampling_strategy",
        "use_vllm",
    }
)
"""It samples as the arm's policy is sampled elsewhere, by one engine, and keeps the samples out of its logs."""


class OnPolicy(Method):
    """A method on prompts alone, from an SFT start."""

    tables: ClassVar[str] = "prompts"
    model: ClassVar[str] = "start"
    cuts: ClassVar[bool] = False
    owned: ClassVar[frozenset[str]] = OWNED

    def rows(self, tables: Sequence[pa.Table]) -> pa.Table:
        table = pa.concat_tables(tables)
        if not table.num_rows:
            raise PermanentError("prompts: there is none to train on; give the SFT step a smaller fraction")
        return table.select([name for name in ("prompt", "answer") if name in table.column_names])

    def example(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "prompt": turn("user", row["prompt"])}

    def examples(self, rows: Any, tokenizer: Any, job: Job) -> Any:
        """Those prompts that leave room for a completion, as sampling would have it."""
        assert job.sampling is not None
        longest = min(job.max_length or tokenizer.model_max_length, tokenizer.model_max_length)
        room = longest - job.sampling.max_tokens

        def fits(row: dict[str, Any]) -> bool:
            ids = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)
            return bool(len(ids["input_ids"]) <= room)

        kept, least = rows.filter(fits), self.prompts_a_step(job)
        if len(kept) < least:
            raise PermanentError(
                f"prompts: of {len(rows)}, {len(kept)} leave room for max_tokens {job.sampling.max_tokens} within "
                f"{longest} tokens, and a step takes {least}; lower max_tokens or per_device_train_batch_size"
            )
        return kept

    def prompts_a_step(self, job: Job) -> int:
        """How many prompts one step samples completions of, on one device."""
        at_once, times = batch_of(job.args)
        return at_once * times

    def arguments(self, job: Job) -> dict[str, Any]:
        assert job.sampling is not None
        sampling = {"temperature": job.sampling.temperature, "top_p": job.sampling.top_p}
        beta = {} if job.beta is None else {"beta": job.beta}
        return {**sampling, "max_completion_length": job.sampling.max_tokens, **beta}

    def changed(self, trainer: Any) -> Any:
        drawn = trainer._get_train_sampler
        trainer._get_train_sampler = lambda dataset=None: _ByEpoch(drawn(dataset), trainer)
        return trainer

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        # Each token is sampled by a forward pass; whatever judges it has its own.
        passes = 1.0 + self.other_passes(trainer)
        counts = {"examples": len(trainer.train_dataset), "pairs": 0, "dropped": len(rows) - len(trainer.train_dataset)}
        return {**counts, "forward_passes": {"once": 0.0, "every_epoch": round(passes, 4)}}

    @abstractmethod
    def other_passes(self, trainer: Any) -> float:
        """The forward passes over each token besides the policy's own, in units of the policy's parameters."""


class _ByEpoch:
    """TRL's sampler, each of whose epochs begins from the seed and the epoch's number."""

    def __init__(self, sampler: Any, trainer: Any) -> None:
        self._sampler = sampler
        self._trainer = trainer

    def __iter__(self) -> Iterator[int]:
        # The state is another object after a resumption, so it is asked for here.
        epoch = int((self._trainer.state.epoch or 0.0) + 1e-6)
        self._sampler.generator.manual_seed(self._trainer.args.seed + epoch)
        return iter(self._sampler)

    def __len__(self) -> int:
        return len(self._sampler)


def size(model: Any) -> int:
    """A model's parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
