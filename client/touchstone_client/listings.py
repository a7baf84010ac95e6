"""Lists in the terminal: experiments, datasets and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Column:
    """A table's column; one that `wraps` gives way where the terminal is narrow."""

    title: str
    wraps: bool = False
    right: bool = False


EXPERIMENTS = (
    Column("id"),
    Column("name", wraps=True),
    Column("state"),
    Column("stages", right=True),
    Column("created"),
)
DATASETS = (Column("name", wraps=True), Column("kind"), Column("rows", right=True), Column("left out", wraps=True),
            Column("sha256"))  # fmt: skip
TEMPLATES = (Column("name", wraps=True), Column("shows"), Column("sha256"), Column("created"))
MODELS = (Column("name", wraps=True), Column("files", right=True), Column("size", right=True), Column("sha256"))


def print_experiments(items: Iterable[Mapping[str, Any]], console: Console) -> None:
    """One row for each experiment."""
    rows = [
        (item["id"], item["name"], item["state"], _counts(item.get("counts") or {}), _when(item.get("created")))
        for item in items
    ]
    print_table(console, EXPERIMENTS, rows, "no experiments yet: touchstone submit SPEC")


def print_datasets(items: Iterable[Mapping[str, Any]], console: Console) -> None:
    """One row for each dataset, with what was left out of it."""
    rows = [
        (item["name"], item["kind"], f"{item['rows']:,}", _dropped(item.get("dropped") or {}), item["sha256"][:12])
        for item in items
    ]
    empty = "no datasets yet: touchstone dataset add FILE --name NAME"
    print_table(console, DATASETS, rows, empty)


def print_models(items: Iterable[Mapping[str, Any]], console: Console) -> None:
    """One row for each model."""
    rows = [
        (item["name"], str(len(item["files"])), f"{sum(item['files'].values()) / 1e6:,.1f} MB", item["sha256"][:12])
        for item in items
    ]
    print_table(console, MODELS, rows, "no models yet: touchstone model add NAME FOLDER")


def print_templates(found: Sequence[Mapping[str, Any]], console: Console) -> None:
    """One row for each entry, and what was left out."""
    rows = [
        (f"template:{one['name']}/{entry}".rstrip("/"), one["sorts"][entry], sha256[:12], _when(one.get("created")))
        for one in found
        for entry, sha256 in one["entries"].items()
    ]
    print_table(console, TEMPLATES, rows, "no templates yet: touchstone template add NAME FILE")
    for one in found:
        for entry, reason in one.get("skipped", {}).items():
            console.print(f"left out {one['name']}/{entry}: {reason}", highlight=False, markup=False, soft_wrap=True)


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[tuple[str, ...]], empty: str) -> None:
    """A table that keeps ids, numbers and times whole on a narrow terminal: only the columns that may wrap give way."""
    if not rows:
        console.print(empty, style="dim", highlight=False)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            column.title,
            no_wrap=not column.wraps,
            min_width=max(len(word) for word in column.title.split()),
            overflow="fold",
            justify="right" if column.right else "left",
        )
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def _counts(counts: Mapping[str, int]) -> str:
    """`10/61`: stages that are committed, of all."""
    return f"{counts.get('committed', 0)}/{sum(counts.values()) - counts.get('reused', 0)}"


def _dropped(dropped: Mapping[str, Any]) -> str:
    return ", ".join(f"{number} with {reason}" for reason, number in dropped.items())


def _when(created: str | None) -> str:
    return (created or "")[:16].replace("T", " ")
