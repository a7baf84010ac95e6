"""The training methods. To add one: a file like `dpo.py`, its entry below, `python -m workers.trainer.arguments`."""

from __future__ import annotations

from workers.trainer.methods.base import Method
from workers.trainer.methods.dpo import Dpo
from workers.trainer.methods.sft import Sft

METHODS: dict[str, Method] = {method.name: method for method in (Sft(), Dpo())}
