"""Forward passes that OpenVINO compiled from the model's own code: prompts, and one more token for every row.

PyTorch's products of few rows lay their weights out anew in every call, and Python takes its time between them: of
SmolLM2-135M in float32 OpenVINO takes .4 (one row) to .65 (16 rows) of the time for a token of every row, and three
quarters for prompts; for 0.9 GB of memory, and ten to twenty seconds of tracing and compiling. The model is traced
once, with an attention of ours in which the past is an input. Keys and values stay in cache.py's slots, and what
OpenVINO says of new tokens is put there.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import structlog
import torch
from torch.nn import functional
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from services.inference.embedded.cache import LENGTH_STEP, MaskedLayer, SlotCache, multiple, rounded

log = structlog.get_logger()

FEWEST_PARAMETERS = 50_000_000
"""Chosen, not measured: compiling takes seconds, and so does the whole sample of a small model."""
STEP_ROWS, LEAST_TOKENS = 64, 96
"""A step has so many rows at most, and a pass over prompts so many tokens at least (and no more prompts than a step has
rows): on Zen 3 products of up to 80 rows add up in one order, and of 81 or more in another, whatever else they have."""
VECTOR = LENGTH_STEP if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8
"""Floats that this CPU adds at once: attention has whole vectors, since sums of others come in another order."""
SCORE_BYTES = 256 * 1024**2
"""What attention's scores may take in one pass over prompts: unlike PyTorch's, ours has them all at once."""
ATTENTION = "touchstone"


class Line(NamedTuple):
    """What a pass is given beside the past. The tokens of all rows stand in one line, so that nothing is padded but for
    attention."""

    tokens: torch.Tensor
    """[1, N]"""
    positions: torch.Tensor
    """[1, N]: each token's in its row."""
    past_mask: torch.Tensor
    """[R, 1, 1, L]: what a row sees of its slot's first positions."""
    own_mask: torch.Tensor
    """[T, T]: what a row's own tokens see of each other."""
    keep: torch.Tensor
    """[K]: the tokens after which logits are wanted."""
    by_row: torch.Tensor
    """[R, T]: where in the line each row's tokens are; anywhere for padding, which nothing looks at."""
    in_line: torch.Tensor
    """[N]: and back."""


