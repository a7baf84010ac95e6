"""The shapes of an export, as OpenAPI shows them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from services.api.schemas import SHA256, Answer


class ExportAsked(BaseModel):
    """Which of an arm's models."""

    model_config = ConfigDict(extra="forbid")

    seed: int | None = Field(None, description="of which training; default: the first seed's")


class ExportFile(BaseModel):
    """One file of an export."""

    path: str = Field(description="in the exported folder", examples=["model.safetensors"])
    size: int = Field(description="bytes")
    sha256: str = Field(examples=[SHA256])
    href: str = Field(description="where it is read; `Range: bytes=N-` goes on after N bytes")


class Export(Answer):
    """An arm's model as a folder for `from_pretrained`, with its card and the rows that it was trained on."""

    export: str = Field(description="the export's name: the hash of this list", examples=[SHA256])
    experiment: str = Field(description="its id")
    name: str = Field(description="of the experiment", examples=["quickstart"])
    arm: str = Field(examples=["rlaif-weak"])
    seed: int
    stage: str = Field(description="the key of the stage that left the model", examples=[SHA256])
    bytes: int = Field(description="of all files together")
    files: list[ExportFile]
