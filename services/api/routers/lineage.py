"""…/experiments/{id}/stages/{key}: what a stage was made from and what was made from it, as JSON and as a page."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from services.api.deps import LineagesDep, PlansDep, StageKey, Summary, caller
from services.api.lineage import Lineage as Found
from services.api.lineage import Lineages
from services.api.lineage_schemas import Lineage, as_answer
from services.api.pages.graph import graph
from services.api.pages.lineage import view
from services.api.planned import Plans
from services.api.problems import not_found, responses
from services.api.viewer import ViewerDep

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], dependencies=[Depends(caller)])
pages = APIRouter(include_in_schema=False)


@router.get("/{id}/stages/{key}", responses=responses(401, 404, 503))
def get_lineage(summary: Summary, key: StageKey, plans: PlansDep, lineages: LineagesDep) -> Lineage:
    """What one of an experiment's stages was made from, up to prompts and base model, with hashes, hosts, versions,
    costs and times; its attempts; and what was made from it."""
    return as_answer(_found(summary, key, plans, lineages))


@pages.get("/experiments/{id}/stages/{key}")
def show(who: ViewerDep, summary: Summary, key: StageKey, plans: PlansDep, lineages: LineagesDep) -> Response:
    """The same for people."""
    found = _found(summary, key, plans, lineages)
    return who.draw(
        "lineage.html",
        experiment=summary,
        stage=view(found.stage),
        drawing=graph(found.rows, plans.of(summary["id"]), focus=key, single=True),
        drawing_title="What it was made from and what was made from it",
        made_from=[view(step) for step in found.made_from],
        made_into=[view(step) for step in found.made_into],
        found=found,
    )


def _found(summary: Summary, key: str, plans: Plans, lineages: Lineages) -> Found:
    found = lineages.of(summary["stages"], plans.of(summary["id"]), key)
    if found is None:
        raise not_found(f"stage {key} in experiment {summary['id']}")
    return found
