"""/v1/activity: queue depths and workers."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Depends

from services.api.deps import ActivityDep, caller
from services.api.problems import responses
from services.api.schemas import ActivityAnswer

router = APIRouter(prefix="/v1/activity", tags=["health"], dependencies=[Depends(caller)])


@router.get("", response_model=ActivityAnswer, responses=responses(401, 503))
def get_activity(activity: ActivityDep) -> ActivityAnswer:
    """What waits in each queue and how many workers serve it, as of some seconds ago."""
    return ActivityAnswer.model_validate({"queues": [asdict(one) for one in activity.queues()]})
