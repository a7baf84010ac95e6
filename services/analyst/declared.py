"""What recorded data would have cost at the price that the spec declares: counted, and never called spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from services.analyst.model import Note, StageFacts
from services.analyst.params import ReportParams
from shared.estimate.tokens import CHARACTERS


def declared_usd(rows: pa.Table, price: Mapping[str, float]) -> float:
    """US dollars of a recorded stage's rows: so much each, or by tokens of CHARACTERS characters."""
    if "usd_per_row" in price:
        return float(price["usd_per_row"] * rows.num_rows)
    given, out = (pc.sum(pc.utf8_length(rows[name])).as_py() or 0 for name in ("prompt", "completion"))
    return float((given * price["input"] + out * price["output"]) / CHARACTERS / 1e6)


def declared_notes(params: ReportParams, stages: Mapping[str, StageFacts]) -> Iterator[Note]:
    """What was counted at a declared price, by model."""
    totals: dict[str, float] = {}
    for key, one in params.declared.items():
        if key in stages:
            totals[one.model] = totals.get(one.model, 0.0) + stages[key].declared_usd
    for model, usd in totals.items():
        by_tokens = any("input" in one.price for one in params.declared.values() if one.model == model)
        how = f", with {CHARACTERS:g} characters taken for a token" if by_tokens else ""
        yield Note(
            "data",
            f"The recorded rows of {model} count as ${usd:,.4g}, at the price that the spec declares{how}: what they "
            "would have cost. Nobody paid it in this experiment, and no budget counts it.",
            ("models", model, "price"),
        )
