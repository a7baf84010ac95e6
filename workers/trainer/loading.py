"""Loads the model to train and its tokenizer from a local folder, as `save_pretrained` leaves it or of a GGUF file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    set_seed,
)

from shared.errors import BadInput, PermanentError
from workers.trainer.job import Job, ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


HEAD = {"score.weight"}
"""What a language model lacks of a sequence classifier."""


def load(job: Job, classifies: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in float32 (bfloat16 is for the arithmetic alone) and its tokenizer, which has a chat template.

    With `classifies` the language model gets a head with one output in the place of its own, drawn by the seed.

    Raises:
        PermanentError: it cannot be loaded, or lacks weights or a chat template.
    """
    source, options = _source(job.model, job)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        if classifies:
            set_seed(job.seed)
        model = _model(source, options, classifies, **_attention(job), **quantized(job))
    except (OSError, ValueError, SafetensorError) as error:
        raise _unloadable(source, error) from error
    _set_template(tokenizer, job)
    return model, tokenizer


def load_teacher(job: Job) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The teacher of a distillation in float32, and its tokenizer. Raises: as `load`."""
    assert job.teacher is not None, "a distillation has a teacher"
    source, options = _source(job.teacher, job)
    try:
        return _model(source, options), AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError, SafetensorError) as error:
        raise _unloadable(source, error) from error


def load_classifier(
    given: ModelSource, job: Job, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A reward model as it was trained, and its tokenizer.

    Raises:
        PermanentError: it cannot be loaded, lacks weights, or has another number of outputs than one.
    """
    source, options = _source(given, job)
    safe = {**options, "use_safetensors": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source, dtype=dtype, output_loading_info=True, **safe
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _unloadable(source, error) from error
    # Where the head is missing transformers makes one up, and its rewards would be noise.
    if info["missing_keys"] or model.config.num_labels != 1:
        lacks = ", ".join(sorted(info["missing_keys"])[:3])
        why = f"it lacks {lacks}" if lacks else f"it has {model.config.num_labels} outputs"
        raise PermanentError(f"{source} is no reward model: {why}")
    return model, tokenizer


def load_whole(job: Job) -> PreTrainedModel:
    """The model alone, in float32, whatever the job trains it in. Raises as `load` does."""
    source, options = _source(job.model, job)
    try:
        return _model(source, options, classifies=job.method == "reward")
    except (OSError, ValueError, SafetensorError) as error:
        raise _unloadable(source, error) from error


def quantized(job: Job) -> dict[str, Any]:
    """What QLoRA's model is loaded with; nothing of another's.

    Raises:
        PermanentError: this trainer has no GPU, or no bitsandbytes.
    """
    if job.lora is None or job.lora.quantize is None:
        return {}
    field = "lora.quantize"
    if not torch.cuda.is_available():
        raise PermanentError(f"{field}: 4 bits need a GPU, and this trainer has none; remove it, or add a GPU worker")
    if find_spec("bitsandbytes") is None:
        raise PermanentError(
            f"{field}: bitsandbytes is not installed on this trainer; there, `pip install bitsandbytes`, or remove it"
        )
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=job.lora.quantize,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if job.precision == "bfloat16" else torch.float32,
    )
    return {"quantization_config": settings, "device_map": {"": torch.cuda.current_device()}}


def _attention(job: Job) -> dict[str, Any]:
    return {} if job.attention is None else {"attn_implementation": job.attention}


def _source(given: ModelSource, job: Job) -> tuple[str, dict[str, Any]]:
    """What `from_pretrained` takes."""
    options: dict[str, Any] = {"trust_remote_code": job.trust_remote_code}
    folder = Path(given.folder or "")
    if not folder.is_dir():
        raise PermanentError(f"the model folder {folder} is missing")
    files = sorted(path.name for path in folder.glob("*.gguf"))
    if files and not list(folder.glob("*.safetensors")):
        return str(folder), {**options, "gguf_file": files[0]}
    return str(folder), options


def _model(source: str, options: dict[str, Any], classifies: bool = False, **more: Any) -> PreTrainedModel:
    gguf = "gguf_file" in options
    given = {"dtype": torch.float32, "output_loading_info": True, **options, **more}
    if not gguf:
        given["use_safetensors"] = True
    kind = AutoModelForCausalLM
    if classifies:
        kind, given["num_labels"] = AutoModelForSequenceClassification, 1
    try:
        model, info = kind.from_pretrained(source, **given)
    except ImportError as error:
        if "attn_implementation" not in more:
            raise
        said = str(error).strip().splitlines()[0]
        fix = "install it there, or write `attention: sdpa`"
        raise PermanentError(f"attention: this trainer has no {more['attn_implementation']}: {said}; {fix}") from error
    if missing := set(info["missing_keys"]) - (HEAD if classifies else set()):
        names = ", ".join(sorted(missing)[:3])
        raise PermanentError(f"the model {source} lacks weights ({names} …)")
    if gguf:
        # It is dequantised now; training and `save_pretrained` refuse what still calls itself quantised.
        del model.hf_quantizer, model.quantization_method, model.config.quantization_config
        model.is_quantized = False
    return model


def _set_template(tokenizer: PreTrainedTokenizerBase, job: Job) -> None:
    if job.chat_template is not None:
        tokenizer.chat_template = job.chat_template
    if tokenizer.chat_template is None:
        fix = "name one, such as `chat_template: human_assistant`"
        raise BadInput("chat_template", "the model's tokenizer has none", fix)
    if tokenizer.eos_token is None:
        raise PermanentError("the model's tokenizer has no end token (eos_token): a policy could never stop")


def _unloadable(source: str, error: Exception) -> PermanentError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return PermanentError(f"the model {source} cannot be loaded: {first}")
