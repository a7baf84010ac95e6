"""A model of a few thousand weights and rows for it, made on the spot."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from shared import records

THINGS = ["red", "green", "blue", "one", "two", "three", "four", "five", "six"]
WORDS = [*THINGS, "say", "name", "count", "a", "b", "c", "d", "e", "f"]
SPECIAL = ["<pad>", "<eos>", "<unk>", "<user>", "<assistant>"]
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}> {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %} <eos>{% else %} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def save_model(folder: Path, seed: int = 0, template: str | None = TEMPLATE, dropout: float = 0.0) -> Path:
    """A random Llama of two layers and a tokenizer of whole words."""
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", model_max_length=64
    )
    fast.chat_template = template
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        attention_dropout=dropout,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def demonstrations(count: int = 24) -> pa.Table:
    """COMPLETIONS of one word each."""
    rows = [
        {
            "prompt_id": f"p{index}",
            "sample_index": 0,
            "prompt": f"say {THINGS[index % 9]}",
            "completion": THINGS[index % 9],
            "finish_reason": "stop",
            "input_tokens": 2,
            "output_tokens": 1,
        }
        for index in range(count)
    ]
    return records.from_rows(rows, records.COMPLETIONS)


def preferences(count: int = 24) -> pa.Table:
    """PREFERENCES of which every sixth is a tie and makes no pair."""
    rows = []
    for index in range(count):
        tie = index % 6 == 5
        right, wrong = f"{THINGS[index % 9]} a", f"{THINGS[(index + 1) % 9]} b c"
        rows.append(
            {
                "prompt_id": f"p{index}",
                "prompt": f"say {THINGS[index % 9]}",
                "completion_a": right,
                "completion_b": wrong,
                "preference": 0.5 if tie else 1.0,
                "chosen": None if tie else right,
                "rejected": None if tie else wrong,
                "dropped": "tie" if tie else None,
            }
        )
    return records.from_rows(rows, records.PREFERENCES)
