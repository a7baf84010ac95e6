"""Steps compiled by OpenVINO: the model's own logits, whoever shares the step, and PyTorch's where they are not."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2ForCausalLM

from services.inference.embedded import compiled
from services.inference.embedded.compiled import Compiled
from services.inference.embedded.decoder import Decoder, together
from services.inference.embedded.server import Options, _scheduler
from tests.unit.inference.test_decoder import NEXT, PROMPTS, loaded, plain_logits
from tests.unit.inference.tiny_models import byte_tokenizer, tiny_gpt2, tiny_llama


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of these tests are worth it too."""
    monkeypatch.setattr(compiled, "FEWEST_PARAMETERS", 0)


def tiny_qwen(tokenizer: Any) -> Any:
    """Queries, keys and values with biases, and a window that is no shorter than the context."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "vocab_size": len(tokenizer)}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 1, "max_position_embeddings": 128}
    return Qwen2ForCausalLM(Qwen2Config(**sizes, **heads, initializer_range=0.3)).eval()


def made(build: Callable[[Any], Any] = tiny_llama, min_rows: int = 4, threads: int = 1) -> Decoder:
    """A decoder that was told to compile its steps."""
    decoder = Decoder(loaded(build(byte_tokenizer())), min_rows)
    decoder.check()
    decoder.compile(threads)
    return decoder


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2, tiny_qwen])
def test_compiled_steps_of_rows_of_any_length_equal_plain_forward_passes(build: Callable[[Any], Any]) -> None:
    decoder = made(build)
    assert decoder.compiled is not None
    decoder.reserve(4, 64)
    steps = [decoder.prefill(PROMPTS, 0)]
    for at in range(3):
        steps.append(decoder.step([row[at] for row in NEXT], [len(prompt) + at for prompt in PROMPTS]))
    for row, (prompt, following) in enumerate(zip(PROMPTS, NEXT, strict=True)):
        expected = plain_logits(decoder.checkpoint, prompt + following)[len(prompt) - 1 :]
        assert torch.allclose(torch.stack([step[row] for step in steps]), expected, atol=1e-4)


def test_a_row_s_logits_are_the_same_bits_whoever_shares_the_step_and_however_large_the_cache_is() -> None:
    decoder = made()
    decoder.reserve(4, 64)
    read = decoder.prefill(PROMPTS, 0)
    together = decoder.step([row[0] for row in NEXT], [len(prompt) for prompt in PROMPTS])
    for capacity in (32, 128):
        decoder.reserve(1, capacity)
        for row, (prompt, following) in enumerate(zip(PROMPTS, NEXT, strict=True)):
            assert torch.equal(decoder.prefill([prompt], 0)[0], read[row])
            assert torch.equal(decoder.step(following[:1], [len(prompt)])[0], together[row])


@given(st.lists(st.integers(1, 200), max_size=30), st.integers(1, 300), st.integers(1, 8))
def test_groups_hold_every_prompt_in_order_and_end_only_where_they_must(
    lengths: list[int], least: int, most: int
) -> None:
    prompts = [[at] * length for at, length in enumerate(lengths)]
    groups = list(together(prompts, least, most))
    assert [prompt for group in groups for prompt in group] == prompts
    for group, following in itertools.zip_longest(groups, groups[1:]):
        tokens = [len(prompt) for prompt in group]
        assert sum(tokens[:-1]) < least and 1 <= len(group) <= most
        assert following is None or sum(tokens) >= least or len(group) == most


@pytest.mark.parametrize("threads", [1, 2])
def test_prompts_of_any_lengths_are_read_together_as_alone(threads: int) -> None:
    decoder = made(threads=threads)
    assert decoder.compiled is not None
    drawn = random.Random(0)
    prompts = [[drawn.randrange(2, 250) for _ in range(drawn.randrange(1, 100))] for _ in range(40)]
    decoder.reserve(len(prompts), 112)
    read = decoder.prefill(prompts, 0)
    following = decoder.step([5] * len(prompts), [len(prompt) for prompt in prompts])
    for row, prompt in enumerate(prompts):
        expected = plain_logits(decoder.checkpoint, [*prompt, 5])[-2:]
        assert torch.allclose(torch.stack([read[row], following[row]]), expected, atol=1e-4)
        assert torch.equal(decoder.prefill([prompt], 0)[0], read[row])
        assert torch.equal(decoder.step([5], [len(prompt)])[0], following[row])


def test_a_copied_row_goes_on_like_its_source() -> None:
    decoder = made()
    decoder.reserve(3, 64)
    prompt = list(range(2, 42))
    decoder.prefill([prompt, [9, 9]], 0)
    decoder.slots.copy(0, 2, len(prompt))
    logits = decoder.step([1, 2, 1], [40, 2, 40])
    assert torch.equal(logits[0], logits[2])


def test_rows_stay_as_they_are_while_the_cache_grows() -> None:
    decoder = made()
    decoder.reserve(1, 8)
    decoder.prefill([[5, 6, 7]], 0)
    decoder.reserve(3, 100)
    logits = decoder.step([8], [3])
    assert torch.allclose(logits[0], plain_logits(decoder.checkpoint, [5, 6, 7, 8])[-1], atol=1e-4)


def test_rows_that_come_and_go_in_a_cache_that_grows_and_shrinks_are_as_without() -> None:
    drawn = random.Random(0)
    ours, plain = made(), Decoder(loaded(tiny_llama(byte_tokenizer())), 4)
    rows: list[list[int]] = []
    for _ in range(120):
        if len(rows) < drawn.choice((1, 4, 80)):
            new = [
                [drawn.randrange(2, 250) for _ in range(drawn.randrange(1, 60))] for _ in range(drawn.randrange(1, 5))
            ]
            place = (len(rows) + len(new), drawn.randrange(61 + max(map(len, rows), default=0), 128))
            read = []
            for decoder in (ours, plain):
                decoder.reserve(*place)
                read.append(decoder.prefill(new, len(rows)))
            assert torch.allclose(read[0], read[1], atol=1e-4)
            rows += new
        elif len(rows) > 1:
            rows.pop()
        rows = [row for row in rows if len(row) < 60]
        del rows[drawn.randrange(1, 100) :]
        if rows and drawn.random() < 0.8:
            tokens = [drawn.randrange(2, 250) for _ in rows]
            for decoder in (ours, plain):
                decoder.prefill(rows, 0)
            logits = [decoder.step(tokens, list(map(len, rows))) for decoder in (ours, plain)]
            assert torch.allclose(logits[0], logits[1], atol=1e-4)
            rows = [[*row, token] for row, token in zip(rows, tokens, strict=True)]


def test_logits_are_the_caller_s_own() -> None:
    decoder = made()
    decoder.reserve(1, 32)
    decoder.prefill([[5, 6, 7]], 0)
    first = decoder.step([8], [3])
    kept = first.clone()
    decoder.step([9], [4])
    assert torch.equal(first, kept)


def test_small_models_and_other_types_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(lambda tokenizer: tiny_llama(tokenizer).bfloat16()).compiled is None
    monkeypatch.setattr(compiled, "FEWEST_PARAMETERS", 50_000_000)
    assert made().compiled is None


@pytest.mark.parametrize("wanted", [True, False])
def test_an_engine_compiles_unless_it_is_told_not_to(tmp_path: Path, wanted: bool) -> None:
    tokenizer = byte_tokenizer()
    for part in (tiny_llama(tokenizer), tokenizer):
        part.save_pretrained(tmp_path)
    scheduler = _scheduler(Options(tmp_path, "tiny", compiled=wanted))
    assert (scheduler.decoder.compiled is not None) == wanted


def test_a_model_that_cannot_be_compiled_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise RuntimeError("an operation without translation")

    monkeypatch.setattr(compiled, "_converted", refuse)
    decoder = made()
    assert decoder.compiled is None
    decoder.reserve(1, 32)
    decoder.prefill([[5, 6, 7]], 0)
    expected = plain_logits(decoder.checkpoint, [5, 6, 7, 8])[-1]
    assert torch.allclose(decoder.step([8], [3])[0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("harm", "min_rows", "kept"),
    [
        (lambda logits: logits + 3 * torch.sin(torch.arange(logits.shape[1])), 1, False),
        (lambda logits: logits * (1 + 1e-6 * len(logits)), 4, False),
        (lambda logits: logits * (1 + 1e-6 * len(logits)), 1, True),
    ],
)
def test_steps_that_differ_are_left_to_pytorch_and_a_batch_s_own_numbers_where_they_may_not_depend_on_it(
    monkeypatch: pytest.MonkeyPatch, harm: Callable[[torch.Tensor], torch.Tensor], min_rows: int, kept: bool
) -> None:
    right = Compiled.step
    monkeypatch.setattr(Compiled, "step", lambda *given: harm(right(*given)))
    assert (made(min_rows=min_rows).compiled is not None) == kept


def test_openvino_is_imported_without_what_tells_its_makers() -> None:
    words = "from services.inference.embedded.compiled import openvino; import sys; openvino(); "
    words += "print([name for name, module in sys.modules.items() if 'openvino_telemetry' in name and module])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
