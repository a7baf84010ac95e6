"""Declared stand-ins: a spec that can be planned and priced, and not run, until each is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import BadInput
from shared.plan.experiment import plan
from shared.settings import Settings
from shared.spec.declared import declared_fields, provisional_keys
from shared.spec.parse import parse_spec
from shared.spec.resolve import resolve
from shared.store import MemoryStore
from tests.unit.specs import spec_with

PROMPTS = {"source": {"declared": {"name": "sharegpt", "rows": 5000}}, "train": 4000, "dev": 100, "eval": 805}
LLAMA = {"declared": {"model": "some-hub/llama", "revision": "main"}}
RECORDED = {"provider": "recorded", "completions": {"declared": {"name": "sharegpt-gpt-3.5", "rows": 5000}}}
GPT = {"provider": "openai", "model": "gpt-4", "api_key": "env:NOT_LISTED"}


def provisional(**changes: Any) -> set[str]:
    """The kinds of the stages whose keys are provisional, of those that the small spec has then."""
    made = plan(resolve(parse_spec(spec_with(**changes)), MemoryStore(), Settings()))
    return {made.stages[key].kind for key in provisional_keys(made)}


def test_what_stands_on_a_declaration_is_provisional() -> None:
    assert provisional() == set()
    assert provisional(prompts=PROMPTS) == {
        "prompts", "pretrain", "teach", "sft", "sample", "label", "rl", "judge", "report",
    }  # fmt: skip
    assert provisional(policies__toy=LLAMA) == {"sft", "sample", "label", "rl", "judge", "report"}
    assert provisional(models__strong=RECORDED) == {"teach", "sft", "sample", "label", "rl", "judge", "report"}


def test_provisional_keys_are_nobody_elses() -> None:
    keys = []
    for revision in ("main", "v2"):
        policy = {"declared": {"model": "some-hub/llama", "revision": revision}}
        made = plan(resolve(parse_spec(spec_with(policies__toy=policy)), MemoryStore(), Settings()))
        keys.append(provisional_keys(made))
    assert not keys[0] & keys[1]


def test_counts_are_those_declared_and_must_suffice() -> None:
    resolved = resolve(parse_spec(spec_with(prompts=PROMPTS)), MemoryStore(), Settings())
    assert resolved.counts == {"train": 4000, "dev": 100, "eval": 805, "near_duplicates": 0}
    assert resolved.parsed.prompts.source == parse_spec(spec_with(prompts=PROMPTS)).prompts.source
    with pytest.raises(BadInput, match=r"prompts.source.declared.rows: train, dev and eval are 5,001 prompts"):
        resolve(parse_spec(spec_with(prompts=PROMPTS | {"dev": 196})), MemoryStore(), Settings())


def test_a_plan_of_what_is_declared_needs_no_credential() -> None:
    assert resolve(parse_spec(spec_with(prompts=PROMPTS, models__strong=GPT)), MemoryStore(), Settings())
    with pytest.raises(BadInput, match="NOT_LISTED"):
        resolve(parse_spec(spec_with(models__strong=GPT)), MemoryStore(), Settings())


def test_every_declaration_is_named_with_how_to_make_it_real() -> None:
    spec = parse_spec(spec_with(prompts=PROMPTS, policies__toy=LLAMA, models__strong=RECORDED))
    found = {error.field: error.fix for error in declared_fields(spec)}
    assert set(found) == {"prompts.source.declared", "policies.toy.declared", "models.strong.completions.declared"}
    assert "touchstone dataset add FILE --name sharegpt)" in found["prompts.source.declared"]
    assert "touchstone model add toy FOLDER" in found["policies.toy.declared"]
    assert "`completions: dataset:sharegpt-gpt-3.5`" in found["models.strong.completions.declared"]
    assert list(declared_fields(parse_spec(spec_with()))) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"policies__toy": {**LLAMA, "model": "x"}}, "policies.toy: needs exactly one of"),
        ({"policies__toy": {"declared": {"model": "x"}}}, "policies.toy.declared.revision: is missing"),
        ({"models__strong": {**RECORDED, "preferences": "dataset:x"}}, "either completions or preferences"),
        ({"models__strong__completions": "dataset:x", "models__strong__provider": "openai"}, "completions"),
    ],
)
def test_a_mistake_in_a_declaration(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_spec(spec_with(**changes))
    assert says in str(caught.value)
