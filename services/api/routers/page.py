"""The pages: `/` lists experiments, /experiments/{id} shows one and its samples, /compare two of them."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from services.api import side_by_side
from services.api.archive import contents, safe, zipped
from services.api.deps import (
    ID,
    ActivityDep,
    Cursor,
    FiguresDep,
    JudgedRowsDep,
    ListingDep,
    PicturesDep,
    PlansDep,
    Redis,
    ReportsDep,
    Store,
    Summary,
)
from services.api.listing import matching
from services.api.pages import results, stages
from services.api.pages.comparing import differences
from services.api.pages.figures import paired
from services.api.pages.graph import graph
from services.api.pages.samplewords import told_of
from services.api.pages.wording import LEVELS, STATES
from services.api.paging import page_of
from services.api.planned import Plans
from services.api.problems import not_found
from services.api.reportfiles import JSON, Reports
from services.api.routers.samples import ArmName, CategoryName, EvaluationName, Seed, Text, place
from services.api.schemas import ExperimentState
from services.api.viewer import ViewerDep
from shared.bandit import is_bandit
from shared.experiments import PREFIX, read_summary

router = APIRouter(include_in_schema=False)

SHOWN = 50
SAMPLES = 10
Id = Annotated[str, Query(max_length=64)]


@router.get("/")
def experiments(
    who: ViewerDep,
    listing: ListingDep,
    text: Annotated[str, Query(max_length=200)] = "",
    state: ExperimentState | str = "",
    cursor: Cursor = "",
    experiment: Id = "",
) -> Response:
    """The list, a page at a time."""
    if ID.fullmatch(experiment):
        return RedirectResponse(f"/experiments/{experiment}", 307)
    rows = listing.rows()
    found = matching(rows, text, state)
    shown, more = page_of(found, cursor, SHOWN)
    counts = {name: sum(row["state"] == name for row in rows) for name in STATES}
    onward = f"/?{urlencode({'text': text, 'state': state, 'cursor': more})}" if more else ""
    return who.draw(
        "list.html",
        here="list",
        rows=shown,
        found=len(found),
        total=len(rows),
        counts=counts,
        onward=onward,
        first=not cursor,
        text=text,
        state=state,
        states=STATES,
        levels=LEVELS,
    )


@router.get("/experiments/{id}")
def experiment(
    who: ViewerDep,
    summary: Summary,
    plans: PlansDep,
    reports: ReportsDep,
    figures: FiguresDep,
    activity: ActivityDep,
) -> Response:
    """One experiment: its verdict, what it does now, and everything it came to."""
    values = shown(summary, plans, reports)
    drawn = paired(figures.of(summary), [block.name for block in values["blocks"]])
    return who.draw(
        "experiment.html",
        **values,
        figures=drawn,
        queues=activity.queues() if values["live"] else [],
        graph=graph(summary["stages"], plans.of(summary["id"])),
    )


def shown(summary: dict[str, Any], plans: Plans, reports: Reports) -> dict[str, Any]:
    """What a page says of an experiment."""
    planned, report = plans.of(summary["id"]), reports.data(summary)
    found = stages.groups(summary["stages"], planned)
    return {
        "experiment": summary,
        "state": STATES[summary["state"]],
        "live": summary["state"] in {"running", "paused"},
        "report": report,
        "bandit": report is not None and is_bandit(report),
        "blocks": [] if report is None else results.blocks(report, planned),
        "groups": found,
        "troubles": stages.troubles(found),
        "tables": stages.tables(found),
        "levels": LEVELS,
        "budget": summary.get("budget"),
    }


@router.get("/experiments/{id}/report.json")
def report_json(who: ViewerDep, summary: Summary, reports: ReportsDep) -> Response:
    """The report's numbers, as a file."""
    data = reports.file(summary, JSON)
    if data is None:
        raise not_found(f"report of experiment {summary['id']} yet")
    return _file(data, "application/json", f"{summary['name']}.json")


@router.get("/experiments/{id}/spec.yaml")
def spec_text(who: ViewerDep, summary: Summary, store: Store) -> Response:
    """The spec as it was sent, as a file."""
    return _file(store.get(f"{PREFIX}{summary['id']}/spec.txt"), "application/yaml", f"{summary['name']}.yaml")


