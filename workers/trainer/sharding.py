"""A model that no rank holds whole while it is trained: PyTorch's FSDP2, or DeepSpeed's ZeRO.

Both by TRL's own arguments, so that what was set is in the stage's `trl_config.json`. Checkpoints of FSDP are whole
(rank 0 gathers them), so that they are plain files and do not depend on the number of ranks; DeepSpeed's are a file a
rank. The results are always whole, and those of a model that was trained on one GPU.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from accelerate.utils.fsdp_utils import fsdp2_prepare_model

from shared.errors import PermanentError
from workers.trainer.job import Job
from workers.trainer.loading import load_whole

FSDP: dict[str, Any] = {
    "version": 2,
    "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "reshard_after_forward": True,
    "state_dict_type": "FULL_STATE_DICT",
    "cpu_ram_efficient_loading": False,
}
AUTO = "auto"


def prepare(job: Job) -> None:
    """Called before anything of a training is made.

    Raises:
        PermanentError: the strategy needs GPUs, and there is none.
    """
    if job.strategy == "deepspeed" and not torch.cuda.is_available():
        raise PermanentError(
            "hardware.strategy: deepspeed needs GPUs here, and this trainer has none; write `strategy: fsdp`"
        )
    if job.strategy == "fsdp":
        # Which of torch's communication backends there will be is decided before TRL's arguments are read.
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_STATE_DICT_TYPE": FSDP["state_dict_type"]}
        if not torch.cuda.is_available():
            _shard_on_cpu()


def arguments(job: Job) -> dict[str, Any]:
    """What a strategy sets of TRL's configuration."""
    if job.strategy == "fsdp":
        return {"fsdp": True, "fsdp_config": dict(FSDP)}
    if job.strategy == "deepspeed":
        return {"deepspeed": zero(job)}
    return {}


def zero(job: Job) -> dict[str, Any]:
    """DeepSpeed's settings: what is `auto` it is told by transformers, from TRL's arguments."""
    return {
        "zero_optimization": {"stage": job.zero_stage, "overlap_comm": True, "contiguous_gradients": True},
        "bf16": {"enabled": AUTO},
        "gradient_clipping": AUTO,
        "gradient_accumulation_steps": AUTO,
        "train_micro_batch_size_per_gpu": AUTO,
        "train_batch_size": AUTO,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 2**31,
    }


def in_precision(config: Any, job: Job) -> None:
    """FSDP's arithmetic, where accelerate's own would round more: what a model gives to the loss, and the sums of
    gradients, stay in float32."""
    if job.strategy == "fsdp" and job.precision == "bfloat16":
        from torch.distributed.fsdp import MixedPrecisionPolicy

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        config.fsdp_plugin_args["mixed_precision_policy"] = policy


def divided(model: Any, accelerator: Any) -> Any:
    """A model that is only looked at, shared by the ranks layer by layer as the trained one is."""
    return fsdp2_prepare_model(accelerator, model).eval()


def whole(trainer: Any, job: Job) -> Any:
    """The trained model as one process holds it, in float32 on the CPU; None on ranks other than 0.

    Every rank has to call it.
    """
    weights = _zero_weights(trainer) if job.strategy == "deepspeed" else _fsdp_weights(trainer)
    if not trainer.is_world_process_zero():
        return None
    if job.strategy == "deepspeed":
        # A model that is loaded while they are set is divided too.
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()
    trained, model = trainer.accelerator.unwrap_model(trainer.model), load_whole(job)
    if job.lora is None:
        model.load_state_dict(weights)
    else:
        from peft import PeftModel

        folder = Path(trainer.args.output_dir).with_name("adapter")
        trained.save_pretrained(folder, state_dict=weights, save_embedding_layers=False)
        model = PeftModel.from_pretrained(model, folder)
        trained = trained.get_base_model()
    # TRL has written the tokenizer's end and padding tokens into them; a classifier generates nothing.
    filled = model if job.lora is None else model.get_base_model()
    for name in ("config", "generation_config"):
        if hasattr(trained, name):
            setattr(filled, name, getattr(trained, name))
    return model


def _fsdp_weights(trainer: Any) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(trainer.model)
    return weights


def _zero_weights(trainer: Any) -> dict[str, torch.Tensor]:
    """The optimizer's weights, which are in float32 where the model's own were rounded."""
    from deepspeed.utils import safe_get_full_fp32_param
    from deepspeed.zero import GatheredParameters

    model, keep = trainer.accelerator.unwrap_model(trainer.model), trainer.is_world_process_zero()
    found: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        full = safe_get_full_fp32_param(parameter) if parameter.requires_grad else None
        if full is None:
            with GatheredParameters([parameter]):
                full = parameter.data.float().clone()
        if keep:
            found[name] = full.cpu()
    return found


def _shard_on_cpu() -> None:
    """accelerate shards on accelerators alone; FSDP2 itself does on a CPU, so its state is told that it may."""
    made = AcceleratorState.__init__

    def init(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        made(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            if self._mixed_precision != "no":
                fsdp_plugin.set_mixed_precision(self._mixed_precision)
            self.fsdp_plugin = fsdp_plugin

    AcceleratorState.__init__ = init
