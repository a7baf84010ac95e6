"""The supervisor's configuration, as text. It names no path, so that odd characters in one cannot break it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.local.ports import LOOPBACK
from infra.local.roles import LIFELINE, SERVERS, Process

USER = "touchstone"
ASKING = ("teacher", "critic")
TRAINING = "trainer-"
# A worker is given this long to leave its unit and let go of its lease; one that asks endpoints also to take in what is
# paid for and still in flight (DRAIN_SECONDS in shared/llm/sending.py); a trainer to save its training (grace_seconds).
STOP_SECONDS = 10
DRAIN_SECONDS = 100
SAVE_SECONDS = 30

SUPERVISORD = """\
[supervisord]
nodaemon = true
silent = true
logfile = logs/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = run/supervisord.pid
{user}
[inet_http_server]
port = {host}:{port}
username = {name}
password = {password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

PROGRAM = """
[program:{name}]
command = {command}
priority = {priority}
autostart = true
autorestart = true
startsecs = 1
startretries = 1000000
stopwaitsecs = {stop}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = logs/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""


def configuration(processes: Sequence[Process], port: int, password: str) -> str:
    """The configuration of a supervisor that restarts whatever exits; it is started in the home folder."""
    # Without a name it warns that it runs as root; it gains nothing by that, and drops nothing.
    user = "user = root\n" if os.geteuid() == 0 else ""
    head = SUPERVISORD.format(host=LOOPBACK, port=port, name=USER, password=password, user=user)
    return head + "".join(_program(process) for process in processes)


def _program(process: Process) -> str:
    # The interpreter by its name alone: PATH begins with its folder.
    stop = DRAIN_SECONDS if process.name in ASKING else STOP_SECONDS
    if process.name.startswith(TRAINING):
        stop = SAVE_SECONDS
    command = shlex.join((Path(sys.executable).name, "-m", *process.words)).replace("%", "%%")
    return PROGRAM.format(name=process.name, command=command, priority=_priority(process.name), stop=stop)


def _priority(name: str) -> int:
    """Lower starts first and stops last."""
    if name == LIFELINE:
        return 1
    return 10 if name in SERVERS else 100
