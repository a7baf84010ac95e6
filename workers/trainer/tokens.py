"""Counts what TRL made of the rows, and checks that a policy trained on them can end its turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.errors import PermanentError

CHECKED = 8
JOINED = ["chosen_input_ids", "rejected_input_ids"]


def count_demonstrations(trainer: Any, rows: Any) -> dict[str, int]:
    """Of an SFT trainer: examples trained on, examples truncated, and rows dropped as nothing of them was left.

    Raises:
        PermanentError: nothing is left to train on, or the chat template does not end the assistant's turn.
    """
    template, longest = trainer.processing_class, trainer.args.max_length
    _check_end(trainer, (_ids(template, row) for row in _first(rows)))
    if trainer.args.packing:
        return {"examples": len(rows), "truncated": _longer(template, rows, longest), "dropped": 0}
    prepared = trainer.train_dataset
    full = [row for row in prepared if longest is not None and len(row["input_ids"]) == longest]
    dropped = _dropped(len(rows), len(prepared), longest)
    return {"examples": len(prepared), "truncated": _longer(template, full, longest), "dropped": dropped}


def count_pairs(trainer: Any, rows: Any) -> dict[str, int]:
    """Of a DPO trainer: pairs trained on, pairs truncated, and rows dropped since their prompt alone fills the length.

    Raises:
        PermanentError: nothing is left to train on, or the chat template does not end the assistant's turn.
    """
    longest = trainer.args.max_length
    prepared = trainer.train_dataset
    dropped = _dropped(len(rows), len(prepared), longest)
    _check_end(trainer, (row[name] for row in _first(prepared) for name in ("chosen_ids", "rejected_ids")))
    truncated = 0
    for row in prepared.select_columns(["prompt_ids", "chosen_ids", "rejected_ids"]):
        length = len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
        truncated += longest is not None and length > longest
    return {"examples": len(prepared), "truncated": truncated, "dropped": dropped}


def completion_tokens(table: Any, name: str, longest: int | None) -> list[int]:
    """The tokens of each completion that TRL has made of the rows, within max_length; `name` is chosen, rejected or
    completion."""
    rows = table.select_columns(["prompt_ids", f"{name}_ids"])
    lengths = ((len(row["prompt_ids"]), len(row[f"{name}_ids"])) for row in rows)
    return [own if longest is None else min(own, max(longest - before, 0)) for before, own in lengths]


def of_pairs(table: Any, longest: int | None) -> int:
    """All tokens of the pairs that TRL made of the rows, within max_length: a prompt counts with each completion."""
    total = 0
    for row in table.select_columns(["prompt_ids", "chosen_ids", "rejected_ids"]):
        for name in ("chosen_ids", "rejected_ids"):
            length = len(row["prompt_ids"]) + len(row[name])
            total += length if longest is None else min(length, longest)
    return total


def count_unpaired(trainer: Any, rows: Any) -> dict[str, int]:
    """Of a KTO trainer: completions trained on, and the pairs that they were; truncated and dropped ones as above.

    Raises:
        PermanentError: nothing is left to train on, or the chat template does not end the assistant's turn.
    """
    longest = trainer.args.max_length
    prepared = trainer.train_dataset
    dropped = _dropped(len(rows), len(prepared), longest)
    _check_end(trainer, (row["completion_ids"] for row in _first(prepared)))
    lengths = (
        len(row["prompt_ids"]) + len(row["completion_ids"])
        for row in prepared.select_columns(["prompt_ids", "completion_ids"])
    )
    truncated = sum(longest is not None and length > longest for length in lengths)
    return {"examples": len(prepared), "pairs": len(prepared) // 2, "truncated": truncated, "dropped": dropped}


def count_joined(trainer: Any, rows: Any) -> dict[str, int]:
    """Of a trainer that cuts each pair to max_length beforehand (ORPO's, CPO's): as above; one that just fits counts
    as truncated, as what was cut off is gone.

    Raises:
        PermanentError: nothing is left to train on, the chat template does not end the assistant's turn, or a prompt
            is read otherwise than in sampling.
    """
    longest = trainer.max_length
    prepared = trainer.train_dataset
    dropped = _dropped(len(rows), len(prepared), longest)
    whole = [row for row in _first(prepared) if _joined_length(row) < longest]
    _check_end(trainer, (row[name] for row in whole for name in ("chosen_input_ids", "rejected_input_ids")))
    for row in whole:
        _check_prompt(trainer.processing_class, row)
    truncated = sum(_joined_length(row) >= longest for row in prepared.select_columns(JOINED))
    return {"examples": len(prepared), "truncated": truncated, "dropped": dropped}


def joined_tokens(trainer: Any) -> int:
    """The tokens that one epoch of such a trainer sees, prompts included."""
    return sum(len(row[name]) for row in trainer.train_dataset.select_columns(JOINED) for name in JOINED)


def _joined_length(row: dict[str, Any]) -> int:
    return max(len(row[name]) for name in JOINED)


def _check_prompt(tokenizer: Any, row: dict[str, Any]) -> None:
    """TRL's experimental trainers make tokens of text: a template whose text begins otherwise would go unseen."""
    begin: list[int] = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
    # The last token may have merged with the completion's first.
    if row["chosen_input_ids"][: len(begin) - 1] != begin[:-1]:
        raise PermanentError("chat_template: TRL reads a prompt otherwise than sampling does; use rl.method dpo or kto")


def end_tokens(trainer: Any) -> set[int]:
    """The tokens at which the policy stops: the tokenizer's and the generation settings'."""
    ends = trainer.model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return {token for token in [*listed, trainer.processing_class.eos_token_id] if token is not None}


def _check_end(trainer: Any, sequences: Iterable[list[int]]) -> None:
    ends = end_tokens(trainer)
    if any(ends.isdisjoint(ids[-3:]) for ids in sequences):
        names = ", ".join(sorted(trainer.processing_class.convert_ids_to_tokens(sorted(ends))))
        raise PermanentError(
            f"chat_template: it does not end the assistant's turn with an end token of this model ({names}), so the "
            "policy would never stop; name another template"
        )


def _first(rows: Any) -> Any:
    return rows.select(range(min(CHECKED, len(rows))))


def _ids(tokenizer: Any, row: dict[str, Any]) -> list[int]:
    """A demonstration's tokens, whole."""
    ids: list[int] = tokenizer.apply_chat_template(row["prompt"] + row["completion"], return_dict=True)["input_ids"]
    return ids


def _longer(tokenizer: Any, rows: Iterable[dict[str, Any]], longest: int | None) -> int:
    return sum(longest is not None and len(_ids(tokenizer, row)) > longest for row in rows)


def _dropped(given: int, left: int, longest: int | None) -> int:
    if not left:
        raise PermanentError(
            f"max_length {longest} leaves nothing of any of the {given} rows: their prompts alone are longer"
        )
    return given - left
