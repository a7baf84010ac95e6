"""Tables at 80 columns: no word broken, no id, number or time cut."""

from __future__ import annotations

import io
from itertools import takewhile
from typing import Any

import pytest
from rich.console import Console
from touchstone_client.estimate import compact, money, print_plan, totals
from touchstone_client.listings import print_datasets, print_experiments

from shared.estimate import Known, preview
from shared.estimate.answered import asked_of
from shared.plan.experiment import plan
from tests.unit.specs import resolved, spec_with

GPT = {
    "provider": "openai",
    "model": "gpt-4-0613",
    "price": {"input": 30.0, "output": 60.0},
    "limits": {"requests_per_minute": 500},
}


def shown(print_it: Any, value: Any, width: int = 80) -> str:
    out = io.StringIO()
    print_it(value, Console(file=out, width=width))
    # What comes below a table are sentences, which the terminal wraps.
    table = takewhile(lambda line: ": " not in line, out.getvalue().splitlines())
    assert all(len(line.rstrip()) <= width for line in table)
    return out.getvalue()


def planned(**changes: Any) -> dict[str, Any]:
    experiment = resolved(spec_with(**changes))
    made = plan(experiment)
    known = Known(asked=asked_of(made, made.stages.values(), experiment.counts, {}))
    return preview("priced", made, experiment.counts, set(), known, experiment.parsed.budget_usd)


def test_experiments_keep_ids_states_and_times_whole() -> None:
    item = {
        "id": "01kdmzq4n0x6v1t5a8w9e2r3y7",
        "name": "a-long-name-of-an-experiment-that-somebody-chose",
        "state": "cancelled",
        "counts": {"committed": 120, "cancelled": 300, "reused": 12},
        "created": "2026-11-24T00:43:08+00:00",
    }
    text = shown(print_experiments, [item])
    for word in (item["id"], "cancelled", "120/420", "2026-11-24 00:43", "stages", "created"):
        assert str(word) in text


def test_datasets_keep_counts_and_hashes_whole() -> None:
    item = {"name": "n" * 40, "kind": "preferences", "rows": 1_234_567, "sha256": "ab" * 32,
            "dropped": {"no usable preference in a long reason": 9}}  # fmt: skip
    text = shown(print_datasets, [item])
    assert "1,234,567" in text and "ab" * 6 in text and "preferences" in text


def test_a_plan_fits_and_says_what_it_costs() -> None:
    found = planned(models__strong=GPT, budget_usd=0.5)
    text = shown(print_plan, found)
    head = text.splitlines()[0].split()
    assert head == ["stage", "reused", "asks", "requests", "ledger", "in", "out", "dollars", "hours"]
    row = next(line for line in text.splitlines() if "strong" in line).split()
    assert row[:4] == ["teach", "0/2", "strong", "110"] and row[-1] == "<0.01"
    assert f"${money(found['cost_usd'])} (" in text
    assert "budget $0.50: the high end of the estimate passes it" in text
    assert "hours at the spec's limits, or within a batch's day: strong <0.01" in text
    assert "Tokens where like stages have not been run" in " ".join(text.split())


def test_a_plan_s_warnings_are_said() -> None:
    assert "warning: one family" in "\n".join(totals({**planned(), "warnings": ["one family"]}))


def test_an_unknown_price_is_said() -> None:
    found = planned(models__strong={**GPT, "price": "unknown"})
    assert "without strong: unknown price" in "\n".join(totals(found))
    assert "unknown" in shown(print_plan, found)


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (0.0042, "0.0042"), (0.351, "0.35"), (12.3, "12.30"), (2745.4, "2,745")]
)
def test_money(value: float, said: str) -> None:
    assert money(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (9999, "9,999"),
        (12_345, "12k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (7_640_000, "7.6M"),
        (123_400_000, "123M"),
    ],
)
def test_counts(value: float, said: str) -> None:
    assert compact(value) == said
