"""The human check: which pairs people are shown, on which side, and the votes that they cast.

Nobody's taste chooses: prompts come in the order of a hash, and another hash says which completion stands left. A
row's name says nothing of the arms. Votes are objects under `experiments/<id>/human/votes/`, each written once; a later
vote of the same rater on the same row counts instead of the earlier one, and both are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from ulid import ULIDGenerator

from shared.canonical import canonical_json, content_key, sha256_hex
from shared.experiments import PREFIX
from shared.store import ObjectStore

SCHEMA = "touchstone/votes/1"
Vote = Literal["left", "right", "tie"]
Prefers = Literal["a", "b", "tie"]
VOTES: tuple[Vote, ...] = ("left", "right", "tie")
SHARES: Mapping[str, float] = {"a": 1.0, "tie": 0.5, "b": 0.0}
READ_AT_ONCE = 16
FORMAT = 1
"""Of the reports that have votes in them; raised, they are made anew."""

# Two of one process within a millisecond still keep their order.
_ulids = ULIDGenerator()


@dataclass(frozen=True)
class Sheet:
    """What is compared: an arm's completions (a) with another's, or with the reference's where `arm_b` is None.

    Arms are called as the report calls them, of a matrix `arm [cell]`.
    """

    arm_a: str
    arm_b: str | None
    evaluation: str
    seed: int

    def code(self, experiment: str) -> str:
        """How its rows' names begin."""
        return content_key([experiment, self.arm_a, self.arm_b, self.evaluation, self.seed])[:8]


@dataclass(frozen=True)
class Shown:
    """One row of a sheet by its name; `swapped`: the sheet's a stands right."""

    row: str
    swapped: bool

    def prefers(self, vote: Vote) -> Prefers:
        """What a vote says of the content."""
        if vote == "tie":
            return "tie"
        return "a" if (vote == "left") != self.swapped else "b"


def shown(code: str, prompt_id: str) -> Shown:
    """The row of a sheet's prompt."""
    row = f"{code}-{sha256_hex(f'{code}/{prompt_id}')[:12]}"
    return Shown(row, int(sha256_hex(f"side/{row}"), 16) % 2 == 1)


def rank(prompt_id: str) -> str:
    """Where a prompt stands in the order in which gold labels are asked for: a random one that all can repeat."""
    return sha256_hex(f"gold/{prompt_id}")


@dataclass(frozen=True)
class Cast:
    """A vote that was cast: by whom, on what, and which of the two is preferred."""

    row: str
    rater: str
    vote: Vote
    prefers: Prefers
    sheet: Sheet
    prompt_id: str
    at: str

    def as_dict(self) -> dict[str, Any]:
        sheet = self.sheet
        return {
            "row": self.row,
            "rater": self.rater,
            "vote": self.vote,
            "prefers": self.prefers,
            "arm_a": sheet.arm_a,
            "arm_b": sheet.arm_b,
            "evaluation": sheet.evaluation,
            "seed": sheet.seed,
            "prompt_id": self.prompt_id,
            "at": self.at,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Cast:
        sheet = Sheet(data["arm_a"], data["arm_b"], data["evaluation"], data["seed"])
        kept = {name: data[name] for name in ("row", "rater", "vote", "prefers", "prompt_id", "at")}
        return cls(sheet=sheet, **kept)


@dataclass(frozen=True)
class Ballots:
    """All votes of an experiment: those that count, how many they superseded, and the objects that they are in."""

    cast: tuple[Cast, ...] = ()
    superseded: int = 0
    objects: tuple[str, ...] = ()


def votes_prefix(experiment: str) -> str:
    return f"{PREFIX}{experiment}/human/votes/"


def write_votes(store: ObjectStore, experiment: str, cast: Sequence[Cast]) -> str:
    """Keep votes that came together as one object, named so that later ones sort behind it. Raises `Outage`."""
    name = f"{votes_prefix(experiment)}{_ulids.generate()}.json"
    store.put(name, canonical_json({"schema": SCHEMA, "votes": [one.as_dict() for one in cast]}))
    return name


def read_object(store: ObjectStore, name: str) -> tuple[Cast, ...]:
    """The votes of one object."""
    return tuple(Cast.of(one) for one in json.loads(store.get(name))["votes"])


def read_ballots(store: ObjectStore, experiment: str) -> Ballots:
    """What was voted until now. Raises `Outage`."""
    names = sorted(info.name for info in store.list(votes_prefix(experiment)))
    if not names:
        return Ballots()
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        found = pool.map(lambda name: read_object(store, name), names)
        return count(found, names)


def count(objects: Iterable[Iterable[Cast]], names: Sequence[str]) -> Ballots:
    """The last vote of each rater on each row; `objects` are in the order of their names."""
    newest: dict[tuple[str, str], Cast] = {}
    total = 0
    for one in objects:
        for cast in one:
            total += 1
            newest[cast.rater, cast.row] = cast
    return Ballots(tuple(newest.values()), total - len(newest), tuple(names))


def report_name(experiment: str, committed: str, votes: Iterable[str], file: str) -> str:
    """Where the report with these votes in it lies, beside `committed`, the report's own JSON that the stage left."""
    return f"{reports_prefix(experiment)}{content_key([FORMAT, committed, sorted(votes)])}/{file}"


def reports_prefix(experiment: str) -> str:
    return f"{PREFIX}{experiment}/human/reports/"
