"""An arm leaves Touchstone: over a real API and S3 server, by the `touchstone` command, into what others load."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from touchstone_client import Client, Conflict, InvalidInput

from shared import records
from shared.artifacts import StageResult
from shared.context import StageContext
from shared.experiments import read_resolved
from shared.models import add_model
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.runner import Handler
from shared.units import Unit
from tests import place as places
from tests.integration.api.conftest import Run
from tests.stack import Stack
from tests.unit.specs import spec_with
from tests.waiting import wait_until
from workers.trainer.stage import train

ARM = "rlaif-weak"
ARGS = {"per_device_train_batch_size": 8, "num_train_epochs": 2, "learning_rate": 1e-2}
LOADED = """
import os
import sys
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, prompt = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
turns = [{"role": "user", "content": prompt}]
inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
made = model.generate(**inputs, do_sample=False, max_new_tokens=1)
print("token", int(made[0, -1]))
if os.path.isdir(folder + "/dataset"):
    for config in ("sft", "rl"):
        rows = load_dataset(folder + "/dataset", config, split="train")
        print("rows", config, len(rows), ",".join(rows.column_names), rows[0]["prompt"][0]["role"])
    print("default", ",".join(load_dataset(folder + "/dataset", split="train").column_names))
"""


class Made:
    """A submitted experiment whose arm `rlaif-weak` is committed by hand, as workers would, and its working place."""

    def __init__(self, stack: Stack, client: Client, base: Path, tables: dict[str, pa.Table], name: str) -> None:
        self.work = places.Place(stack.settings, stack.store, stack.redis)
        self.base, self.tables = base, tables
        add_model(stack.store, name, base)
        sft, rl = dict(ARGS), {**ARGS, "per_device_train_batch_size": 5}
        # A world of its own: experiments on one server share every stage that is the same in them.
        world = {"world": {"seed": len(name), "count": 400}}
        policy = {"model": f"model:{name}", "max_length": 32}
        spec = spec_with(name=name, prompts__source=world, policies__toy=policy, seeds=[0, 1])
        self.id: str = client.submit(spec | {"defaults": {"sft": sft, "rl": rl}})["id"]
        resolved = read_resolved(stack.store, self.id)
        assert resolved is not None
        self.plan: Plan = plan(resolved)
        self.refs: dict[str, Any] = {}

    def step(self, kind: str, seed: int = 0) -> str:
        """The key of one of the arm's trainings."""
        inputs = self.plan.stages[self.plan.report].inputs
        return inputs[f"train/{ARM}/{seed}/{kind}"]

    def commit(self, key: str, training: Handler) -> None:
        """Commit a stage with all that it needs; trainings are done by `training`."""
        for one in self.plan.ancestors([key]):
            if one in self.refs:
                continue
            stage = self.plan.stages[one]
            inputs = {name: self.refs[source] for name, source in stage.inputs.items()}
            unit = Unit(key=one, kind=stage.kind, params=stage.params, inputs=inputs)
            marker = self.work.attempt(unit, training if stage.kind in {"sft", "rl"} else self.rows)
            assert marker.outcome == "committed", marker.message
            self.refs[one] = self.work.reference(unit)

    def rows(self, ctx: StageContext) -> StageResult:
        """What stages that train nothing leave; the conductor cuts later ones by how many prompts there are."""
        prompts = [{"prompt_id": "p0", "prompt": "say red", "split": "eval", "rank": 0}]
        rows = self.tables | {"prompts": records.from_rows(prompts, records.PROMPTS), "sample": self.tables["teach"]}
        counts = {"train": 100, "dev": 10, "eval": 40} if ctx.unit.kind == "prompts" else {}
        return StageResult({"rows.parquet": rows[ctx.unit.kind]}, dict(counts))

    def copied(self, ctx: StageContext) -> StageResult:
        """Instead of a training: the base model as it is, with a curve."""
        files: dict[str, pa.Table | bytes | Path] = {path.name: path for path in sorted(self.base.iterdir())}
        return StageResult({**files, "loss.parquet": pa.table({"step": [1], "loss": [0.5]}), "trl_config.json": b"{}"})

    def known(self, client: Client) -> None:
        """Wait until the API knows of the arm's commit."""

        def committed() -> bool:
            rows = {row["key"]: row["state"] for row in client.get(self.id)["stages"]}
            return rows.get(self.step("rl")) == "committed"

        wait_until(committed, 60, "the commit to be seen")


def demonstrations() -> pa.Table:
    rows = [{"prompt_id": f"p{n}", "prompt": f"say {n}", "sample_index": 0, "completion": "red"} for n in range(4)]
    return records.from_rows(rows, records.COMPLETIONS)


def preferences() -> pa.Table:
    better = [{"prompt_id": f"p{n}", "prompt": f"say {n}", "chosen": "red", "rejected": "blue"} for n in range(3)]
    tie = {"prompt_id": "p3", "prompt": "say 3", "chosen": None, "rejected": None, "dropped": "tie"}
    return records.from_rows([*better, tie], records.PREFERENCES)


