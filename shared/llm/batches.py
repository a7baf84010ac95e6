"""Batches at a provider: what is known of each until its answers are in the ledger, and the seam to a Batch API.

    scratch/batches/<scope>/<id>.<stage>.json       an open batch: its requests' keys, and who asked

The object is written before money is asked for or anything is sent, carries the provider's id once there is one, and is
deleted when the answers are in the ledger. While it is there nobody sends these requests, whichever stage or experiment
needs them; the provider knows the batch by our id too (its `metadata`), so that one whose submitter died is found, not
paid for again. Where a budget pays, the batch has a purse of its own (batch_money.py), closed before the object goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from shared.budget import batch_purse
from shared.canonical import canonical_json
from shared.errors import Outage, PermanentError
from shared.experiments import read_json
from shared.llm.chat import Answer, ChatError, ChatRequest, Refused
from shared.store import ObjectStore

T = TypeVar("T")
PREFIX = "scratch/batches/"
SCHEMA = "touchstone/batch/1"
MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
"""What one input file of OpenAI's may hold."""


@dataclass(frozen=True)
class OpenBatch:
    """A batch whose answers are not all in the ledger. `at`: when it was made, seconds since 1970; `batch`: the
    provider's id, None until it has said one; `cancelled`: we asked the provider to cancel it.

    `identity` and `options` are those of its submitter (`Endpoint.to_options`), so that any worker can look at it.
    `budget` is the kind of stage whose budget pays (None: there is none), and `bounds` what each request may cost at
    most, in nanodollars, where there is a price. `unread`: how often its results were not whole; `taken`: its answers
    are in the ledger and its purse is closed, only its files are left at the provider.
    """

    id: str
    scope: str
    experiment: str
    stage: str
    identity: Mapping[str, Any]
    options: Mapping[str, Any]
    keys: tuple[str, ...]
    at: float
    batch: str | None = None
    cancelled: bool = False
    budget: str | None = None
    bounds: tuple[int, ...] = ()
    unread: int = 0
    taken: bool = False

    @property
    def purse(self) -> str:
        return batch_purse(self.id)

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.scope}/{self.id}.{self.stage}.json"

    def write(self, store: ObjectStore) -> None:
        store.put(self.name, canonical_json({"schema": SCHEMA, **asdict(self)}))


def read_open(store: ObjectStore, name: str) -> OpenBatch | None:
    """An open batch; None if it is closed."""
    data = read_json(store, name)
    if data is None:
        return None
    del data["schema"]
    return OpenBatch(**data | {"keys": tuple(data["keys"]), "bounds": tuple(data.get("bounds", ()))})


def open_names(store: ObjectStore, scope: str = "") -> Iterator[str]:
    """The objects of all open batches, or of one scope's, oldest first."""
    return (info.name for info in store.list(f"{PREFIX}{scope}/" if scope else PREFIX))


def id_of(name: str) -> str:
    """Our own id of the batch with this object."""
    return name.rpartition("/")[2].partition(".")[0]


def stage_of(name: str) -> str:
    """The key of the stage that submitted the batch with this object."""
    return name.rsplit(".", 2)[1]


def claim_name(id: str) -> str:
    """The claim of whoever submits or looks at the batch with this id of ours."""
    return f"batch/{id}"


def stage_error(batch: OpenBatch, error: ChatError) -> Outage | PermanentError:
    """What an error of the provider means to a stage that needs the batch."""
    field = ".".join(part for part in ("models", batch.options["name"], error.field) if part)
    return PermanentError(f"{field}: {error}") if isinstance(error, Refused) else Outage(f"{field}: {error}")


@dataclass(frozen=True)
class BatchState:
    """A batch as its provider tells of it. `done` counts the requests that were answered (None: it does not say);
    `input` and `files` are its files; `words` say why all of it failed, and `full` that this was for want of room in
    the provider's queue."""

    id: str
    status: str
    done: int | None = None
    input: str = ""
    files: tuple[str, ...] = ()
    words: str = ""
    full: bool = False

    @property
    def ended(self) -> bool:
        return self.status in {"completed", "failed", "expired", "cancelled"}


@dataclass(frozen=True)
class Failure:
    """A request of a batch that got no answer. `permanent`: it never will; `whole`: since all of the batch failed;
    `billed`: it may have cost something all the same."""

    words: str
    permanent: bool = False
    whole: bool = False
    billed: bool = False


class BatchAPI(Protocol):
    """A provider's Batch API. Every method raises `Refused` or `Unanswered`."""

    def line(self, key: str, request: ChatRequest) -> bytes:
        """A request as a line of an input file."""

    def upload(self, lines: bytes, tag: str) -> str:
        """Upload an input file; `tag` is our own id. Returns the provider's id of the file."""

    def create(self, file: str, tag: str) -> BatchState:
        """Make a batch of an uploaded file: from here on it costs money."""

    def find(self, tag: str, since: float) -> BatchState | None:
        """The batch of this tag, among those made since a time (seconds since 1970)."""

    def retrieve(self, id: str) -> BatchState:
        """How far it is."""

    def results(self, state: BatchState) -> Iterator[tuple[str, Answer | Failure] | None]:
        """What came of the requests, by key; there may be none of some. None: a line that nobody can read."""

    def cancel(self, id: str) -> None:
        """Ask for its end; what is answered stays so."""

    def forget(self, state: BatchState) -> None:
        """Delete the files of a batch that ended."""

    def forget_upload(self, tag: str) -> None:
        """Delete input files of a batch that was never made."""


def split(
    lines: Iterable[tuple[T, bytes]], most: int = MOST_REQUESTS, size: int = MOST_BYTES
) -> Iterator[list[tuple[T, bytes]]]:
    """Parts of at most `most` lines and `size` bytes; a line that is larger by itself is a part by itself."""
    part: list[tuple[T, bytes]] = []
    taken = 0
    for item in lines:
        if part and (len(part) == most or taken + len(item[1]) > size):
            yield part
            part, taken = [], 0
        part.append(item)
        taken += len(item[1])
    if part:
        yield part
