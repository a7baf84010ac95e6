"""Batches at a provider: what is known of each until its answers are in the ledger, and the seam to a Batch API.

    scratch/batches/<scope>/<id>.<stage>.json       an open batch: its requests' keys, and who asked

The object is written before anything is sent, carries the provider's id once there is one, and is deleted when the
answers are in the ledger. While it is there nobody sends these requests, whichever stage or experiment needs them; the
provider knows the batch by our id too (its `metadata`), so that one whose submitter died is found, not paid for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from shared.canonical import canonical_json
from shared.experiments import read_json
from shared.llm.chat import Answer, ChatRequest
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
    provider's id, None until it has said one; `cancelled`: we asked the provider to cancel it;
    `bounds`: what each of the keys costs at most, in dollars, where there is a price.

    `identity` and `options` are those of its submitter (`Endpoint.to_options`), so that any worker can look at it.
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
    bounds: tuple[float, ...] = ()

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
    return OpenBatch(**data | {name: tuple(data.get(name, ())) for name in ("keys", "bounds")})


def open_names(store: ObjectStore, scope: str = "") -> Iterator[str]:
    """The objects of all open batches, or of one scope's, oldest first."""
    return (info.name for info in store.list(f"{PREFIX}{scope}/" if scope else PREFIX))


def id_of(name: str) -> str:
    """Our own id of the batch with this object."""
    return name.rpartition("/")[2].partition(".")[0]


def stage_of(name: str) -> str:
    """The key of the stage that submitted the batch with this object."""
    return name.rsplit(".", 2)[1]


@dataclass(frozen=True)
class BatchState:
    """A batch as its provider tells of it. `done` and `failed` count its requests; `words` say why all of it failed,
    and `full` that this was for want of room in the provider's queue."""

    id: str
    status: str
    done: int = 0
    failed: int = 0
    files: tuple[str, ...] = ()
    words: str = ""
    full: bool = False

    @property
    def ended(self) -> bool:
        return self.status in {"completed", "failed", "expired", "cancelled"}


@dataclass(frozen=True)
class Failure:
    """A request of a batch that got no answer. `permanent`: it never will."""

    words: str
    permanent: bool = False


class BatchAPI(Protocol):
    """A provider's Batch API. Every method raises `Refused` or `Unanswered`."""

    def line(self, key: str, request: ChatRequest) -> bytes:
        """A request as a line of an input file."""

    def submit(self, lines: bytes, tag: str) -> BatchState:
        """Submit an input file; `tag` is our own id."""

    def find(self, tag: str, since: float) -> BatchState | None:
        """The batch of this tag, among those made since a time (seconds since 1970)."""

    def retrieve(self, id: str) -> BatchState:
        """How far it is."""

    def results(self, state: BatchState) -> Iterator[tuple[str, Answer | Failure]]:
        """What came of the requests, by key; there may be none of some."""

    def cancel(self, id: str) -> None:
        """Ask for its end; what is answered stays so."""


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
