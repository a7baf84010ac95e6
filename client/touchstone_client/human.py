"""The human check in the terminal: `touchstone human sheet`, `import` and `show`."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from touchstone_client.client import DEFAULT_URL, Client
from touchstone_client.errors import FieldError, InvalidInput
from touchstone_client.options import Json, Target, Token, Url
from touchstone_client.targets import find_experiment

app = typer.Typer(help="People's votes on an experiment's answers, beside the judge's.", no_args_is_help=True)

PATIENCE_S = 30.0


@app.command()
def sheet(
    target: Target,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="write it here; without it, to the terminal")] = None,
    n: Annotated[int, typer.Option("--n", help="prompts, chosen by hash")] = 100,
    against: Annotated[str, typer.Option("--against", help="arm: the two arms; reference: each with it")] = "arm",
    contrast: Annotated[str, typer.Option("--contrast", help="whose arms; without it, the primary's")] = "",
    arm: Annotated[str, typer.Option("--arm", help="against the reference: this arm alone")] = "",
    seed: Annotated[int | None, typer.Option("--seed", help="of which training; without it, the first")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Get a blinded sheet (CSV) of pairs of answers, to be voted on in its column vote: left, right or tie."""
    with Client(url, token) as client:
        id = find_experiment(client, target)
        if json:
            found = client.human_pairs(id, n=n, against=against, contrast=contrast, arm=arm, seed=seed)
            text = json_module.dumps(found, indent=2) + "\n"
        else:
            text = client.human_sheet(id, n, against, contrast, arm, seed)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput(
            FieldError("--out", f"{out}: {error.strerror}", "Name a file that can be written.")
        ) from None


@app.command("import")
def import_votes(
    target: Target,
    votes: Annotated[Path, typer.Argument(help="a sheet with its column vote filled in")],
    rater: Annotated[str, typer.Option("--rater", help="whose votes, where the column rater is empty")] = "",
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Send the votes of a filled-in sheet. Where a line is wrong, none is kept. A later vote of the same person on the
    same row counts instead of the earlier one."""
    with Client(url, token) as client:
        added = client.add_votes(find_experiment(client, target), votes, rater)
    if json:
        print(json_module.dumps(added, indent=2))
    else:
        changed = f", {added['superseded']} of them in place of an earlier one" if added["superseded"] else ""
        Console().print(f"{added['added']} votes kept{changed}; {added['votes']} in all", highlight=False)


@app.command()
def show(target: Target, url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """Print how far people and the judge agree, and the primary contrast corrected with people's votes."""
    with Client(url, token) as client:
        found = _newest(client, find_experiment(client, target))
    print(json_module.dumps(found, indent=2)) if json else print_human(found, Console())


def _newest(client: Client, id: str) -> dict[str, Any]:
    """What the report with all votes says; after some seconds what there is."""
    until = time.monotonic() + PATIENCE_S
    while not (found := client.human(id))["up_to_date"] and time.monotonic() < until:
        time.sleep(1)
    return found


def print_human(found: Mapping[str, Any], console: Console) -> None:
    """Print the JSON of `Client.human`."""
    if not found["up_to_date"]:
        console.print("[yellow]The report with all votes is not made yet; this is the one before.[/]")
    if not found["votes"]:
        console.print("nobody has voted yet")
    for cell, trust in found["trust"].items():
        if cell:
            console.print(Text(f"\n{cell}", style="bold"))
        console.print(_rows(trust))
        if trust["people"] is not None:
            console.print(_raters(trust["people"]))
        said = trust["said"]
        for text in [*([said["votes"]] if said["votes"] else []), *said["wins"], *said["summary"], *said["missing"]]:
            console.print(Text(f"· {text}", style="dim"))


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _rows(trust: Mapping[str, Any]) -> Table:
    table = _table("the primary contrast by judge, order and gold labels; the first row makes the verdict")
    table.add_column("judged by", overflow="fold")
    for name in ("diff.", "interval", "gold"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("alone it would say")
    for row in trust["rows"]:
        source = f"{row['source']} ({row['hint']})" if row["hint"] else row["source"]
        if row["estimate"] is None:
            table.add_row(escape(source), "–", "", "", escape(row["why"] or ""))
            continue
        low, high = row["decision_interval"]
        gold = "" if row["n_gold"] is None else f"{row['n_gold']:,}"
        table.add_row(
            escape(source), f"{row['estimate']:+.1f}", escape(f"[{low:.1f}, {high:.1f}]"), gold, row["level"] or "–"
        )
    return table


def _raters(people: Mapping[str, Any]) -> Table:
    table = _table("people and the judge")
    table.add_column("who", overflow="fold")
    for name in ("votes", "agree", "kappa"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [*people["raters"].items(), *([("all", people["pooled"])] if len(people["raters"]) > 1 else [])]
    for name, one in rows:
        table.add_row(escape(name), f"{one['votes']:,}", *_pair(one["judge"]))
    for one in people["between"]:
        table.add_row(escape(" and ".join(one["raters"])), f"{one['agree']['n']:,}", *_pair(one))
    return table


def _pair(found: Mapping[str, Any] | None) -> tuple[str, str]:
    if found is None:
        return "–", "–"
    agree, kappa = (found[name]["estimate"] for name in ("agree", "kappa"))
    return "–" if agree is None else f"{100 * agree:.0f}%", "–" if kappa is None else f"{kappa:.2f}"
