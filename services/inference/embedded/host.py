"""`python -m services.inference.embedded.host`: starts engines for a worker, fast.

Importing torch and transformers takes seconds; a model's weights and the HTTP server take a fraction of one. So this
process imports them once and forks an engine for each line of its standard input (`messages.Start`). What became of
them it says on standard output, one line each. It and every engine end when the worker's end of standard input closes,
SIGKILL of the worker included.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import structlog

from services.inference.embedded.messages import Ended, Failed, Ready, Start, Started, send
from services.inference.lifeline import end_with_worker
from shared.errors import BadInput, PermanentError
from shared.logs import configure_logs
from shared.machine_lock import hold

log = structlog.get_logger()


def main() -> None:
    """Import, then fork an engine for each line until standard input closes."""
    configure_logs()
    out = os.dup(1)
    os.dup2(2, 1)
    signal.signal(signal.SIGCHLD, lambda *_: _reap(out))
    import transformers.models.llama.modeling_llama  # noqa: F401 - brings what all language models share

    import services.inference.embedded.server  # noqa: F401

    for line in sys.stdin.buffer:
        start = Start.model_validate_json(line)
        pid = os.fork()
        if pid == 0:
            _engine(start, out)
        send(out, Started(id=start.id, pid=pid))
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _reap(out: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        send(out, Ended(pid=pid, status=os.waitstatus_to_exitcode(status)))


def _engine(start: Start, out: int) -> None:
    """The forked process: an engine until SIGTERM, or until the worker is gone. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    end_with_worker()
    try:
        _serve(start, out)
    except (BadInput, PermanentError) as error:
        send(out, Failed(id=start.id, message=str(error), permanent=True))
        os._exit(1)
    except BaseException as error:
        log.exception("engine.failed")
        send(out, Failed(id=start.id, message=f"{type(error).__name__}: {error}", permanent=False))
        os._exit(1)
    os._exit(0)


def _serve(start: Start, out: int) -> None:
    from services.inference.embedded.server import new_event_loop, serve

    lock = hold(Path(start.lock))
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(start.options(), listener, lambda url: send(out, Ready(id=start.id, url=url))))
    os.close(lock)


if __name__ == "__main__":
    main()
