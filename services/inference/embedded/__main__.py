"""`python -m services.inference.embedded --model FOLDER --port 8000`: serve one checkpoint on this machine's CPU."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from services.inference.embedded.server import Options

log = structlog.get_logger()

LAST_WORDS = 5.0
"""Seconds that an engine which is told to end may still take."""


def main() -> None:
    """Load the model, listen, say where on stdout (one line of JSON), serve until SIGTERM."""
    options = _options()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    if options.until_stdin_closes:
        threading.Thread(target=_watch_stdin, name="stdin", daemon=True).start()
    # Imported late: --help and a wrong argument need no torch.
    from services.inference.embedded.server import serve
    from shared.errors import TouchstoneError

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(_served(options), _listen(options.host, options.port)))
    except TouchstoneError as error:
        sys.exit(f"error: {error}")
    # Nothing is left to be written, and taking torch's modules apart would take a second or more.
    os._exit(0)


def _served(options: argparse.Namespace) -> Options:
    from services.inference.embedded.server import Options

    return Options(
        folder=options.model,
        name=options.name or options.model.name,
        dtype=options.dtype,
        chat_template=options.chat_template,
        threads=options.threads,
        max_rows=options.max_rows,
        cache_bytes=int(options.cache_gib * 1024**3),
        batch_invariant=options.batch_invariant,
        trust_remote_code=options.trust_remote_code,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.inference.embedded", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of safetensors or GGUF with its tokenizer")
    parser.add_argument("--name", help="what requests call it; the folder's name unless given")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--dtype", default="float32", help="float32 or bfloat16")
    parser.add_argument("--chat-template", help="a named template, in place of the tokenizer's own")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--max-rows", type=int, default=256, help="completions that run together")
    parser.add_argument("--cache-gib", type=float, default=2.0, help="bound of the key/value cache")
    parser.add_argument(
        "--batch-invariant",
        action="store_true",
        help="run at least four rows in float32: a text then does not depend on what else runs, to the last bit",
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="let the model bring its own code")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started this has ended")
    return parser.parse_args()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        sys.exit(f"error: cannot listen on {host}:{port}: {error.strerror}. Name another --port, or 0 for a free one.")


def _watch_stdin() -> None:
    """End this process when stdin closes, gently at first. A SIGKILLed parent closes it too."""
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(LAST_WORDS)
    os._exit(1)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
