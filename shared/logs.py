"""Structured logs: one line an event, tracebacks without the values of variables (which may hold prompts or keys)."""

from __future__ import annotations

import logging
import sys

import structlog

from shared.settings import get_settings


def configure_logs() -> None:
    """Set a process's logging up, at the level of TOUCHSTONE_LOG_LEVEL."""
    level = get_settings().log_level.upper()
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
