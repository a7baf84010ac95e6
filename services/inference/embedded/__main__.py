"""`python -m services.inference.embedded --model FOLDER --port 8000`: serve one checkpoint on this machine's CPU."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import TouchstoneError
from shared.logs import configure_logs

if TYPE_CHECKING:
    from services.inference.embedded.server import Options


def main() -> None:
    """Load the model, listen, say where on stdout (one line of JSON), serve until SIGTERM."""
    options = _options()
    configure_logs()
    # Imported late: --help and a wrong argument need no torch.
    from services.inference.embedded.server import new_event_loop, serve

    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(_served(options), _listen(options.host, options.port), _announce))
    except TouchstoneError as error:
        sys.exit(f"error: {error}")
    # Nothing is left to be written, and taking torch's modules apart would take a second or more.
    os._exit(0)


def _announce(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


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
        compiled=options.compiled,
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
        help="run at least four rows: a text then does not depend on what else runs, to the last bit",
    )
    parser.add_argument(
        "--no-compile",
        dest="compiled",
        action="store_false",
        help="PyTorch alone, also for a model of 50M parameters or more: ready sooner, less memory, and slower",
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="let the model bring its own code")
    return parser.parse_args()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        sys.exit(f"error: cannot listen on {host}:{port}: {error.strerror}. Name another --port, or 0 for a free one.")


if __name__ == "__main__":
    main()
