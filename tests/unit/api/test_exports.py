"""What is exported of an arm: the right training's model, a card that tells what it is, and rows as TRL takes them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
import yaml
from celery import Celery

from services.api.exports.card import of_adapter, summary
from services.api.exports.made import Exports
from services.api.exports.markdown import table, text
from services.api.exports.rows import rows_of
from services.api.exports.trained import Training, training_of
from services.api.lineage import Lineages
from services.api.pages.results import arm_row
from services.api.planned import Planned, Plans
from services.api.problems import Problem
from services.api.reportfiles import Reports
from services.api.voted import Voted
from shared import records
from shared.errors import BadInput
from shared.spec.parse import parse_spec
from tests.unit.analyst.fixture import Experiment, experiment, quickstart
from tests.unit.api.test_lineage import rows_of as summary_rows

SPOKEN = [{"role": "assistant", "content": "red"}]


def demonstrations(*completions: str) -> pa.Table:
    rows = [
        {"prompt_id": f"p{place}", "prompt": f"say {place}", "sample_index": 0, "completion": completion}
        for place, completion in enumerate(completions)
    ]
    return records.from_rows(rows, records.COMPLETIONS)


def preferences() -> pa.Table:
    rows = [
        {"prompt_id": "p0", "prompt": "say 0", "chosen": "red", "rejected": "blue, or green", "dropped": None},
        {"prompt_id": "p1", "prompt": "say 1", "chosen": None, "rejected": None, "dropped": "tie"},
        {"prompt_id": "p2", "prompt": "say 2", "chosen": "one", "rejected": "two", "dropped": None},
    ]
    return records.from_rows(rows, records.PREFERENCES)


class Made:
    """An experiment whose rlaif-weak has rows, and what exports it."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.spec = quickstart(**changes)
        self.experiment: Experiment = experiment(folder, self.spec)
        self.planned = Planned(parse_spec(self.spec), self.experiment.plan)
        stages = self.experiment.plan.stages
        self.training = training_of(self.experiment.plan, "rlaif-weak", None, "one")
        sft, rl = (stages[key] for key in self.training.steps.values())
        self._commit(sft.inputs["demonstrations"], demonstrations("red", " ", "two"))
        self._commit(rl.inputs["preferences"], preferences())
        for one in (sft, rl):
            # Anew, so that they name the tables above as what they read.
            self.experiment.commit(one.key, {"loss.parquet": pa.table({"step": [1], "loss": [0.5]})}, {})
        store = self.experiment.store
        reports = Reports(store, Voted(store, redis.Redis(), Celery()))
        self.exports = Exports(store, Plans(store), reports, Lineages(store))

    def _commit(self, key: str, rows: pa.Table) -> None:
        self.experiment.commit(key, {"rows.parquet": rows}, {"pairs": 3})

    def summary(self, missing: tuple[str, ...] = ()) -> dict[str, Any]:
        rows = summary_rows(self.experiment, missing)
        return {"id": "one", "name": "quickstart", "stages": rows, "report": None}

    def make(self) -> tuple[str, dict[str, bytes]]:
        sha256, kept = self.exports.make(self.summary(), self.planned, self.training)
        return sha256, {path: self.experiment.store.get(ref.object) for path, ref in kept.files.items()}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def front(card: bytes) -> dict[str, Any]:
    _, head, _ = card.decode().split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(head)
    return found


def test_an_arm_is_the_last_step_of_its_training(tmp_path: Path) -> None:
    plan = experiment(tmp_path, quickstart(seeds=[3, 4])).plan
    found = training_of(plan, "rlaif-weak", None, "one")
    assert (found.seed, list(found.steps)) == (3, ["sft", "rl"])
    assert plan.stages[found.key].kind == "rl" and plan.stages[found.key].params["seed"] == 3
    assert training_of(plan, "start-weak", 4, "one").key == training_of(plan, "rlaif-weak", 4, "one").steps["sft"]
    with pytest.raises(BadInput, match=r"seed: arm 'rlaif-weak' was not trained with seed 5.*3, 4"):
        training_of(plan, "rlaif-weak", 5, "one")
    with pytest.raises(Problem, match=r"no arm 'rlaif'; there are .*rlaif-strong") as refused:
        training_of(plan, "rlaif", None, "one")
    assert refused.value.status == 404


