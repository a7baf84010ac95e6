"""The engine's process: model, scheduler thread and HTTP server, from start to a clean end."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import torch
import uvicorn

from services.inference.embedded.app import make_app
from services.inference.embedded.checkpoint import load
from services.inference.embedded.decoder import Decoder
from services.inference.embedded.scheduler import Limits, Scheduler
from services.inference.embedded.service import Service, call_on

log = structlog.get_logger()

INVARIANT_ROWS = 4


@dataclass(frozen=True)
class Options:
    """How to serve: see the command's --help."""

    folder: Path
    name: str
    dtype: str = "float32"
    chat_template: str | None = None
    adapter: Path | None = None
    threads: int = 1
    max_rows: int = 256
    cache_bytes: int = 2 * 1024**3
    batch_invariant: bool = False
    compiled: bool = True
    trust_remote_code: bool = False


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to us: its own handlers raise them again at the end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(options: Options, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called with the URL once requests are answered.

    Raises:
        BadInput, PermanentError: this model cannot be served.
    """
    started = time.monotonic()
    torch.set_num_threads(options.threads)
    scheduler = _scheduler(options)
    server = Server(
        uvicorn.Config(
            make_app(Service(scheduler.checkpoint, scheduler)),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=75,
        )
    )
    loop = asyncio.get_running_loop()

    def end() -> None:
        scheduler.stop()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    scheduler.on_failure = lambda: call_on(loop, end)
    scheduler.start()
    host, port = listener.getsockname()[:2]
    log.info("engine.ready", model=options.name, port=port, seconds=round(time.monotonic() - started, 2))
    ready(f"http://{host}:{port}")
    await server.serve([listener])
    scheduler.stop()
    scheduler.join()
    if scheduler.error is not None:
        raise scheduler.error


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where there is one, else Python's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _scheduler(options: Options) -> Scheduler:
    checkpoint = load(
        options.folder,
        options.name,
        options.dtype,
        options.chat_template,
        options.trust_remote_code,
        adapter=options.adapter,
    )
    decoder = Decoder(checkpoint, INVARIANT_ROWS if options.batch_invariant else 1)
    decoder.check()
    if options.compiled:
        decoder.compile(options.threads)
    return Scheduler(decoder, Limits(rows=options.max_rows, cache_bytes=options.cache_bytes))
