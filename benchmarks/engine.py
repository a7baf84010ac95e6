"""How many tokens per second does the embedded engine give over HTTP beside a bare `model.generate`?

Run it: `python -m benchmarks.engine [--model FOLDER] [--dtype float32] [--pairs 7] [--tokens 64]` (about five minutes
on an idle core). Without a folder it makes a random model of SmolLM2-135M's shape, which takes as long per token as the
real one; `--toy` makes one of the quickstart's. Both sides render the same prompts by the chat template, sample at
temperature 1 until every completion has `--tokens` tokens, and decode them; one torch thread each; turn about. The peer
is one call of `generate` in this process, at batch 16 and at batch 1. The engine is the command that anybody may start,
asked by the openai client with 16 requests at once, and with one. `--batch-invariant` is how the worker starts it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import openai

TARGET = 0.9
BATCHES = (16, 1)
ROOT = Path(__file__).resolve().parents[1]


def prompts(count: int, toy: bool) -> list[str]:
    """Prompts of different lengths."""
    from shared.world.prompts import make_prompts

    if toy:
        return [prompt.text for prompt in make_prompts(count, 0)]
    return [f"Question {at}: what would you do with {'very ' * (at % 7)}many apples?" for at in range(count)]


def make_model(folder: Path, toy: bool) -> None:
    """A random model: the quickstart's, or one of SmolLM2-135M's shape whose tokens are bytes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from shared.world.pretrain import PretrainSettings
    from tests.unit.inference.tiny_models import byte_tokenizer
    from workers.trainer import pretrain

    torch.manual_seed(0)
    if toy:
        tokenizer = pretrain.make_tokenizer()
        model = pretrain.make_model(PretrainSettings(), tokenizer)
    else:
        tokenizer = byte_tokenizer()
        sizes = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "vocab_size": 49152}
        heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192}
        ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, **ends, tie_word_embeddings=True))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class Peer:
    """`model.generate` as a person would call it."""

    def __init__(self, folder: Path, dtype: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")

    def seconds(self, texts: list[str], tokens: int) -> float:
        started = time.perf_counter()
        turns = [[{"role": "user", "content": text}] for text in texts]
        inputs = self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        made = self._model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=True,
            temperature=1.0,
            top_k=0,
        )
        assert made.shape[1] == inputs["input_ids"].shape[1] + tokens
        self._tokenizer.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return time.perf_counter() - started


class Engine:
    """The embedded engine as a process, spoken to by the openai client."""

    def __init__(self, folder: Path, dtype: str, invariant: bool) -> None:
        words = ["--model", str(folder), "--name", "model", "--port", "0", "--dtype", dtype, "--threads", "1"]
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "services.inference.embedded",
                *words,
                *(["--batch-invariant"] if invariant else []),
            ],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        self._url = json.loads(self._process.stdout.readline())["url"]
        self.start_seconds = time.perf_counter() - started

    def seconds(self, texts: list[str], tokens: int) -> float:
        return asyncio.run(self._ask(texts, tokens))

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()

    async def _ask(self, texts: list[str], tokens: int) -> float:
        async with openai.AsyncOpenAI(base_url=f"{self._url}/v1", api_key="none", max_retries=0) as client:
            started = time.perf_counter()
            answers = await asyncio.gather(*(self._one(client, text, tokens) for text in texts))
            taken = time.perf_counter() - started
        assert all(answer.usage.completion_tokens == tokens for answer in answers)
        return taken

    async def _one(self, client: openai.AsyncOpenAI, text: str, tokens: int) -> Any:
        return await client.chat.completions.create(
            model="model",
            messages=[{"role": "user", "content": text}],
            max_tokens=tokens,
            temperature=1.0,
            extra_body={"ignore_eos": True},
        )


def compare(peer: Peer, engine: Engine, batch: int, pairs: int, tokens: int, toy: bool) -> float:
    """Print both sides' tokens per second; returns the median of the pairs' ratios, engine over peer."""
    texts = prompts(batch, toy)
    peer.seconds(texts, 2)
    engine.seconds(texts, 2)
    rates: list[tuple[float, float]] = []
    for pair in range(pairs):
        # Turn about, and every other pair the other way round, so that a drift of the machine hits both.
        sides: list[Peer | Engine] = [peer, engine] if pair % 2 == 0 else [engine, peer]
        taken = {side: batch * tokens / side.seconds(texts, tokens) for side in sides}
        rates.append((taken[peer], taken[engine]))
    ratios = [ours / theirs for theirs, ours in rates]
    theirs, ours = (statistics.median(side) for side in zip(*rates, strict=True))
    print(
        f"batch {batch:2}: generate {theirs:8.1f} tokens/s, engine {ours:8.1f} tokens/s, median ratio of {pairs} pairs "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a model folder; a random one of SmolLM2-135M's shape unless given")
    parser.add_argument("--toy", action="store_true", help="the quickstart's model instead")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each completion")
    parser.add_argument("--batch-invariant", action="store_true", help="start the engine as the worker does")
    options = parser.parse_args()
    tokens = min(options.tokens, 24) if options.toy else options.tokens
    with tempfile.TemporaryDirectory() as made:
        folder = options.model or Path(made)
        if options.model is None:
            make_model(folder, options.toy)
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
        engine, peer = Engine(folder, options.dtype, options.batch_invariant), Peer(folder, options.dtype)
        print(f"the engine answered {engine.start_seconds:.1f} s after its start")
        try:
            ratios = [compare(peer, engine, batch, options.pairs, tokens, options.toy) for batch in BATCHES]
        finally:
            engine.end()
    if min(ratios) < TARGET:
        raise SystemExit(f"below the target of {TARGET}")


if __name__ == "__main__":
    main()
