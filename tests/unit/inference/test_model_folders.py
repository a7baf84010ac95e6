"""What is read of a model's folder before an engine is started on it: an adapter's base, and what TGI needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.inference.adapters import Adapter, read_adapter
from services.inference.engines.tgi_folder import config_of_four, tgi_folder, tokenizer_of_four
from shared.errors import PermanentError
from tests.unit.inference.tiny_models import TEMPLATE, byte_tokenizer, save, tiny_llama


def adapter_folder(folder: Path, **config: Any) -> Path:
    given = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8, **config}
    (folder / "adapter_config.json").write_text(json.dumps(given))
    return folder


def test_an_adapters_base_and_largest_rank_are_its_configs(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path, revision="abc", rank_pattern={"q_proj": 32, "v_proj": 4})
    assert read_adapter(folder) == Adapter("org/base", "abc", 32)


def test_a_whole_model_is_no_adapter(tmp_path: Path) -> None:
    assert read_adapter(tmp_path) is None
    adapter_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert read_adapter(tmp_path) is None


@pytest.mark.parametrize("base", ["/etc/passwd", "../model", "~/model", "a/b/c", "", None])
def test_a_base_that_is_a_path_is_refused_and_says_what_to_write(tmp_path: Path, base: str | None) -> None:
    with pytest.raises(PermanentError, match="OWNER/NAME"):
        read_adapter(adapter_folder(tmp_path, base_model_name_or_path=base))


def test_another_kind_of_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="only LORA"):
        read_adapter(adapter_folder(tmp_path, peft_type="IA3"))


def test_a_checkpoint_of_ours_is_what_transformers_4_can_read(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    model = tiny_llama(tokenizer, rope_parameters={"rope_type": "default", "rope_theta": 250_000.0})
    made = tgi_folder(save(tmp_path / "ours", model, tokenizer), tmp_path / "made", None)
    config = json.loads((made / "config.json").read_text())
    assert config["rope_theta"] == 250_000.0
    assert "rope_scaling" not in config
    assert config["torch_dtype"] == "float32"
    told = json.loads((made / "tokenizer_config.json").read_text())
    assert told["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert told["chat_template"] == TEMPLATE
    assert "backend" not in told
    assert (made / "model.safetensors").read_bytes() == (tmp_path / "ours" / "model.safetensors").read_bytes()
    assert not (made / "chat_template.jinja").exists()


def test_a_named_template_goes_over_the_models_own() -> None:
    assert tokenizer_of_four({"chat_template": "own"}, "named") == {"chat_template": "named"}
    assert tokenizer_of_four({"chat_template": "own"}, None) == {"chat_template": "own"}


def test_scaled_rotary_embeddings_keep_their_scale() -> None:
    rope = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0}
    made = config_of_four({"rope_parameters": rope})
    assert made["rope_theta"] == 5e5
    assert made["rope_scaling"] == {"rope_type": "llama3", "factor": 8.0}


def test_a_config_of_transformers_4_stays_as_it_is() -> None:
    config = {"rope_theta": 10_000.0, "rope_scaling": None, "torch_dtype": "bfloat16"}
    assert config_of_four(config) == config


def test_rotary_embeddings_that_differ_by_layer_are_refused() -> None:
    with pytest.raises(PermanentError, match="use vllm"):
        config_of_four({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}})
