"""The TRL arguments that Touchstone sets itself, whatever the method; a spec that names one is refused."""

from __future__ import annotations

PREFIXES = ("save_", "push_to_hub", "hub_", "eval_", "trackio_", "ddp_", "fsdp", "vllm_")

# Where things go and who is told: the store and the event stream, nobody else.
OUTPUT = frozenset(
    {
        "debug",
        "disable_tqdm",
        "enable_jit_checkpoint",
        "log_level",
        "log_level_replica",
        "log_on_each_node",
        "logging_strategy",
        "output_dir",
        "project",
        "report_to",
        "run_name",
        "skip_memory_metrics",
    }
)
# Nothing is selected during training: it has no evaluation set.
SELECTION = frozenset(
    {
        "batch_eval_metrics",
        "bf16_full_eval",
        "do_eval",
        "do_predict",
        "do_train",
        "fp16_full_eval",
        "greater_is_better",
        "include_for_metrics",
        "load_best_model_at_end",
        "metric_for_best_model",
        "per_device_eval_batch_size",
        "prediction_loss_only",
    }
)
# A killed training goes on as if nothing had happened, on whatever machine.
RESUMING = frozenset(
    {
        "auto_find_batch_size",
        "data_seed",
        "ignore_data_skip",
        "restore_callback_states_from_checkpoint",
        "resume_from_checkpoint",
        "seed",
    }
)
# Said elsewhere: by the spec (seeds, precision, max_length, chat_template) or the operator (hardware, remote code).
ELSEWHERE = frozenset(
    {
        "bf16",
        "deepspeed",
        "fp16",
        "label_names",
        "local_rank",
        "max_length",
        "model_init_kwargs",
        "pad_token",
        "parallelism_config",
        "remove_unused_columns",
        "trust_remote_code",
        "use_cpu",
    }
)
# The reference is the start, and stays it (`workers.trainer.reference`).
REFERENCE = frozenset({"ref_model_mixup_alpha", "ref_model_sync_steps", "sync_ref_model"})
NAMES = OUTPUT | SELECTION | RESUMING | ELSEWHERE


def is_owned(argument: str) -> bool:
    """Whether Touchstone sets this argument itself in every method."""
    return argument in NAMES or argument.startswith(PREFIXES)
