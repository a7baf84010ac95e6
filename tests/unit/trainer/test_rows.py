"""What a method makes of its input's rows, and which rows it refuses."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shared import records
from shared.errors import PermanentError
from workers.trainer.job import Job
from workers.trainer.methods import METHODS


def completions(*rows: dict[str, Any]) -> pa.Table:
    return records.from_rows([{"prompt_id": "p1", "prompt": "say a", **row} for row in rows], records.COMPLETIONS)


def pairs(*rows: dict[str, Any]) -> pa.Table:
    return records.from_rows([{"prompt_id": "p1", "prompt": "say a", **row} for row in rows], records.PREFERENCES)


def test_demonstrations_keep_the_order_of_their_tables() -> None:
    tables = [completions({"completion": "a"}, {"completion": "b"}), completions({"completion": "c"})]
    assert METHODS["sft"].rows(tables)["completion"].to_pylist() == ["a", "b", "c"]


def test_a_demonstration_without_a_prompt_is_named() -> None:
    with pytest.raises(PermanentError, match=r"prompt_id 'p1' has an empty prompt"):
        METHODS["sft"].rows([completions({"completion": "a", "prompt": ""})])


@pytest.mark.parametrize("empty", [" ", None])
def test_completions_that_an_endpoint_left_empty_are_not_trained_on(empty: str | None) -> None:
    table = completions({"completion": "a"}, {"completion": empty}, {"completion": "b"})
    assert METHODS["sft"].rows([table])["completion"].to_pylist() == ["a", "b"]
    with pytest.raises(PermanentError, match="all 2 completions are empty"):
        METHODS["sft"].rows([completions({"completion": empty}, {"completion": ""})])


def test_no_demonstrations_at_all() -> None:
    with pytest.raises(PermanentError, match="no row to train on"):
        METHODS["sft"].rows([completions()])


def test_only_rows_that_make_a_pair_are_trained_on() -> None:
    table = pairs({"chosen": "a", "rejected": ""}, {"dropped": "tie"}, {"chosen": "b", "rejected": "a"})
    assert METHODS["dpo"].rows([table]).to_pylist() == [
        {"prompt": "say a", "chosen": "a", "rejected": ""},
        {"prompt": "say a", "chosen": "b", "rejected": "a"},
    ]


def test_no_pair_at_all_says_why() -> None:
    with pytest.raises(PermanentError, match=r"none of 3 rows .*tie: 2, unparsable: 1"):
        METHODS["dpo"].rows([pairs({"dropped": "tie"}, {"dropped": "tie"}, {"dropped": "unparsable"})])


def test_a_pair_without_its_rejected_completion_is_named() -> None:
    with pytest.raises(PermanentError, match=r"'p1' has chosen but no rejected"):
        METHODS["dpo"].rows([pairs({"chosen": "a"})])


def test_columns_are_missing() -> None:
    with pytest.raises(KeyError):
        METHODS["sft"].rows([pa.table({"prompt": ["a"]})])


def test_rows_become_turns() -> None:
    assert METHODS["sft"].example({"prompt": "say a", "completion": "a"}) == {
        "prompt": [{"role": "user", "content": "say a"}],
        "completion": [{"role": "assistant", "content": "a"}],
    }


def test_dpo_always_computes_its_reference_beforehand() -> None:
    assert METHODS["dpo"].arguments(Job(method="dpo", beta=0.3)) == {"beta": 0.3, "precompute_ref_log_probs": True}
