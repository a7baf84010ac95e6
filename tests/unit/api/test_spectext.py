"""A spec's text: YAML and JSON alike, and nothing that would lose or blow up what a person wrote."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.api.spectext import read_spec_text
from shared.errors import BadInput

YAML, JSON = "application/yaml", "application/json"


def refused(text: str | bytes, content_type: str = YAML) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_spec_text(text if isinstance(text, bytes) else text.encode(), content_type)
    return caught.value


def test_a_body_without_a_json_content_type_is_yaml() -> None:
    for kind in ("", YAML, "text/plain", "application/x-www-form-urlencoded"):
        assert read_spec_text(b"name: x\nseeds: [1, 2]\n", kind) == {"name": "x", "seeds": [1, 2]}
    assert read_spec_text(b'{"name": "x"}', "application/json; charset=utf-8") == {"name": "x"}
    assert read_spec_text(b'{"name": "x"}', YAML) == {"name": "x"}
    assert "not JSON" in refused("name: x", "application/vnd.touchstone+json").problem


@pytest.mark.parametrize(("text", "value"), [("2e-5", 2e-5), ("1E3", 1000.0), ("-2.5e+3", -2500.0), ("1.0e-3", 1e-3)])
def test_numbers_with_exponents_are_numbers(text: str, value: float) -> None:
    assert read_spec_text(f"x: {text}".encode(), YAML) == {"x": value}


@pytest.mark.parametrize("text", ["2024-01-02", "e5", "5e", "1e5x", "gpt-4", "1.2.3"])
def test_what_looks_like_a_date_or_a_name_is_a_text(text: str) -> None:
    assert read_spec_text(f"x: {text}".encode(), YAML) == {"x": text}


@pytest.mark.parametrize(
    ("text", "content_type", "field"),
    [
        ("arms:\n  a: 1\n  b: 2\n  a: 3\n", YAML, "spec.a"),
        ('{"arms": {"a": 1, "a": 2}}', JSON, "spec.a"),
    ],
)
def test_keys_that_stand_twice(text: str, content_type: str, field: str) -> None:
    error = refused(text, content_type)
    assert error.field == field and "twice" in error.problem


def test_yaml_errors_name_line_and_column() -> None:
    assert "line 2" in refused("name: x\nseeds: [1, 2\n").problem
    assert "line 3" in refused("a: 1\nb: 2\n\tc: 3\n").problem


def test_aliases_are_allowed_and_bombs_are_not() -> None:
    assert read_spec_text(b"a: &x {k: 1}\nb: *x\n", YAML) == {"a": {"k": 1}, "b": {"k": 1}}
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    began = time.perf_counter()
    assert "aliases" in refused(bomb).problem
    merge = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
    )
    assert "aliases" in refused(merge).problem
    assert time.perf_counter() - began < 1
    assert "itself" in refused("a: &a [*a]\n").problem


def test_endless_nesting() -> None:
    for kind in (YAML, JSON):
        assert "nested" in refused("[" * 100_000, kind).problem or "nested" in refused("[" * 100_000, kind).problem
        assert "nested" in refused("[" * 100 + "]" * 100, kind).problem


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("x: !!python/object/apply:os.system [ls]", YAML),
        ("x: !!set {a, b}", YAML),
        ("x: !!binary aGk=", YAML),
        ("x: .nan", YAML),
        ("x: .inf", YAML),
        ('{"x": NaN}', JSON),
        ("x: 1e999", YAML),
        ("1: x", YAML),
        ("? [a, b]\n: x", YAML),
        ("a: 1\n---\nb: 2\n", YAML),
        ("", YAML),
        ("# nothing\n", YAML),
        ("  \n", JSON),
        ('{"x": "\\ud800"}', JSON),
        ("x: !!int foo", YAML),
        ("x: *nowhere", YAML),
        ("x: 9223372036854775808", YAML),
        (f"x: 0x{'f' * 4400}", YAML),
        (f'{{"x": {"9" * 400}}}', JSON),
    ],
)
def test_what_is_not_plain_data_is_refused(text: str, content_type: str) -> None:
    assert refused(text, content_type).field.startswith("spec")


def test_bytes_that_are_not_utf8() -> None:
    assert "UTF-8" in refused(b"name: \xff\xfe").problem
    assert read_spec_text("\ufeffname: é".encode(), YAML) == {"name": "é"}


plain: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), plain, min_size=1))
def test_plain_data_comes_through_json_as_it_was(data: dict[str, Any]) -> None:
    assert read_spec_text(json.dumps(data).encode(), JSON) == data


@given(st.dictionaries(st.text(st.characters(codec="ascii", categories=["L", "N"])), plain, min_size=1))
def test_plain_data_comes_through_yaml_as_it_was(data: dict[str, Any]) -> None:
    assert read_spec_text(yaml.safe_dump(data, default_style='"').encode(), YAML) == data


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        data = read_spec_text(text.encode(), YAML)
    except BadInput as error:
        assert error.problem
    else:
        assert not (isinstance(data, float) and math.isnan(data))
        json.dumps(data, allow_nan=False)
