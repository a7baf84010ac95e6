"""Methods of an arm's RL step, as far as a spec and the plan must know them; `workers/trainer/methods` trains.

To add one: a file here, one of the same name there, a line in both registries, `python -m workers.trainer.arguments`.
"""

from __future__ import annotations

from shared.methods.base import SHARED_REFERENCE, Preference
from shared.methods.cpo import CPO, SIMPO
from shared.methods.distill import DISTILL
from shared.methods.dpo import DPO
from shared.methods.grpo import GRPO, RLOO
from shared.methods.kto import KTO
from shared.methods.online_dpo import ONLINE_DPO
from shared.methods.orpo import ORPO

PREFERENCES: dict[str, Preference] = {
    method.name: method for method in (DPO, KTO, ORPO, CPO, SIMPO, GRPO, RLOO, ONLINE_DPO, DISTILL)
}

__all__ = ["PREFERENCES", "SHARED_REFERENCE", "Preference"]
