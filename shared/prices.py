"""What a model's tokens cost: the spec's own price, else the list price of `prices.csv`, else nobody knows.

`prices.csv` has a row for each host and model with its source and date; `python -m infra.prices` writes it. A list
price belongs to the host that asks it: another server that speaks the same protocol has its own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

from shared.errors import FieldError
from shared.llm.providers.base import UNKNOWN_PRICE, ModelSpec, Price
from shared.spec.model import Spec

COLUMNS = (
    "host",
    "model",
    "input",
    "output",
    "cached_input",
    "batch_input",
    "batch_output",
    "source",
    "date",
)
FREE = Price(input=0.0, output=0.0)
FIX = "Write `price: {input: 2.5, output: 10}` (US dollars per million tokens)"


def price_of(entry: ModelSpec) -> Price | None:
    """The price of a model's tokens; None where nobody knows it."""
    given = entry.given_price
    if isinstance(given, Price):
        return given
    if given == UNKNOWN_PRICE:
        return None
    return FREE if entry.listed_at is None else list_prices().get(entry.listed_at)


def price_errors(spec: Spec) -> Iterator[FieldError]:
    """Models whose price must be known and is not."""
    for name, entry in spec.models.items():
        if price_of(entry) is not None:
            continue
        field = f"models.{name}.price"
        if entry.given_price != UNKNOWN_PRICE:
            host, model = entry.listed_at or ("", "")
            fix = f"{FIX}, or `price: unknown` to go without."
            yield FieldError(field, f"is missing, and no list price is known of {model!r} at {host}", fix)
        elif spec.budget is not None:
            yield FieldError(field, "is unknown, so the budget cannot be kept", f"{FIX}, or leave the budget out.")


@cache
def list_prices() -> dict[tuple[str, str], Price]:
    """The table, by host and model."""
    text = resources.files("shared").joinpath("prices.csv").read_text()
    return {(row["host"], row["model"]): _price(row) for row in csv.DictReader(text.splitlines())}


def _price(row: Mapping[str, str]) -> Price:
    """Where no price of a batch is known, it is taken to cost as much."""
    given = {name: float(row[name]) for name in ("input", "output", "cached_input") if row[name]}
    share = float(row["batch_input"]) / given["input"] if row["batch_input"] else 1.0
    return Price.model_validate(given | {"batch": share})
