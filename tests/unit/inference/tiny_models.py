"""Tiny models made on the spot: random weights, a tokenizer of bytes or words, a chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
LIMIT = 128


def byte_tokenizer(template: str | None = TEMPLATE) -> Any:
    """One token a byte, so that every text has tokens, and most characters beyond ASCII have several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: at for at, text in enumerate(["<pad>", "<eos>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", chat_template=template
    )


def tiny_llama(tokenizer: Any, seed: int = 0, **changes: Any) -> Any:
    """A random Llama with grouped query attention. Its weights are large, so that its distributions are not flat."""
    torch.manual_seed(seed)
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": LIMIT,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.3,
    }
    return LlamaForCausalLM(LlamaConfig(**{**settings, **changes})).eval()


def tiny_reward(tokenizer: Any, outputs: int = 1) -> Any:
    """A random Llama with one output for a sequence."""
    config = tiny_llama(tokenizer).config
    config.num_labels = outputs
    torch.manual_seed(2)
    return LlamaForSequenceClassification(config).eval()


def tiny_gpt2(tokenizer: Any) -> Any:
    """A random GPT-2: learned positions, and no rotary ones."""
    torch.manual_seed(1)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": LIMIT}
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    return GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), initializer_range=0.3, **sizes, **ends)).eval()


def save(folder: Path, model: Any, tokenizer: Any) -> Path:
    """Write a model folder as a training does."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
