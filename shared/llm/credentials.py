"""Credentials: which environment variables a spec may name, and to which hosts their values may go.

The operator lists both in `TOUCHSTONE_API_KEYS` (`OPENAI_API_KEY=api.openai.com,OTHER=host1|host2`), so that nobody's
spec can read a variable that was not meant for it, or send a key to a host of its own.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from shared.errors import BadInput
from shared.settings import Settings

ENV = "env:"
PORTS = {"http": 80, "https": 443}


def check_credentials(settings: Settings, name: str, entry: Any) -> None:
    """Check what the model `name` of a spec names as its credential, without reading it.

    Raises:
        BadInput: the variable is not listed, or not for the model's host.
    """
    reference = getattr(entry, "api_key", None)
    if reference is not None:
        _allowed(settings, name, reference, entry.base_url)


def read_key(settings: Settings, name: str, reference: str | None, base_url: str) -> str | None:
    """The key that `env:NAME` stands for; None if the model names none.

    Raises:
        BadInput: the variable is not listed, not for this host, or not set where this process runs.
    """
    if reference is None:
        return None
    variable = _allowed(settings, name, reference, base_url)
    value = os.environ.get(variable, "").strip()
    if not value:
        fix = f"Set {variable} where the workers start."
        raise BadInput(f"models.{name}.api_key", f"the environment variable {variable} is not set", fix)
    return value


def host_of(base_url: str) -> str:
    """The host that a base URL names, in lower case, with its port where it names one."""
    return urlsplit(base_url).netloc.rpartition("@")[2].lower()


def _allowed(settings: Settings, name: str, reference: str, base_url: str) -> str:
    field, variable, host = f"models.{name}.api_key", reference.removeprefix(ENV), host_of(base_url)
    hosts = settings.api_keys.get(variable)
    if hosts is None:
        listed = ", ".join(settings.api_keys) or "none"
        raise BadInput(
            field,
            f"{variable} is not one of the operator's credentials ({listed})",
            f"Name one of them, or start the services with TOUCHSTONE_API_KEYS={variable}={host}.",
        )
    # A host without a port stands for that host at any port; a base URL leaves its scheme's own port out.
    own = f"{host}:{PORTS[urlsplit(base_url).scheme]}"
    if not {host, own, host.partition(":")[0] if not host.startswith("[") else host} & {item.lower() for item in hosts}:
        raise BadInput(
            field,
            f"{variable} may be sent to {' and '.join(hosts)} alone, and models.{name}.base_url is at {host}",
            f"Correct base_url, or start the services with TOUCHSTONE_API_KEYS={variable}={'|'.join([*hosts, host])}.",
        )
    return variable
