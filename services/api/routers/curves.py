"""/v1/experiments/{id}/curves: what trainings said lately, for a page that is opened in the middle of one."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Depends

from services.api.deps import Redis, Summary, caller
from services.api.problems import responses
from services.api.schemas import CurveList

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], dependencies=[Depends(caller)])


@router.get("/{id}/curves", response_model=CurveList, responses=responses(401, 404, 503))
def get_curves(summary: Summary, client: Redis) -> CurveList:
    """Rows of training metrics that the experiment's event stream still has. A training's whole curve is its table."""
    stages: dict[str, list[Any]] = {}
    for _, fields in client.xrange(f"events:{summary['id']}"):
        if fields[b"event"] == b"metrics":
            data = json.loads(fields[b"data"])
            stages.setdefault(data["key"], []).append(data["row"])
    return CurveList.model_validate({"stages": stages})
