"""Run the simulator: `python -m services.simulator --port 8900`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from services.simulator.app import Simulator
from services.simulator.standin.app import StandIn
from services.simulator.standin.connection import Protocol
from services.simulator.standin.faults import Faults
from shared.settings import Settings, get_settings


def main() -> None:
    """Serve until told to end; addresses come from the settings where no option is given."""
    settings = get_settings()
    parser = argparse.ArgumentParser(prog="services.simulator", description=__doc__)
    parser.add_argument("--host", default=settings.simulator_host, help="address to listen on")
    parser.add_argument("--port", type=int, default=settings.simulator_port, help="port to listen on")
    parser.add_argument("--api-key", help="ask for this bearer key under /v1")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long an answer takes")
    parser.add_argument("--log", type=Path, help="append one JSON line a request to this file")
    parser.add_argument("--faults", metavar="JSON", help="misbehave as told, now and by POST /faults: {} begins well")
    parser.add_argument("--state", type=Path, help="folder of files and batches (with --faults; else a temporary one)")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        _serve(_application(options, Path(folder)), options, settings)


def _application(options: argparse.Namespace, folder: Path) -> Simulator:
    if options.faults is None:
        return Simulator(options.api_key, options.latency_ms / 1000, options.log)
    faults = Faults.model_validate({"latency_ms": options.latency_ms, **json.loads(options.faults)})
    return StandIn(faults, options.state or folder, options.api_key, options.log)


def _serve(app: Simulator, options: argparse.Namespace, settings: Settings) -> None:
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        loop="uvloop",
        http=Protocol if isinstance(app, StandIn) else "httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level=settings.log_level,
        timeout_graceful_shutdown=2,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
