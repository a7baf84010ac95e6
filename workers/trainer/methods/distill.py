"""On-policy distillation (Agarwal et al. 2024, arXiv 2306.13649): the policy samples, and learns a teacher's
distribution of each next token of what it sampled."""

from __future__ import annotations

from typing import Any, ClassVar

from shared.errors import PermanentError
from workers.trainer.job import Job
from workers.trainer.methods.on_policy import OnPolicy, size


class Distill(OnPolicy):
    """TRL's DistillationTrainer; beta is the divergence's: 0 forward KL, 1 reverse KL."""

    name: ClassVar[str] = "distill"
    config: ClassVar[str] = "DistillationConfig"
    trainer: ClassVar[str] = "DistillationTrainer"
    owned: ClassVar[frozenset[str]] = OnPolicy.owned | {
        "max_tool_calling_iterations",
        "teacher_model_init_kwargs",
        "teacher_model_name_or_path",
        "teacher_model_revision",
    }

    def companions(self, model: Any, tokenizer: Any, job: Job) -> dict[str, Any]:
        from workers.trainer import loading

        teacher, words = loading.load_teacher(job)
        mine, theirs = tokenizer.get_vocab(), words.get_vocab()
        if mine != theirs:
            apart = len(set(mine.items()) ^ set(theirs.items()))
            raise PermanentError(
                f"rl.teacher: its tokenizer has other tokens than the policy's ({len(theirs)} and {len(mine)}, "
                f"{apart} entries are not the same), and distillation compares probabilities token by token; name a "
                "teacher of the policy's own tokenizer"
            )
        sizes = [one.config.get_text_config().vocab_size for one in (teacher, model)]
        if sizes[0] != sizes[1]:
            raise PermanentError(
                f"rl.teacher: it gives probabilities of {sizes[0]} tokens and the policy of {sizes[1]}; name a teacher "
                "of the policy's own vocabulary"
            )
        return {"teacher_model": teacher.requires_grad_(False)}

    def other_passes(self, trainer: Any) -> float:
        return size(trainer.teacher_model) / size(trainer.model)
