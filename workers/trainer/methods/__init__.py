"""The training methods. To add one: a file like `dpo.py`, its entry below, `python -m workers.trainer.arguments`.

What a spec must know of the method of an RL step besides TRL's arguments is in `shared/methods`.
"""

from __future__ import annotations

from workers.trainer.methods.base import Method
from workers.trainer.methods.cpo import Cpo, Simpo
from workers.trainer.methods.distill import Distill
from workers.trainer.methods.dpo import Dpo
from workers.trainer.methods.grpo import Grpo, Rloo
from workers.trainer.methods.kto import Kto
from workers.trainer.methods.online_dpo import OnlineDpo
from workers.trainer.methods.orpo import Orpo
from workers.trainer.methods.reward import Reward
from workers.trainer.methods.sft import Sft

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Sft(), Dpo(), Kto(), Orpo(), Cpo(), Simpo(), Grpo(), Rloo(), OnlineDpo(), Distill(), Reward()
    )
}  # fmt: skip
