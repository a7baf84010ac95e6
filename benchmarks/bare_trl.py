"""The peer of `benchmarks/training.py`: the same training as a plain TRL script.

Run it: `python benchmarks/bare_trl.py METHOD MODEL_FOLDER ROWS_PARQUET ARGUMENTS_JSON OUT`. It prints the seconds after
its imports.
"""

import json
import sys
import time

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

CLASSES = {"sft": (SFTConfig, SFTTrainer), "dpo": (DPOConfig, DPOTrainer)}


def main(method: str, folder: str, rows: str, arguments: str, out: str) -> None:
    """Train and save."""
    torch.set_num_threads(1)
    config, trainer_class = CLASSES[method]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    trainer = trainer_class(
        model=model,
        args=config(output_dir=f"{out}/checkpoints", **json.loads(arguments)),
        train_dataset=Dataset.from_parquet(rows, cache_dir=f"{out}/cache"),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model(out)


if __name__ == "__main__":
    started = time.monotonic()
    main(*sys.argv[1:])
    print(time.monotonic() - started)
