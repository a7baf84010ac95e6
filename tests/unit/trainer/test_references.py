"""A shared reference beside its pairs: whose it is, where labels are exchanged, and what it cannot be joined to."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shared import records
from shared.errors import PermanentError, StageError
from shared.selection import selected
from workers.trainer import references
from workers.trainer.job import Job
from workers.trainer.methods import METHODS

PAIRS = records.from_rows(
    [
        {"prompt_id": f"p{index}", "prompt": f"say {index}", "chosen": f"good {index}", "rejected": f"bad {index}"}
        if index % 4
        else {"prompt_id": f"p{index}", "prompt": f"say {index}", "dropped": "tie"}
        for index in range(40)
    ],
    records.PREFERENCES,
)


def scored(row: int, prompt_id: str | None = None) -> dict[str, Any]:
    return {
        "row": row,
        "prompt_id": prompt_id or f"p{row}",
        "ref_chosen_logps": -float(row),
        "ref_rejected_logps": -100.0 - row,
        "ref_chosen_tokens": row,
        "ref_rejected_tokens": 100 + row,
    }


REFERENCE = records.from_rows([scored(row) for row in range(40) if row % 4], records.REFERENCES)


def test_each_pair_gets_its_own_and_a_row_without_a_pair_none() -> None:
    rows = references.joined(PAIRS, REFERENCE).to_pylist()
    for index, row in enumerate(rows):
        assert row["ref_chosen_logps"] == (-float(index) if index % 4 else None)
        assert row["ref_rejected_tokens"] == (100 + index if index % 4 else None)
    assert METHODS["dpo"].rows([references.joined(PAIRS, REFERENCE)]).num_rows == 30


def test_what_a_control_exchanges_or_leaves_out_takes_it_along() -> None:
    pairs = selected(references.joined(PAIRS, REFERENCE), {"labels": "random", "seed": 3, "length_within": 0.5})
    rows = [row for row in pairs.to_pylist() if row["chosen"] is not None]
    turned = [row for row in rows if row["chosen"].startswith("bad")]
    assert 5 < len(turned) < 25
    for row in rows:
        known = {"good": -float(row["prompt_id"][1:]), "bad": -100.0 - float(row["prompt_id"][1:])}
        for side in ("chosen", "rejected"):
            assert row[f"ref_{side}_logps"] == known[row[side].partition(" ")[0]]
            assert row[f"ref_{side}_tokens"] == -row[f"ref_{side}_logps"]


def test_a_half_of_a_pair_has_its_half_of_the_reference() -> None:
    halves = METHODS["kto"].rows([references.joined(PAIRS, REFERENCE)]).to_pylist()
    assert len(halves) == 60
    for half in halves:
        number = float(half["prompt"].removeprefix("say "))
        assert half["ref_logps"] == (-number if half["label"] else -100.0 - number)


@pytest.mark.parametrize("wrong", [scored(1, "p2"), scored(99)])
def test_a_reference_of_other_pairs_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="of other pairs"):
        references.joined(PAIRS, records.from_rows([wrong], records.REFERENCES))


def test_a_reference_of_other_tokens_is_refused() -> None:
    references.check_tokens([3, 4], [3, 4])
    with pytest.raises(PermanentError, match=r"of 1 of 2 completions .*remove rl.args.precompute_ref_log_probs"):
        references.check_tokens([3, 4], [3, 5])
    with pytest.raises(PermanentError, match=r"1 of 2 completions have no log-probability"):
        references.check_tokens([3, None], [3, 5])


def test_a_trl_that_computes_it_otherwise_is_said_to_be_so() -> None:
    class Other:
        """A trainer of another day."""

    assert references.adapted(Other, Job(method="dpo")) is Other
    with pytest.raises(PermanentError, match=r"rl\.args\.precompute_ref_log_probs: the installed TRL"):
        references.adapted(Other, Job(method="dpo", reference="given"))


def test_rows_without_a_reference_are_as_they_were() -> None:
    assert METHODS["dpo"].rows([PAIRS]).column_names == ["prompt", "chosen", "rejected"]
    assert METHODS["kto"].rows([PAIRS]).column_names == ["prompt", "completion", "label"]
    assert isinstance(references.numbered(PAIRS), pa.Table)
    assert references.numbered(PAIRS)["row"].to_pylist() == list(range(40))
