"""Methods that sample in training: rewarded by a check or a trained reward model, or guided by a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from shared.errors import PermanentError
from shared.methods.grpo import LEVELS
from shared.trl import trl_arguments
from tests.integration.trainer import tiny
from workers.trainer.job import CHECKPOINTS, OUT, ROWS, Grader, Job, ModelSource, Sampling
from workers.trainer.messages import Message, Progress
from workers.trainer.methods import METHODS
from workers.trainer.methods.distill import Distill
from workers.trainer.methods.reward import held_out
from workers.trainer.rewards import reward_of
from workers.trainer.training import build, run

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

CHECK = Grader(check="regex", pattern="red|green")
GRPO_LOSSES = trl_arguments()["methods"]["grpo"]["choices"]["loss_type"]


def prompts(count: int = 12) -> pa.Table:
    rows = [{"prompt_id": f"p{index}", "prompt": f"say {tiny.THINGS[index % 9]}"} for index in range(count)]
    return pa.Table.from_pylist(rows)


def job_in(folder: Path, method: str, **more: Any) -> Job:
    """Two steps of a method that samples, from a start of its own."""
    start = tiny.save_model(folder / "start", seed=7)
    pq.write_table(METHODS[method].rows([prompts()]), folder / ROWS)
    args = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-2, **more.pop("args", {})}
    given: dict[str, Any] = {"grader": CHECK, "sampling": Sampling(max_tokens=5), "seed": 3, "max_length": 32, **more}
    if method in {"grpo", "rloo"}:
        args = {"num_generations": 4, **args}
    return Job(method=method, args=args, model=ModelSource(folder=str(start)), **given)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    return found


def changed(folder: Path) -> bool:
    before, after = weights(folder / "start"), weights(folder / OUT)
    return any(not torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_two_steps_by_a_check(tmp_path: Path, method: str) -> None:
    said: list[Message] = []
    metrics = run(job_in(tmp_path, method, beta=0.1), tmp_path, said.append)
    assert metrics["steps"] == 2 and changed(tmp_path)
    assert (metrics["examples"], metrics["pairs"], metrics["dropped"]) == (12, 0, 0)
    assert metrics["reference"]["weights_checked"] > 0
    # Sampling and the reference: two forward passes; four tokens of prompt and at most five of completion.
    assert metrics["forward_passes"] == {"once": 0.0, "every_epoch": 2.0}
    assert 2 * 4 * 5 <= metrics["tokens"] <= 2 * 4 * 9
    rows = [item.row for item in said if isinstance(item, Progress) and item.row]
    assert len(rows) == 2 and all("rewards/check/mean" in row for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("loss", GRPO_LOSSES)
def test_two_steps_of_every_loss_of_grpo(tmp_path: Path, loss: str) -> None:
    args = {"loss_type": loss, **({"importance_sampling_level": LEVELS[loss]} if loss in LEVELS else {})}
    metrics = run(job_in(tmp_path, "grpo", beta=0.0, args=args), tmp_path, lambda _: None)
    assert metrics["steps"] == 2 and "reference" not in metrics
    assert metrics["forward_passes"]["every_epoch"] == 1.0


def test_another_reference_than_the_start_is_found_out(tmp_path: Path) -> None:
    job = job_in(tmp_path, "grpo", beta=0.1)
    trainer, rows = build(job, tmp_path)
    trainer.ref_model.load_state_dict(weights(tiny.save_model(tmp_path / "other", seed=8)))
    with pytest.raises(PermanentError, match="GRPO's reference is not the start"):
        METHODS["grpo"].evidence(trainer, job, rows)


def test_a_check_is_given_the_right_answer_of_each_prompt(tmp_path: Path) -> None:
    reward = reward_of(Job(method="grpo", grader=Grader(check="exact")))
    asked = [[{"role": "user", "content": "say red"}]] * 2
    made = [[{"role": "assistant", "content": text}] for text in (" red ", "green")]
    assert reward(asked, made, answer=["red", "red"]) == [1.0, 0.0]
    assert reward_of(Job(method="grpo", grader=CHECK))(asked, made) == [1.0, 1.0]


@pytest.mark.slow
def test_grpo_learns_what_a_check_wants(tmp_path: Path) -> None:
    """From a start that says anything to one that says what the pattern looks for."""
    args = {"max_steps": 30, "per_device_train_batch_size": 32, "num_generations": 8, "learning_rate": 3e-3}
    said: list[Message] = []
    job = job_in(tmp_path, "grpo", beta=0.0, grader=Grader(check="regex", pattern="^(?!.*red)"), args=args)
    run(job, tmp_path, said.append)
    rewards = [item.row["rewards/check/mean"] for item in said if isinstance(item, Progress) and item.row]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.05


def test_two_steps_of_distillation_from_a_teacher(tmp_path: Path) -> None:
    teacher = ModelSource(folder=str(tiny.save_model(tmp_path / "teacher", seed=8)))
    metrics = run(job_in(tmp_path, "distill", beta=1.0, teacher=teacher, grader=None), tmp_path, lambda _: None)
    assert metrics["steps"] == 2 and changed(tmp_path)
    assert metrics["forward_passes"] == {"once": 0.0, "every_epoch": 2.0}
    assert (metrics["examples"], metrics["pairs"]) == (12, 0)


@pytest.mark.slow
def test_a_distillation_comes_nearer_to_its_teacher(tmp_path: Path) -> None:
    teacher = ModelSource(folder=str(tiny.save_model(tmp_path / "teacher", seed=8)))
    args = {"max_steps": 40, "per_device_train_batch_size": 8, "learning_rate": 3e-3}
    said: list[Message] = []
    run(job_in(tmp_path, "distill", beta=0.0, teacher=teacher, grader=None, args=args), tmp_path, said.append)
    losses = [item.row["loss"] for item in said if isinstance(item, Progress) and item.row]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_a_teacher_of_another_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(tiny, "WORDS", [*reversed(tiny.WORDS)])
        teacher = ModelSource(folder=str(tiny.save_model(tmp_path / "teacher", seed=8)))
    with pytest.raises(PermanentError, match=r"rl\.teacher: its tokenizer has other tokens"):
        build(job_in(tmp_path, "distill", beta=1.0, teacher=teacher, grader=None), tmp_path)


def test_a_trl_without_distillation_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Distill, "trainer", "DistillationTrainerOfAnotherDay")
    with pytest.raises(PermanentError, match=r"rl.method distill: the installed TRL .* has no Distillation"):
        METHODS["distill"].classes()


def test_prompts_without_room_for_a_completion_are_left_out(tmp_path: Path) -> None:
    job = job_in(tmp_path, "rloo", beta=0.0, max_length=9)
    rows = prompts(12).to_pylist()
    rows[0]["prompt"] = "say a b c"
    pq.write_table(METHODS["rloo"].rows([pa.Table.from_pylist(rows)]), tmp_path / ROWS)
    trainer, rows_given = build(job, tmp_path)
    assert METHODS["rloo"].evidence(trainer, job, rows_given)["dropped"] == 1
    with pytest.raises(PermanentError, match="leave room for max_tokens 5 within 8"):
        build(job.model_copy(update={"max_length": 8}), tmp_path)


def reward_job(folder: Path, **more: Any) -> Job:
    start = tiny.save_model(folder / "start", seed=7)
    pq.write_table(METHODS["reward"].rows([tiny.preferences(60)]), folder / ROWS)
    args = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-2, **more.pop("args", {})}
    return Job(method="reward", args=args, model=ModelSource(folder=str(start)), seed=3, holdout=0.25, **more)


def test_a_reward_model_is_measured_on_pairs_that_it_did_not_see(tmp_path: Path) -> None:
    args = {"max_steps": -1, "num_train_epochs": 3}
    metrics = run(reward_job(tmp_path, max_length=32, args=args), tmp_path, lambda _: None)
    # Nine different prompts, of which two are held out with all of their pairs.
    assert metrics["held_out"]["prompts"] == 2 and metrics["held_out"]["pairs"] + metrics["examples"] == 50
    assert metrics["held_out"]["accuracy"] > 0.9, "chosen ones end in `a`, rejected ones in `b c`"
    assert metrics["pairs"] == metrics["examples"]
    model, loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / OUT, output_loading_info=True)
    assert not loaded["missing_keys"] and model.config.num_labels == 1 and "score.weight" in model.state_dict()


@pytest.mark.slow
def test_a_reward_model_with_adapters_is_whole_and_the_same_again(tmp_path: Path) -> None:
    lora: Any = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear"}
    found, kept = [], []
    for name in ("one", "two"):
        job = reward_job(tmp_path / name, lora=lora)
        run(job, tmp_path / name, lambda _: None)
        assert not list((tmp_path / name / OUT).glob("adapter_*"))
        kept.append({path.name: path.read_bytes() for path in (tmp_path / name / OUT / "adapter").iterdir()})
        found.append(AutoModelForSequenceClassification.from_pretrained(tmp_path / name / OUT).state_dict())
    assert found[0].keys() == found[1].keys() and kept[0] == kept[1] and len(kept[0]) == 2
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_held_out_prompts_are_chosen_by_their_hashes_and_leave_some() -> None:
    names = [f"prompt {number}" for number in range(10)]
    assert held_out(names, 0.3) == held_out([*reversed(names), *names], 0.3) and len(held_out(names, 0.3)) == 3
    assert len(held_out(names[:2], 0.9)) == 1
    with pytest.raises(PermanentError, match="of one prompt"):
        held_out(names[:1] * 5, 0.5)


@pytest.mark.slow
def test_a_trained_reward_model_rewards_and_a_language_model_is_refused(tmp_path: Path) -> None:
    run(reward_job(tmp_path / "reward", args={"max_steps": 30}), tmp_path / "reward", lambda _: None)
    grader = Grader(model=ModelSource(folder=str(tmp_path / "reward" / OUT)))
    reward = reward_of(Job(method="grpo", grader=grader))
    asked = [[{"role": "user", "content": "say red"}]] * 2
    good, bad = reward(asked, [[{"role": "assistant", "content": text}] for text in ("red a", "green b c")])
    assert good > bad
    metrics = run(job_in(tmp_path, "rloo", beta=0.0, grader=grader), tmp_path, lambda _: None)
    # Sampling, and a reward model of nearly the policy's size.
    assert 1.8 < metrics["forward_passes"]["every_epoch"] < 2.2
    with pytest.raises(PermanentError, match=r"is no reward model: it lacks score\.weight"):
        reward_of(Job(method="grpo", grader=Grader(model=ModelSource(folder=str(tmp_path / "start")))))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "online_dpo", "distill"])
@pytest.mark.parametrize("stop", [2, 5], ids=["in the first epoch", "in the second epoch"])
def test_it_goes_on_from_a_checkpoint_as_if_undisturbed(tmp_path: Path, method: str, stop: int) -> None:
    """Bit for bit, prompts and samples included: three steps an epoch, with accumulation."""
    teacher = ModelSource(folder=str(tiny.save_model(tmp_path / "teacher", seed=8)))
    more: dict[str, Any] = {"teacher": teacher, "beta": 0.5} if method == "distill" else {"beta": 0.1}
    args = {"max_steps": 8, "gradient_accumulation_steps": 4 if method == "grpo" else 1}
    folder = tmp_path / "whole"
    folder.mkdir()
    job = job_in(folder, method, **more, args=args)
    trainer, _ = build(job, folder)
    trainer.args.save_strategy, trainer.args.save_steps = "steps", stop
    trainer.train()
    resumed = build(job, folder)[0]
    resumed.train(resume_from_checkpoint=str(folder / CHECKPOINTS / f"checkpoint-{stop}"))
    own, other = trainer.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in own.items())
    logged = [[row["num_tokens"] for row in one.state.log_history if "num_tokens" in row] for one in (trainer, resumed)]
    assert logged[0] == logged[1] and len(logged[0]) == 8
