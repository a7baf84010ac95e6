"""The `touchstone` command. Thin: it parses, calls `touchstone_client.Client`, and shows what came."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from touchstone_client import human, listings
from touchstone_client.client import DEFAULT_URL, Client, Spec
from touchstone_client.critics import print_critics
from touchstone_client.errors import FieldError, InvalidInput, NotFound, ServerError, TouchstoneClientError, Unreachable
from touchstone_client.estimate import cost, print_plan, totals
from touchstone_client.events import apply
from touchstone_client.export import export
from touchstone_client.options import Json, Target, Token, Url
from touchstone_client.report import print_report
from touchstone_client.targets import find_experiment
from touchstone_client.view import watch as watch_live

HUB = "hub:"
NO_REPORT = "there is no report yet: nothing has been judged"
OK, FAILED, BAD_INPUT, UNREACHABLE, NOT_FOUND = 0, 1, 2, 3, 4

HELP = """Touchstone: is the RL step of RLAIF worth its cost here?

Exit codes: 0 done · 1 the experiment failed, was cancelled, or has no report yet, or you did not say yes to its price ·
2 wrong input or usage ·
3 the server cannot be reached or is in trouble · 4 not found · 130 Ctrl-C (the experiment goes on).

An EXPERIMENT is an id, the beginning of one, a name (its newest experiment), or the spec's file.
"""

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
datasets = typer.Typer(help="Datasets that specs name as `dataset:NAME`.", no_args_is_help=True)
models = typer.Typer(help="Base models that specs name as `model:NAME`.", no_args_is_help=True)
app.add_typer(datasets, name="dataset")
app.add_typer(models, name="model")
templates = typer.Typer(help="What critics are asked, as specs name it: `template:NAME`.", no_args_is_help=True)
app.add_typer(templates, name="template")
app.add_typer(human.app, name="human")
app.command()(export)

SpecFile = Annotated[str, typer.Argument(metavar="SPEC", help="a YAML or JSON file; - reads standard input")]


@app.command()
def submit(
    spec: SpecFile,
    watch: Annotated[bool, typer.Option("--watch", help="show progress until it ends, then the report")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="submitting again under this key starts nothing new")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask, whatever it costs")] = False,
    confirm_usd: Annotated[
        float, typer.Option("--confirm-usd", envvar="TOUCHSTONE_CONFIRM_USD", help="ask above so many dollars")
    ] = 1.0,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Start an experiment from SPEC. What it would cost is shown before; more than a dollar, or an unknown price, asks
    for a yes."""
    with Client(url, token) as client:
        given = _spec(spec)
        _confirm(client.plan(given), yes, confirm_usd, spec)
        created = client.submit(given, idempotency_key)
        if json:
            _print_json(created)
        else:
            _out().print(f"{created['id']}  {created['name']}  {created['state']}", highlight=False, markup=False)
            for warning in created.get("warnings", ()):
                _out().print(Text(f"warning: {warning}"), soft_wrap=True)
        if watch:
            _watch(client, created["id"], json)