class Compiled:
    """One model's passes over a cache whose shape is known."""

    def __init__(self, model: Any, cache: SlotCache, threads: int) -> None:
        """Raises whatever tracing and compiling a model that they do not know may raise."""
        self._openvino = openvino()
        self._cache = cache
        self._heads = int(model.config.num_attention_heads)
        self._places: dict[int, tuple[int, torch.Size]] = {}
        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = self._openvino.Core().compile_model(_converted(model, cache), "CPU", options)
        self._request = compiled.create_infer_request()

    def fits(self, rows: int, length: int) -> bool:
        """Whether a pass over so many prompts, the longest of this length, takes no more memory than it may."""
        return 4 * rows * self._heads * multiple(length, VECTOR) ** 2 <= SCORE_BYTES

    def prefill(self, prompts: Sequence[Sequence[int]], slots: torch.Tensor) -> torch.Tensor:
        """Read whole prompts into slots [R]; logits of the token after each, float32 [R, V]."""
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        width = multiple(int(lengths.max()), VECTOR)
        ends = lengths.cumsum(0)
        starts, read = ends - lengths, int(ends[-1])
        # Padding stands after all prompts, where none of them looks at it.
        spare = max(0, LEAST_TOKENS - read)
        tokens = torch.tensor([*itertools.chain.from_iterable(prompts), *[0] * spare])
        row = functional.pad(torch.repeat_interleave(torch.arange(len(prompts)), lengths), (0, spare))
        place = functional.pad(torch.arange(read), (0, spare)) - starts[row]
        inside = torch.arange(width) < lengths[:, None]
        causal = torch.full((width, width), -torch.inf).triu(1)
        # Of the past, which there is none of, they see nothing.
        hidden = torch.full((len(prompts), 1, 1, LENGTH_STEP), -torch.inf)
        by_row = torch.where(inside, starts[:, None] + torch.arange(width), 0)
        line = Line(tokens[None], place[None], hidden, causal, ends - 1, by_row, row * width + place)
        logits = self._run(0, line)
        self._keep(slots[row[:read]], place[:read])
        return logits

    def step(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Append a token to every row, tokens and positions [B] of slots 0..B-1; logits, float32 [B, V]."""
        parts = zip(torch.split(tokens, STEP_ROWS), torch.split(positions, STEP_ROWS), strict=True)
        logits = [self._step(at * STEP_ROWS, *part) for at, part in enumerate(parts)]
        return torch.cat(logits) if len(logits) > 1 else logits[0]

    def _step(self, first_slot: int, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        length, capacity = rounded(int(positions.max())), self._cache.capacity[1]
        # To look at all is cheaper than to copy half.
        length = length if 2 * length < capacity else capacity
        mask = torch.zeros(len(tokens), 1, 1, length)
        mask.masked_fill_(torch.arange(length) >= positions[:, None, None, None], -torch.inf)
        each = torch.arange(len(tokens))
        line = Line(tokens[None], positions[None], mask, torch.zeros(1, 1), each, each[:, None], each)
        logits = self._run(first_slot, line)
        self._keep(first_slot + each, positions)
        return logits

    def _run(self, first_slot: int, line: Line) -> torch.Tensor:
        """Logits [K, V] of rows whose past is in slots from this one on, float32."""
        rows, length = line.past_mask.shape[::3]
        windows = self._cache.settle()[:, first_slot : first_slot + rows, :, :length]
        # Whole and in one piece: OpenVINO reads the slots where they are if all of their positions are looked at, and a
        # copy of others; after a whole one, a window of the same shape on more memory was its end (2026.4). And only
        # borrowed by the request, so that they must be there until it has run.
        given = [tensor.contiguous() for tensor in (*line, *windows)]
        for at, tensor in enumerate(given):
            place = (tensor.data_ptr(), tensor.shape)
            if self._places.get(at) != place:
                self._request.set_input_tensor(at, self._openvino.Tensor(tensor.numpy(), shared_memory=True))
                self._places[at] = place
        self._request.infer()
        # The request writes its next logits into the same memory.
        return self._output(0)[0].clone()

    def _keep(self, slots: torch.Tensor, positions: torch.Tensor) -> None:
        """Put what the last pass said of its first tokens [N] where they belong in the cache."""
        # [parts, heads, N, dim]; indices on both sides of the heads make the tokens the first dimension.
        new = self._output(1)[:, :, : len(slots)]
        self._cache.settle()[:, slots, :, positions] = new.permute(2, 0, 1, 3)

    def _output(self, at: int) -> torch.Tensor:
        return torch.from_numpy(self._request.get_output_tensor(at).data)


def openvino() -> Any:
    """The library, which takes a second to import."""
    # With this package beside it, it would tell its makers of every import; without, it tells nobody.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def compiled(model: Any, cache: SlotCache, threads: int) -> Compiled | None:
    """The model's passes; None where it is better off without, or cannot be compiled."""
    if model.dtype != torch.float32 or model.num_parameters() < FEWEST_PARAMETERS:
        return None
    started = time.monotonic()
    try:
        made = Compiled(model, cache, threads)
    # Tracing runs the model's own code, and each of the two libraries raises what it likes.
    except Exception as error:
        log.warning("engine.not_compiled", model=type(model).__name__, error=str(error).partition("\n")[0])
        return None
    log.info("engine.compiled", model=type(model).__name__, seconds=round(time.monotonic() - started, 2))
    return made


@contextmanager
def _quietly() -> Iterator[None]:
    """Tracing looks at all that a model has, and warns of what it finds; what comes of it is compared afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Layer(MaskedLayer):
    """What the traced model takes for a layer's cache: an input of the pass, beside which the new tokens' stand."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.past = (keys, values)
        self.new: tuple[torch.Tensor, ...] = ()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.new = (key_states, value_states)
        return key_states, value_states

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        return None


class _Traced(torch.nn.Module):
    """The model as a function of tensors alone, those of a `Line` and the past of each part of the cache: logits
    [1, K, V], and what is new in each part [parts, heads, N, dim]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        line, past = Line(*given[: len(Line._fields)]), given[len(Line._fields) :]
        layers = [_Layer(keys, values) for keys, values in zip(past[::2], past[1::2], strict=True)]
        _seen.set((line, layers))
        output = self.model(
            input_ids=line.tokens,
            position_ids=line.positions,
            # Without one the model would make its own; `_attend` has others.
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
            past_key_values=Cache(layers=layers),
            use_cache=True,
            logits_to_keep=line.keep,
        )
        return output.logits, torch.cat([part for layer in layers for part in layer.new])


_seen: ContextVar[tuple[Line, list[_Layer]]] = ContextVar("seen")
"""What the model that is traced looks at."""


def _attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """Attention of rows to their past and to their own tokens, as transformers calls it: [1, heads, N, size]."""
    line, layers = _seen.get()
    keys, values = layers[module.layer_idx].past
    (heads, size), groups, scale = (query.shape[1], query.shape[3]), key.shape[1], options.get("scaling")
    rows, length = line.by_row.shape
    by_row, own_keys, own_values = (
        part[0].index_select(1, line.by_row.flatten()).reshape(-1, rows, length, size).transpose(0, 1)
        for part in (query, key, value)
    )
    # Queries of the heads that share their keys lie beside each other.
    scaled = by_row.reshape(rows, groups, -1, size) * (size**-0.5 if scale is None else scale)
    old = scaled @ keys.transpose(2, 3) + line.past_mask
    own = (scaled @ own_keys.transpose(2, 3)).reshape(rows, groups, -1, length, length) + line.own_mask
    weights = torch.softmax(torch.cat([old, own.reshape(rows, groups, -1, length)], dim=-1), dim=-1)
    known = keys.shape[2]
    mixed = weights[..., :known] @ values + weights[..., known:] @ own_values
    placed = mixed.reshape(rows, heads, length, size).transpose(1, 2).reshape(-1, heads, size)
    return placed.index_select(0, line.in_line)[None], None


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attend)


def _converted(model: Any, cache: SlotCache) -> Any:
    """The model as OpenVINO's, for any number of rows and positions."""
    from openvino import PartialShape
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    whole = cache.settle()
    before = model.config._attn_implementation
    line = Line(
        torch.zeros(1, 5, dtype=torch.long),
        torch.tensor([[0, 1, 0, 1, 2]]),
        torch.zeros(2, 1, 1, LENGTH_STEP),
        torch.zeros(3, 3),
        torch.tensor([1, 4]),
        torch.tensor([[0, 1, 0], [2, 3, 4]]),
        torch.tensor([0, 1, 3, 4, 5]),
    )
    past = torch.zeros(len(whole), 2, whole.shape[2], LENGTH_STEP, whole.shape[4])
    model.set_attn_implementation(ATTENTION)
    try:
        frontend = FrontEndManager().load_by_framework("pytorch")
        with torch.no_grad(), _quietly():
            decoder = TorchScriptPythonDecoder(_Traced(model), example_input=(*line, *past))
            made = frontend.convert(frontend.load(decoder))
    finally:
        model.set_attn_implementation(before)
    free = [[1, -1], [1, -1], [-1, 1, 1, -1], [-1, -1], [-1], [-1, -1], [-1]]
    shapes = [*free, *([[-1, whole.shape[2], -1, whole.shape[4]]] * len(whole))]
    made.reshape(dict(zip(made.inputs, map(PartialShape, shapes), strict=True)))
    return made
