"""Forward passes over rows of different lengths: whole prompts, one more token for every row, and scoring.

A row's logits are the same, bit for bit, whoever shares its pass, as far as the matrix library's are: lengths are
rounded up to whole vectors (cache.LENGTH_STEP), and `min_rows` keeps single rows off the matrix-vector kernels, which
add up in another order (measured with MKL on AVX-512 in float32 and bfloat16: from 4 rows on, nothing depends on the
batch).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import structlog
import torch

from services.inference.embedded.cache import SlotCache, rounded
from services.inference.embedded.checkpoint import Checkpoint
from services.inference.embedded.compiled import STEP_ROWS, Compiled, compiled
from services.inference.embedded.pages import Pages
from shared.errors import PermanentError

log = structlog.get_logger()

LEAST_AGREEMENT = 0.99999
"""Correlation of logits that `check` asks for, in float32."""
PASS_TOKENS = 256
"""Tokens of prompts that a compiled pass has at least, where there are so many: on Zen 3 each of 128 takes 3.5 ms
(SmolLM2-135M in float32), each of 256 takes 2.9 to 3.4, and each of more no less."""
COMPARED = (70, 2, 33, 5, 1, 34, 7, 8, 9, 3, 11, 12, 4)
"""Lengths of rows that compiled passes are tried with, the first alone, some of them, and all in the largest batch."""


class Decoder:
    """One checkpoint's forward passes. Rows are slots 0..B-1; who they belong to is the scheduler's business."""

    def __init__(self, checkpoint: Checkpoint, min_rows: int = 1) -> None:
        self.checkpoint = checkpoint
        self.min_rows = min_rows
        self.cache = SlotCache(int(checkpoint.model.config.num_hidden_layers))
        self.compiled: Compiled | None = None

    @property
    def slots(self) -> SlotCache | Pages:
        """Where the rows' keys and values are."""
        return self.cache if self.compiled is None else self.compiled.pages

    def reserve(self, rows: int, length: int) -> None:
        """Make room for so many rows in all, the longest of so many tokens."""
        self.slots.reserve(max(rows, self.min_rows), length)

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[Sequence[int]], first_slot: int) -> torch.Tensor:
        """Read prompts into slots from `first_slot` on; returns the next token's logits, float32 [R, V]."""
        if self.compiled is None:
            return self._prefill(prompts, first_slot)
        parts, at = [], first_slot
        for group in together(prompts, PASS_TOKENS, STEP_ROWS):
            parts.append(self.compiled.prefill(group, torch.arange(at, at + len(group))))
            at += len(group)
        return torch.cat(parts)

    def _prefill(self, prompts: Sequence[Sequence[int]], first_slot: int) -> torch.Tensor:
        ends = torch.tensor([len(prompt) - 1 for prompt in prompts])
        keep, where = torch.unique(ends, return_inverse=True)
        # The output layer runs on `min_rows` rows or more too: positions are repeated where there are too few.
        keep = torch.cat([keep, keep[:1].expand(max(0, -(-self.min_rows // len(prompts)) - len(keep)))])
        self.cache.window.store(torch.arange(first_slot, first_slot + len(prompts)))
        logits = self._forward(self._padded(prompts), keep)
        return logits[torch.arange(len(prompts)), where].float()

    @torch.inference_mode()
    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Append a token to every row: token and its position for slots 0..B-1; returns logits, float32 [B, V]."""
        if self.compiled is not None:
            return self.compiled.step(torch.tensor(tokens), torch.tensor(positions))
        rows = max(len(tokens), self.min_rows)
        spare = [0] * (rows - len(tokens))
        at = torch.tensor([*positions, *spare])
        length = min(rounded(max(positions) + 1), self.cache.capacity[1])
        self.cache.window.extend(at, length)
        mask = torch.arange(length)[None, None, None, :] <= at[:, None, None, None]
        logits = self._forward(torch.tensor([*tokens, *spare])[:, None], 1, position_ids=at[:, None], mask=mask)
        return logits[: len(tokens), -1].float()

    @torch.inference_mode()
    def score(
        self, prompts: Sequence[Sequence[int]], top: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """For each prompt of length T: its tokens' log-probabilities given those before, float32 [T-1]; and the `top`
        likeliest alternatives' log-probabilities and tokens, each [T-1, top]."""
        self.cache.window.store(None)
        logits = self._forward(self._padded(prompts), 0)
        for row, prompt in enumerate(prompts):
            own = logits[row, : len(prompt) - 1].float()
            yield token_logprobs(own, torch.tensor(list(prompt[1:]), dtype=torch.long), top)

    def check(self) -> None:
        """Compare cached, batched passes with the model's plain ones on two short prompts.

        In float32, of a copy if need be: in bfloat16 two equally right orders of summation differ too much to tell
        (correlations of .97 were seen), and casting the model itself back and forth would round its buffers.

        Raises:
            PermanentError: they differ: this architecture keeps its past in another way than this engine does.
        """
        model = self.checkpoint.model
        if model.dtype != torch.float32:
            exact = replace(self.checkpoint, model=copy.deepcopy(model).float())
            Decoder(exact, self.min_rows).check()
            # So that the cache knows how large a position is before the first request.
            self.reserve(1, 1)
            self.prefill([[5 % model.config.vocab_size]], 0)
            return
        prompts = [[token % model.config.vocab_size for token in row] for row in ([5, 7, 11, 13], [17, 19])]
        self.reserve(2, 8)
        try:
            cached = torch.stack([self.prefill(prompts, 0), self.step([3, 4], [4, 2])], dim=1)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            raise PermanentError(f"{self._refusal()}: {error}") from error
        for ours, prompt, token in zip(cached, prompts, (3, 4), strict=True):
            with torch.inference_mode():
                plain = model(torch.tensor([[*prompt, token]]), use_cache=False).logits[0, -2:].float()
            agreement = float(torch.corrcoef(torch.stack([ours.flatten(), plain.flatten()]))[0, 1])
            if not agreement > LEAST_AGREEMENT:
                raise PermanentError(
                    f"{self._refusal()}: its cached passes agree with its plain ones to {agreement:.4f}"
                )

    @torch.inference_mode()
    def compile(self, threads: int) -> None:
        """Have passes run compiled from now on, if the model is worth it, their logits are the plain ones', and none of
        `min_rows` is needed for them not to depend on the batch. After `check`, which knows the cache's shape."""
        made = compiled(self.checkpoint.model, self.cache, threads)
        if made is None:
            return
        vocabulary, limit = int(self.checkpoint.model.config.vocab_size), self.checkpoint.limit - 1
        lengths = [min(length, limit) for length in COMPARED]
        rows = [[(17 * row + 5 * at + 3) % vocabulary for at in range(length)] for row, length in enumerate(lengths)]
        self.reserve(len(rows), 1 + max(lengths))
        plain = self._two_passes(rows)
        self.compiled = made
        self.reserve(STEP_ROWS, 1 + max(lengths))
        whole = self._two_passes(rows)
        agreement = float(torch.corrcoef(torch.stack([whole.flatten(), plain.flatten()]))[0, 1])
        batches = ((1, 0), (5, 0), (len(rows), STEP_ROWS - len(rows)))
        the_same = self.min_rows == 1 or all(
            torch.equal(self._two_passes(rows[:own], more), whole[:, :own]) for own, more in batches
        )
        if not (agreement > LEAST_AGREEMENT and the_same):
            log.warning("engine.compiled_differs", agreement=agreement, batch_invariant=the_same)
            self.compiled = None
        else:
            # Only scores are computed by PyTorch from now on, and they need no past.
            self.cache = SlotCache(int(self.checkpoint.model.config.num_hidden_layers))
            made.pages.clear()

    def _two_passes(self, prompts: Sequence[Sequence[int]], more: int = 0) -> torch.Tensor:
        """Logits after prompts, and after a token more of each, [2, R, V]; that in a batch with so many rows more."""
        first = self.prefill(prompts, 0)
        second = self.step([row[0] for row in prompts] + [0] * more, [len(row) for row in prompts] + [1] * more)
        return torch.stack([first, second[: len(prompts)]])

    def _refusal(self) -> str:
        return f"the embedded engine cannot serve {type(self.checkpoint.model).__name__} (serve it with TGI or vLLM)"

    def _padded(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        # Padding stands on the right, where causal attention never looks at it.
        length = min(rounded(max(map(len, prompts))), self.checkpoint.limit)
        return torch.tensor([[*prompt, *[0] * (length - len(prompt))] for prompt in prompts])

    def _forward(
        self,
        tokens: torch.Tensor,
        keep: int | torch.Tensor,
        position_ids: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if position_ids is None:
            position_ids = torch.arange(tokens.shape[1])[None, :]
        output = self.checkpoint.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        logits: torch.Tensor = output.logits
        return logits


def together(prompts: Sequence[Sequence[int]], least: int, most: int) -> Iterator[Sequence[Sequence[int]]]:
    """The prompts in the groups that are read in one pass, in order: the fewest that have `least` tokens, or `most`."""
    first = tokens = 0
    for at, prompt in enumerate(prompts, start=1):
        tokens += len(prompt)
        if tokens >= least or at - first == most or at == len(prompts):
            yield prompts[first:at]
            first, tokens = at, 0


def token_logprobs(
    logits: torch.Tensor, tokens: torch.Tensor, top: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities (at temperature 1, before top_p) of `tokens` [T] under `logits` [T, V]; and of the `top`
    likeliest tokens with these tokens, each [T, top]."""
    norm = logits.logsumexp(-1)
    chosen = logits.gather(-1, tokens[:, None])[:, 0] - norm
    best, which = logits.topk(top, dim=-1)
    return chosen, best - norm[:, None], which
