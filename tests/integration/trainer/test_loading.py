"""Base models of every form: a saved folder and a GGUF file."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from shared.errors import PermanentError
from tests.integration.trainer import tiny
from workers.trainer.job import Job, ModelSource
from workers.trainer.loading import load

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{{ eos_token }}{% endfor %}"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def job(**source: str) -> Job:
    return Job(method="sft", model=ModelSource(**source), chat_template=TEMPLATE)


def write_gguf(path: Path) -> NDArray[np.float32]:
    """A Llama of one layer with a byte-pair tokenizer of the letters; returns its embeddings."""
    width, inner, tokens = 32, 64, [*LETTERS, "ab", "<eos>"]
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // 2)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(len(tokens) - 1)
    writer.add_eos_token_id(len(tokens) - 1)
    shapes: dict[str, tuple[int, ...]] = {"attn_q": (width, width), "attn_k": (width, width), "attn_v": (width, width)}
    shapes |= {"attn_output": (width, width), "ffn_gate": (inner, width), "ffn_up": (inner, width)}
    shapes |= {"ffn_down": (width, inner), "attn_norm": (width,), "ffn_norm": (width,)}
    embeddings = rng.normal(size=(len(tokens), width)).astype(np.float32)
    writer.add_tensor("token_embd.weight", embeddings)
    writer.add_tensor("output.weight", rng.normal(size=(len(tokens), width)).astype(np.float32))
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for name, shape in shapes.items():
        writer.add_tensor(f"blk.0.{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return embeddings


def test_a_gguf_file_becomes_a_plain_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    embeddings = write_gguf(tmp_path / "model" / "tiny.gguf")
    model, tokenizer = load(job(folder=str(tmp_path / "model")))
    assert model.dtype == torch.float32
    assert tokenizer.eos_token == "<eos>"
    assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), embeddings)
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_template_that_is_named_replaces_the_models_own(tmp_path: Path) -> None:
    _, tokenizer = load(job(folder=str(tiny.save_model(tmp_path / "model"))))
    assert tokenizer.chat_template == TEMPLATE


def test_weights_in_a_pickle_are_refused(tmp_path: Path) -> None:
    folder = tiny.save_model(tmp_path / "model")
    weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(PermanentError, match="cannot be loaded"):
        load(job(folder=str(folder)))
