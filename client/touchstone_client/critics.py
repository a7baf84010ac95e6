"""Critics' cards in the terminal: one table for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

Card = Mapping[str, Any]


def print_critics(found: Mapping[str, Any], console: Console) -> None:
    """Print the cards (the JSON of `Client.critics`)."""
    if found.get("partial"):
        console.print("[yellow]Partial: the experiment is not finished, numbers will change.[/]")
    if not found["critics"]:
        console.print("no critic or judge has labelled anything yet")
    for name, card in found["critics"].items():
        table = Table(
            title=f"{escape(name)} ({escape(card['provider'])}; {', '.join(card['roles'])})",
            title_justify="left",
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
        )
        table.add_column("measure")
        for title in ("estimate", "95% interval", "of"):
            table.add_column(title, justify="right", no_wrap=True)
        notes = []
        for measure, one, percent in _measures(card):
            table.add_row(escape(measure), *_cells(one, percent))
            if one["why"]:
                notes.append(f"{measure}: {one['why']}")
        console.print(table)
        cost = card["cost"]
        if cost["usd_per_label"] is not None and cost["input_tokens_per_label"] is not None:
            console.print(f"{cost['labels']:,} labels for ${cost['usd']:.2f}: ${cost['usd_per_label']:.2g} each")
        for note in notes:
            console.print(Text(f"· {note}", style="dim"))
        for warning in card["warnings"]:
            console.print(Text(f"· {warning}", style="yellow"))
        console.print()


def _measures(card: Card) -> Iterator[tuple[str, Card, bool]]:
    """What the table shows: a name, the estimate, and whether it is a share."""
    yield "flip rate", card["position"]["flip_rate"], True
    yield "first-place rate", card["position"]["first_place_rate"], True
    yield "the longer one wins", card["length"]["win_rate_longer"], True
    yield "length slope (log-odds a doubling)", card["length"]["slope_per_doubling"], False
    for one in card["agreement"]:
        beside = f" ({'its member' if one['with'] in card.get('members', ()) else 'its ensemble'})"
        yield f"kappa with {one['with']}{beside if one.get('related') else ''}", one["kappa"], False
    if not card["gold"]:
        yield "error rate", card["error"]["rate"], True
    if card["self_preference"]["own_wins"]["n"]:
        yield "its own wins", card["self_preference"]["own_wins"], True
        yield "self-preference", card["self_preference"]["excess"], True
    yield "ties", card["ties"], True
    yield "unparsable", card["unparsable"], True


def _cells(one: Card, percent: bool) -> tuple[str, str, str]:
    if one["estimate"] is None:
        return "–", "", ""
    interval = "" if one["interval"] is None else " to ".join(_text(end, percent) for end in one["interval"])
    return _text(one["estimate"], percent), interval, f"{one['n']:,}"


def _text(value: float, percent: bool) -> str:
    return f"{100 * value:.1f}%" if percent else f"{value:.2f}"
