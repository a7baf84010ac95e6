"""An experiment's state as people see it: pure functions from plan, commits and board to the API's JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from services.conductor.answers import answers_of
from services.conductor.board import Board
from services.conductor.commits import Accepted
from services.conductor.needs import Need, paid_by
from shared.artifacts import Manifest
from shared.experiments import Control
from shared.kinds import queue_of
from shared.plan.model import Plan, Stage
from shared.units import Unit


def stage_states(
    plan: Plan,
    accepted: Accepted,
    needed: Mapping[str, Need],
    board: Board,
    control: Control,
    head: Mapping[str, Any],
    blocked: Mapping[str, str],
) -> list[dict[str, Any]]:
    """One row for each stage, in the plan's order. `blocked`: those that wait for a higher budget, with the reason."""
    failures = control.failures or {}
    rows = []
    for key, stage in plan.stages.items():
        row = {"key": key, "kind": stage.kind, "arms": stage.arms, "inputs": sorted(set(stage.inputs.values()))}
        found = _state(key, stage, accepted, needed, board, control.cancelled, failures, head)
        if key in blocked and found["state"] in {"ready", "waiting"}:
            found |= {"state": "waiting", "reason": blocked[key]}
        rows.append({**row, **found})
    return rows


def _state(
    key: str,
    stage: Stage,
    accepted: Accepted,
    needed: Mapping[str, Need],
    board: Board,
    cancelled: bool,
    failures: Mapping[str, str],
    head: Mapping[str, Any],
) -> dict[str, Any]:
    blank: dict[str, Any] = {
        "reason": None,
        "error": None,
        "progress": {"done": 0, "total": 0},
        "reused": False,
        "cost_usd": 0.0,
        "standalone_usd": 0.0,
        "answers": None,
        "finished": None,
        "workers": [],
    }
    if key in accepted.manifests:
        manifest = accepted.manifests[key]
        rows = max((ref.rows or 0 for ref in manifest.files.values()), default=0) or 1
        done = {"progress": {"done": rows, "total": rows}, "reused": manifest.finished < str(head["created"])}
        cost = {"cost_usd": paid_by(str(head["id"]), manifest), "standalone_usd": manifest.cost.usd}
        answers = answers_of([manifest.metrics])
        said = {"answers": answers, "reason": left_out(manifest.metrics), "finished": manifest.finished}
        return {**blank, "state": "committed", **done, **cost, **said}
    if key in failures:
        return {**blank, "state": "failed", "error": failures[key]}
    if cancelled:
        return {**blank, "state": "cancelled"}
    if key not in needed:
        return {**blank, "state": "pending"}
    need = needed[key]
    live = {**_live(need, board), "progress": _progress(need, board)}
    return {**blank, **live, "cost_usd": need.done_usd, "answers": need.answers}


def left_out(metrics: Mapping[str, Any]) -> str | None:
    """What a committed stage could not do, in words; None where it did everything."""
    count = int(metrics.get("too_long", 0))
    if not count:
        return None
    what = "1 prompt is" if count == 1 else f"{count:,} prompts are"
    return f"{what} too long for the model's context, and left out"


def _live(need: Need, board: Board) -> dict[str, Any]:
    seen = [board[unit.commit_key] for unit in need.units]
    # Also a holder may wait: with its result for the store, or in line for an endpoint.
    if any(one.leased and not one.reason for one in seen):
        return {"state": "running", "workers": sorted({one.where for one in seen if one.leased and one.where})}
    if reasons := [one.reason for one in seen if one.reason]:
        return {"state": "waiting", "reason": reasons[0]}
    queue = queue_of(need.stage.kind, need.stage.options)
    if queue in board.absent:
        return {"state": "waiting", "reason": f"no worker of class {queue} is connected"}
    return {"state": "ready"}


def _progress(need: Need, board: Board) -> dict[str, int]:
    """Done and total: rows where the stage is cut into shards, else what its worker says."""
    if len(need.units) == 1 and need.units[0].shard is None:
        seen = board[need.units[0].commit_key]
        return {"done": seen.done, "total": seen.total}
    done = need.done_rows + sum(_rows_done(unit, board) for unit in need.units)
    return {"done": round(done), "total": need.rows or 0}


def _rows_done(unit: Unit, board: Board) -> float:
    seen = board[unit.commit_key]
    if unit.shard is None or not seen.total:
        return 0.0
    return (unit.shard.stop - unit.shard.start) * seen.done / seen.total


def experiment_state(rows: list[dict[str, Any]], cancelled: bool, blocked: Collection[str] = ()) -> str:
    """running, paused, succeeded, failed or cancelled, from the stages' states. Paused: nothing can go on before the
    budget is raised, which `blocked` stages wait for."""
    states = {"paused" if row["key"] in blocked and row["state"] == "waiting" else row["state"] for row in rows}
    if states == {"committed"}:
        return "succeeded"
    if cancelled:
        return "cancelled"
    if "paused" in states and not states & {"running", "ready", "waiting"}:
        return "paused"
    if "failed" in states and not states & {"running", "ready", "waiting"}:
        return "failed"
    return "running"


def summarise(
    head: Mapping[str, Any],
    rows: list[dict[str, Any]],
    cancelled: bool,
    report: Manifest | None,
    blocked: Collection[str] = (),
) -> dict[str, Any]:
    """The JSON of GET /v1/experiments/{id}. cost_usd is what this experiment itself paid for, standalone_usd what its
    committed stages would have cost had it been alone; `level` is the verdict's."""
    state = experiment_state(rows, cancelled, blocked)
    # Where every stage was there before, it was finished when it was created.
    ended = [str(head["created"]), *(row["finished"] for row in rows if row["finished"])]
    paid = sum(row["cost_usd"] for row in rows if not row["reused"])
    return {
        "id": head["id"],
        "name": head["name"],
        "state": state,
        "created": head["created"],
        "finished": max(ended) if state == "succeeded" else None,
        "stages": rows,
        "counts": dict(Counter(row["state"] for row in rows)) | {"reused": sum(row["reused"] for row in rows)},
        "cost_usd": paid,
        "standalone_usd": sum(row["standalone_usd"] for row in rows),
        "report": None if report is None else {name: ref.object for name, ref in report.files.items()},
        "level": None if report is None else report.metrics.get("level"),
    }


def delta(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any] | None:
    """What changed between two summaries: all top-level fields, and the stages that differ; None if nothing did."""
    if before == after:
        return None
    old = {row["key"]: row for row in before["stages"]} if before else {}
    changed = [row for row in after["stages"] if old.get(row["key"]) != row]
    return {**after, "stages": changed}
