"""Forward passes that OpenVINO compiled from the model's own code: prompts, and one more token for every row.

PyTorch's products of few rows lay their weights out anew in every call, and Python takes its time between them: of
SmolLM2-135M in float32 OpenVINO takes a third of the time for 16 rows, and half for one; for 1.4 GB of memory, and
eight to twenty seconds of tracing, compiling and trying. The model is traced once, with its attention left open, where
OpenVINO's own over pages is put (Kwon et al. 2023, "PagedAttention", section 4.1): the operation that its GenAI serves
with. It is not in OpenVINO's public API, so that another version may not have it, and then PyTorch goes on.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import structlog
import torch
from torch.nn import functional
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from services.inference.embedded.cache import MaskedLayer, SlotCache
from services.inference.embedded.pages import PAGE, Pages

log = structlog.get_logger()

FEWEST_PARAMETERS = 50_000_000
"""Chosen, not measured: compiling takes seconds, and so does the whole sample of a small model."""
STEP_ROWS, LEAST_TOKENS = 64, 96
"""A step has so many rows at most, and a pass over prompts so many tokens at least (and no more prompts than a step has
rows): on Zen 3 products of up to 80 rows add up in one order, and of 81 or more in another, whatever else they have."""
ATTENTION = "touchstone"


class Line(NamedTuple):
    """What a pass is given beside the pages. The tokens of all rows stand in one line, so that nothing is padded."""

    tokens: torch.Tensor
    """[1, N]"""
    positions: torch.Tensor
    """[1, N]: each token's in its row."""
    keep: torch.Tensor
    """[K]: the tokens after which logits are wanted."""
    past: torch.Tensor
    """int32 [R]: what each row has in its pages already."""
    begins: torch.Tensor
    """int32 [R + 1]: where each row's tokens begin, and where the last ones end."""
    pages: torch.Tensor
    """int32: the rows' pages, one row's after the other's."""
    page_begins: torch.Tensor
    """int32 [R + 1]: where each row's begin there."""
    longest: torch.Tensor
    """int32 []: the most that a row has with its tokens."""


class Compiled:
    """One model's passes, and the pages that they read and write."""

    def __init__(self, model: Any, cache: SlotCache, threads: int) -> None:
        """`cache` knows the layers' shapes. Raises whatever tracing and compiling a model that they do not know may
        raise."""
        self._openvino = openvino()
        self.pages = _pages(cache)
        # Several threads share a single row's positions, and add up as many parts of them as the batch leaves to each;
        # not so beside a row of several tokens, where each row is one thread's.
        self._company = 2 if threads > 1 else 0
        self._given: torch.Tensor | None = None
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32",
        }
        compiled = self._openvino.Core().compile_model(_converted(model, self.pages), "CPU", options)
        self._request = compiled.create_infer_request()

    def prefill(self, prompts: Sequence[Sequence[int]], slots: torch.Tensor) -> torch.Tensor:
        """Read whole prompts into slots [R]; logits of the token after each, float32 [R, V]."""
        read = sum(map(len, prompts))
        spare = max(0, LEAST_TOKENS - read)
        # What a pass has too few of are rows of nobody's page.
        fill = [min(PAGE, spare - at) for at in range(0, spare, PAGE)]
        lengths = torch.tensor([*map(len, prompts), *fill])
        own, nobodys = self.pages.of(slots), torch.zeros(len(fill), dtype=torch.int32)
        each = torch.tensor([own.shape[1]] * len(prompts) + [1] * len(fill))
        line = Line(
            torch.tensor([*itertools.chain.from_iterable(prompts), *[0] * spare])[None],
            torch.cat([torch.arange(length) for length in lengths])[None],
            lengths.cumsum(0)[: len(prompts)] - 1,
            torch.zeros(len(lengths), dtype=torch.int32),
            _begins(lengths),
            torch.cat([own.flatten(), nobodys]),
            _begins(each),
            lengths.max().int(),
        )
        return self._run(line)

    def step(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Append a token to every row, tokens and positions [B] of slots 0..B-1; logits, float32 [B, V]."""
        parts = zip(torch.split(tokens, STEP_ROWS), torch.split(positions, STEP_ROWS), strict=True)
        logits = [self._step(at * STEP_ROWS, *part) for at, part in enumerate(parts)]
        return torch.cat(logits) if len(logits) > 1 else logits[0]

    def _step(self, first_slot: int, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        count, more = len(tokens), self._company
        own = self.pages.of(first_slot + torch.arange(count))
        nobodys = [more] * bool(more)
        line = Line(
            functional.pad(tokens, (0, more))[None],
            torch.cat([positions, torch.arange(more)])[None],
            torch.arange(count),
            functional.pad(positions, (0, len(nobodys))).int(),
            _begins(torch.tensor([1] * count + nobodys)),
            functional.pad(own.flatten(), (0, len(nobodys))),
            _begins(torch.tensor([own.shape[1]] * count + [1] * len(nobodys))),
            positions.max().int() + 1,
        )
        return self._run(line)

    def _run(self, line: Line) -> torch.Tensor:
        """Logits [K, V], float32."""
        if self._given is not self.pages.parts:
            self._given = self.pages.parts
            self._give(self._given, len(line))
        # Only borrowed by the request: they are here until it has run.
        self._give(line, 0)
        self._request.infer()
        # The request writes its next logits into the same memory.
        return torch.from_numpy(self._request.get_output_tensor(0).data)[0].clone()

    def _give(self, tensors: Iterable[torch.Tensor], first: int) -> None:
        """Make tensors the inputs from `first` on."""
        for at, tensor in enumerate(tensors, start=first):
            self._request.set_input_tensor(at, self._openvino.Tensor(tensor.numpy(), shared_memory=True))


def _begins(lengths: torch.Tensor) -> torch.Tensor:
    """Where each of things that stand one after the other begins, and where the last one ends, int32."""
    return functional.pad(lengths.cumsum(0), (1, 0)).int()


def _pages(cache: SlotCache) -> Pages:
    """Pages for layers like a cache's. Raises ValueError where they are not alike."""
    shapes = {part.shape[1::2] for layer in cache.layers for part in (layer.keys, layer.values)}
    if len(shapes) > 1:
        raise ValueError("keys and values of the layers have different shapes")
    return Pages(2 * len(cache.layers), *shapes.pop())


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
    """What the traced model takes for a layer's cache: attention keeps keys and values by itself."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return key_states, value_states

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        return None


class _Paged(torch.nn.Module):
    """Where OpenVINO's own attention is put: of queries, keys and values [N, heads * size] of new tokens, which it also
    keeps. What it gives here has the right shape, no more."""

    def forward(self, query: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        return query.clone()


class _Traced(torch.nn.Module):
    """The model as a function of tensors alone, those of a `Line` and the parts of the pages: logits [1, K, V]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.paged = _Paged()

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        line, parts = Line(*given[: len(Line._fields)]), given[len(Line._fields) :]
        _seen.set((line, parts, self.paged))
        output = self.model(
            input_ids=line.tokens,
            position_ids=line.positions,
            # Without one the model would make its own; `_attend` looks at none.
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
            past_key_values=Cache(layers=[_Layer() for _ in parts[::2]]),
            use_cache=True,
            logits_to_keep=line.keep,
        )
        logits: torch.Tensor = output.logits
        return logits


_seen: ContextVar[tuple[Line, Sequence[torch.Tensor], _Paged]] = ContextVar("seen")
"""What the model that is traced looks at."""


def _attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """Attention of rows to their past and to their own tokens, as transformers calls it: [1, heads, N, size]."""
    line, parts, paged = _seen.get()
    (heads, size), scale, first = (query.shape[1], query.shape[3]), options.get("scaling"), 2 * module.layer_idx
    flat = [part[0].transpose(0, 1).flatten(1) for part in (query, key, value)]
    factor = torch.tensor(size**-0.5 if scale is None else scale)
    mixed = paged(
        *flat, *parts[first : first + 2], line.past, line.begins, line.pages, line.page_begins, factor, line.longest
    )
    return mixed.reshape(1, -1, heads, size), None


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attend)