@router.get("/experiments/{id}/everything.zip")
def everything(
    who: ViewerDep,
    summary: Summary,
    store: Store,
    reports: ReportsDep,
    plans: PlansDep,
    figures: FiguresDep,
    pictures: PicturesDep,
) -> Response:
    """Spec, report, figures, votes and every table that is committed, as one archive."""
    entries = contents(store, reports, summary, plans.of(summary["id"]), figures.of(summary), pictures)
    headers = {"Content-Disposition": f'attachment; filename="{safe(summary["name"]) or "experiment"}.zip"'}
    return StreamingResponse(zipped(entries), media_type="application/zip", headers=headers)


def _file(data: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type=media_type, headers=headers)


@router.get("/experiments/{id}/samples")
def samples(
    who: ViewerDep,
    summary: Summary,
    judged: JudgedRowsDep,
    arm_a: ArmName = "",
    arm_b: ArmName = "",
    evaluation: EvaluationName = "",
    seed: Seed = None,
    filter: Text = "",
    category: CategoryName = "",
    winner: Annotated[str, Query(pattern="^(|a|b|tie|unjudged)$")] = "",
    disagreement: Annotated[str, Query(pattern="^(|orders|judges)$")] = "",
    cursor: Cursor = "",
) -> Response:
    """Two arms' answers side by side, with the judge's words."""
    id = summary["id"]
    planned, choices = judged.choices(id)
    choice = judged.choose(id, arm_a, arm_b, evaluation, seed)
    rows, start = judged.rows(id, choice), place(cursor)
    asked = {"arm_a": choice.arm_a, "arm_b": choice.arm_b, "evaluation": choice.evaluation, "seed": choice.seed,
             "filter": filter, "category": category, "winner": winner, "disagreement": disagreement}  # fmt: skip
    values: dict[str, Any] = {"experiment": summary, "choices": choices, "choice": choice, "asked": asked}
    values["direct"] = choice.evaluation in choices.together
    values |= told_of(planned.spec.evaluations[choice.evaluation.partition("@")[0]], values["direct"])
    if rows is None:
        nothing: dict[str, Any] = {"items": None, "total": 0, "start": 0, "counts": {}, "categories": {}}
        return who.draw("samples.html", onward="", back="", parquet="", **nothing, **values)
    found = side_by_side.chosen(rows, filter, winner or None, disagreement or None, category)  # type: ignore[arg-type]
    given = {name: value for name, value in asked.items() if value != ""}
    items = side_by_side.as_items(found.slice(start, SAMPLES), (choice.arm_a, choice.arm_b))

    def at(row: int) -> str:
        return f"?{urlencode(asked | {'cursor': row})}"

    return who.draw(
        "samples.html",
        items=items,
        total=found.num_rows,
        start=start,
        counts=side_by_side.counts(rows),
        categories=side_by_side.categories(rows),
        parquet=f"/v1/experiments/{id}/samples.parquet?{urlencode(given)}",
        onward=at(start + SAMPLES) if start + SAMPLES < found.num_rows else "",
        back=at(max(0, start - SAMPLES)) if start else "",
        **values,
    )


@router.get("/compare")
def compare(
    who: ViewerDep,
    store: Store,
    client: Redis,
    plans: PlansDep,
    reports: ReportsDep,
    a: Id = "",
    b: Id = "",
    id: Annotated[tuple[str, ...], Query()] = (),
) -> Response:
    """Two experiments side by side: verdicts, scores, prices, and where their specs differ."""
    if len(id) >= 2:
        return RedirectResponse(f"/compare?{urlencode({'a': id[0], 'b': id[1]})}", 303)
    found = [read_summary(client, store, one) if ID.fullmatch(one) else None for one in (a, b)]
    if None in found:
        raise not_found("pair of experiments: choose two in the list, and compare them from there")
    sides = [shown(one, plans, reports) for one in found if one is not None]
    specs = [plans.of(one) for one in (a, b)]
    return who.draw("compare.html", sides=sides, differences=differences(*specs), scores=_scores(sides))


def _scores(sides: list[dict[str, Any]]) -> list[tuple[str, str, list[Any]]]:
    """Every arm and evaluation that either has, with both sides' cells."""
    cells: list[dict[tuple[str, str], Any]] = []
    for side in sides:
        found: dict[tuple[str, str], Any] = {}
        for block in side["blocks"]:
            for arm in (*block.arms, *block.beside):
                name = f"{arm.name} [{block.name}]" if block.name else arm.name
                found |= {
                    (name, evaluation): cell for evaluation, cell in zip(block.evaluations, arm.cells, strict=True)
                }
        cells.append(found)
    names = dict.fromkeys(name for found in cells for name in found)
    return [(arm, evaluation, [found.get((arm, evaluation)) for found in cells]) for arm, evaluation in names]
