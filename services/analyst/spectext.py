"""The spec as YAML in the report, and on which of its lines something stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml


def spec_yaml(spec: Mapping[str, Any]) -> str:
    """YAML with short mappings on one line each, in the order of the spec."""
    return str(yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, default_flow_style=None, width=96))


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line (from 1) of the key at `path`; of the last key on the way to it that is there, else None."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line: int | None = None
    for step in path:
        if not isinstance(node, yaml.MappingNode):
            break
        found = next(((key, value) for key, value in node.value if key.value == step), None)
        if found is None:
            break
        line = found[0].start_mark.line + 1
        node = found[1]
    return line
