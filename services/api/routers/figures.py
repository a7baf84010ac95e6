"""/v1/experiments/{id}/figures: the report's figures as SVG and PNG files."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Response

from services.api.deps import FiguresDep, PicturesDep, Summary, caller
from services.api.pages.figures import Figure
from services.api.problems import not_found, responses
from services.api.reportfiles import Figures
from services.api.schemas import FigureList

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], dependencies=[Depends(caller)])

# A drawing may style itself, and load and run nothing.
ALONE = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
FRESH = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


@router.get("/{id}/figures", response_model=FigureList, responses=responses(401, 404, 503))
def list_figures(summary: Summary, figures: FiguresDep) -> FigureList:
    """The figures of the newest report, partial ones included; none while there is no report."""
    items = [
        {"name": one.name, "title": one.title, "text": one.text, "width": one.width, "height": one.height}
        for one in figures.of(summary).values()
    ]
    return FigureList.model_validate({"items": items})


@router.get(
    "/{id}/figures/{name}.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}}, **responses(401, 404, 503)},
)
def get_figure(name: str, summary: Summary, figures: FiguresDep) -> Response:
    """One figure as SVG; it follows the reader's light or dark."""
    headers = {"Content-Security-Policy": ALONE, **FRESH}
    return Response(_figure(name, summary, figures).svg, media_type="image/svg+xml", headers=headers)


@router.get(
    "/{id}/figures/{name}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **responses(401, 404, 503)},
)
def get_picture(name: str, summary: Summary, figures: FiguresDep, pictures: PicturesDep) -> Response:
    """One figure as PNG, at twice its size, in the light colours."""
    drawn = pictures.of(_figure(name, summary, figures))
    if drawn is None:
        raise not_found(f"PNG of figure {name!r}, which could not be drawn; its SVG")
    return Response(drawn, media_type="image/png", headers=FRESH)


def _figure(name: str, summary: dict[str, Any], figures: Figures) -> Figure:
    found = figures.of(summary).get(name)
    if found is None:
        raise not_found(f"figure {name[:80]!r} of experiment {summary['id']}")
    return found
