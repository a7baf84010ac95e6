"""A simulated model's name says its settings: `critic?error_rate=0.1&length_bias=0&position_bias=0&seed=0`.

So one server process serves every simulated model, and equal settings have equal names.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

from pydantic import ValidationError

from shared.errors import BadInput
from shared.world.models import CriticSettings, ModelSettings, TeacherSettings

ROLES: dict[str, type[TeacherSettings] | type[CriticSettings]] = {
    "teacher": TeacherSettings,
    "critic": CriticSettings,
    "judge": CriticSettings,
}


def encode(settings: ModelSettings) -> str:
    """The canonical name: every setting, in alphabetical order, numbers in their shortest form."""
    fields = sorted(settings.model_dump(exclude={"role"}).items())
    return f"{settings.role}?{urlencode([(name, _shortest(value)) for name, value in fields])}"


@lru_cache(maxsize=1024)
def parse(name: str) -> ModelSettings:
    """The settings that a name carries; settings may be in any order, and left out where they have a default.

    Raises:
        BadInput: an unknown role or setting, or a value out of range.
    """
    role, _, query = name.partition("?")
    kind = ROLES.get(role)
    if kind is None:
        known = ", ".join(ROLES)
        raise BadInput("model", f"there is no simulated model {name[:200]!r}", f"Its name begins with one of: {known}.")
    example = "teacher?accuracy=0.5&seed=0" if role == "teacher" else encode(CriticSettings())
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        values: dict[str, object] = dict(pairs)
        if len(values) < len(pairs) or "role" in values:
            raise ValueError("a setting is named twice or is no setting")
        return kind.model_validate({**values, "role": role})
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{name[:200]!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as error:
        problem = f"{name[:200]!r}: {error}"
    raise BadInput("model", problem, f"A name looks like {example}")


def _shortest(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
