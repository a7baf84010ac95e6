"""`touchstone export`: an arm's model, its card and the rows that it was trained on, as a folder or on the hub."""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from touchstone_client.client import DEFAULT_URL, Client
from touchstone_client.download import Told
from touchstone_client.errors import NotFound, Problem
from touchstone_client.hub import check_repository, publish
from touchstone_client.options import Json, Token, Url
from touchstone_client.targets import find_experiment

UNSAFE = re.compile(r"[^A-Za-z0-9._@=+-]+")


def export(
    arm: Annotated[str, typer.Argument(metavar="ARM", help="an arm that was trained; of a matrix `ARM [CELL]`")],
    experiment: Annotated[
        str,
        typer.Option(
            "--experiment", "-e", help="an id, the beginning of one, a name, or a spec's file; else the newest"
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="the folder to write; without it EXPERIMENT-ARM here")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="of which training; without it, the first")] = None,
    repo: Annotated[
        str | None,
        typer.Option("--repo", help="upload it to the Hugging Face hub as OWNER/NAME, private", metavar="OWNER/NAME"),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="with --repo: everybody may read it")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list the files and their sizes, and download none")
    ] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Export ARM as a folder that transformers, vLLM and TGI load: weights, config, tokenizer, chat template, a model
    card, and the rows that it was trained on as a dataset. After Ctrl-C the same command goes on."""
    if repo is not None:
        check_repository(repo)
    with Client(url, token) as client:
        found = client.export_arm(_experiment(client, experiment), arm, seed)
        folder = out if out is not None else Path(folder_name(found, seed))
        if not json:
            _list(found, folder)
        if not dry_run:
            with _progress(found, show=not json) as told:
                client.download_export(found, folder, told)
            found |= {"folder": str(folder)}
    if repo is not None and not dry_run:
        found |= {"repositories": publish(folder, repo, public)}
    if json:
        print(json_module.dumps(found, indent=2), flush=True)
    elif not dry_run:
        for line in (str(folder), *found.get("repositories", ())):
            Console().print(line, highlight=False, markup=False, soft_wrap=True)


def folder_name(export: Mapping[str, Any], seed: int | None) -> str:
    """What a folder is called where nobody says: experiment and arm, and the seed where one was asked for."""
    parts = [export["name"], export["arm"], *([] if seed is None else [f"seed{seed}"])]
    return UNSAFE.sub("-", "-".join(parts)).strip("-.") or "export"


def _experiment(client: Client, target: str) -> str:
    if target:
        return find_experiment(client, target)
    newest = next(client.list(), None)
    if newest is None:
        raise NotFound(Problem(404, "Not Found", "there is no experiment yet: touchstone submit SPEC"))
    return str(newest["id"])


def _list(export: Mapping[str, Any], folder: Path) -> None:
    """The files and their sizes, as they will lie in the folder."""
    title = f"{export['arm']} of {export['name']} ({export['experiment']}), seed {export['seed']}, into {folder}"
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=True)
    table.add_column("file", f"{len(export['files'])} files", overflow="fold")
    table.add_column("size", decimal(export["bytes"]), justify="right", no_wrap=True)
    table.add_column("sha256", no_wrap=True)
    for one in export["files"]:
        table.add_row(escape(one["path"]), decimal(one["size"]), one["sha256"][:12])
    console = Console()
    console.print(Text(title), soft_wrap=True)
    console.print(table)


@contextmanager
def _progress(export: Mapping[str, Any], show: bool) -> Iterator[Told]:
    """A bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("download"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (show and console.is_terminal)) as progress:
        task = progress.add_task("download", total=export["bytes"])
        try:
            yield lambda more: progress.update(task, advance=more)
        except KeyboardInterrupt:
            console.print("Stopped. What is there is kept: the same command goes on from it.")
            raise
