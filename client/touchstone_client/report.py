"""A report in the terminal: the arms' table, the primary contrast and the verdict's sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

LEVELS = {"rl_adds_value": "green", "sft_suffices": "green", "inconclusive": "yellow", "invalid": "red"}


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print a report (the JSON of `Client.report`), or that of a matrix with its cells one after the other."""
    if report.get("partial"):
        console.print("[yellow]Partial: the experiment is not finished, numbers will change.[/]")
    cells: Mapping[str, Mapping[str, Any]] = report.get("cells") or {"": report}
    for name, cell in cells.items():
        if name:
            console.print(Text(f"\n{name}", style="bold"))
        console.print(_arms(cell))
        if cell.get("contrasts"):
            console.print(_contrasts(cell))
    if report.get("cells"):
        console.print(_cells(report))
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


def _cells(report: Mapping[str, Any]) -> Table:
    """The primary contrast of every cell of a matrix, and what it says."""
    table = _table("cells: the primary contrast, and the interval that decides")
    table.add_column("cell", overflow="fold")
    for title in ("level", "difference", "interval"):
        table.add_column(title, justify="left" if title == "level" else "right", no_wrap=True)
    for name, cell in report["cells"].items():
        verdict = cell["verdict"]
        primary = verdict["primary"]
        found = cell["contrasts"].get(primary["contrast"], {}).get(primary["evaluation"]) or {}
        table.add_row(
            escape(name),
            Text(verdict["level"], style=LEVELS.get(verdict["level"], "")),
            _number(found.get("estimate"), 1, sign=True),
            _interval(found.get("decision_interval"), 1),
        )
    return table


def _arms(report: Mapping[str, Any]) -> Table:
    arms: Mapping[str, Any] = report.get("arms") or {}
    names = list(dict.fromkeys(name for arm in arms.values() for name in arm.get("evaluations") or {}))
    table = _table("arms: estimate ± standard error")
    table.add_column("arm", overflow="fold")
    cells = {name: [_estimate((arm.get("evaluations") or {}).get(name)) for arm in arms.values()] for name in names}
    for name, column in cells.items():
        # A name may break after a dash where it is longer than what stands below it; numbers may not.
        width = max(map(len, column))
        title = name if len(name) <= width + 2 else name.replace("-", "- ")
        table.add_column(escape(title), justify="right", min_width=width)
    for title in ("usd", "device h"):
        table.add_column(title, justify="right", no_wrap=True)
    for arm, found, *row in zip(arms, arms.values(), *cells.values(), strict=True):
        cost = found.get("cost") or {}
        table.add_row(escape(arm), *row, f"{cost.get('usd') or 0:.2f}", f"{cost.get('device_hours') or 0:.2f}")
    return table


def _contrasts(report: Mapping[str, Any]) -> Table:
    primary = (report.get("verdict") or {}).get("primary")
    table = _table("contrasts; all but the primary are exploratory")
    for name in ("contrast", "evaluation"):
        table.add_column(name, overflow="fold")
    for name in ("diff.", "interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for contrast, evaluations in report["contrasts"].items():
        for place, (evaluation, found) in enumerate(evaluations.items()):
            chosen = _is_primary(primary, contrast, evaluation)
            table.add_row(
                escape(contrast) if place == 0 else "",
                escape(evaluation) + (" (primary)" if chosen else ""),
                _number(found.get("estimate"), _digits(found), sign=True),
                _interval(found.get("decision_interval") if chosen else found.get("interval"), _digits(found)),
                _p(found.get("p_value")),
                style="bold" if chosen else "",
            )
    return table


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )


def _is_primary(primary: Any, contrast: str, evaluation: str) -> bool:
    if isinstance(primary, Mapping):
        return primary.get("contrast") == contrast and primary.get("evaluation") == evaluation
    return False


def _estimate(found: Mapping[str, Any] | None) -> str:
    if not found or found.get("estimate") is None:
        return "–"
    error, digits = found.get("standard_error"), _digits(found)
    spread = "" if error is None else f" ± {error:.{digits}f}"
    return f"{_number(found['estimate'], digits)}{spread}"


def _digits(found: Mapping[str, Any]) -> int:
    """One decimal for points; three where the error is small, as for nats per token."""
    error = found.get("standard_error")
    return 3 if error is not None and 0 < error < 0.2 else 1


def _interval(interval: Any, digits: int) -> str:
    if not interval or any(end is None for end in interval):
        return ""
    return escape(f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]")


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value >= 0.001 else "<.001"


def _number(value: float | None, digits: int, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
