"""Online DPO (Guo et al. 2024, arXiv 2402.04792): two completions of a prompt are sampled at every step, and the one
that is rewarded higher is the chosen one of a DPO pair.

The reference is a copy of the start, or with LoRA the start beneath the adapters. Where two rewards are equal TRL takes
the first completion for the better one: `rewards/tied`, in the curve, is the share of such pairs.
"""

from __future__ import annotations

from typing import Any, ClassVar

from workers.trainer.job import Job
from workers.trainer.methods.on_policy import OnPolicy, size

UNCUT = 2**31 - 1


class OnlineDpo(OnPolicy):
    """TRL's OnlineDPOTrainer, with one reward."""

    name: ClassVar[str] = "online_dpo"
    module: ClassVar[str] = "trl.experimental.online_dpo"
    config: ClassVar[str] = "OnlineDPOConfig"
    trainer: ClassVar[str] = "OnlineDPOTrainer"
    owned: ClassVar[frozenset[str]] = frozenset(
        {
            "beta",
            "cache_implementation",
            "generation_kwargs",
            "max_new_tokens",
            "reward_model_path",
            "reward_weights",
            "temperature",
            "top_p",
            "train_sampling_strategy",
            "use_vllm",
        }
    )

    def companions(self, model: Any, tokenizer: Any, job: Job) -> dict[str, Any]:
        from workers.trainer import rewards

        return {"reward_funcs": rewards.reward_of(job)}

    def arguments(self, job: Job) -> dict[str, Any]:
        given = super().arguments(job)
        longest = given.pop("max_completion_length")
        # Prompts without room for that many were left out, so nothing is ever cut.
        return {**given, "max_new_tokens": longest, "max_length": UNCUT}

    def changed(self, trainer: Any) -> Any:
        """With the mean of an accumulation's gradients, as other trainers take it, where this one adds them up."""
        _take_the_mean(trainer)
        _count_tokens(trainer)
        _watch_rewards(trainer)
        return trainer

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import reference

        proof = {} if trainer.ref_model is None else reference.prove_weights(trainer, "Online DPO")
        return {**super().evidence(trainer, job, rows), **proof}

    def other_passes(self, trainer: Any) -> float:
        reward: float = trainer.reward_funcs[0].size / size(trainer.model)
        return 1.0 + reward


def _take_the_mean(trainer: Any) -> None:
    backward = trainer.accelerator.backward

    def divided(loss: Any, **more: Any) -> None:
        backward(loss / trainer.current_gradient_accumulation_steps, **more)

    trainer.accelerator.backward = divided


def _count_tokens(trainer: Any) -> None:
    generate = trainer._generate

    def counted(*given: Any) -> Any:
        made = generate(*given)
        _, prompt_mask, _, completion_mask, _ = made
        seen = trainer.accelerator.gather(prompt_mask.sum() + completion_mask.sum()).sum().item()
        # Of the trainer's state, which checkpoints keep. TRL logs each list's mean: this one has one entry.
        trainer.state.num_input_tokens_seen += seen
        trainer.stats["num_tokens"] = [trainer.state.num_input_tokens_seen]
        return made

    trainer._generate = counted


def _watch_rewards(trainer: Any) -> None:
    rewarded = trainer._calculate_rewards_from_functions

    def watched(**given: Any) -> Any:
        rewards = rewarded(**given)
        first, second = rewards.chunk(2)
        for name, values in {"reward": rewards, "rewards/tied": (first == second).float()}.items():
            mean = trainer.accelerator.gather(values.mean()).mean().item()
            trainer.stats.setdefault(name, []).append(mean)
        return rewards

    trainer._calculate_rewards_from_functions = watched
