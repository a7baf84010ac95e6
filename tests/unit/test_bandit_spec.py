"""`kind: bandit`: its spec's mistakes, its resolved form and its plan."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from services.analyst.bandit import Settings as Arithmetic
from shared.bandit import BanditSettings, parse_bandit
from shared.errors import BadInput
from shared.plan.experiment import plan
from shared.settings import Settings
from shared.spec.resolve import resolve_any
from shared.store import MemoryStore
from tests.unit.specs import spec_with


def spec(**bandit: Any) -> dict[str, Any]:
    return {"name": "mechanism", "kind": "bandit", "seeds": [0, 1], "bandit": bandit}


def test_its_defaults_are_the_paper_s() -> None:
    assert BanditSettings().model_dump() == asdict(Arithmetic())
    assert parse_bandit({"name": "x", "kind": "bandit"}).seeds == [0]


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"bandit": {"actions": 1}}, "bandit.actions", "2 or more"),
        ({"bandit": {"actions": 5000}}, "bandit.actions", "1000 or less"),
        ({"bandit": {"strong": 100}}, "bandit", "0 to 99"),
        ({"bandit": {"weak": -1}}, "bandit", "0 to 99"),
        ({"bandit": {"width": 1}}, "bandit", "Write width"),
        ({"bandit": {"beta": 0}}, "bandit.beta", "more than 0"),
        ({"bandit": {"actions": 1000, "strong": 1, "weak": 2, "width": 1e5}}, "bandit", "Lower one"),
        ({"bandit": {"stpes": 1}}, "bandit.stpes", "Did you mean steps"),
        ({"bandit": [1]}, "bandit", "Write a mapping"),
        ({"seeds": []}, "seeds", "at least 1"),
        ({"seeds": [1, 1]}, "seeds", "once"),
        ({"seeds": [True]}, "seeds", "Write the number"),
        ({"name": "?"}, "name", "letters"),
        ({"arms": {}}, "arms", "what may stand here is bandit, kind, name, seeds"),
        ({"kind": "bandits"}, "kind", "kind: bandit"),
    ],
)
def test_a_mistake_names_its_field_and_the_fix(change: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        resolve_any(spec() | change, MemoryStore(), Settings())
    assert caught.value.field == field
    assert says in f"{caught.value.problem}. {caught.value.fix}"


def test_a_stage_a_seed_and_a_report_and_nothing_to_pay() -> None:
    resolved = resolve_any(spec(weak=30), MemoryStore(), Settings())
    made = plan(resolved)
    assert [stage.kind for stage in made.stages.values()] == ["bandit", "bandit", "report"]
    assert set(made.stages[made.report].inputs) == {"bandit/0", "bandit/1"}
    assert resolved.bounded is None and resolved.counts == {}
    first = next(iter(made.stages.values()))
    assert first.params["settings"]["weak"] == 30 and first.params["settings"]["pairs"] == 250_000


def test_what_is_written_out_is_planned_alike() -> None:
    store, settings = MemoryStore(), Settings()
    short, long = spec(), spec(**BanditSettings().model_dump())
    assert plan(resolve_any(short, store, settings)).report == plan(resolve_any(long, store, settings)).report
    other = plan(resolve_any(spec(weak=41), store, settings))
    assert not set(plan(resolve_any(short, store, settings)).stages) & set(other.stages)


def test_a_spec_of_no_kind_is_one_that_trains() -> None:
    resolved = resolve_any(spec_with(), MemoryStore(), Settings())
    assert resolved.bounded is not None and resolved.parsed.name == "small"