@app.command()
def plan(spec: SpecFile, url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """Show what SPEC would do: stages, what is reused, requests, tokens, dollars with a range. Starts nothing."""
    with Client(url, token) as client:
        found = client.plan(_spec(spec))
    _print_json(found) if json else print_plan(found, _out())


@app.command()
def watch(target: Target, url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """Show an experiment's progress until it ends (with --json one event a line)."""
    with Client(url, token) as client:
        _watch(client, find_experiment(client, target), json)


@app.command()
def report(
    target: Target,
    out: Annotated[
        Path | None, typer.Option("--out", help="write report.html and report.json into this folder")
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Print an experiment's arms and verdict; partial while it runs."""
    with Client(url, token) as client:
        id = find_experiment(client, target)
        found, html = client.report(id), client.report_html(id) if out else None
    if found is None:
        _fail(NO_REPORT, FAILED)
    _print_json(found) if json else print_report(found, _out())
    if out:
        _write_report(out, found, html)
        if not json:
            _out().print(f"{out / 'report.html'}\n{out / 'report.json'}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def critics(target: Target, url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """Print what an experiment's critics and judges show of themselves: biases, agreement, errors, cost of a label."""
    with Client(url, token) as client:
        found = client.critics(find_experiment(client, target))
    if found is None:
        _fail(NO_REPORT, FAILED)
    _print_json(found) if json else print_critics(found, _out())


@app.command()
def cancel(target: Target, url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """Stop an experiment. What is committed stays, and `resume` goes on from there."""
    with Client(url, token) as client:
        _print_state(client.cancel(find_experiment(client, target)), json)


@app.command()
def resume(
    target: Target,
    budget: Annotated[float | None, typer.Option("--budget", help="a higher budget, in US dollars")] = None,
    stage_budget: Annotated[
        list[str] | None, typer.Option("--stage-budget", help="the same for a kind of stage: teach=20 (repeatable)")
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Go on with a cancelled experiment, try failed stages again, or go on where the budget was spent."""
    kinds = {kind: _dollars(text) for kind, text in _pairs("--stage-budget", stage_budget or [], "teach=20").items()}
    with Client(url, token) as client:
        _print_state(client.resume(find_experiment(client, target), budget, kinds), json)


@app.command()
def ls(url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """List experiments, newest first."""
    with Client(url, token) as client:
        found = list(client.list())
    _print_json(found) if json else listings.print_experiments(found, _out())


@datasets.command("add")
def dataset_add(
    file: Annotated[Path, typer.Argument(help="JSONL, Parquet or CSV; or hub:OWNER/NAME[@REVISION]")],
    name: Annotated[str, typer.Option("--name", help="the name that specs use")],
    map: Annotated[
        list[str] | None,
        typer.Option("--map", help="our columns from the file's: prompt_id=id,prompt=instruction (repeatable)"),
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="prompts, completions or preferences")] = None,
    preference: Annotated[
        str | None,
        typer.Option(
            "--preference", help="alpaca-eval: read its codes (1, 2, 0, 1.5) as probabilities that a is better"
        ),
    ] = None,
    hub_file: Annotated[
        str, typer.Option("--file", help="of a hub's dataset: which file, or a pattern: data/train-*.parquet")
    ] = "",
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Upload FILE as a dataset, or let the server take one of the Hugging Face hub, pinned to its commit.

    Columns of prompts: prompt_id, prompt; of completions: prompt_id, completion; of preferences: prompt_id,
    completion_a, completion_b, preference (0 to 1: the probability that a is better).
    """
    with Client(url, token) as client:
        added = _add_dataset(client, str(file), name, hub_file, map or [], kind, preference)
    _print_json(added) if json else listings.print_datasets([added], _out())


@datasets.command("ls")
def dataset_ls(url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """List datasets."""
    with Client(url, token) as client:
        found = list(client.list_datasets())
    _print_json(found) if json else listings.print_datasets(found, _out())


@models.command("add")
def model_add(
    name: Annotated[str, typer.Argument(help="the name that specs use")],
    folder: Annotated[Path, typer.Argument(help="a folder with config.json and safetensors, or with a GGUF file")],
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Upload FOLDER as a base model. Pickles (.bin, .pt) are refused."""
    with Client(url, token) as client:
        added = client.add_model(name, folder)
    _print_json(added) if json else listings.print_models([added], _out())


@models.command("ls")
def model_ls(url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """List base models."""
    with Client(url, token) as client:
        found = list(client.list_models())
    _print_json(found) if json else listings.print_models(found, _out())


@templates.command("add")
def template_add(
    name: Annotated[str, typer.Argument(help="the name that specs use")],
    file: Annotated[Path, typer.Argument(help="a text, or MT-Bench's judge_prompts.jsonl")],
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> None:
    """Upload FILE as a template.

    A text has places {prompt}, {answer_a} and {answer_b}, or {prompt} and {answer}; also {reference} and {criteria}.
    """
    with Client(url, token) as client:
        added = client.add_template(name, file)
    _print_json(added) if json else listings.print_templates([added], _out())


@templates.command("ls")
def template_ls(url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> None:
    """List templates."""
    with Client(url, token) as client:
        found = list(client.list_templates())
    _print_json(found) if json else listings.print_templates(found, _out())


def main() -> None:
    """The command's entry point: errors become one readable line each and an exit code."""
    try:
        app()
    except TouchstoneClientError as error:
        _fail(str(error), exit_code(error))


def exit_code(error: TouchstoneClientError) -> int:
    """What a script is told of an error."""
    if isinstance(error, Unreachable | ServerError):
        return UNREACHABLE
    return NOT_FOUND if isinstance(error, NotFound) else BAD_INPUT


def _watch(client: Client, id: str, json: bool) -> None:
    if json:
        summary: dict[str, Any] = {}
        for event in client.events(id):
            _print_json({"event": event.name, "id": event.id, "data": event.data}, indent=None)
            summary = apply(summary, event)
    else:
        summary = watch_live(client, id, _out())
        found = client.report(id)
        if found is not None:
            print_report(found, _out())
    if summary.get("state") != "succeeded":
        raise typer.Exit(FAILED)


def _confirm(plan: dict[str, Any], yes: bool, most: float, spec: str) -> None:
    """Show on standard error what an experiment that costs something would cost, and ask where that is much."""
    if plan["cost_range"][1] or plan["unknown_prices"]:
        for line in totals(plan):
            Console(stderr=True).print(Text(line), soft_wrap=True)
    little = plan["cost_usd"] <= most and not plan["unknown_prices"]
    if yes or little or plan["provisional"]:
        return
    if spec == "-" or not sys.stdin.isatty():
        fix = "Say --yes to start it, or raise TOUCHSTONE_CONFIRM_USD."
        raise InvalidInput(FieldError("--yes", f"this would cost about {cost(plan)}, and nobody is there to ask", fix))
    typer.confirm("Start it?", abort=True, err=True)


def _spec(argument: str) -> Spec:
    if argument != "-":
        return Path(argument)
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(FieldError("spec", f"is not UTF-8 (byte {error.start})", "Save it as UTF-8.")) from None


def _add_dataset(
    client: Client, file: str, name: str, hub_file: str, map: list[str], kind: str | None, preference: str | None
) -> dict[str, Any]:
    if file.startswith(HUB):
        dataset = file.removeprefix(HUB)
        return client.add_hub_dataset(dataset, name, hub_file, _mapping(map), kind, preference)
    if hub_file:
        raise InvalidInput(
            FieldError("--file", "is of a hub's dataset", "Write hub:OWNER/NAME before it, or leave it out.")
        )
    return client.add_dataset(Path(file), name, _mapping(map), kind, preference)


def _mapping(parts: list[str]) -> dict[str, str]:
    return _pairs("--map", parts, "column=name_in_the_file")


def _pairs(option: str, parts: list[str], example: str) -> dict[str, str]:
    pairs = {}
    for piece in (piece for part in parts for piece in part.split(",") if piece.strip()):
        name, equals, value = piece.partition("=")
        if not equals:
            raise InvalidInput(FieldError(option, f"{piece!r} is no mapping", f"Write {example}."))
        pairs[name.strip()] = value.strip()
    return pairs


def _dollars(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(FieldError("--stage-budget", f"{text!r} is no number", "Write teach=20.")) from None


def _write_report(out: Path, found: dict[str, Any], html: str | None) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json_module.dumps(found, indent=2) + "\n")
        (out / "report.html").write_text(html or "")
    except OSError as error:
        problem = error.strerror or str(error)
        raise InvalidInput(FieldError("--out", f"{out}: {problem}", "Name a folder that can be written.")) from None


def _print_state(answer: dict[str, Any], json: bool) -> None:
    if json:
        _print_json(answer)
    else:
        _out().print(f"{answer['id']}  {answer['name']}  {answer['state']}", highlight=False, markup=False)


def _print_json(value: Any, indent: int | None = 2) -> None:
    print(json_module.dumps(value, indent=indent), flush=True)


def _out() -> Console:
    return Console()


def _fail(text: str, code: int) -> NoReturn:
    for line in text.splitlines():
        Console(stderr=True).print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
