"""/v1/models: upload and list base models."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Depends, Request

from services.api.deps import Caller, Limit, NameCursor, SettingsDep, Store, caller
from services.api.openapi import form
from services.api.problems import responses
from services.api.schemas import Model, ModelList
from services.api.uploads import Upload, receive
from shared import models
from shared.errors import BadInput
from shared.names import check_name
from shared.store import ObjectStore

router = APIRouter(
    prefix="/v1/models", tags=["models"], dependencies=[Depends(caller)], responses=responses(401, 403, 503)
)

FORM = form(
    {
        "name": {"type": "string", "description": "the name that specs use: model:NAME", "example": "smollm2-135m"},
        "files": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": f"the folder's files, each under its path in the folder: {', '.join(models.TAKEN)}",
        },
    },
    ["name", "files"],
)


@router.post("", status_code=201, openapi_extra=FORM, responses=responses(413, 415, 422))
async def add_model(request: Request, store: Store, settings: SettingsDep, who: Caller) -> Model:
    """Upload a model's folder under a name. The content is immutable; the same name again means the newer content."""
    limit, setting = settings.max_model_bytes, "TOUCHSTONE_MAX_MODEL_BYTES"
    async with receive(request, settings.data_dir, limit, setting) as upload:
        info = await to_thread.run_sync(_add, upload, store)
    return Model(name=info.name, sha256=info.sha256, files=info.files, created=info.created)


@router.get("", responses=responses(422))
def list_models(store: Store, limit: Limit = 50, cursor: NameCursor = "") -> ModelList:
    """Base models by name."""
    found, more = models.list_models(store, limit, cursor)
    items = [Model(name=info.name, sha256=info.sha256, files=info.files, created=info.created) for info in found]
    return ModelList(items=items, next_cursor=more)


def _add(upload: Upload, store: ObjectStore) -> models.ModelInfo:
    upload.only(["name"], ["files"])
    name = check_name(upload.one("name"))
    files = {}
    for _, inside, path in upload.files:
        if inside in files:
            raise BadInput(f"files.{inside}", "is given twice", "Send each file once.")
        files[models.check_file(inside)] = path
    return models.publish_files(store, name, files)
