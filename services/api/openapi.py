"""What FastAPI cannot see by itself of the API: bodies that are read raw, and the spec's own schema."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.api.problems import ProblemDetails, responses
from shared.bandit import BanditSpec
from shared.spec.model import Spec

DESCRIPTION = """Is the reinforcement-learning step of RLAIF worth its cost here, or would supervised fine-tuning on a
stronger teacher have given the same model? POST an experiment's spec, follow its events, read the report.

Every error is an RFC 9457 problem (`application/problem+json`) whose `errors` name the field and the fix.
"""

EXAMPLE = """name: teacher-or-critic
prompts: {source: "dataset:alpaca-eval", train: 500, eval: 200}
policies:
  smollm2-135m: {model: "model:smollm2-135m", chat_template: human_assistant}
models:
  gpt-3.5: {provider: recorded, completions: "dataset:alpaca-eval-gpt-3.5"}
  gpt-4: {provider: openai, model: gpt-4-0613, api_key: "env:OPENAI_API_KEY"}
  text-davinci-003: {provider: recorded, completions: "dataset:alpaca-eval-davinci"}
preset: teacher_or_critic
weak: gpt-3.5
strong: gpt-4
critic: gpt-4
evaluations:
  win-rate: {protocol: pairwise, judge: gpt-4, reference: text-davinci-003, temperature: [0.7, 0.0]}
primary: {contrast: headline, evaluation: "win-rate@0.7"}
"""

SPEC_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The spec. A body without a JSON content type is read as YAML.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Spec", "BanditSpec")]}
            },
            "application/yaml": {"schema": {"type": "string"}, "example": EXAMPLE},
        },
    }
}


def form(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """The OpenAPI description of a multipart form."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def install(app: FastAPI) -> None:
    """Let the app describe itself with the spec's schema and the problems' among its components."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
            components = schema.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            for model in (Spec, BanditSpec, ProblemDetails):
                own = model.model_json_schema(ref_template="#/components/schemas/{model}", by_alias=True)
                schemas |= own.pop("$defs", {})
                schemas[model.__name__] = own
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            _validation_is_a_problem(schema)
            # Either none is asked for (loopback without tokens), or a bearer token.
            schema["security"] = [{}, {"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _validation_is_a_problem(schema: dict[str, Any]) -> None:
    """FastAPI describes its own 422 of a wrong parameter; here it is a problem like every other."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            if "HTTPValidationError" in str(answers.get("422", "")):
                answers["422"] = responses(422)[422]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