def _paged_attention(context: Any) -> Any:
    """OpenVINO's attention for `_Paged`'s arguments; of what else it could do, nothing."""
    from openvino import opset13
    from openvino.op import _PagedAttentionExtension

    def none(kind: type, *shape: int) -> Any:
        return opset13.constant(np.zeros(shape, dtype=kind)).output(0)

    *given, scale, longest = (context.get_input(at) for at in range(11))
    sliding_window, alibi_slopes, score_window = none(np.int32), none(np.float32, 0), none(np.int32, 0)
    rotation = [none(np.int32, 0), none(np.int32, 0), none(np.float32, 0)]
    sparse = [none(np.float32, 0), none(np.int32), none(np.int32)]
    sinks, eviction = none(np.float32, 0, 0, 0, 0), [none(np.int32), *(none(np.int32, 0) for _ in range(3))]
    token_types, bias = none(np.int32, 0), [none(np.uint8, 0), none(np.int32, 0)]
    inputs = [*given, scale, sliding_window, alibi_slopes, longest, score_window, *rotation, *sparse]
    return [_PagedAttentionExtension([*inputs, sinks, *eviction, token_types, *bias]).output(0)]


def _converted(model: Any, pages: Pages) -> Any:
    """The model as OpenVINO's, for any number of rows, tokens and pages."""
    from openvino import PartialShape
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch import ConversionExtension, ModuleExtension
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    before = model.config._attn_implementation
    numbers = torch.zeros(3, dtype=torch.int32)
    positions = torch.tensor([[0, 1, 0, 1, 2]])
    line = Line(
        torch.zeros(1, 5, dtype=torch.long),
        positions,
        torch.tensor([1, 4]),
        numbers[:2],
        numbers,
        numbers,
        numbers,
        numbers[0],
    )
    traced = _Traced(model)
    model.set_attn_implementation(ATTENTION)
    try:
        frontend = FrontEndManager().load_by_framework("pytorch")
        frontend.add_extension(ConversionExtension("touchstone::paged", _paged_attention))
        with torch.no_grad(), _quietly():
            extension = ModuleExtension(_Paged, "touchstone::paged")
            decoder = TorchScriptPythonDecoder(
                traced, example_input=(*line, *pages.parts), module_extensions={_Paged: extension}
            )
            made = frontend.convert(frontend.load(decoder))
    finally:
        model.set_attn_implementation(before)
    free = [[1, -1], [1, -1], [-1], [-1], [-1], [-1], [-1], []]
    shapes = [*free, *([[-1, *pages.parts.shape[2:]]] * len(pages.parts))]
    made.reshape(dict(zip(made.inputs, map(PartialShape, shapes), strict=True)))
    _tell_heads(made, pages)
    return made


def _tell_heads(made: Any, pages: Pages) -> None:
    """Say to each attention what it cannot know from its inputs."""
    heads, size = pages.parts.shape[2], pages.parts.shape[4]
    for op in made.get_ops():
        if op.get_type_name() == "PagedAttentionExtension":
            told = op.get_rt_info()
            told["num_k_heads"] = told["num_v_heads"] = heads
            told["k_head_size"] = told["v_head_size"] = size
