"""A Llama's safetensors as a GGUF file: `python -m benchmarks.bare_engines.gguf_file FOLDER FILE DTYPE`.

Enough for timing: bare engines are asked in tokens, so the tokenizer is a list of names. llama.cpp rotates neighbouring
pairs of a head's dimensions where transformers rotates halves, so the rows of query and key weights change places.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors import safe_open


def convert(folder: Path, file: Path, dtype: str) -> None:
    """Write `folder`'s weights, float32 or bfloat16, to `file`."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(file, "llama")
    _settings(writer, config)
    _tokens(writer, folder, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q_proj.weight": config["num_attention_heads"], "k_proj.weight": config["num_key_value_heads"]}
    with safe_open(folder / "model.safetensors", "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - no mapping
            value = _rotated(tensors.get_tensor(name).float(), heads.get(".".join(name.split(".")[-2:])))
            new = names.get_name(name, try_suffixes=(".weight",))
            if dtype == "bfloat16" and value.ndim > 1:
                raw = value.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint8)
                writer.add_tensor(new, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
            else:
                writer.add_tensor(new, value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _settings(writer: Any, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])


def _tokens(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    known = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    names = {at: name for name, at in known.items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([names.get(at, f"<unused{at}>") for at in range(config["vocab_size"])])
    writer.add_token_types([gguf.TokenType.NORMAL] * config["vocab_size"])
    # It refuses a file without any.
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(config["eos_token_id"])


def _rotated(weight: torch.Tensor, heads: int | None) -> torch.Tensor:
    if heads is None:
        return weight
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
