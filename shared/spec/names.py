"""Names in a spec that must be found elsewhere in it: what is said where they are not."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shared.errors import FieldError

if TYPE_CHECKING:
    from shared.spec.model import Arm, Spec


def model_errors(spec: Spec, field: str, name: str, needs: str) -> Iterator[FieldError]:
    """Whether a name is a model's, and one that can do what it `needs` to: `can_teach` or `can_compare`."""
    if name not in spec.models:
        yield unknown(field, name, spec.models, "models")
    elif not getattr(spec.models[name], needs):
        what = "write completions" if needs == "can_teach" else "compare completions"
        fitting = [other for other, entry in spec.models.items() if getattr(entry, needs)]
        yield FieldError(field, f"{name} (provider {spec.models[name].provider}) cannot {what}", one_of(fitting))


def unknown(field: str, name: str, known: Any, where: str) -> FieldError:
    """A name that is none of those known; the nearest one is proposed."""
    near = difflib.get_close_matches(name, list(known), n=1)
    fix = f"Did you mean {near[0]}?" if near else one_of(known)
    return FieldError(field, f"{name!r} is not under {where}", fix)


def policy_of(spec: Spec, arm: Arm) -> str:
    """The name of an arm's policy."""
    return arm.policy or next(iter(spec.policies))


def one_of(names: Any) -> str:
    """The fix that lists what may be written."""
    return f"Use one of: {', '.join(sorted(names))}." if names else "Add one under models."
