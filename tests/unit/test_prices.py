"""Prices: the spec's, the table's, or an error that says which field to fill in."""

from __future__ import annotations

import csv
from importlib import resources
from typing import Any

import pytest

from shared.llm.providers.base import Price
from shared.llm.providers.openai import OpenAIModel
from shared.plan.experiment import plan
from shared.prices import COLUMNS, FREE, list_prices, price_errors, price_of
from shared.spec.parse import parse_spec
from tests.unit.specs import resolved, spec_with

GPT4 = {"provider": "openai", "model": "gpt-4-0613"}
LOCAL = {"provider": "openai", "model": "gpt-4-0613", "base_url": "http://gateway.local/v1"}
FREE_ONES: list[dict[str, Any]] = [
    {"provider": "simulated", "accuracy": 0.5},
    {"provider": "recorded", "completions": "dataset:x"},
    {"provider": "similarity", "towards": "strong"},
]


def entry(fields: dict[str, Any]) -> Any:
    return parse_spec(spec_with(models__critic=fields) if "towards" in fields else spec_with(models__extra=fields)
                      ).models["critic" if "towards" in fields else "extra"]  # fmt: skip


@pytest.mark.parametrize("fields", FREE_ONES)
def test_a_model_that_nobody_bills_is_free_unless_the_spec_gives_a_price(fields: dict[str, Any]) -> None:
    assert price_of(entry(fields)) == FREE


@pytest.mark.parametrize(
    "model", ["gpt-4-0314", "gpt-4-0613", "gpt-3.5-turbo", "gpt-4o-mini", "gpt-4.1", "o3", "gpt-5"]
)
def test_the_models_of_openai_have_list_prices(model: str) -> None:
    price = price_of(OpenAIModel(provider="openai", model=model))
    assert price is not None and price.output > price.input > 0


def test_the_spec_comes_before_the_table_and_another_host_has_no_list_price() -> None:
    assert price_of(entry(GPT4)) == Price(input=30.0, output=60.0, batch=0.5)
    own = Price(input=1.0, output=2.0)
    assert price_of(entry({**GPT4, "price": own.model_dump()})) == own
    assert price_of(entry(LOCAL)) is None
    assert price_of(entry({**GPT4, "price": "unknown"})) is None


@pytest.mark.parametrize(
    ("fields", "budget", "says"),
    [
        (GPT4, 10, None),
        ({"provider": "tgi", "base_url": "http://here:8080"}, 10, "no list price is known of 'tgi' at here"),
        (LOCAL, None, "no list price is known of 'gpt-4-0613' at gateway.local"),
        ({**LOCAL, "price": "unknown"}, None, None),
        ({**LOCAL, "price": "unknown"}, 10, "the budget cannot be kept"),
        ({**LOCAL, "price": {"input": 0, "output": 0}}, 10, None),
    ],
)
def test_a_missing_price_names_the_field_and_the_fix(fields: dict[str, Any], budget: Any, says: str | None) -> None:
    spec = parse_spec(spec_with(models__strong=fields, **({"budget_usd": budget} if budget else {})))
    found = list(price_errors(spec))
    assert [error.field for error in found] == ([] if says is None else ["models.strong.price"])
    assert all(says in str(error) and "price: {input" in error.fix for error in found if says)


def test_a_budget_may_pay_for_batches_whose_price_is_known() -> None:
    for fields, fine in (({}, True), ({"price": "unknown"}, False)):
        model = {**GPT4, "mode": "batch", **fields}
        spec = parse_spec(spec_with(models__strong=model, stage_budgets_usd={"teach": 1}))
        assert (list(price_errors(spec)) == []) is fine


def test_a_list_price_reaches_the_workers_and_no_key() -> None:
    listed, unknown = (plan(resolved(spec_with(models__strong=fields))) for fields in
                       (GPT4, {**GPT4, "price": "unknown"}))  # fmt: skip
    prices = {stage.options.get("price", {}).get("input") for stage in listed.stages.values() if stage.kind == "teach"}
    assert prices == {None, 30.0}
    assert not any("price" in stage.options for stage in unknown.stages.values())
    keys = [{key for key, stage in one.stages.items() if stage.kind != "report"} for one in (listed, unknown)]
    assert keys[0] == keys[1]


def test_cached_and_reasoning_tokens_are_priced() -> None:
    price = Price(input=2.0, output=8.0, cached_input=0.5)
    assert price.usd(1_000_000, 500_000, cached_input_tokens=400_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 4)


def test_every_row_of_the_table_says_where_it_is_from() -> None:
    rows = list(csv.DictReader(resources.files("shared").joinpath("prices.csv").read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert all(row["source"] and len(row["date"]) == 10 for row in rows)
    assert len(rows) == len(list_prices())
