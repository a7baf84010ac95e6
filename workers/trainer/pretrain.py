"""The base model of the simulated world, made on the spot: a small Llama that knows its tasks and answers unevenly.

First it learns right answers, for ability; then a weak teacher's, for the mixed behaviour of a base model, which gives
fine-tuning and preferences something to decide. It never sees the prompts it is told to leave out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from shared.splits import normalise
from shared.world.corruption import corrupt
from shared.world.pretrain import PretrainSettings
from shared.world.prompts import draw_prompt
from shared.world.tasks import gold, parse
from shared.world.vocabulary import VOCABULARY
from workers.trainer.outputs import versions

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ message['content'] }}{% endif %}"
    "{% endfor %}"
)
LONGEST = 64
HEADS = 4
IGNORED = -100
LAST_STEPS = 50

log = structlog.get_logger()
Progress = Callable[[int, int, float], None]
Example = tuple[str, str]


def pretrain(
    settings: PretrainSettings, excluded: frozenset[str], out: Path, seed: int, progress: Progress
) -> dict[str, Any]:
    """Train the base model on one thread and write it to `out` as a Hugging Face model folder.

    Args:
        excluded: normalised texts (`shared.splits.normalise`) of prompts that it must not see.
        out: gets model.safetensors, config.json, generation_config.json, the tokenizer's files with a chat template,
            loss.parquet and versions.json.
        seed: of the initial weights and the examples.
        progress: called with (step, steps, loss) after each step.

    Returns metrics: steps, tokens, parameters, final_loss.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = make_model(settings, tokenizer)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.1
    )
    losses: list[float] = []
    tokens = 0
    model.train()
    for step, batch in enumerate(batches(settings, excluded, seed), 1):
        ids, labels = encode(batch, tokenizer)
        loss = answer_loss(model, ids, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        tokens += int((ids != tokenizer.pad_token_id).sum())
        progress(step, settings.steps, losses[-1])
    _save(model, tokenizer, losses, out)
    last = losses[-LAST_STEPS:]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "steps": settings.steps,
        "tokens": tokens,
        "parameters": parameters,
        "final_loss": sum(last) / len(last),
    }


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, and a chat template: a user's turn as it is, an assistant's after a space and with an end token."""
    words = {word: index for index, word in enumerate([PAD, EOS, UNKNOWN, *VOCABULARY])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        padding_side="left",
        model_max_length=LONGEST,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama with random weights; 232 thousand parameters by default."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=settings.width * 8 // 3,
        num_hidden_layers=settings.layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def batches(settings: PretrainSettings, excluded: frozenset[str], seed: int) -> Iterator[list[Example]]:
    """One batch of (prompt, answer) a step: right answers, and in the last `mixed_steps` a teacher's of `accuracy`."""
    rng = random.Random(seed)
    for step in range(settings.steps):
        mixed = step >= settings.steps - settings.mixed_steps
        accuracy = settings.accuracy if mixed else 1.0
        yield [_example(rng, excluded, accuracy) for _ in range(settings.batch_size)]


def _example(rng: random.Random, excluded: frozenset[str], accuracy: float) -> Example:
    while normalise(prompt := draw_prompt(rng)) in excluded:
        pass
    return prompt, gold(prompt) if rng.random() < accuracy else corrupt(rng, parse(prompt))


def encode(batch: list[Example], tokenizer: PreTrainedTokenizerFast) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels, (batch, longest), padded on the right; the prompt is not learned."""
    words = tokenizer.get_vocab()
    prompts = [[words[word] for word in prompt.split()] for prompt, _ in batch]
    answers = [[words[word] for word in answer.split()] + [words[EOS]] for _, answer in batch]
    longest = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    ids = torch.full((len(batch), longest), words[PAD])
    labels = torch.full((len(batch), longest), IGNORED)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return ids, labels


def answer_loss(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy (nats) of the labelled tokens; ids and labels are (batch, longest).

    No attention mask: padding stands on the right, where causal attention never looks.
    """
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    learned = labels[:, 1:] != IGNORED
    return cross_entropy(model.lm_head(hidden[learned]), labels[:, 1:][learned])


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, losses: list[float], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model.eval()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    steps = pa.array(range(1, len(losses) + 1), pa.int32())
    pq.write_table(pa.table({"step": steps, "loss": pa.array(losses, pa.float64())}), out / "loss.parquet")
    (out / "versions.json").write_text(json.dumps(versions(), indent=2, sort_keys=True) + "\n")
    log.info("pretrained", steps=len(losses), loss=round(losses[-1], 3))
