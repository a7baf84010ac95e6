"""The command lines of TGI and vLLM. Pure; flags as in TGI 3.3.7's `text-generation-launcher --help` and in the
documentation of `vllm serve` 0.30."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.inference.guard import PORTS
from shared.engines import ARGUMENTS
from shared.errors import BadInput, PermanentError

LOOPBACK = "127.0.0.1"
BASE = "base"
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""
MOST_STOPS = 64

OWN: dict[str, tuple[str, ...]] = {
    "tgi": (
        "api-key",
        "dtype",
        "graceful-termination-timeout",
        "hostname",
        "lora-adapters",
        "max-concurrent-requests",
        "max-stop-sequences",
        "model-id",
        "port",
        "revision",
        "shard-uds-path",
        "tokenizer-config-path",
        "trust-remote-code",
        "usage-stats",
    ),
    "vllm": (
        "api-key",
        "chat-template",
        "config",
        "dtype",
        "enable-lora",
        "generation-config",
        "headless",
        "host",
        "lora-modules",
        "max-lora-rank",
        "model",
        "port",
        "revision",
        "root-path",
        "served-model-name",
        "ssl-certfile",
        "ssl-keyfile",
        "tokenizer",
        "trust-remote-code",
        "uds",
    ),
}
"""Flags that an operator's arguments may not have: we set them, or could not speak to the engine with them."""
SHORT = {"-p": "--port", "-g": "--graceful-termination-timeout", "-e": "--env"}


@dataclass(frozen=True)
class Launch:
    """What an engine is to serve: a model folder as `name`, maybe with an adapter; and how many requests at once."""

    folder: Path
    name: str
    dtype: str
    concurrency: int
    scratch: Path
    """A folder of this start's own; its path is short, since a socket's must be."""
    grace: float
    chat_template: Path | None = None
    adapter: Path | None = None
    rank: int = 0
    trust_remote_code: bool = False
    extra: tuple[str, ...] = ()


def tgi_command(launch: Launch) -> list[str]:
    """`text-generation-launcher`. The folder has its chat template already (engines/tgi_folder.py).

    Raises:
        PermanentError: TGI has no such dtype.
    """
    if launch.dtype == "float32":
        raise PermanentError("TGI serves in 16 bits alone: write `precision: bfloat16`, or use vllm")
    port, metrics, master = PORTS
    words = ["text-generation-launcher", "--model-id", str(launch.folder)]
    words += ["--hostname", LOOPBACK, "--port", port, "--prometheus-port", metrics, "--master-port", master]
    words += ["--shard-uds-path", str(launch.scratch / "shard"), "--dtype", launch.dtype]
    # Over its limit TGI refuses instead of queueing.
    words += ["--max-concurrent-requests", str(max(128, launch.concurrency))]
    words += ["--max-stop-sequences", str(MOST_STOPS), "--usage-stats", "off"]
    words += ["--graceful-termination-timeout", str(max(1, int(launch.grace)))]
    if launch.adapter is not None:
        words += ["--lora-adapters", f"{launch.name}={launch.adapter}"]
    if launch.trust_remote_code:
        words += ["--trust-remote-code"]
    return [*words, *launch.extra]


def vllm_command(launch: Launch) -> list[str]:
    """`vllm serve`. Nothing of the model's generation_config.json is mixed into what requests ask for."""
    words = ["vllm", "serve", str(launch.folder), "--host", LOOPBACK, "--port", PORTS[0]]
    words += ["--served-model-name", launch.name if launch.adapter is None else BASE]
    words += ["--dtype", launch.dtype, "--generation-config", "vllm"]
    if launch.chat_template is not None:
        words += ["--chat-template", str(launch.chat_template)]
    if launch.adapter is not None:
        words += ["--enable-lora", "--lora-modules", f"{launch.name}={launch.adapter}"]
        words += ["--max-lora-rank", str(_rank(launch.rank))]
    if launch.trust_remote_code:
        words += ["--trust-remote-code"]
    return [*words, *launch.extra]


def _rank(rank: int) -> int:
    try:
        return next(allowed for allowed in RANKS if allowed >= rank)
    except StopIteration:
        raise PermanentError(f"the adapter's rank is {rank}, and vLLM takes {RANKS[-1]} at most: merge it") from None


def spec_words(engine: str, arguments: Mapping[str, Any]) -> list[str]:
    """A spec's `engine_args` as words. Raises PermanentError for one that it may not set (`shared.engines`)."""
    words: list[str] = []
    for name, value in sorted(arguments.items()):
        if name not in ARGUMENTS[engine]:
            raise PermanentError(f"engine_args.{name} is nothing that a spec may set of {engine}")
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words


def operator_words(engine: str, line: str) -> list[str]:
    """A setting's arguments as words.

    Raises:
        BadInput: it is no command line, has a word that belongs to no flag, or one of the flags that we set.
    """
    field = f"TOUCHSTONE_{engine.upper()}_ARGS"
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise BadInput(field, f"is no command line ({error})", "Close its quotes.") from None
    if words and not words[0].startswith("-"):
        raise BadInput(field, f"begins with {words[0]!r}", "Write flags, such as --max-batch-size 8.")
    for flag in _flags(words):
        # An abbreviation of one of ours too: argparse would take it for that.
        if any(own.startswith(flag) for own in OWN[engine]):
            raise BadInput(field, f"has --{flag}, which is set for each checkpoint", "Leave it out.")
    return words


def _flags(words: Sequence[str]) -> list[str]:
    """The names of the flags among words, in the one form that `OWN` has them."""
    flags = [SHORT.get(word[:2], word) if word[:1] == "-" and word[:2] != "--" else word for word in words]
    named = [flag[2:].partition("=")[0].replace("_", "-").removeprefix("no-") for flag in flags if flag[:2] == "--"]
    return [name.partition(".")[0] for name in named]
