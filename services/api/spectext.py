"""A spec's text to plain data: YAML or JSON, with what is ambiguous or dangerous in either refused.

Refused are keys that stand twice (all but the last would be lost), aliases that unfold to more than a bounded number of
nodes, nesting without end, and numbers that JSON cannot hold. `2e-5` is a number here, as people expect and YAML 1.2
says; PyYAML by itself reads it as text.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import yaml

from shared.errors import BadInput

MOST_NODES = 200_000
DEEPEST = 60


def read_spec_text(text: bytes, content_type: str) -> Any:
    """Parse a body: JSON by a JSON content type, YAML (of which JSON is nearly a part) by any other.

    Raises:
        BadInput: it is neither; names line and column.
    """
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("spec", f"is not UTF-8 (byte {error.start})", "Save it as UTF-8.") from None
    if not decoded.strip():
        raise BadInput("spec", "is empty", "Send the spec as the request's body.")
    try:
        data = _json(decoded) if is_json(content_type) else _yaml(decoded)
        _check_plain(data, "spec", 0)
    except RecursionError:
        raise BadInput("spec", "is nested too deeply", f"Nest at most {DEEPEST} levels.") from None
    return data


def is_json(content_type: str) -> bool:
    """Whether a content type is JSON's: application/json or application/…+json."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        raise BadInput("spec", f"is not JSON: {error}", "Send it as application/yaml if it is YAML.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadInput(f"spec.{twice}", "stands twice in the same mapping", "Keep one.")
    return data


class _Loader(yaml.SafeLoader):
    """YAML's plain data only: no dates, sets or bytes, which JSON does not have."""


_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in {"null", "bool", "int", "float", "str", "seq", "map"}
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9]*(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _yaml(text: str) -> Any:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise BadInput("spec", "is empty", "Send the spec as the request's body.")
        _check_node(node, {}, ())
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        if error.context_mark and mark and error.context_mark.line != mark.line:
            where += f" (of what began in line {error.context_mark.line + 1})"
        raise BadInput("spec", f"is not YAML: {error.problem}{where}", "Mend that line.") from None
    except (yaml.YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise BadInput("spec", f"is not YAML: {problem}", "Mend it.") from None


def _check_node(node: yaml.Node, sizes: dict[int, int], above: tuple[int, ...]) -> int:
    """The number of nodes that a node unfolds to, its aliases counted each time; known ones are not walked again."""
    if id(node) in above:
        raise BadInput("spec", f"an alias in line {node.start_mark.line + 1} holds itself", "Write it out.")
    if len(above) > DEEPEST:
        raise RecursionError
    if id(node) not in sizes:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        sizes[id(node)] = 1 + sum(_check_node(child, sizes, (*above, id(node))) for child in children)
    if sizes[id(node)] > MOST_NODES:
        raise BadInput("spec", "its aliases unfold to too much", "Use fewer aliases of aliases.")
    return sizes[id(node)]


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise BadInput("spec", f"line {key.start_mark.line + 1} has a key that is no text", "Use texts as keys.")
        if key.value in seen:
            where = f"stands twice in the same mapping (again in line {key.start_mark.line + 1})"
            raise BadInput(f"spec.{key.value}", where, "Keep one.")
        seen.add(key.value)


def _check_plain(value: Any, path: str, depth: int) -> None:
    """Raise `BadInput` on what JSON, or whoever reads it, cannot hold. Aliases were bounded before, so the walk is."""
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(path, f"{value} is no number that JSON can hold", "Give a finite number.")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadInput(path, "is a whole number that 64 bits cannot hold", "Give a smaller one.")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadInput(path, "holds half of a surrogate pair, which is no character", "Mend the text.") from None
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise BadInput(path, f"the key {key!r} is no text", f'Put it in quotes: "{key}".')
            _check_plain(key, path, depth)
        _check_plain(item, f"{path}.{key}", depth + 1)
