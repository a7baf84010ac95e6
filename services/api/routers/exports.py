"""/v1/experiments/{id}/arms/{arm}/export, and its files: an arm's model, to be used outside of Touchstone."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header
from fastapi.responses import StreamingResponse

from services.api.deps import ExportsDep, PlansDep, Store, Summary, caller
from services.api.export_schemas import Export, ExportAsked, ExportFile
from services.api.exports.trained import training_of
from services.api.problems import Problem, not_found, responses
from shared.artifacts import FileRef
from shared.errors import PermanentError
from shared.store import NotFound

router = APIRouter(prefix="/v1/experiments", tags=["exports"], dependencies=[Depends(caller)])

HASH = re.compile(r"[0-9a-f]{64}")
FROM = re.compile(r"bytes=(\d{1,19})-")
PIECES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.post("/{id}/arms/{arm:path}/export", responses=responses(401, 404, 409, 422, 503))
def export_arm(
    arm: str, summary: Summary, plans: PlansDep, exports: ExportsDep, asked: ExportAsked | None = None
) -> Export:
    """List what `transformers`, vLLM and TGI load of an arm: weights, config, tokenizer and chat template, with a model
    card, and the rows that it was trained on as a dataset. The list is kept, and its files never change."""
    planned = plans.of(summary["id"])
    if planned is None:
        raise Problem(404, f"experiment {summary['id']} has no arm {arm[:200]!r}; it trains none")
    training = training_of(planned.plan, arm, asked.seed if asked else None, summary["id"])
    sha256, kept = exports.make(summary, planned, training)
    base = f"/v1/experiments/{summary['id']}/exports/{sha256}/files/"
    return Export(
        export=sha256,
        experiment=summary["id"],
        name=summary["name"],
        arm=kept.arm,
        seed=kept.seed,
        stage=kept.stage,
        bytes=sum(ref.size for ref in kept.files.values()),
        files=[
            ExportFile(path=path, size=ref.size, sha256=ref.sha256, href=base + quote(path))
            for path, ref in sorted(kept.files.items())
        ],
    )


@router.get(
    "/{id}/exports/{export}/files/{path:path}",
    response_class=StreamingResponse,
    responses={
        200: {"content": PIECES},
        206: {"content": PIECES, "description": "What comes after the first bytes."},
        **responses(401, 404, 416, 503),
    },
)
def export_file(
    export: str,
    path: str,
    summary: Summary,
    exports: ExportsDep,
    store: Store,
    range: Annotated[str, Header(description="`bytes=N-` leaves out the first N bytes")] = "",
) -> StreamingResponse:
    """One file of an export. What was cut off goes on with `Range`; `ETag` is the whole file's SHA-256."""
    kept = exports.read(summary["id"], export) if HASH.fullmatch(export) else None
    ref = None if kept is None else kept.files.get(path)
    if ref is None:
        raise not_found(f"file {path[:200]!r} in export {export[:64]!r}")
    start = _start(range, ref)
    headers = {"ETag": f'"{ref.sha256}"', "Accept-Ranges": "bytes", "Content-Length": str(ref.size - start)}
    if start:
        headers["Content-Range"] = f"bytes {start}-{ref.size - 1}/{ref.size}"
    try:
        pieces = store.stream(ref.object, start)
    except NotFound as error:
        raise PermanentError(f"object store: {ref.object} is missing") from error
    return StreamingResponse(pieces, 206 if start else 200, headers, "application/octet-stream")


def _start(range: str, ref: FileRef) -> int:
    """How many bytes to leave out: another kind of range is answered whole, as HTTP has it."""
    match = FROM.fullmatch(range.replace(" ", ""))
    start = int(match[1]) if match else 0
    if match and start >= max(ref.size, 1):
        raise Problem(416, f"the file has {ref.size:,} bytes", headers={"Content-Range": f"bytes */{ref.size}"})
    return start
