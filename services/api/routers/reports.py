"""/v1/experiments/{id}/report: the verdict, as JSON or as a page of its own; …/critics: the critics' cards in it."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from services.api.accept import prefers_html
from services.api.critic_cards import CriticCards
from services.api.deps import ReportsDep, Summary, caller
from services.api.problems import Problem, responses
from services.api.reportfiles import HTML, JSON
from services.api.schemas import ReportPending

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], dependencies=[Depends(caller)])

# A report shows what models wrote: in a browser it may draw itself, and reach nothing of this server.
SANDBOX = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:"
)

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report; `partial` is true (and the page says so) while the experiment is not finished.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "experiment": {"name": "quickstart"},
                    "partial": False,
                    "arms": {
                        "sft-strong": {
                            "evaluations": {
                                "win-rate@0.7": {
                                    "estimate": 62.8,
                                    "standard_error": 1.4,
                                    "interval": [60.0, 65.6],
                                    "n": 300,
                                }
                            },
                            "cost": {"usd": 0.0, "device_hours": 0.01},
                        }
                    },
                    "contrasts": {},
                    "verdict": {"level": "sft_suffices", "sentence": "…"},
                },
            },
            "text/html": {"schema": {"type": "string"}},
        },
    },
    202: {"model": ReportPending, "description": "There is no report yet, not even a partial one."},
    **responses(401, 404, 406, 503),
}


@router.get("/{id}/report", responses=DOCUMENTED)
def get_report(request: Request, summary: Summary, reports: ReportsDep) -> Response:
    """The report: HTML where `Accept` prefers it, else JSON."""
    html = prefers_html(request.headers.get("accept", ""))
    if html is None:
        raise Problem(406, "a report is application/json or text/html; accept one of them")
    data = reports.file(summary, HTML if html else JSON)
    if data is None:
        return _pending(summary)
    headers = {"Vary": "Accept", "Cache-Control": "no-cache"}
    if html:
        return Response(data, media_type="text/html", headers={**headers, "Content-Security-Policy": SANDBOX})
    return Response(data, media_type="application/json", headers=headers)


@router.get(
    "/{id}/critics",
    response_model=CriticCards,
    responses={
        202: {"model": ReportPending, "description": "There is no report yet, not even a partial one."},
        **responses(401, 404, 503),
    },
)
def get_critics(summary: Summary, reports: ReportsDep) -> Response:
    """The cards of the experiment's critics and judges, from the newest report: position and length bias, agreement,
    errors against gold labels, self-preference, cost of a label."""
    data = reports.file(summary, JSON)
    if data is None:
        return _pending(summary)
    report = json.loads(data)
    body = {"id": summary["id"], "partial": report["partial"], "critics": report.get("critics", {})}
    return JSONResponse(body, headers={"Cache-Control": "no-cache"})


def _pending(summary: dict[str, Any]) -> JSONResponse:
    detail = "no report yet: nothing has been judged"
    body = {"id": summary["id"], "state": summary["state"], "detail": detail}
    return JSONResponse(body, 202, headers={"Retry-After": "5"})
