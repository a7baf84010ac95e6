"""The stage `reference`: a start's log-probabilities of pairs, by TRL's DPO trainer before any step.

The rows, the order and the batches are those in which TRL would compute them at the head of a training, so that with
the same number of pairs at once the training is the same, bit for bit. What is done is saved from time to time, and a
stage that was killed goes on with the batch after it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from shared import records
from workers.trainer import outputs, speed, tokens, training
from workers.trainer.job import CHECKPOINTS, OUT, SAVE, Job
from workers.trainer.messages import Message, Progress, Saved
from workers.trainer.references import FILE

PROGRESS_EVERY = 0.2
Send = Callable[[Message], None]
Rows = list[dict[str, Any]]


def run(job: Job, folder: Path, send: Send) -> dict[str, Any]:
    """Compute them, write REFERENCES under `out`, and return the stage's metrics.

    Raises:
        PermanentError: the arguments, rows or model cannot be scored with.
    """
    torch.set_num_threads(job.threads)
    trainer, given = training.build(job, folder)
    counts = tokens.count_pairs(trainer, given)
    done = _resumed(job, folder)
    began, before = time.monotonic(), len(done)
    scored = _scored(trainer, job, folder, done, send)
    seconds = time.monotonic() - began
    if not trainer.is_world_process_zero():
        return {}
    table, longest = trainer.train_dataset, trainer.args.max_length
    for name in ("chosen", "rejected"):
        for row, count in zip(scored, tokens.completion_tokens(table, name, longest), strict=True):
            row[f"ref_{name}_tokens"] = count
    out = folder / OUT
    out.mkdir(parents=True, exist_ok=True)
    _write(out / FILE, [{**row, "prompt_id": one} for row, one in zip(scored, table["prompt_id"], strict=True)])
    (out / "versions.json").write_text(json.dumps(outputs.versions(), indent=2, sort_keys=True) + "\n")
    seen = tokens.of_pairs(table, longest)
    means = {
        f"mean_{name}_logp": sum(row[f"ref_{name}_logps"] for row in scored) / len(scored)
        for name in ("chosen", "rejected")
    }
    return {
        **counts,
        **means,
        "tokens": seen,
        "parameters": sum(weight.numel() for weight in trainer.model.parameters()),
        "speed": speed.forward(trainer, seconds, seen * (len(scored) - before) // len(scored), len(scored) - before),
    }


def _scored(trainer: Any, job: Job, folder: Path, done: Rows, send: Send) -> Rows:
    """Every pair's row, those that are `done` first."""
    table, batch = trainer.train_dataset, trainer.args.per_device_train_batch_size
    numbers, found = table["row"], list(done)
    left = table.select(range(len(found), len(table)))
    loader = trainer.accelerator.prepare(
        DataLoader(left, batch_size=batch, collate_fn=trainer.data_collator, shuffle=False)
    )
    model = trainer.ref_model or trainer.model
    said = saved = time.monotonic()
    send(Progress(step=len(found), total=len(table)))
    for inputs in loader if len(left) else ():
        sides = trainer.accelerator.gather_for_metrics(trainer.compute_ref_log_probs(model, inputs))
        for chosen, rejected in zip(*(side.tolist() for side in sides), strict=True):
            row = {"row": numbers[len(found)], "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
            found.append(row)
        now = time.monotonic()
        if now - said > PROGRESS_EVERY or len(found) == len(table):
            send(Progress(step=len(found), total=len(table)))
            said = now
        asked = folder / SAVE
        if trainer.is_world_process_zero() and (asked.exists() or now - saved >= job.checkpoint_seconds):
            asked.unlink(missing_ok=True)
            _save(folder, found, send)
            saved = now
    return found


def _save(folder: Path, rows: Rows, send: Send) -> None:
    """What is done so far, as a checkpoint."""
    own = Path(CHECKPOINTS) / f"scored-{len(rows)}"
    (folder / own).mkdir(parents=True, exist_ok=True)
    _write(folder / own / FILE, rows)
    send(Saved(step=len(rows), folder=str(own)))


def _resumed(job: Job, folder: Path) -> Rows:
    return [] if job.resume is None else records.read(folder / job.resume / FILE, records.REFERENCES).to_pylist()


def _write(path: Path, rows: Rows) -> None:
    path.write_bytes(records.to_bytes(records.from_rows(rows, records.REFERENCES)))
