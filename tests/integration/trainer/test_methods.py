"""Every method on pairs and every loss that TRL has for it trains the tiny model, from its own start."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.errors import PermanentError
from shared.methods import PREFERENCES
from shared.trl import trl_arguments
from tests.integration.trainer import tiny
from tests.integration.trainer.test_reference import log_probability
from workers.trainer.arguments import describe
from workers.trainer.job import OUT, ROWS, Job, ModelSource
from workers.trainer.messages import Message, Progress
from workers.trainer.methods import METHODS
from workers.trainer.methods.orpo import Orpo
from workers.trainer.training import build, run

# TRL asks models for what transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

LOSSES = [
    (name, loss)
    for name, method in PREFERENCES.items()
    if method.guide == "pairs"
    for loss in trl_arguments()["methods"][name]["choices"].get("loss_type", [None])
]
NEEDED: dict[str | None, dict[str, Any]] = {"exo_pair": {"label_smoothing": 0.001}}


def job_in(folder: Path, method: str, loss: str | None = None, **more: Any) -> Job:
    """Two steps of a method on the tiny pairs, from a start of its own."""
    start = tiny.save_model(folder / "start", seed=7)
    pq.write_table(METHODS[method].rows([tiny.preferences()]), folder / ROWS)
    args = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-2, **NEEDED.get(loss, {})}
    args |= PREFERENCES[method].loss_arguments(loss) | more.pop("args", {})
    given = {"beta": PREFERENCES[method].beta, "max_length": 32, "seed": 3, **more}
    return Job(method=method, args=args, model=ModelSource(folder=str(start)), **given)


@pytest.mark.parametrize(("method", "loss"), LOSSES, ids=lambda value: str(value))
def test_two_steps_of_every_loss(tmp_path: Path, method: str, loss: str | None) -> None:
    said: list[Message] = []
    metrics = run(job_in(tmp_path, method, loss), tmp_path, said.append)
    assert metrics["steps"] == 2
    losses = [item.row["loss"] for item in said if isinstance(item, Progress) and item.row]
    assert len(losses) == 2 and all(abs(one) < 1e4 for one in losses)
    before, after = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("start", OUT))
    assert any(not torch.equal(after[name], before[name]) for name in before)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "beta"), [("sigmoid", 0.1), ("ipo", 0.1), ("apo_zero", 0.1)])
def test_a_whole_run_learns_which_completion_is_the_better_one(tmp_path: Path, loss: str, beta: float) -> None:
    args = {"max_steps": -1, "num_train_epochs": 12, "learning_rate": 3e-3}
    metrics = run(job_in(tmp_path, "dpo", loss, args=args, beta=beta), tmp_path, lambda _: None)
    assert (metrics["steps"], metrics["epochs"]) == (60, 12.0)
    curve = pq.read_table(tmp_path / OUT / "loss.parquet")
    assert metrics["final_loss"] < 0.8 * curve["loss"][0].as_py()
    assert curve["rewards/accuracies"][-1].as_py() == 1.0 and curve["rewards/margins"][-1].as_py() > 0
    for row in METHODS["dpo"].rows([tiny.preferences()]).to_pylist()[:6]:
        moved = {
            name: log_probability(tmp_path / OUT, row["prompt"], row[name])
            - log_probability(tmp_path / "start", row["prompt"], row[name])
            for name in ("chosen", "rejected")
        }
        assert moved["chosen"] > moved["rejected"]


def test_the_losses_of_a_spec_are_those_that_trl_compares_with() -> None:
    from trl import DPOTrainer, KTOTrainer

    for name, trainer in (("dpo", DPOTrainer), ("kto", KTOTrainer)):
        code = inspect.getsource(trainer._compute_loss)
        compared = set(re.findall(r'loss_type == "(\w+)"', code))
        assert compared == set(trl_arguments()["methods"][name]["choices"]["loss_type"])


def test_what_a_spec_knows_of_methods_is_what_the_trainer_has() -> None:
    assert set(PREFERENCES) == set(METHODS) - {"sft", "reward"}
    for name, method in PREFERENCES.items():
        takes_a_loss = "loss_type" in trl_arguments()["methods"][name]["arguments"]
        assert (method.losses != "none") == takes_a_loss, name


def test_two_losses_at_once(tmp_path: Path) -> None:
    args = {"loss_type": ["sigmoid", "sft"], "loss_weights": [0.8, 0.2]}
    assert run(job_in(tmp_path, "dpo", args=args), tmp_path, lambda _: None)["steps"] == 2


def test_kto_sees_good_and_bad_ones_in_an_order_that_the_seed_gives(tmp_path: Path) -> None:
    orders = []
    for seed in (3, 3, 4):
        trainer, rows = build(job_in(tmp_path, "kto", seed=seed), tmp_path)
        assert len(rows) == len(trainer.train_dataset) == 40
        orders.append([row["prompt_ids"] + row["completion_ids"] for row in trainer.train_dataset])
        assert 1 < sum(trainer.train_dataset["label"][:20]) < 19
    assert orders[0] == orders[1] != orders[2]


def test_ktos_reference_is_the_start(tmp_path: Path) -> None:
    job = job_in(tmp_path, "kto")
    trainer, rows = build(job, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "start")
    for row in trainer.train_dataset.select(range(6)):
        prompt, completion = (tokenizer.decode(row[f"{name}_ids"]) for name in ("prompt", "completion"))
        said = [" ".join(word for word in text.split() if word in tiny.WORDS) for text in (prompt, completion)]
        assert row["ref_logps"] == pytest.approx(log_probability(tmp_path / "start", *said), abs=1e-4)
    evidence = METHODS["kto"].evidence(trainer, job, rows)
    assert (evidence["examples"], evidence["pairs"], evidence["dropped"]) == (40, 20, 0)
    assert evidence["reference"]["rows_checked"] == 4 and evidence["reference"]["largest_difference"] < 1e-4
    other = tiny.save_model(tmp_path / "other", seed=8)
    trainer.model.load_state_dict(AutoModelForCausalLM.from_pretrained(other).state_dict())
    with pytest.raises(PermanentError, match="KTO's reference is not the start"):
        METHODS["kto"].evidence(trainer, job, rows)


@pytest.mark.parametrize("method", ["orpo", "cpo", "simpo"])
def test_a_method_without_a_reference_counts_its_tokens(tmp_path: Path, method: str) -> None:
    job = job_in(tmp_path, method, args={"max_steps": -1, "num_train_epochs": 2})
    metrics = run(job, tmp_path, lambda _: None)
    # Twice a prompt of two words and two markers, an answer of two words and one of three, and their ends.
    assert metrics["tokens"] == 2 * 20 * (4 + 4 + 4 + 3)
    assert (metrics["examples"], metrics["truncated"], metrics["dropped"]) == (20, 0, 0)
    assert metrics["forward_passes"] == {"once": 0.0, "every_epoch": 0.0} and "reference" not in metrics


def test_a_tokenizer_s_begin_token_goes_before_no_prompt_and_is_kept(tmp_path: Path) -> None:
    job = job_in(tmp_path, "orpo")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "start")
    tokenizer.bos_token = "<unk>"
    tokenizer.save_pretrained(tmp_path / "start")
    trainer, rows = build(job, tmp_path)
    begin = tokenizer.convert_tokens_to_ids("<unk>")
    assert all(begin not in row["chosen_input_ids"] for row in trainer.train_dataset)
    assert METHODS["orpo"].evidence(trainer, job, rows)["examples"] == 20
    assert trainer.processing_class.bos_token == "<unk>"


def test_prompts_that_fill_the_length_are_left_out_of_orpo(tmp_path: Path) -> None:
    job = job_in(tmp_path, "orpo", max_length=7)
    pq.write_table(pq.read_table(tmp_path / ROWS).slice(0, 4), tmp_path / ROWS)
    long = pq.read_table(tmp_path / ROWS).to_pylist()
    long[0]["prompt"] = "say a b c d e f"
    pq.write_table(pa.Table.from_pylist(long), tmp_path / ROWS)
    metrics = run(job, tmp_path, lambda _: None)
    assert (metrics["examples"], metrics["dropped"]) == (3, 1)


def test_an_experimental_method_that_this_trl_lacks_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Orpo, "module", "trl.experimental.orpo_of_another_day")
    with pytest.raises(PermanentError, match=r"rl.method orpo: the installed TRL .* has no ORPOTrainer"):
        METHODS["orpo"].classes()
    assert "orpo" not in describe()["methods"] and "cpo" in describe()["methods"]