@pytest.fixture
def made(place: Stack, client: Client, tmp_path: Path) -> Iterator[Made]:
    """With a base model that nothing can load, whose files are those of one."""
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"):
        (base / name).write_text(f"{{}} {name}")
    (base / "model.safetensors").write_bytes(bytes(range(256)) * 10)
    found = Made(place, client, base, {"teach": demonstrations(), "label": preferences()}, "export-listed")
    yield found
    found.work.close()


@pytest.fixture
def trained(place: Stack, client: Client, tmp_path: Path) -> Iterator[Made]:
    """With a tiny base model that is trained."""
    from tests.integration.trainer import tiny

    tables = {"teach": tiny.demonstrations(), "label": tiny.preferences()}
    found = Made(place, client, tiny.save_model(tmp_path / "base"), tables, "export-of-trained")
    found.commit(found.step("rl"), train)
    found.known(client)
    yield found
    found.work.close()


def test_the_command_lists_and_downloads_what_the_api_exports(
    made: Made, touchstone: Run, client: Client, http: httpx.Client, tmp_path: Path
) -> None:
    with pytest.raises(Conflict, match="'rlaif-weak' is not trained yet: its step sft with seed 0"):
        client.export_arm(made.id, ARM)
    made.commit(made.step("rl"), made.copied)
    made.known(client)

    out = tmp_path / "out"
    dry = touchstone("export", ARM, "-e", made.id, "--out", str(out), "--dry-run")
    assert dry.returncode == 0 and "model.safetensors" in dry.stdout and not out.exists()
    done = touchstone("export", ARM, "-e", made.id, "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["folder"], told["seed"]) == (str(out), 0)
    source = {path.name: path.read_bytes() for path in made.base.iterdir()}
    assert {name: (out / name).read_bytes() for name in source} == source
    rows = pq.read_table(out / "dataset" / "data" / "rl" / "train-00000-of-00001.parquet")
    assert rows.column_names == ["prompt", "chosen", "rejected"] and rows.num_rows == 3
    card = (out / "README.md").read_text()
    assert made.step("rl") in card and "choose-before-publishing" in card and "127.0.0.1" not in card
    assert not list(tmp_path.glob(".out.part*"))

    unknown = touchstone("export", "rlaif", "-e", made.id)
    assert unknown.returncode == 4 and "there are sft-weak, sft-strong, start-weak, rlaif-weak" in unknown.stderr
    with pytest.raises(InvalidInput, match=r"Use one of: 0, 1\."):
        client.export_arm(made.id, ARM, 7)
    with pytest.raises(Conflict, match="with seed 1 is"):
        client.export_arm(made.id, ARM, 1)
    (out / "config.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"holds something else \(config\.json\)"):
        client.download_export(client.export_arm(made.id, ARM), out)

    listing = client.export_arm(made.id, ARM)
    assert (listing["export"], listing["stage"]) == (told["export"], made.step("rl"))
    (weights,) = [one for one in listing["files"] if one["path"] == "model.safetensors"]
    part = http.get(weights["href"], headers={"Range": f"bytes={weights['size'] - 7}-"})
    assert part.status_code == 206 and part.content == source["model.safetensors"][-7:]
    assert part.headers["content-range"] == f"bytes {weights['size'] - 7}-{weights['size'] - 1}/{weights['size']}"
    assert http.get(weights["href"], headers={"Range": f"bytes={weights['size']}-"}).status_code == 416
    assert http.get(weights["href"].replace("model.safetensors", "none")).status_code == 404
    assert http.get(weights["href"].replace(listing["export"], "0" * 64)).status_code == 404


@pytest.mark.slow
def test_a_trained_arm_answers_as_its_checkpoint_did_and_its_rows_load(
    trained: Made, client: Client, tmp_path: Path
) -> None:
    folder = client.download_export(client.export_arm(trained.id, ARM), tmp_path / "out")
    checkpoint = trained.work.load(trained.refs[trained.step("rl")]).folder()
    said = [loaded(one, tmp_path / "hub") for one in (folder, checkpoint)]
    assert said[0][0] == said[1][0] and said[0][0].startswith("token ")
    assert said[0][1:] == ["rows sft 24 prompt,completion user", "rows rl 20 prompt,chosen,rejected user",
                           "default prompt,chosen,rejected"]  # fmt: skip
    assert json.loads((folder / "training" / "trl_config.json").read_text())["trainer"] == "DPOTrainer"
    assert str(tmp_path) not in (folder / "config.json").read_text() + (folder / "tokenizer_config.json").read_text()


def loaded(folder: Path, cache: Path) -> list[str]:
    """What a fresh process, that knows nothing of Touchstone, makes of a folder."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(folder), "say red"],
        cwd=cache.parent,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cache), "HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()
