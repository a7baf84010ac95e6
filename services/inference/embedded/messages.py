"""What a worker and its engines' host tell each other: JSON lines over the host's standard input and output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

if TYPE_CHECKING:
    from services.inference.embedded.server import Options


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Start(_Message):
    """To the host: serve the model in `folder` as `name`, once the lock file is free."""

    id: int
    folder: str
    name: str
    lock: str
    dtype: str = "float32"
    chat_template: str | None = None
    adapter: str | None = None
    threads: int = 1
    batch_invariant: bool = True
    trust_remote_code: bool = False

    def options(self) -> Options:
        from services.inference.embedded.server import Options

        given = self.model_dump(exclude={"id", "lock", "folder", "adapter"})
        adapter = None if self.adapter is None else Path(self.adapter)
        return Options(folder=Path(self.folder), adapter=adapter, **given)


class Started(_Message):
    """The engine's process exists; it loads, or waits for the lock."""

    type: Literal["started"] = "started"
    id: int
    pid: int


class Ready(_Message):
    """The engine listens."""

    type: Literal["ready"] = "ready"
    id: int
    url: str


class Failed(_Message):
    """The engine cannot serve this model; `permanent` says that it never will."""

    type: Literal["failed"] = "failed"
    id: int
    message: str
    permanent: bool


class Ended(_Message):
    """An engine's process is gone: its exit status, a signal's as a negative number."""

    type: Literal["ended"] = "ended"
    pid: int
    status: int


Message = Started | Ready | Failed | Ended
_ADAPTER: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def parse(line: bytes) -> Message:
    """Raises pydantic's ValidationError."""
    return _ADAPTER.validate_json(line)


def send(out: int, message: BaseModel) -> None:
    """One line in one write, so that the host's and its engines' never mix. A worker that is gone hears nothing."""
    line = message.model_dump_json().encode()
    if len(line) > 4000 and isinstance(message, Failed):
        line = message.model_copy(update={"message": message.message[:1000]}).model_dump_json().encode()
    try:
        os.write(out, line + b"\n")
    except BrokenPipeError:
        return
