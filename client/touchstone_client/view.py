"""What the terminal shows of an experiment: live while it runs, plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from touchstone_client import progress
from touchstone_client.client import Client
from touchstone_client.events import apply
from touchstone_client.report import print_report

__all__ = ["Dashboard", "print_report", "watch"]

BAR = 14
PAUSED = "paused"
"""Nothing happens any more before somebody resumes it with a higher budget."""
STYLES = {
    "failed": "bold red",
    "waiting": "yellow",
    "paused": "bold yellow",
    "running": "cyan",
    "ready": "blue",
    "cancelled": "magenta",
    "pending": "dim",
    "committed": "green",
    "succeeded": "bold green",
}


def watch(client: Client, id: str, console: Console) -> dict[str, Any]:
    """Show an experiment until it ends or pauses; returns its last summary (succeeded, failed, cancelled or paused).

    A live table on a terminal, else one line for each change of a stage's state.
    """
    if console.is_terminal:
        dashboard = Dashboard(console)
        with Live(dashboard, console=console, refresh_per_second=4, transient=False):
            for event in client.events(id):
                dashboard.show(apply(dashboard.summary, event))
                if dashboard.summary.get("state") == PAUSED:
                    break
        summary = dashboard.summary
    else:
        summary = {}
        for event in client.events(id):
            after = apply(summary, event)
            _print_changes(summary, after, console)
            summary = after
            if summary.get("state") == PAUSED:
                break
    _print_end(summary, console)
    return dict(summary)


class Dashboard:
    """The live view: one row for each group of stages."""

    def __init__(self, console: Console) -> None:
        self.summary: dict[str, Any] = {}
        self._console = console
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def show(self, summary: dict[str, Any]) -> None:
        """Take in a newer summary; notes when each stage began and ended, as far as it was seen."""
        now = time.monotonic()
        for stage in summary.get("stages", []):
            if stage["state"] == "running":
                self._began.setdefault(stage["key"], now)
            elif stage["key"] in self._began and stage["state"] in {"committed", "failed", "cancelled"}:
                self._ended.setdefault(stage["key"], now)
        self.summary = summary

    def __rich__(self) -> RenderableType:
        if not self.summary:
            return Text("connecting …", style="dim")
        groups = progress.group_stages(self.summary)
        if len(groups) + sum(bool(group.note) for group in groups) + 4 > self._console.height:
            # A terminal that is too low for every arm shows kinds alone.
            groups = progress.group_stages(self.summary, by_arms=False)
        return Group(self._heading(), self._table(groups), *_notes(groups))

    def _heading(self) -> Text:
        state = self.summary["state"]
        end = self.summary.get("finished") or datetime.now(UTC).isoformat()
        took = progress.seconds_between(self.summary.get("created"), end) or 0.0
        stages = self.summary.get("stages", [])
        done = sum(stage["state"] == "committed" for stage in stages)
        return Text.assemble(
            (self.summary["name"], "bold"),
            f"  {self.summary['id']}  ",
            (state, STYLES.get(state, "")),
            f"  {done}/{len(stages)} stages  {progress.duration(took)}  {progress.money(self.summary)}",
        )

    def _table(self, groups: list[progress.Group]) -> Table:
        table = Table(box=None, pad_edge=False)
        for title, width in (("stage", 8), ("arms", None), ("", BAR), ("done", 7), ("state", 9), ("time", 11)):
            table.add_column(title, width=width, no_wrap=True, overflow="ellipsis")
        for group in groups:
            state = "reused" if group.reused == group.stages else group.state
            table.add_row(
                group.kind,
                escape(group.arms),
                ProgressBar(total=1.0, completed=group.fraction, width=BAR),
                f"{group.committed}/{group.stages}",
                Text(state, style=STYLES.get(group.state, "")),
                self._elapsed(group),
            )
        return table

    def _elapsed(self, group: progress.Group) -> str:
        began = [self._began[key] for key in group.keys if key in self._began]
        if not began:
            return ""
        still = any(key in self._began and key not in self._ended for key in group.keys)
        ends = [self._ended[key] for key in group.keys if key in self._ended]
        return progress.duration((time.monotonic() if still or not ends else max(ends)) - min(began))


def _notes(groups: list[progress.Group]) -> list[Text]:
    """What keeps stages waiting or made them fail, under the table, where there is room to read it."""
    return [
        Text(f"{group.kind} {group.arms}".rstrip() + f": {group.note}", style=STYLES.get(group.state, ""))
        for group in groups
        if group.note
    ]


def _print_changes(before: Mapping[str, Any], after: Mapping[str, Any], console: Console) -> None:
    """One line for each stage that changed; those that are reused or cancelled are counted in one line together."""
    changed = progress.changes(before, after)
    every_arm = {arm for stage in after.get("stages", []) for arm in stage.get("arms", [])}
    reused = [stage for stage in changed if stage["state"] == "committed" and stage.get("reused")]
    if reused:
        _line(console, f"{len(reused)} stages are reused: nothing to do for them")
    if cancelled := sum(stage["state"] == "cancelled" for stage in changed):
        _line(console, f"{cancelled} stages are cancelled")
    for stage in changed:
        if stage in reused or stage["state"] in {"pending", "ready", "cancelled"}:
            continue
        why = stage.get("error") or stage.get("reason")
        said = f"{stage['kind']:<8} {stage['state']:<9} {progress.arms_label(stage, every_arm)} [{stage['key'][:8]}]"
        _line(console, said + (f": {progress.one_line(why)}" if why else ""))


def _line(console: Console, text: str) -> None:
    console.print(f"{datetime.now():%H:%M:%S} {text}", markup=False, highlight=False, soft_wrap=True)


def _print_end(summary: Mapping[str, Any], console: Console) -> None:
    state = summary.get("state", "unknown")
    console.print(Text(progress.closing_sentence(summary), style=STYLES.get(state, "")), soft_wrap=True)
    for note in progress.answer_notes(summary):
        console.print(Text(f"  {note}"), soft_wrap=True)
    for stage in summary.get("stages", []):
        if stage["state"] == "failed":
            why = progress.one_line(stage.get("error") or "no error was recorded")
            said = f"  {stage['kind']} {stage['key'][:8]}: {why}"
            console.print(Text(said, style=STYLES["failed"]), soft_wrap=True)
