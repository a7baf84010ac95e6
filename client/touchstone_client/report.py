"""A report in the terminal: the arms' table, the primary contrast and the verdict's sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

LEVELS = {"rl_adds_value": "green", "sft_suffices": "green", "inconclusive": "yellow", "invalid": "red"}


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print a report (the JSON of `Client.report`)."""
    if report.get("partial"):
        console.print("[yellow]Partial: the experiment is not finished, numbers will change.[/]")
    console.print(_arms(report))
    if report.get("contrasts"):
        console.print(_contrasts(report))
    verdict = report.get("verdict") or {}
    if verdict.get("sentence"):
        level = verdict.get("level", "")
        body = Text(verdict["sentence"])
        for reason in verdict.get("reasons") or []:
            body.append(f"\n· {reason}")
        console.print(Panel(body, title=f"verdict: {level}", title_align="left", border_style=LEVELS.get(level, "")))
    for note in report.get("notes") or []:
        where = f" (spec: {note['spec']})" if note.get("spec") else ""
        console.print(Text(f"· {note.get('text', '')}{where}", style="dim"))


def _arms(report: Mapping[str, Any]) -> Table:
    arms: Mapping[str, Any] = report.get("arms") or {}
    names = list(dict.fromkeys(name for arm in arms.values() for name in arm.get("evaluations") or {}))
    table = Table(title="arms: estimate ± standard error, 95% interval", title_justify="left")
    table.add_column("arm", no_wrap=True)
    for name in names:
        table.add_column(escape(name), justify="right")
    table.add_column("cost", justify="right")
    for arm, found in arms.items():
        evaluations = found.get("evaluations") or {}
        table.add_row(
            escape(arm), *(_estimate(evaluations.get(name)) for name in names), _cost(found.get("cost") or {})
        )
    return table


def _contrasts(report: Mapping[str, Any]) -> Table:
    primary = (report.get("verdict") or {}).get("primary")
    table = Table(title="contrasts; all but the primary are exploratory", title_justify="left")
    for title in ("contrast", "evaluation", "difference", "interval", "p"):
        table.add_column(title, justify="left" if title in {"contrast", "evaluation"} else "right", no_wrap=True)
    for contrast, evaluations in report["contrasts"].items():
        for evaluation, found in evaluations.items():
            chosen = _is_primary(primary, contrast, evaluation)
            table.add_row(
                escape(contrast) + (" (primary)" if chosen else ""),
                escape(evaluation),
                _number(found.get("estimate"), _digits(found), sign=True),
                _interval(found.get("decision_interval") if chosen else found.get("interval"), _digits(found)),
                "" if found.get("p_value") is None else f"{found['p_value']:.3f}",
                style="bold" if chosen else "",
            )
    return table


def _is_primary(primary: Any, contrast: str, evaluation: str) -> bool:
    if isinstance(primary, Mapping):
        return primary.get("contrast") == contrast and primary.get("evaluation") == evaluation
    return False


def _estimate(found: Mapping[str, Any] | None) -> str:
    if not found or found.get("estimate") is None:
        return "–"
    error, digits = found.get("standard_error"), _digits(found)
    spread = "" if error is None else f" ± {error:.{digits}f}"
    return f"{_number(found['estimate'], digits)}{spread}\n[dim]{_interval(found.get('interval'), digits)}[/]"


def _digits(found: Mapping[str, Any]) -> int:
    """One decimal for points; three where the error is small, as for nats per token."""
    error = found.get("standard_error")
    return 3 if error is not None and 0 < error < 0.2 else 1


def _interval(interval: Any, digits: int) -> str:
    if not interval or any(end is None for end in interval):
        return ""
    return escape(f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]")


def _number(value: float | None, digits: int, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _cost(cost: Mapping[str, Any]) -> str:
    hours = cost.get("device_hours") or 0
    return f"${cost.get('usd') or 0:.2f}\n[dim]{hours:.2f} device h[/]"
