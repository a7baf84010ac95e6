"""Lists in the terminal: experiments, datasets, models, and a plan's stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_experiments(items: Iterable[Mapping[str, Any]], console: Console) -> None:
    """One row for each experiment."""
    rows = [
        (item["id"], item["name"], item["state"], _counts(item.get("counts") or {}), _when(item.get("created")))
        for item in items
    ]
    _print(console, ("id", "name", "state", "stages", "created"), rows, "no experiments yet: touchstone submit SPEC")


def print_datasets(items: Iterable[Mapping[str, Any]], console: Console) -> None:
    """One row for each dataset, with what was left out of it."""
    rows = [
        (item["name"], item["kind"], f"{item['rows']:,}", _dropped(item.get("dropped") or {}), item["sha256"][:12])
        for item in items
    ]
    empty = "no datasets yet: touchstone dataset add FILE --name NAME"
    _print(console, ("name", "kind", "rows", "left out", "sha256"), rows, empty)


def print_models(items: Iterable[Mapping[str, Any]], console: Console) -> None:
    """One row for each model."""
    rows = [
        (item["name"], str(len(item["files"])), f"{sum(item['files'].values()) / 1e6:,.1f} MB", item["sha256"][:12])
        for item in items
    ]
    _print(console, ("name", "files", "size", "sha256"), rows, "no models yet: touchstone model add NAME FOLDER")


def print_plan(plan: Mapping[str, Any], console: Console) -> None:
    """One row for each kind of stage: how many, how many are there already, and what they will ask for."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for stage in plan["stages"]:
        kinds.setdefault(stage["kind"], []).append(stage)
    rows = [
        (
            kind,
            str(len(stages)),
            str(sum(bool(stage["reused"]) for stage in stages)),
            f"{sum(stage.get('requests') or 0 for stage in stages):,}",
        )
        for kind, stages in kinds.items()
    ]
    _print(console, ("stage", "stages", "reused", "requests"), rows, "no stages")
    total = f"{plan['name']}: {plan['counts']['stages']} stages, {plan['counts']['reused']} reused"
    requests = f", at most {plan.get('requests') or 0:,} requests"
    cost = plan.get("cost_usd")
    console.print(total + requests + (f", ${cost:.2f}" if cost else ""), highlight=False, markup=False, soft_wrap=True)


def _print(console: Console, titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], empty: str) -> None:
    if not rows:
        console.print(empty, style="dim", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for title in titles:
        # What is copied to the next command must never be cut.
        table.add_column(title, no_wrap=title in {"id", "name", "state", "sha256", "created"}, overflow="fold")
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