def test_an_arm_of_a_matrix_needs_its_cell_where_cells_differ(tmp_path: Path) -> None:
    plan = experiment(tmp_path, quickstart(matrix={"fractions": [0.1, 0.5]})).plan
    assert training_of(plan, "rlaif-weak [fraction=0.5]", None, "one").arm == "rlaif-weak [fraction=0.5]"
    assert training_of(plan, "sft-strong", None, "one").arm == "sft-strong [fraction=0.1]"
    with pytest.raises(Problem, match=r"'rlaif-weak' alone: say which cell's; there are rlaif-weak \[fraction=0.1\], "):
        training_of(plan, "rlaif-weak", None, "one")


def test_rows_are_those_of_the_training_as_conversations() -> None:
    said = rows_of("sft", {"method": "sft"}, "demonstrations", demonstrations("red", "  ", "two"))
    assert said.table.to_pylist()[0] == {"prompt": [{"role": "user", "content": "say 0"}], "completion": SPOKEN}
    assert said.table.num_rows == 2 and said.format == "prompt-completion"
    pairs = rows_of("rl", {"method": "dpo"}, "preferences", preferences())
    assert pairs.table.column_names == ["prompt", "chosen", "rejected"] and pairs.table.num_rows == 2
    assert pairs.table.to_pylist()[0]["chosen"] == SPOKEN
    alike = rows_of("rl", {"method": "dpo", "length_within": 0.1}, "preferences", preferences())
    assert alike.table.num_rows == 1
    better = rows_of("sft-2", {"method": "sft"}, "preferences", preferences())
    assert [row["completion"][0]["content"] for row in better.table.to_pylist()] == ["red", "one"]


def test_the_folder_has_model_card_and_a_dataset_with_a_config_for_each_step(made: Made) -> None:
    sha256, files = made.make()
    data = {f"dataset/data/{step}/train-00000-of-00001.parquet" for step in ("sft", "rl")}
    assert files.keys() == {"README.md", "training/loss.parquet", "dataset/README.md", *data}
    head = front(files["dataset/README.md"])
    assert [(one["config_name"], one.get("default")) for one in head["configs"]] == [("sft", None), ("rl", True)]
    for one in head["configs"]:
        rows = pq.read_table(io.BytesIO(files[f"dataset/{one['data_files'][0]['path']}"]))
        assert rows.num_rows == 2
    assert made.make()[0] == sha256, "the same again is the same"
    kept = made.exports.read("one", sha256)
    assert kept is not None and kept.files.keys() == files.keys() and made.exports.read("one", "0" * 64) is None


def test_the_card_tells_what_the_model_is(made: Made) -> None:
    report = {
        "partial": True,
        "verdict": {"sentence": "RL adds nothing."},
        "arms": {
            "rlaif-weak": {
                "evaluations": {
                    "win-rate@0.7": {"estimate": 54.25, "standard_error": 1.0, "interval": [52.0, 56.5], "n": 300}
                },
                "cost": {"usd": 1.5, "device_hours": 0.25},
            }
        },
    }
    made.experiment.store.put("scratch/reports/one/report.json", json.dumps(report).encode())
    _, files = made.make()
    card = files["README.md"].decode()
    head = front(files["README.md"])
    assert head["license"] == "other" and head["license_name"] == "choose-before-publishing"
    assert head["library_name"] == "transformers" and {"sft", "dpo"} <= set(head["tags"])
    assert "| win-rate@0.7 | 54.25 | 52 to 56.5 | 300 |" in card and "may still change" in card
    assert "RL adds nothing." in card and "$1.50, and 0.25 device hours" in card
    assert "learning_rate: 0.0003" in card and "beta: 0.1" in card and "on 2 rows (config `rl`" in card
    for what in ("| teacher | weak-teacher |", "| critic | critic |", "| base model | made on the spot |"):
        assert what in card
    stages = made.experiment.plan.stages
    for key in (*made.training.steps.values(), stages[made.training.key].inputs["preferences"]):
        assert key in card and made.experiment.refs[key].sha256 in card
    assert "worker-" not in card, "no host is published"


def test_without_a_report_the_card_says_so(made: Made) -> None:
    card = made.make()[1]["README.md"].decode()
    assert "no evaluation yet" in card and "those of the stages below" in card


def test_an_arm_that_is_not_trained_yet_says_how_far_it_is(made: Made) -> None:
    key = made.training.key
    store = made.experiment.store
    store.delete([made.experiment.refs[key].object])
    with pytest.raises(
        Problem, match=r"'rlaif-weak' is not trained yet: its step rl with seed 0 is pending"
    ) as refused:
        made.exports.make(made.summary((key,)), made.planned, made.training)
    assert refused.value.status == 409


