"""The processes of the embedded stack: which they are, how each starts, and the environment they share."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.home import CHECKOUT, Home, Secrets
from infra.local.ports import LOOPBACK

BUCKET = "touchstone"
MARK = "TOUCHSTONE_STACK"
SERVERS = ("valkey", "s3")
LIFELINE = "lifeline"
SERVICES = ("simulator", "api", "conductor", "teacher", "critic", "inference", "analyst")
# Ports that somebody must know in advance, with the setting that changes each.
PUBLIC_PORTS = {"api": ("TOUCHSTONE_API_PORT", 8000), "flower": ("TOUCHSTONE_FLOWER_PORT", 5555)}
INTERNAL_PORTS = ("valkey", "s3", "simulator", "supervisor")


@dataclass(frozen=True)
class Process:
    """One process under the supervisor: a Python module and its words, run in the home folder."""

    name: str
    words: tuple[str, ...]


def processes(trainers: int, ports: Mapping[str, int], owned: bool) -> list[Process]:
    """Everything that a stack consists of, servers first; one that is `owned` ends with its owner."""
    flower = ("celery", "-A", "infra.flower", "flower", f"--address={LOOPBACK}", f"--port={ports['flower']}")
    return [
        Process("valkey", ("infra.local.valkey", "valkey")),
        Process("s3", ("infra.local.s3", "s3")),
        *(Process(name, (f"services.{name}",)) for name in SERVICES),
        *(Process(f"trainer-{number}", ("workers.trainer",)) for number in range(1, trainers + 1)),
        Process("flower", flower),
        *([Process(LIFELINE, ("infra.local.lifeline",))] if owned else []),
    ]


def without_proxy() -> dict[str, str]:
    """Settings that keep a machine's HTTP proxy out of what its own processes say to each other."""
    given = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    hosts = ",".join(filter(None, (given, LOOPBACK, "localhost")))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def environment(home: Home, secrets: Secrets, ports: Mapping[str, int], mark: str) -> dict[str, str]:
    """What every process gets beside the caller's own environment: addresses, secrets and one thread a library."""
    own = {
        "REDIS_URL": f"redis://:{secrets.redis_password}@{LOOPBACK}:{ports['valkey']}/0",
        "S3_ENDPOINT": f"http://{LOOPBACK}:{ports['s3']}",
        "S3_ACCESS_KEY": secrets.s3_access_key,
        "S3_SECRET_KEY": secrets.s3_secret_key,
        "S3_BUCKET": BUCKET,
        "DATA_DIR": str(home.work),
        "API_HOST": LOOPBACK,
        "API_PORT": str(ports["api"]),
        "SIMULATOR_HOST": LOOPBACK,
        "SIMULATOR_PORT": str(ports["simulator"]),
        "SIMULATOR_URL": f"http://{LOOPBACK}:{ports['simulator']}/v1",
        "HOME": str(home.folder),
    }
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {
        **{f"TOUCHSTONE_{name}": value for name, value in own.items()},
        **without_proxy(),
        MARK: mark,
        "PATH": path,
        "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "client"))),
        "PYTHONUNBUFFERED": "1",
        # Several processes share few cores; torch's own number comes from TOUCHSTONE_TORCH_THREADS.
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        "MALLOC_ARENA_MAX": "2",
        "TOKENIZERS_PARALLELISM": "false",
    }
