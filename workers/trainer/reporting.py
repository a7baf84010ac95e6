"""Who else is told of a training, through TRL's `report_to`. The operator's environment says where they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from shared.errors import PermanentError

PACKAGES = {"mlflow": ("mlflow",), "wandb": ("wandb",), "tensorboard": ("tensorboard", "tensorboardX")}
"""The packages of each, any of which will do."""
NEEDED = {
    "mlflow": ("MLFLOW_TRACKING_URI",),
    "wandb": ("WANDB_API_KEY", "WANDB_MODE"),
}
"""Environment variables without which its rows would go nowhere, any of which will do."""


def prepare(told: Sequence[str], logs: Path | None, folder: Path) -> None:
    """Check that everybody who is to be told can be, and that none of their files land beside Touchstone's own.

    Args:
        logs: where TensorBoard's files stay.
        folder: where what else is written is removed after the training.

    Raises:
        PermanentError: a package or an address is missing.
    """
    for name in told:
        if not any(find_spec(package) for package in PACKAGES[name]):
            raise PermanentError(
                f"report_to: {name} is not installed on this trainer; there, `pip install {PACKAGES[name][0]}`, or "
                f"remove {name} from report_to"
            )
        needed = NEEDED.get(name, ())
        if needed and not any(os.environ.get(variable) for variable in needed):
            raise PermanentError(
                f"report_to: {name} needs {' or '.join(needed)} in the trainer's environment; set it there, or remove "
                f"{name} from report_to"
            )
    if "tensorboard" in told and logs is not None:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(logs)
    if "wandb" in told:
        os.environ.setdefault("WANDB_DIR", str(folder))
