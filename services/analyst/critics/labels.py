"""A critic's labels as this folder's statistics want them: each pair once, whatever stages it occurs in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Literal

import pyarrow as pa

Asked = Literal["both", "ab", "ba", ""]
Key = tuple[str, str, str]
"""A pair whatever its order: the prompt's id and the two texts, the smaller one first."""

COLUMNS = ("prompt_id", "verdict_ab", "verdict_ba", "order_asked", "votes")
JUDGED = "judged"


@dataclass(frozen=True)
class Label:
    """What a critic said of one pair. Verdicts are by content: `a` means that completion a is better.

    `preference` is how much a is preferred, in [0, 1]; None where an answer could not be read. `asked` says in which
    orders the critic saw the pair; '' where it knows no order (a score, a recorded label). `sides` names the sort of
    pairs where a is one model's and b another's (a policy's against a reference's); '' where both are of one model.
    """

    prompt_id: str
    a: str
    b: str
    preference: float | None
    ab: str | None = None
    ba: str | None = None
    asked: Asked = ""
    sides: str = ""

    @property
    def key(self) -> Key:
        return (self.prompt_id, self.a, self.b) if self.a <= self.b else (self.prompt_id, self.b, self.a)

    @property
    def decided(self) -> bool:
        return self.preference is not None and self.preference != 0.5

    @property
    def winner(self) -> str | None:
        """The preferred text; None for a tie or an answer that could not be read."""
        if self.preference is None or self.preference == 0.5:
            return None
        return self.a if self.preference > 0.5 else self.b

    @property
    def flipped(self) -> bool:
        """Whether the two orders contradict each other."""
        return {self.ab, self.ba} == {"a", "b"}

    def for_text(self, text: str) -> float | None:
        """How much one of its two texts is preferred."""
        return None if self.preference is None else self.preference if text == self.a else 1 - self.preference


@dataclass
class Labels:
    """Distinct pairs by their key; `identical` pairs were not asked about, `repeated` ones occurred before. `read`
    counts all labels that could be read, repeated ones too."""

    by_pair: dict[Key, Label] = field(default_factory=dict)
    identical: int = 0
    repeated: int = 0
    read: int = 0

    def add(self, labels: Iterable[Label]) -> None:
        for label in labels:
            if label.a == label.b:
                self.identical += 1
                continue
            self.read += label.preference is not None
            if self.by_pair.setdefault(label.key, label) is not label:
                self.repeated += 1

    @property
    def all(self) -> list[Label]:
        return list(self.by_pair.values())

    @property
    def usable(self) -> list[Label]:
        return [label for label in self.by_pair.values() if label.preference is not None]


def from_preferences(table: pa.Table, member: int | None = None, sides: str = "") -> list[Label]:
    """The labels of PREFERENCES rows, or one member's votes in them; those about which nobody could be asked are left
    out."""
    rows = _rows(table, ("completion_a", "completion_b", "preference"), member)
    found = [_label(row, row["completion_a"], row["completion_b"], row["preference"], sides) for row in rows]
    return [label for label in found if label is not None]


def from_judgements(table: pa.Table, member: int | None = None, sides: str = JUDGED) -> list[Label]:
    """The labels of a pairwise judge's JUDGEMENTS rows, or one member's votes in them: a is the policy's completion, b
    the reference's."""
    found = []
    for row in _rows(table, ("completion", "reference", "score", "valid"), member):
        if row["completion"] is None or row["reference"] is None:
            continue
        share = row["score"] / 100 if row["valid"] else None
        found.append(_label(row, row["completion"], row["reference"], row.get("preference", share), sides))
    return [label for label in found if label is not None]


def _rows(table: pa.Table, more: tuple[str, ...], member: int | None) -> Iterator[dict[str, Any]]:
    """Rows as the critic gave them, or with a member's vote in place of the whole ensemble's."""
    columns = [
        name for name in (*COLUMNS, *more) if name in table.column_names and (name != "votes" or member is not None)
    ]
    for row in table.select(columns).to_pylist():
        if member is None:
            yield row
        elif row.get("votes"):
            yield {**row, **row["votes"][member]}


def _label(row: Mapping[str, Any], a: str, b: str, preference: float | None, sides: str) -> Label | None:
    ab, ba = row["verdict_ab"], row["verdict_ba"]
    if preference is None and ab is None and ba is None:
        return None
    asked: Asked = row.get("order_asked") or ("" if ab is None or ba is None else "both")
    # Labellers of the same pairs share the texts: less memory, and keys that are compared by identity.
    return Label(intern(row["prompt_id"]), intern(a), intern(b), preference, ab, ba, asked, sides)
