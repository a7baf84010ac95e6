"""Online DPO: what TRL's experimental trainer is made to do besides, and what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from shared.errors import PermanentError
from tests.integration.trainer.test_guided_methods import changed, job_in
from workers.trainer.job import OUT, Grader, Lora
from workers.trainer.messages import Message, Progress
from workers.trainer.methods import METHODS
from workers.trainer.methods.online_dpo import OnlineDpo
from workers.trainer.training import build, run

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


def test_two_steps_by_a_check(tmp_path: Path) -> None:
    said: list[Message] = []
    metrics = run(job_in(tmp_path, "online_dpo", beta=0.1), tmp_path, said.append)
    assert metrics["steps"] == 2 and changed(tmp_path)
    assert (metrics["examples"], metrics["pairs"], metrics["dropped"]) == (12, 0, 0)
    assert metrics["reference"]["weights_checked"] > 0
    # Sampling and the reference: two forward passes; twice four tokens of prompt and at most five of completion.
    assert metrics["forward_passes"] == {"once": 0.0, "every_epoch": 2.0}
    assert 2 * 8 * 5 <= metrics["tokens"] <= 2 * 8 * 9
    rows = [item.row for item in said if isinstance(item, Progress) and item.row]
    # The check rewards by 1 or 0: pairs differ by 1 where they are no tie.
    assert all(row["rewards/tied"] + row["objective/scores_margin"] == pytest.approx(1) for row in rows)
    assert [row["num_tokens"] for row in rows][-1] == metrics["tokens"]


def stepped(folder: Path, **args: Any) -> dict[str, torch.Tensor]:
    """The weights after a step of plain descent on completions that are given and not sampled."""
    plain = {"max_steps": 1, "optim": "sgd", "max_grad_norm": 0.0, "learning_rate": 1.0, "warmup_steps": 0}
    trainer, _ = build(job_in(folder, "online_dpo", beta=1.0, args={**plain, **args}), folder)
    sampled = type(trainer)._generate

    def given(model: Any, prompts: Any, images: Any = None) -> Any:
        """Of every prompt the same two, whatever the batch."""
        ids, mask, _, _, more = sampled(trainer, model, prompts, images)
        made = [[2 + place, 3 + len(prompt[0]["content"]) % 5] for place in (4, 9) for prompt in prompts]
        return ids, mask, torch.tensor(made), torch.ones(len(made), 2, dtype=torch.long), more

    trainer._generate = given
    trainer.train()
    found: dict[str, torch.Tensor] = trainer.model.state_dict()
    return found


@pytest.mark.slow
def test_an_accumulated_step_is_the_step_of_the_whole_batch(tmp_path: Path) -> None:
    """TRL's own would go twice as far."""
    for name in ("whole", "halves"):
        (tmp_path / name).mkdir()
    whole = stepped(tmp_path / "whole", per_device_train_batch_size=4)
    halves = stepped(tmp_path / "halves", per_device_train_batch_size=2, gradient_accumulation_steps=2)
    for name, value in whole.items():
        assert torch.allclose(value, halves[name], atol=1e-5), name
    start = build(job_in(tmp_path, "online_dpo", beta=1.0), tmp_path)[0].model.state_dict()
    assert max(float((value - start[name]).abs().max()) for name, value in whole.items()) > 1e-3


def test_another_reference_than_the_start_is_found_out(tmp_path: Path) -> None:
    job = job_in(tmp_path, "online_dpo", beta=0.1)
    trainer, rows = build(job, tmp_path)
    with torch.no_grad():
        next(trainer.ref_model.parameters()).add_(1.0)
    with pytest.raises(PermanentError, match="Online DPO's reference is not the start"):
        METHODS["online_dpo"].evidence(trainer, job, rows)


def test_a_trl_without_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnlineDpo, "module", "trl.experimental.online_dpo_of_another_day")
    with pytest.raises(PermanentError, match=r"rl.method online_dpo: the installed TRL .* has no OnlineDPOTrainer"):
        METHODS["online_dpo"].classes()


@pytest.mark.slow
def test_it_learns_what_a_check_wants(tmp_path: Path) -> None:
    args = {"max_steps": 30, "per_device_train_batch_size": 12, "learning_rate": 3e-3}
    said: list[Message] = []
    job = job_in(tmp_path, "online_dpo", beta=0.1, grader=Grader(check="regex", pattern="^(?!.*red)"), args=args)
    run(job, tmp_path, said.append)
    rewards = [item.row["reward"] for item in said if isinstance(item, Progress) and item.row]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["sigmoid", "ipo"])
def test_adapters_are_trained_by_either_loss_against_the_start_beneath_them(tmp_path: Path, loss: str) -> None:
    job = job_in(tmp_path, "online_dpo", beta=0.1, lora=Lora(r=4), args={"loss_type": loss})
    metrics = run(job, tmp_path, lambda _: None)
    assert metrics["steps"] == 2 and "reference" not in metrics and changed(tmp_path)
    assert (tmp_path / OUT / "model.safetensors").exists()
