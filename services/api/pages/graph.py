"""An experiment's stages as a graph: what is drawn as one node, which edges are needed, and where everything lies.

Stages stand in columns by the longest way from where they begin. Where there are too many to read, those that the same
arms need are one node, and at last all of a kind in a column.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from services.api.pages.wording import SHORT
from services.api.planned import Planned

Row = Mapping[str, Any]
"""A stage of an experiment's summary."""

MOST = 60
"""Nodes that can still be read."""
NODE_WIDTH, NODE_HEIGHT, GAP_X, GAP_Y, MARGIN = 116.0, 42.0, 18.0, 12.0, 6.0
LETTERS = 17
"""Letters that fit into a node."""
TELLING = ("failed", "waiting", "running", "ready", "cancelled", "pending", "committed")
"""States by how much they say of a node that has several; graph.js has the same."""


@dataclass(frozen=True)
class Node:
    """One or several stages; x and y are the upper left corner's, in pixels."""

    keys: tuple[str, ...]
    title: str
    about: str
    words: str
    state: str
    done: int
    x: float
    y: float
    focus: bool = False

    @property
    def short_keys(self) -> str:
        """As much of the keys as tells them apart."""
        return " ".join(key[:12] for key in self.keys)

    @property
    def label(self) -> str:
        """All that is to be known of it, for who cannot see it."""
        many = f", {self.done} of {len(self.keys)} done" if len(self.keys) > 1 else ""
        return f"{f'{self.title} {self.words}'.rstrip()}: {self.state}{many}"


@dataclass(frozen=True)
class Graph:
    """Nodes, edges as SVG paths, and the size in pixels."""

    nodes: tuple[Node, ...]
    edges: tuple[str, ...]
    width: float
    height: float
    node_width: float = NODE_WIDTH
    node_height: float = NODE_HEIGHT


def graph(rows: Sequence[Row], planned: Planned | None, focus: str = "", single: bool = False) -> Graph | None:
    """The graph of some of an experiment's stages; None where there are none.

    `focus` is the key of the stage that is looked at; `single`: each stage is a node of its own, if that can be read.
    """
    if not rows:
        return None
    column = columns(rows)
    groups = grouped(rows, column, focus, single)
    place = {row["key"]: number for number, group in enumerate(groups) for row in group}
    links = {
        (place[source], number)
        for number, group in enumerate(groups)
        for row in group
        for source in row["inputs"]
        if source in place
    }
    needed = reduced(links)
    at = placed([column[group[0]["key"]] for group in groups], needed)
    every = {arm for row in rows for arm in row["arms"]}
    nodes = tuple(_node(group, *at[number], planned, len(every), focus, single) for number, group in enumerate(groups))
    width = max(node.x for node in nodes) + NODE_WIDTH + MARGIN
    height = max(node.y for node in nodes) + NODE_HEIGHT + MARGIN
    return Graph(nodes, tuple(_edge(nodes[a], nodes[b]) for a, b in sorted(needed)), width, height)


def columns(rows: Sequence[Row]) -> dict[str, int]:
    """The column of each stage: the longest way to it, in stages. Inputs stand before what reads them."""
    found: dict[str, int] = {}
    for row in rows:
        found[row["key"]] = max((found[source] + 1 for source in row["inputs"] if source in found), default=0)
    return found


def grouped(rows: Sequence[Row], column: Mapping[str, int], focus: str, single: bool) -> list[list[Row]]:
    """The stages of each node: the finest division that has MOST nodes at most, else the coarsest."""
    by: tuple[Callable[[Row], Hashable], ...] = (
        lambda row: row["key"],
        lambda row: (row["kind"], tuple(row["arms"]), column[row["key"]]),
        lambda row: (row["kind"], column[row["key"]]),
    )
    groups: dict[Hashable, list[Row]] = {}
    for name in by if single else by[1:]:
        groups = {}
        for row in rows:
            # What is looked at stays a node of its own.
            groups.setdefault(row["key"] if row["key"] == focus else name(row), []).append(row)
        if len(groups) <= MOST:
            break
    return list(groups.values())


def reduced(links: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """The links without those that a longer way says too."""
    after: dict[int, set[int]] = {}
    for a, b in links:
        after.setdefault(a, set()).add(b)
    reach: dict[int, set[int]] = {}

    def reached(node: int) -> set[int]:
        if node not in reach:
            reach[node] = set().union(*({one} | reached(one) for one in after.get(node, ())))
        return reach[node]

    return {(a, b) for a, ends in after.items() for b in ends if not any(b in reached(other) for other in ends - {b})}


def placed(column: Sequence[int], links: Iterable[tuple[int, int]]) -> list[tuple[float, float]]:
    """Each node's place: in a column in the order of the places of what it comes from, the column in the middle."""
    sources: dict[int, list[int]] = {}
    for a, b in links:
        sources.setdefault(b, []).append(a)
    stands: dict[int, list[int]] = {}
    for number, of in enumerate(column):
        stands.setdefault(of, []).append(number)
    tallest = max(len(numbers) for numbers in stands.values())
    y: dict[int, float] = {}
    for of in sorted(stands):
        first = MARGIN + (tallest - len(stands[of])) * (NODE_HEIGHT + GAP_Y) / 2
        wanted = {one: fmean([y[source] for source in sources.get(one, ())] or [0.0]) for one in stands[of]}
        for row, one in enumerate(sorted(stands[of], key=lambda one: wanted[one])):
            y[one] = first + row * (NODE_HEIGHT + GAP_Y)
    return [(MARGIN + of * (NODE_WIDTH + GAP_X), y[number]) for number, of in enumerate(column)]


def _node(
    group: Sequence[Row], x: float, y: float, planned: Planned | None, every: int, focus: str, single: bool
) -> Node:
    keys = tuple(str(row["key"]) for row in group)
    arms = list(dict.fromkeys(arm for row in group for arm in row["arms"]))
    of_arms = _whose(arms, every)
    detail = planned.about(keys[0]) if planned is not None and len(keys) == 1 else ""
    # Among few stages their settings tell them apart, among many the arms that they belong to.
    about = detail if detail and (single or len(arms) > 1) else of_arms
    states = {str(row["state"]) for row in group}
    return Node(
        keys,
        SHORT.get(group[0]["kind"], str(group[0]["kind"])),
        short(about),
        ", ".join(dict.fromkeys(part for part in (detail, of_arms) if part)),
        next((state for state in TELLING if state in states), "pending"),
        sum(row["state"] == "committed" for row in group),
        x,
        y,
        focus in keys,
    )


def _whose(arms: Sequence[str], every: int) -> str:
    """Arms in a word or two; empty where a stage is of none, as a bandit's."""
    if len(arms) < 2:
        return "".join(arms)
    return "all arms" if len(arms) == every else f"{len(arms)} arms"


def short(about: str) -> str:
    """What fits into a node: of several words the last, which tell most."""
    last = about.rsplit(", ", 1)[-1] if len(about) > LETTERS else about
    return last if len(last) <= LETTERS else f"{last[: LETTERS - 1]}…"


def _edge(a: Node, b: Node) -> str:
    """A curve from one node's right side to another's left."""
    x1, y1, x2, y2 = a.x + NODE_WIDTH, a.y + NODE_HEIGHT / 2, b.x, b.y + NODE_HEIGHT / 2
    bend = (x2 - x1) / 2
    return f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
