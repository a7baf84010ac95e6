"""How many tokens per second does the embedded engine give over HTTP beside `model.generate` and other engines?

Run it: `python -m benchmarks.engine [--model FOLDER] [--dtype float32] [--pairs 7] [--tokens 64]` (about ten minutes
on an idle core). Without a folder it makes a random model of SmolLM2-135M's shape, which takes as long per token as the
real one; `--toy` makes one of the quickstart's. All sides render the same prompts by the chat template, sample at
temperature 1 until every completion has `--tokens` tokens; one torch thread each; turn about. The engine is
the command that anybody may start, asked by the openai client with 16 requests at once, and with one;
`--batch-invariant` is how the worker starts it. Beside it:

- `generate`: one call of `model.generate` in this process, with 16 prompts, and with one.
- `one at a time`: `model.generate` prompt after prompt, against the engine with 16 requests at once.
- each `--bare LIBRARY=FOLDER`: another library's engine without HTTP (files in bare_engines/), asked for 16 prompts
  and for one. FOLDER is the same model in the form it reads: the library's file says what makes it.
  `--bare-python` names the interpreter of the environment that has the library; one that lacks it is left out.

A machine that others use as well slows all sides, not equally: the ratio of CPU time stands beside that of the clock.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import psutil

from benchmarks.bare_engines.child import Absent, BareEngine

TARGET = 0.9
ONE_AT_A_TIME_TARGET = 3.0
BARE_TARGET = 0.95
ONE_AT_A_TIME = 4
"""Prompts that `generate` is asked for one by one in each round; the next round has the next ones."""

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

    def tokens_of(self, texts: list[str]) -> list[list[int]]:
        return [list(self._inputs([text])["input_ids"][0].tolist()) for text in texts]

    def cpu_seconds(self) -> float:
        return time.process_time()

    def sample(self, texts: list[str], tokens: int) -> None:
        inputs = self._inputs(texts)
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

    def _inputs(self, texts: list[str]) -> Any:
        turns = [[{"role": "user", "content": text}] for text in texts]
        return self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )


class OneAtATime:
    """`model.generate` for one prompt after the other."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._next = peer, 0

    def cpu_seconds(self) -> float:
        return self._peer.cpu_seconds()

    def sample(self, texts: list[str], tokens: int) -> None:
        for text in texts:
            self._peer.sample([text], tokens)


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

    def cpu_seconds(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def sample(self, texts: list[str], tokens: int) -> None:
        asyncio.run(self._ask(texts, tokens))

    def megabytes(self) -> float:
        """Resident memory, in MB."""
        return float(psutil.Process(self._process.pid).memory_info().rss / 1e6)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()

    async def _ask(self, texts: list[str], tokens: int) -> None:
        async with openai.AsyncOpenAI(base_url=f"{self._url}/v1", api_key="none", max_retries=0) as client:
            answers = await asyncio.gather(*(self._one(client, text, tokens) for text in texts))
        assert all(answer.usage.completion_tokens == tokens for answer in answers)

    async def _one(self, client: openai.AsyncOpenAI, text: str, tokens: int) -> Any:
        return await client.chat.completions.create(
            model="model",
            messages=[{"role": "user", "content": text}],
            max_tokens=tokens,
            temperature=1.0,
            extra_body={"ignore_eos": True},
        )


class Bare:
    """A library's engine, asked in tokens."""

    def __init__(self, child: BareEngine, peer: Peer) -> None:
        self._child, self._peer = child, peer
        self._encoded: dict[str, list[int]] = {}

    def cpu_seconds(self) -> float:
        return self._child.cpu_seconds()

    def sample(self, texts: list[str], tokens: int) -> None:
        missing = [text for text in texts if text not in self._encoded]
        self._encoded.update(zip(missing, self._peer.tokens_of(missing), strict=True))
        self._child.sample([self._encoded[text] for text in texts], tokens)


Side = Peer | OneAtATime | Engine | Bare


@dataclass(frozen=True)
class Rival:
    """Whom the engine is compared with at a batch, and the least ratio that is aimed at."""

    name: str
    side: Side
    target: float
    prompts: int | None = None
    """How many prompts it is asked for; None for as many as the engine."""


@dataclass(frozen=True)
class Rate:
    """Tokens per second, and per second of CPU time."""

    clock: float
    cpu: float


def rate(side: Side, texts: list[str], tokens: int) -> Rate:
    cpu, started = side.cpu_seconds(), time.perf_counter()
    side.sample(texts, tokens)
    taken = time.perf_counter() - started
    return Rate(len(texts) * tokens / taken, len(texts) * tokens / max(side.cpu_seconds() - cpu, 1e-9))


def compare(engine: Engine, rivals: list[Rival], batch: int, rounds: int, tokens: int, toy: bool) -> bool:
    """Print every side's tokens per second; returns whether the engine's median ratio to each reaches its target."""
    texts = prompts(batch, toy)
    asked = {rival.name: texts[: rival.prompts or batch] for rival in rivals}
    for rival in rivals:
        rival.side.sample(asked[rival.name], 2)
    engine.sample(texts, 2)
    rates: dict[str, list[Rate]] = {name: [] for name in ("engine", *asked)}
    for at in range(rounds):
        turns: list[tuple[str, Side, list[str]]] = [("engine", engine, texts)]
        turns += [(rival.name, rival.side, asked[rival.name]) for rival in rivals]
        # Every other round the other way round, so that a drift of the machine hits all.
        for name, side, own in turns if at % 2 == 0 else turns[::-1]:
            rates[name].append(rate(side, own, tokens))
    ours = rates["engine"]
    print(f"batch {batch:2}: engine {statistics.median(one.clock for one in ours):.1f} tokens/s")
    reached = [_print_ratio(rival, ours, rates[rival.name]) for rival in rivals]
    return all(reached)


def _print_ratio(rival: Rival, ours: list[Rate], theirs: list[Rate]) -> bool:
    clock = [own.clock / other.clock for own, other in zip(ours, theirs, strict=True)]
    cpu = [own.cpu / other.cpu for own, other in zip(ours, theirs, strict=True)]
    ratio = statistics.median(clock)
    print(
        f"  beside {rival.name}, {statistics.median(one.clock for one in theirs):.1f} tokens/s: median ratio of "
        f"{len(clock)} pairs {ratio:.2f} ({min(clock):.2f} to {max(clock):.2f}; aim {rival.target}), "
        f"by CPU time {statistics.median(cpu):.2f}"
    )
    return ratio >= rival.target


def start_bare(options: argparse.Namespace, peer: Peer) -> list[Rival]:
    """The libraries' engines that this machine has, each loaded; says which are left out."""
    rivals = []
    for library, folder in (word.split("=", 1) for word in options.bare):
        try:
            child = BareEngine(options.bare_python, library, Path(folder), options.dtype)
        except Absent as absent:
            print(f"{library} is left out: {absent}")
            continue
        print(f"{library} was ready {child.start_seconds:.1f} s after its start, {child.megabytes():.0f} MB")
        rivals.append(Rival(library, Bare(child, peer), BARE_TARGET))
    return rivals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a model folder; a random one of SmolLM2-135M's shape unless given")
    parser.add_argument("--toy", action="store_true", help="the quickstart's model instead")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each completion")
    parser.add_argument("--batch-invariant", action="store_true", help="start the engine as the worker does")
    parser.add_argument("--bare", action="append", default=[], metavar="LIBRARY=FOLDER", help="see above; repeatable")
    parser.add_argument("--bare-python", default=sys.executable, help="the interpreter that has those libraries")
    options = parser.parse_args()
    tokens = min(options.tokens, 24) if options.toy else options.tokens
    with tempfile.TemporaryDirectory() as made:
        folder = options.model or Path(made)
        if options.model is None:
            make_model(folder, options.toy)
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
        engine, peer = Engine(folder, options.dtype, options.batch_invariant), Peer(folder, options.dtype)
        print(f"the engine answered {engine.start_seconds:.1f} s after its start, {engine.megabytes():.0f} MB")
        bare = start_bare(options, peer)
        one_by_one = Rival("generate, one prompt at a time", OneAtATime(peer), ONE_AT_A_TIME_TARGET, ONE_AT_A_TIME)
        try:
            reached = []
            for batch in BATCHES:
                rivals = [Rival("generate", peer, TARGET), *([one_by_one] if batch > 1 else []), *bare]
                reached.append(compare(engine, rivals, batch, options.pairs, tokens, options.toy))
        finally:
            engine.end()
    if not all(reached):
        raise SystemExit("below an aim")


if __name__ == "__main__":
    main()
