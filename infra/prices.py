"""`python -m infra.prices WHEEL... > shared/prices.csv`: the table of list prices, from litellm's wheels.

litellm ships a price table that its users keep current (`pip download --no-deps litellm`). The first wheel that names a
model wins: give the newest first, then an old one for models that have been retired since (1.72.0 knows GPT-4's and
Claude's first snapshots). Prices become US dollars per million tokens; `date` is the day on which a row was taken.
"""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from shared.prices import COLUMNS

TABLE = "litellm/model_prices_and_context_window_backup.json"
HOSTS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "gemini": "generativelanguage.googleapis.com",
    "mistral": "api.mistral.ai",
    "deepseek": "api.deepseek.com",
    "xai": "api.x.ai",
}
"""Where litellm's provider answers."""
PRICES = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "batch_input": "input_cost_per_token_batches",
    "batch_output": "output_cost_per_token_batches",
}
NO_TEXT = ("audio", "realtime", "search", "ft:", "container", "computer-use", "robotics", "image", "tts", "live")


def rows_of(wheel: Path, day: str) -> list[dict[str, str]]:
    """The chat models of one wheel whose price both ways is known."""
    with zipfile.ZipFile(wheel) as archive:
        table = json.loads(archive.read(TABLE))
    version = wheel.name.split("-")[1]
    found = []
    for name, entry in table.items():
        host, model = HOSTS.get(entry.get("litellm_provider", "")), name.rpartition("/")[2]
        if host and entry.get("mode") == "chat" and not any(word in name for word in NO_TEXT):
            prices = {column: _per_million(entry, field) for column, field in PRICES.items()}
            if prices["input"] and prices["output"]:
                source = f"litellm {version}"
                # Some rows hold a remark there instead of an address.
                if str(entry.get("source")).startswith("https://"):
                    source += f", after {entry['source']}"
                found.append({"host": host, "model": model, **prices, "source": source, "date": day})
    return found


def _per_million(entry: Mapping[str, Any], field: str) -> str:
    price = entry.get(field)
    return "" if not price else f"{(Decimal(str(price)) * 1_000_000).normalize():f}"


def main() -> None:
    day = datetime.now(UTC).date().isoformat()
    found: dict[tuple[str, str], dict[str, str]] = {}
    for wheel in sys.argv[1:]:
        for row in rows_of(Path(wheel), day):
            found.setdefault((row["host"], row["model"]), row)
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found[place] for place in sorted(found))


if __name__ == "__main__":
    main()
