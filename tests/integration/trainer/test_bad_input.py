"""What cannot be trained on ends the stage at once, with one line that says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from shared import records
from shared.artifacts import CommitRef
from shared.errors import BadInput, PermanentError
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place
from workers.trainer.failures import AfterStep, LossError, describe
from workers.trainer.job import OUT, ROWS, Job, ModelSource
from workers.trainer.methods import METHODS
from workers.trainer.training import build, run

PARAMS: dict[str, Any] = {"method": "sft", "seed": 0, "args": {"max_steps": 2}}


def fails(place: Place, params: dict[str, Any], **inputs: CommitRef) -> str:
    """The message of a permanent failure, which is one line."""
    unit = place.unit("sft", params, **inputs)
    marker = place.train(unit)
    assert (marker.outcome, marker.permanent) == ("error", True), marker
    assert "\n" not in marker.message
    return marker.message


def set_up(folder: Path, model: Path, steps: bool = False, **settings: Any) -> None:
    """What the child does before its first step; with `steps` all of it."""
    method = METHODS["sft"]
    pq.write_table(method.rows([tiny.demonstrations()]), folder / ROWS)
    job = Job(method="sft", model=ModelSource(folder=str(model)), **settings)
    if steps:
        run(job, folder, lambda _: None)
        return
    trainer, rows = build(job, folder)
    method.evidence(trainer, job, rows)


def test_nothing_but_empty_demonstrations(place: Place, base: CommitRef) -> None:
    rows = [{**row, "completion": ""} for row in tiny.demonstrations(2).to_pylist()]
    table = place.commit("empty", {"completions.parquet": records.from_rows(rows, records.COMPLETIONS)})
    assert "all 2 completions are empty" in fails(place, PARAMS, base=base, demonstrations=table)


def test_an_unknown_method(place: Place, base: CommitRef, demonstrations: CommitRef) -> None:
    message = fails(place, {**PARAMS, "method": "ppo"}, base=base, demonstrations=demonstrations)
    assert message == "method 'ppo' is unknown; this trainer has " + ", ".join(METHODS)


def test_a_model_without_a_template(place: Place, demonstrations: CommitRef, tmp_path: Path) -> None:
    base = place.commit_folder("bare", tiny.save_model(tmp_path / "bare", template=None))
    message = fails(place, PARAMS, base=base, demonstrations=demonstrations)
    assert message.startswith("chat_template: the model's tokenizer has none. name one")


def test_an_argument_that_trl_lacks(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"TRL refuses the arguments: .*learning_rat"):
        set_up(tmp_path, tiny.save_model(tmp_path / "model"), args={"learning_rat": 1})


def test_a_template_that_never_ends_a_turn(tmp_path: Path) -> None:
    template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    with pytest.raises(PermanentError, match=r"does not end the assistant's turn with an end token .*\(<eos>\)"):
        set_up(tmp_path, tiny.save_model(tmp_path / "model", template=template))


def test_prompts_longer_than_max_length(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="max_length 2 leaves nothing of any of the 24 rows"):
        set_up(tmp_path, tiny.save_model(tmp_path / "model"), max_length=2)


@pytest.mark.parametrize("harm", ["no weights", "another shape", "no folder"])
def test_a_broken_model_folder(tmp_path: Path, harm: str) -> None:
    folder = tiny.save_model(tmp_path / "model")
    if harm == "no weights":
        (folder / "model.safetensors").write_bytes(b"")
    elif harm == "another shape":
        config = (folder / "config.json").read_text()
        (folder / "config.json").write_text(config.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    else:
        folder = tmp_path / "elsewhere"
    with pytest.raises((PermanentError, BadInput), match=r"cannot be loaded|lacks weights|is missing"):
        set_up(tmp_path, folder)


@pytest.mark.slow
def test_the_whole_trace_is_in_the_log(place: Place, base: CommitRef, demonstrations: CommitRef) -> None:
    unit = place.unit("sft", {**PARAMS, "args": {"optim": "none_such"}}, base=base, demonstrations=demonstrations)
    assert place.train(unit).outcome == "error"
    log = place.log(unit)
    assert "Traceback (most recent call last)" in log and "training_args.py" in log


def test_a_loss_that_is_no_number_ends_a_training_with_the_step_and_what_to_do(
    place: Place, base: CommitRef, demonstrations: CommitRef
) -> None:
    args = {"learning_rate": 1e9, "max_steps": 40, "max_grad_norm": 0, "lr_scheduler_type": "constant", "optim": "sgd"}
    message = fails(place, {**PARAMS, "args": args}, base=base, demonstrations=demonstrations)
    assert re.fullmatch(r"the (loss|norm of the gradient) is (nan|inf) at step \d+: lower learning_rate, .*", message)


def test_a_loss_over_its_bound_ends_a_training(tmp_path: Path) -> None:
    args = {"learning_rate": 3.0, "max_steps": 200, "lr_scheduler_type": "constant"}
    with pytest.raises(AfterStep) as caught:
        set_up(tmp_path, tiny.save_model(tmp_path / "model"), steps=True, args=args, max_loss=6.0)
    failed = describe(caught.value)
    assert (failed.kind, failed.cause) == ("permanent", "loss")
    assert "diverged" in failed.message and f"at step {failed.step}, over 6" in failed.message
    assert not (tmp_path / OUT).exists()


def test_weights_that_blew_up_unseen_are_not_committed(tmp_path: Path) -> None:
    """Where the spec hides what is no number from the log, the weights themselves are looked at."""
    args = {"learning_rate": 1e9, "max_steps": 20, "max_grad_norm": 0, "lr_scheduler_type": "constant", "optim": "sgd"}
    hidden = {"logging_nan_inf_filter": True, "logging_steps": 50}
    with pytest.raises(AfterStep, match="after step 20") as raised:
        set_up(tmp_path, tiny.save_model(tmp_path / "model"), steps=True, args={**args, **hidden})
    assert isinstance(raised.value.__cause__, LossError) and "not finite" in str(raised.value.__cause__)
