"""/v1/templates: upload and list what critics and judges are asked."""

from __future__ import annotations

from dataclasses import asdict

from anyio import to_thread
from fastapi import APIRouter, Depends, Request

from services.api.deps import Caller, Limit, NameCursor, SettingsDep, Store, caller
from services.api.openapi import form
from services.api.problems import responses
from services.api.schemas import Template, TemplateList
from services.api.uploads import Upload, receive
from shared.errors import BadInput
from shared.names import check_name
from shared.store import ObjectStore
from shared.templates.uploads import read_templates
from shared.uploaded_templates import TemplateInfo, list_templates, publish_templates

router = APIRouter(
    prefix="/v1/templates", tags=["templates"], dependencies=[Depends(caller)], responses=responses(401, 403, 503)
)

FORM = form(
    {
        "name": {"type": "string", "description": "the name that specs use: template:NAME", "example": "mt-bench"},
        "file": {
            "type": "string",
            "format": "binary",
            "description": "a text with places such as {prompt}, or MT-Bench's judge_prompts.jsonl",
        },
    },
    ["name", "file"],
)


@router.post("", status_code=201, openapi_extra=FORM, responses=responses(413, 415, 422))
async def add_template(request: Request, store: Store, settings: SettingsDep, who: Caller) -> Template:
    """Upload a file under a name. The content is immutable; the same name again means the newer content."""
    limit, setting = settings.max_spec_bytes, "TOUCHSTONE_MAX_SPEC_BYTES"
    async with receive(request, settings.data_dir, limit, setting) as upload:
        info = await to_thread.run_sync(_add, upload, store)
    return Template(**asdict(info))


@router.get("", responses=responses(422))
def templates(store: Store, limit: Limit = 50, cursor: NameCursor = "") -> TemplateList:
    """Templates by name."""
    found, more = list_templates(store, limit, cursor)
    return TemplateList(items=[Template(**asdict(info)) for info in found], next_cursor=more)


def _add(upload: Upload, store: ObjectStore) -> TemplateInfo:
    upload.only(["name"], ["file"])
    name = check_name(upload.one("name"))
    if len(upload.files) != 1:
        problem = "is missing" if not upload.files else "is given twice"
        raise BadInput("file", problem, "Send one file as the form's field `file`.")
    ((_, filename, path),) = upload.files
    return publish_templates(store, name, read_templates(filename, path.read_bytes()))
