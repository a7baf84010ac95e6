from __future__ import annotations

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from services.inference.embedded.checkpoint import Checkpoint, context_limit, end_tokens
from services.inference.embedded.decoder import Decoder
from shared.errors import PermanentError
from tests.unit.inference.tiny_models import byte_tokenizer, tiny_gpt2, tiny_llama

PROMPTS = [[5, 9, 40, 41, 42], [7], list(range(30, 55)), [3, 3, 3]]
NEXT = [[11, 12, 13], [21, 22, 23], [31, 32, 33], [41, 42, 43]]


def loaded(model: object) -> Checkpoint:
    tokenizer = byte_tokenizer()
    return Checkpoint("m", model, tokenizer, end_tokens(model, tokenizer), context_limit(model.config))  # type: ignore[attr-defined]


def plain_logits(checkpoint: Checkpoint, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = checkpoint.model(torch.tensor([tokens]), use_cache=False).logits[0].float()
    return logits


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
def test_cached_steps_of_rows_of_any_length_equal_plain_forward_passes(build: object) -> None:
    checkpoint = loaded(build(byte_tokenizer()))  # type: ignore[operator]
    decoder = Decoder(checkpoint)
    decoder.reserve(4, 64)
    steps = [decoder.prefill(PROMPTS, 0)]
    for at in range(3):
        lengths = [len(prompt) + at for prompt in PROMPTS]
        steps.append(decoder.step([row[at] for row in NEXT], lengths))
    for row, (prompt, following) in enumerate(zip(PROMPTS, NEXT, strict=True)):
        expected = plain_logits(checkpoint, prompt + following)[len(prompt) - 1 :]
        ours = torch.stack([step[row] for step in steps])
        assert torch.allclose(ours, expected, atol=1e-4)


def test_a_rows_logits_do_not_depend_on_who_shares_the_pass(decoder: Decoder) -> None:
    decoder.reserve(4, 64)
    together = [decoder.prefill(PROMPTS, 0)]
    together += [decoder.step([row[0] for row in NEXT], [len(prompt) for prompt in PROMPTS])]
    for row, (prompt, following) in enumerate(zip(PROMPTS, NEXT, strict=True)):
        alone = [decoder.prefill([prompt], 0), decoder.step(following[:1], [len(prompt)])]
        for ours, theirs in zip(alone, together, strict=True):
            assert torch.allclose(ours[0], theirs[row], atol=1e-6)


def test_what_an_earlier_longer_row_left_in_a_slot_is_not_seen(decoder: Decoder) -> None:
    decoder.reserve(1, 64)
    decoder.prefill([list(range(2, 60))], 0)
    decoder.prefill([[5, 6]], 0)
    logits = decoder.step([7], [2])
    assert torch.allclose(logits[0], plain_logits(decoder.checkpoint, [5, 6, 7])[-1], atol=1e-4)


def test_rows_stay_as_they_are_while_the_cache_grows(decoder: Decoder) -> None:
    decoder.reserve(1, 8)
    decoder.prefill([[5, 6, 7]], 0)
    decoder.reserve(3, 100)
    decoder.prefill([list(range(2, 80)), [9]], 1)
    logits = decoder.step([8, 10, 11], [3, 78, 1])
    assert torch.allclose(logits[0], plain_logits(decoder.checkpoint, [5, 6, 7, 8])[-1], atol=1e-4)
    assert torch.allclose(logits[1], plain_logits(decoder.checkpoint, [*range(2, 80), 10])[-1], atol=1e-4)


def test_a_copied_row_goes_on_like_its_source(decoder: Decoder) -> None:
    decoder.reserve(3, 32)
    decoder.prefill([[5, 6, 7], [9, 9]], 0)
    decoder.cache.copy(0, 2, 3)
    logits = decoder.step([1, 2, 1], [3, 2, 3])
    assert torch.equal(logits[0], logits[2])


def test_one_long_row_after_many_short_ones_does_not_make_every_slot_long(decoder: Decoder) -> None:
    decoder.reserve(256, 16)
    decoder.reserve(1, 4096)
    slots, length = decoder.cache.capacity
    assert slots * length <= 4 * 4 * 4096


def test_scores_are_the_log_softmax_of_a_plain_forward_pass(decoder: Decoder) -> None:
    for prompt, (chosen, best, which) in zip(PROMPTS, decoder.score(PROMPTS, top=2), strict=True):
        expected = torch.log_softmax(plain_logits(decoder.checkpoint, prompt), -1)[:-1]
        assert torch.allclose(chosen, expected.gather(-1, torch.tensor(prompt[1:])[:, None])[:, 0], atol=1e-4)
        top = expected.topk(2, dim=-1)
        assert torch.allclose(best, top.values, atol=1e-4)
        assert torch.equal(which, top.indices)


def test_bfloat16_weights_are_served_too() -> None:
    decoder = Decoder(loaded(tiny_llama(byte_tokenizer()).to(torch.bfloat16)))
    decoder.check()
    assert decoder.cache.bytes_per_token() == 2 * 2 * 2 * 12 * 2  # layers, keys and values, heads, dim, bytes
    decoder.reserve(1, 16)
    assert decoder.prefill([[5, 6]], 0).dtype == torch.float32


def test_an_architecture_that_keeps_no_keys_and_values_is_refused() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1, state_size=4))
    model.config.max_position_embeddings = 64
    with pytest.raises(PermanentError, match="cannot serve MambaForCausalLM"):
        Decoder(loaded(model.eval())).check()


def test_a_sliding_window_bounds_the_context() -> None:
    model = tiny_llama(byte_tokenizer())
    assert context_limit(model.config) == 128
    model.config.sliding_window = 32
    assert context_limit(model.config) == 32
