"""Run the API: `python -m services.api`. Address, port and tokens come from `TOUCHSTONE_API_*`."""

from __future__ import annotations

import sys

import uvicorn

from services.api.app import create_app
from services.api.guard import refuse_open_address
from shared.errors import BadInput
from shared.logs import configure_logs
from shared.settings import get_settings


def main() -> None:
    """Serve until told to end; ends at once, with a message, where it would stand open to a network."""
    configure_logs()
    settings = get_settings()
    try:
        refuse_open_address(settings)
    except BadInput as error:
        sys.exit(f"error: {error}")
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        access_log=False,
        server_header=False,
        log_level=settings.log_level,
        # Event streams never end by themselves.
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
