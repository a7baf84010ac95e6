"""/v1/stages/{key}/log and /rows: what a stage's attempts wrote, and the table that it left."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse

from services.api.deps import PlansDep, StageKey, Store, caller
from services.api.problems import not_found, responses
from shared.store import NotFound

router = APIRouter(prefix="/v1/stages", tags=["stages"], dependencies=[Depends(caller)])

MOST_ATTEMPTS = 200


@router.get("/{key}/log", response_class=PlainTextResponse, responses=responses(401, 404, 503))
def stage_log(key: StageKey, store: Store) -> PlainTextResponse:
    """The logs of a stage's newest attempts, oldest first. A stage that was cut into shards has one for each."""
    logs = sorted(store.list(f"scratch/{key}/logs/"), key=lambda info: (info.modified, info.name))
    if not logs:
        raise not_found(f"log of stage {key}")
    texts = []
    for info in logs[-MOST_ATTEMPTS:]:
        try:
            text = store.get(info.name).decode(errors="replace")
        except NotFound:
            # Scratch is pruned: what was listed may be gone.
            continue
        unit, attempt = info.name.rsplit("/", 1)[-1].removesuffix(".log").split(".", 1)
        texts.append(f"--- unit {unit}, attempt {attempt}\n{text}")
    return PlainTextResponse("".join(texts))


@router.get(
    "/{key}/rows",
    response_class=Response,
    responses={200: {"content": {"application/vnd.apache.parquet": {}}}, **responses(401, 404, 503)},
)
def stage_rows(key: StageKey, store: Store, plans: PlansDep) -> Response:
    """A committed stage's Parquet table: prompts, answers, labels, judgements, or a training's curve."""
    manifest = plans.manifest(key)
    tables = (
        {} if manifest is None else {name: ref for name, ref in manifest.files.items() if name.endswith(".parquet")}
    )
    if manifest is None or not tables:
        raise not_found(f"table of stage {key}")
    name, ref = next(iter(tables.items()))
    headers = {"Content-Disposition": f'attachment; filename="{manifest.kind}-{key[:12]}-{name}"', "ETag": ref.sha256}
    return Response(store.get(ref.object), media_type="application/vnd.apache.parquet", headers=headers)