def test_a_start_is_exported_by_itself(made: Made) -> None:
    start = training_of(made.experiment.plan, "start-weak", None, "one")
    _, kept = made.exports.make(made.summary(), made.planned, start)
    assert kept.stage == made.training.steps["sft"]
    assert [path for path in kept.files if path.endswith("1.parquet")] == [
        "dataset/data/sft/train-00000-of-00001.parquet"
    ]


def test_the_page_names_an_arm_as_a_shell_takes_it() -> None:
    arm = {"cost": {"usd": 0.0, "device_hours": 0.0}, "evaluations": {}}
    row = arm_row("rlaif-weak", arm, (), {}, "key", "rlaif-weak [fraction=0.1]")
    assert row.export == "'rlaif-weak [fraction=0.1]'"
    assert arm_row("base", arm, (), {}, "", "base").export == "", "nothing was trained"


def test_what_users_wrote_breaks_no_table() -> None:
    assert table(["a"], [["x | y\n<b>*z*</b>"]]) == "| a |\n| --- |\n| x \\| y \\<b\\>\\*z\\*\\</b\\> |"
    assert text("`a` [b](c)") == "\\`a\\` \\[b\\](c)"


def test_the_card_names_every_step_for_what_it_is() -> None:
    training = Training("by-model", 0, {"sft": "a", "reward": "b", "rl": "c"})
    methods = {"sft": {"method": "sft"}, "reward": {"method": "reward"}, "rl": {"method": "grpo"}}
    assert "with seed 0: SFT, then a reward model, then GRPO." in summary("quickstart", "one", training, (0,), methods)
    assert summary("q", "one", training, (0,), {"rl": {"method": "online_dpo"}}).count("ONLINE DPO") == 1


def test_a_card_says_what_an_adapter_beside_whole_weights_is_of() -> None:
    said = of_adapter({"model.safetensors": "1", "adapter/adapter_model.safetensors": "2"})
    assert said is not None and "`adapter/`" in said and "peft" in said
    assert of_adapter({"model.safetensors": "1"}) is None


def test_of_a_swept_step_the_chosen_training_is_exported_and_its_card_has_every_trial(tmp_path: Path) -> None:
    spec = quickstart(
        rl={"sweep": {"beta": [0.1, 0.3, 0.5]}, "temperature": 1.0}, tuning={"unequal_trials": True}, seeds=[3, 4]
    )
    found = experiment(tmp_path, spec)
    planned, stages = Planned(parse_spec(spec), found.plan), found.plan.stages
    training = training_of(found.plan, "rlaif-weak", 4, "one")
    sft, choice = (stages[key] for key in training.steps.values())
    trials = [stages[choice.inputs[f"model/{place}/4"]] for place in range(3)]
    assert choice.kind == "choose" and [one.params["beta"] for one in trials] == [0.1, 0.3, 0.5]
    found.commit(sft.inputs["demonstrations"], {"rows.parquet": demonstrations("red", " ", "two")}, {})
    found.commit(trials[0].inputs["preferences"], {"rows.parquet": preferences()}, {})
    curve = {"loss.parquet": pa.table({"step": [1], "loss": [0.5]})}
    for one in (sft, *trials, choice):
        found.commit(one.key, curve if one is not choice else curve | {"trials.parquet": pa.table({"trial": [1]})}, {})
    reports = Reports(found.store, Voted(found.store, redis.Redis(), Celery()))
    exports = Exports(found.store, Plans(found.store), reports, Lineages(found.store))
    summary = {"id": "one", "name": "quickstart", "stages": summary_rows(found, ()), "report": None}
    _, kept = exports.make(summary, planned, training)
    files = {path: found.store.get(ref.object) for path, ref in kept.files.items()}
    assert {"training/loss.parquet", "training/trials.parquet"} <= set(files)
    card = files["README.md"].decode()
    assert "beta: 0.3" in card and "seed: 4" in card
    assert "| beta 0.1 | 40 | 35 to 45 |  |" in card
    assert "| beta 0.3 | 52.5 | 47.5 to 57.5 | chosen |" in card
    assert "diverged: after step 7" in card
    rows = pq.read_table(io.BytesIO(files["dataset/data/rl/train-00000-of-00001.parquet"]))
    assert rows.num_rows == 2 and planned.about(trials[2].key).endswith("seed 4, beta 0.5")
