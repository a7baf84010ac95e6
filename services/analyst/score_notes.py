"""What the reader must know of evaluations that score completions alone."""

from __future__ import annotations

from collections.abc import Iterator

from services.analyst.model import Note
from services.analyst.params import ReportParams
from shared.asking.turns import MT_BENCH
from shared.llm.providers.reward_model import RewardModel
from shared.plan.beside import TEACHER
from shared.protocols.reward_model import Reward
from shared.spec.model import Spec


def score_notes(spec: Spec) -> Iterator[Note]:
    """Arms that were trained to please the very reward model that scores them."""
    for entry, evaluation in spec.evaluations.items():
        if not isinstance(evaluation, Reward):
            continue
        learnt = {name: arm.rl.critic for name, arm in spec.arms.items() if arm.rl and arm.rl.critic}
        pleased = [name for name, critic in learnt.items() if _same(spec, critic, evaluation.model)]
        if pleased:
            yield Note(
                "limit",
                f"{entry}: {evaluation.model} labelled or rewarded what {' and '.join(pleased)} learnt from, and "
                "scores here too. What is trained on a reward model comes to please it more than it gets better (Gao "
                "et al. 2022): for a fair comparison let this line name another one.",
                ("evaluations", entry, "model"),
            )


def turn_notes(params: ReportParams) -> Iterator[Note]:
    """Who is judged beside the recipes and has no second turn."""
    beside = {arm for arm, one in params.arms.items() if one.role == TEACHER}
    for name, evaluation in params.evaluations.items():
        left = [arm for arm in params.arms if arm in beside and (arm, name) not in params.expected]
        if evaluation.protocol == MT_BENCH and left:
            yield Note(
                "data",
                f"{name}: {' and '.join(left)} {'is' if len(left) == 1 else 'are'} not judged: these completions are "
                "of one turn, and the second would have to be written after them.",
                ("evaluations", name.rsplit("@", 1)[0], "protocol"),
            )


def _same(spec: Spec, critic: str, model: str) -> bool:
    """Whether a critic is this reward model, under whatever name, or has it for a member."""
    wanted = spec.models[model].identity()
    parts = [spec.models[name] for name in (critic, *spec.models[critic].parts)]
    return any(isinstance(one, RewardModel) and one.identity() == wanted for one in parts)
