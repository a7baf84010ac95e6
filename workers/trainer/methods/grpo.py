"""Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300) and RLOO (Ahmadian et al. 2024, arXiv
2402.14740): several completions of a prompt are rewarded, and each is compared with the others.

With a beta above 0 the reference is the start: TRL reads it anew from where the policy came from, and before the first
step its weights are compared with the policy's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from workers.trainer.job import Job
from workers.trainer.methods.on_policy import OWNED, OnPolicy, size
from workers.trainer.methods.owned import REFERENCE

SHARING = frozenset({"generation_batch_size", "num_generations_eval", "num_iterations", "steps_per_generation"})
"""What would let several steps share completions."""
BATCHING = frozenset(
    {"transformers_continuous_batching_config", "use_transformers_continuous_batching", "use_transformers_paged"}
)
GROUPED = OWNED | SHARING | BATCHING | {"log_multimodal", "reward_weights"} | REFERENCE


class Grpo(OnPolicy):
    """TRL's GRPOTrainer, with one reward."""

    name: ClassVar[str] = "grpo"
    config: ClassVar[str] = "GRPOConfig"
    trainer: ClassVar[str] = "GRPOTrainer"
    owned: ClassVar[frozenset[str]] = GROUPED | {
        "log_completions_hub_repo",
        "max_tool_calling_iterations",
        "multi_objective_aggregation",
    }
    group: ClassVar[int] = 8
    """TRL's own num_generations."""

    def companions(self, model: Any, tokenizer: Any, job: Job) -> dict[str, Any]:
        from workers.trainer import rewards

        return {"reward_funcs": rewards.reward_of(job)}

    def prompts_a_step(self, job: Job) -> int:
        return super().prompts_a_step(job) // int(job.args.get("num_generations", self.group))

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import reference

        proof = {} if trainer.ref_model is None else reference.prove_weights(trainer, self.name.upper())
        return {**super().evidence(trainer, job, rows), **proof}

    def other_passes(self, trainer: Any) -> float:
        reward: float = trainer.reward_funcs[0].size / size(trainer.model)
        return (1.0 if trainer.beta else 0.0) + reward


class Rloo(Grpo):
    """TRL's RLOOTrainer."""

    name: ClassVar[str] = "rloo"
    config: ClassVar[str] = "RLOOConfig"
    trainer: ClassVar[str] = "RLOOTrainer"
    owned: ClassVar[frozenset[str]] = GROUPED
    group: ClassVar[int] = 2
