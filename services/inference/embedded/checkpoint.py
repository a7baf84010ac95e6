"""Loading a model folder: weights, tokenizer, chat template, end-of-text tokens and the longest context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from shared.chat_templates import chat_template
from shared.errors import BadInput

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass
class Checkpoint:
    """A loaded model. `limit` is the longest context in tokens, prompt and completion together."""

    name: str
    model: Any
    tokenizer: Any
    ends: frozenset[int]
    limit: int

    def __post_init__(self) -> None:
        self.token_text = lru_cache(maxsize=65536)(self._token_text)

    def render(self, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> list[int]:
        """The tokens of a conversation by the tokenizer's own chat template, which brings its special tokens along.

        Raises:
            BadInput: there is no template, or the template refuses the conversation.
        """
        if not self.tokenizer.chat_template:
            fix = "Start the engine with --chat-template, or use /v1/completions."
            raise BadInput("messages", "this model has no chat template", fix)
        try:
            text = self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except Exception as error:
            # Templates raise what they like (jinja2's own errors, TypeError on a missing field).
            raise BadInput("messages", f"the chat template refuses them: {error}", "Check roles and order.") from error
        return self.encode(text, add_special_tokens=False)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=add_special_tokens))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of generated tokens, without special ones."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _token_text(self, token: int) -> str:
        return str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False))


def load(
    folder: Path,
    name: str,
    dtype: str,
    template: str | None = None,
    trust_remote_code: bool = False,
    adapter: Path | None = None,
) -> Checkpoint:
    """Load a folder that `save_pretrained` wrote, or one with a single GGUF file; a LoRA `adapter` is merged into it.

    Raises:
        BadInput: the folder, the dtype or the template's name is wrong.
    """
    if dtype not in DTYPES:
        raise BadInput("dtype", f"{dtype!r} is unknown", f"Use one of: {', '.join(DTYPES)}.")
    source = _source(folder)
    disable_progress_bar()
    options = {"local_files_only": True, "trust_remote_code": trust_remote_code, **source}
    # A training saves its tokenizer, which has the chat template, beside what it trained.
    own = adapter is not None and (adapter / "tokenizer_config.json").exists()
    tokenizer = AutoTokenizer.from_pretrained(adapter if own else folder, **options)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype], attn_implementation="sdpa", **options)
    if adapter is not None:
        model = _merged(model, adapter)
    if template is not None:
        tokenizer.chat_template = chat_template(template)
    return Checkpoint(name, model.eval(), tokenizer, end_tokens(model, tokenizer), context_limit(model.config))


def _merged(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(model, adapter).merge_and_unload()


def _source(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise BadInput("model", f"{folder} is no folder", "Name a folder that save_pretrained wrote.")
    if any(folder.glob("*.safetensors")):
        return {}
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        fix = "It needs *.safetensors, or exactly one *.gguf file."
        raise BadInput("model", f"{folder} holds {len(files)} GGUF files and no safetensors", fix)
    return {"gguf_file": files[0].name}


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a completion: the generation settings', the config's and the tokenizer's."""
    found: set[int] = set()
    for value in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        if value is not None:
            found |= set(value) if isinstance(value, list | tuple) else {int(value)}
    return frozenset(found)


def context_limit(config: Any) -> int:
    """The longest context. A sliding window bounds it: within the window attention is plain causal attention."""
    lengths = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "sliding_window")]
    return min((int(length) for length in lengths if length), default=2048)
