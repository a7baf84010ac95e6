"""What the training tells the worker: JSON lines on the training's standard output."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Progress(_Message):
    """`step` of `total` optimiser steps are done; `row` holds what was logged for it, empty where nothing was."""

    type: Literal["progress"] = "progress"
    step: int
    total: int
    row: dict[str, float] = {}


class Saved(_Message):
    """A complete checkpoint lies in `folder`, relative to the job's folder."""

    type: Literal["saved"] = "saved"
    step: int
    folder: str


class Kept(_Message):
    """One of the training's states that are tried lies in `folder`, relative to the job's folder."""

    type: Literal["kept"] = "kept"
    number: int
    folder: str


class Done(_Message):
    """The results lie in the job's `out` folder."""

    type: Literal["done"] = "done"
    metrics: dict[str, Any]


class Failed(_Message):
    """The training ended; `kind` says whether it would fail again, and whether it was its own fault; `cause` what it
    was, where that is known, and `step` after how many steps."""

    type: Literal["failed"] = "failed"
    kind: Literal["stage", "permanent", "outage"]
    message: str
    cause: Literal["memory", "device", "loss"] | None = None
    step: int | None = None


Message = Progress | Saved | Kept | Done | Failed
_ADAPTER: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def parse(line: str) -> Message | None:
    """The message in a line, or None if it is none (a library printed something)."""
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None


class Channel:
    """The training's end: takes standard output for itself, and sends what others print there to standard error."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def send(self, message: Message) -> None:
        self._file.write(json.dumps(message.model_dump(), allow_nan=True) + "\n")
