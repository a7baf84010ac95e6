"""Run the simulator: `python -m services.simulator --port 8900`."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from services.simulator.app import Simulator
from shared.settings import get_settings


def main() -> None:
    """Serve until told to end; addresses come from the settings where no option is given."""
    settings = get_settings()
    parser = argparse.ArgumentParser(prog="services.simulator", description=__doc__)
    parser.add_argument("--host", default=settings.simulator_host, help="address to listen on")
    parser.add_argument("--port", type=int, default=settings.simulator_port, help="port to listen on")
    parser.add_argument("--api-key", help="ask for this bearer key under /v1")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long an answer takes")
    parser.add_argument("--log", type=Path, help="append one JSON line a request to this file")
    options = parser.parse_args()
    app = Simulator(options.api_key, options.latency_ms / 1000, options.log)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level=settings.log_level,
        timeout_graceful_shutdown=2,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
