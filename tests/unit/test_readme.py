"""The README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic_core import PydanticUndefined

from shared.settings import Settings

README = Path(__file__).resolve().parents[2] / "README.md"


def settings_table() -> str:
    """The README's table of settings, as the settings say it."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if hasattr(default, "get_secret_value"):
            default = default.get_secret_value()
        shown = "" if default is PydanticUndefined or default in ("", [], {}) else f"`{default}`"
        rows.append(f"| `TOUCHSTONE_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_every_setting_is_in_the_table_as_it_is() -> None:
    before, marker, _ = README.read_text().partition("<!-- /settings -->")
    assert marker
    assert before.rpartition("|---|---|---|\n")[2].strip() == settings_table()


def test_every_file_that_it_names_is_there() -> None:
    root = README.parent
    names = re.findall(r"`((?:shared|services|workers|infra|examples|docs|tests|client)/[\w/.-]+)`", README.read_text())
    assert names
    missing = [name for name in names if not (root / name).exists()]
    assert missing == []
