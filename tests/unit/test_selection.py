"""What a control makes of labelled pairs: labels of a coin, pairs of like length, their better halves."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shared import records
from shared.errors import PermanentError
from shared.selection import chosen, selected


def pair(index: int, better: str | None, worse: str | None) -> dict[str, Any]:
    dropped = None if better is not None else "tie"
    return {"prompt_id": f"p{index}", "prompt": f"say {index}", "chosen": better, "rejected": worse, "dropped": dropped}


def preferences(*rows: dict[str, Any]) -> pa.Table:
    return records.from_rows(list(rows), records.PREFERENCES)


MANY = preferences(*(pair(index, f"good {index}", f"bad {index}") for index in range(400)))


def test_without_a_control_nothing_is_changed() -> None:
    assert selected(MANY, {"method": "dpo", "seed": 1}) is MANY


def test_a_coin_turns_about_half_of_the_pairs_and_the_seed_fixes_which() -> None:
    once, again, other = (selected(MANY, {"labels": "random", "seed": seed}) for seed in (1, 1, 2))
    turned = [row["chosen"].startswith("bad") for row in once.to_pylist()]
    assert 160 <= sum(turned) <= 240
    assert once.equals(again) and not once.equals(other)
    for before, after in zip(MANY.to_pylist(), once.to_pylist(), strict=True):
        assert {after["chosen"], after["rejected"]} == {before["chosen"], before["rejected"]}
        assert after["prompt_id"] == before["prompt_id"]


def test_a_coin_does_not_look_at_who_was_chosen() -> None:
    """The same pairs with every label turned get the same coins."""
    swapped = preferences(*(pair(index, f"bad {index}", f"good {index}") for index in range(400)))
    params = {"labels": "random", "seed": 5}
    assert selected(swapped, params)["chosen"].to_pylist() == selected(MANY, params)["chosen"].to_pylist()


def test_a_pair_without_a_label_stays_without_one() -> None:
    table = preferences(pair(0, None, None), pair(1, "a", "b"))
    assert selected(table, {"labels": "random", "seed": 0})["chosen"].to_pylist()[0] is None


def test_pairs_of_unlike_length_are_left_out() -> None:
    table = preferences(
        pair(0, "x" * 100, "y" * 91), pair(1, "x" * 100, "y" * 90), pair(2, "x" * 95, "y" * 100), pair(3, None, None)
    )
    kept = selected(table, {"length_within": 0.1, "seed": 0})
    assert kept["prompt_id"].to_pylist() == ["p0", "p2", "p3"]
    with pytest.raises(PermanentError, match=r"none of 3 pairs has two lengths within 0\.01 .*control\.within"):
        selected(table, {"length_within": 0.01, "seed": 0})


def test_the_chosen_completions_are_demonstrations() -> None:
    table = chosen(preferences(pair(0, "a", "b"), pair(1, None, None), pair(2, "c", "d")))
    assert table.schema == records.COMPLETIONS
    assert [(row["prompt"], row["completion"]) for row in table.to_pylist()] == [("say 0", "a"), ("say 2", "c")]
    with pytest.raises(PermanentError, match="none of 1 rows has a chosen completion"):
        chosen(preferences(pair(1, None, None)))
