"""The generated file of TRL's arguments is that of the installed TRL."""

from __future__ import annotations

from workers.trainer.arguments import TARGET, describe, to_json
from workers.trainer.methods import METHODS
from workers.trainer.methods.owned import NAMES


def test_the_generated_file_is_current() -> None:
    assert TARGET.read_text() == to_json(describe()), "run `python -m workers.trainer.arguments`"


def test_what_is_owned_exists_in_trl() -> None:
    """A name that TRL has dropped would be refused in vain."""
    owned = {name for method in describe()["methods"].values() for name in method["owned"]}
    assert owned >= NAMES
    for name, method in METHODS.items():
        assert set(describe()["methods"][name]["owned"]) >= method.owned


def test_arguments_are_typed_as_people_write_them() -> None:
    sft = describe()["methods"]["sft"]["arguments"]
    assert (sft["learning_rate"], sft["packing"]) == ("float", "bool")
    assert sft["pad_to_multiple_of"] == "int | str | None"
