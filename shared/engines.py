"""What a spec may say of an engine: which one, and its arguments. All of it is part of a stage's key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.errors import FieldError
from shared.spec.names import one_of

ENGINES = "embedded, tgi, vllm, or a server that runs already: tgi:URL, openai:URL or a URL"
LAUNCHED = ("tgi", "vllm")
"""Engines that are not ours, and which the inference service starts itself."""

ARGUMENTS: dict[str, dict[str, type]] = {
    "tgi": {
        "cuda_graphs": str,
        "cuda_memory_fraction": float,
        "disable_custom_kernels": bool,
        "kv_cache_dtype": str,
        "max_batch_prefill_tokens": int,
        "max_batch_size": int,
        "max_batch_total_tokens": int,
        "max_input_tokens": int,
        "max_total_tokens": int,
        "max_waiting_tokens": int,
        "num_shard": int,
        "quantize": str,
        "rope_factor": float,
        "rope_scaling": str,
        "speculate": int,
        "waiting_served_ratio": float,
    },
    "vllm": {
        "block_size": int,
        "cpu_offload_gb": float,
        "enable_chunked_prefill": bool,
        "enable_prefix_caching": bool,
        "enforce_eager": bool,
        "gpu_memory_utilization": float,
        "kv_cache_dtype": str,
        "max_model_len": int,
        "max_num_batched_tokens": int,
        "max_num_seqs": int,
        "pipeline_parallel_size": int,
        "quantization": str,
        "swap_space": float,
        "tensor_parallel_size": int,
    },
}
"""What a spec may set of each, with underscores for dashes: none that names a file, an address, or what we set."""

SWITCHES = frozenset({"disable_custom_kernels"})
"""Those that have no form which says no."""


def check_engine(value: str) -> str:
    """The value itself. Raises ValueError where it names no engine."""
    if not re.fullmatch(r"embedded|vllm|tgi|((tgi|openai):)?https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise ValueError(f"is no engine; use one of: {ENGINES}")
    return value


def served_by(engine: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a stage that an engine works for; what it is not given is no part of the key."""
    return {"engine": engine, **({"engine_args": dict(arguments)} if arguments else {})}


def argument_errors(field: str, engine: str, arguments: Mapping[str, Any]) -> Iterator[FieldError]:
    """What is wrong with `engine_args`; `field` is the policy's path in the spec."""
    if not arguments:
        return
    if engine not in LAUNCHED:
        fix = f"Write `engine: tgi` or `engine: vllm`, or leave it out: {engine} takes no arguments from a spec."
        yield FieldError(f"{field}.engine_args", "stands beside an engine that we do not start with arguments", fix)
        return
    known = ARGUMENTS[engine]
    for name, value in arguments.items():
        place = f"{field}.engine_args.{name}"
        if name not in known:
            fix = f"{one_of(known)} What else it takes, the operator sets (TOUCHSTONE_{engine.upper()}_ARGS)."
            yield FieldError(place, f"is nothing that a spec may set of {engine}", fix)
        elif not _is(value, known[name]):
            yield FieldError(place, f"is {value!r}", f"Write {WORDS[known[name]]}.")
        elif value is False and name in SWITCHES:
            yield FieldError(place, "is false, which is how it is anyway", "Leave it out, or write true.")


WORDS: dict[type, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _is(value: Any, wanted: type) -> bool:
    if isinstance(value, bool) or wanted is bool:
        return wanted is bool and isinstance(value, bool)
    if wanted is str:
        # Nothing that a shell, a launcher or an option's own grammar could take for more than one word.
        return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9_.,-]{1,100}", value)) and value[0] != "-"
    return isinstance(value, int) or (wanted is float and isinstance(value, float))


def precision_errors(field: str, engine: str, precision: str) -> Iterator[FieldError]:
    """What an engine cannot serve in; `field` is the policy's path in the spec."""
    if engine == "tgi" and precision == "float32":
        fix = "Write `precision: bfloat16`, or `engine: vllm` or `embedded`."
        yield FieldError(f"{field}.precision", "is float32, and TGI serves in 16 bits alone", fix)


def engine_errors(policies: Mapping[str, Any]) -> Iterator[FieldError]:
    """What is wrong with the engines of a spec's policies."""
    for name, policy in policies.items():
        yield from argument_errors(f"policies.{name}", policy.engine, policy.engine_args)
        yield from precision_errors(f"policies.{name}", policy.engine, policy.precision)
