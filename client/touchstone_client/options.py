"""The options that every command has."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[str, typer.Option("--url", envvar="TOUCHSTONE_URL", help="the server")]
Token = Annotated[
    str | None, typer.Option("--token", envvar="TOUCHSTONE_TOKEN", help="bearer token", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Target = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="an id, the beginning of one, a name, or a spec's file")
]
