"""Every shipped spec parses and plans; its header says what it shows and costs."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from shared.bandit import is_bandit
from shared.controls import CONTROLS
from shared.estimate import Known, preview
from shared.estimate.answered import asked_of
from shared.methods import PREFERENCES
from shared.plan.experiment import plan
from shared.settings import Settings
from shared.spec.declared import declared_fields
from shared.spec.matrix import cells
from shared.spec.parse import parse_spec, start_arms
from shared.spec.resolve import Resolved, resolve, resolve_any
from shared.store import MemoryStore

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))
PINNED = "0" * 64
RESULTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "paper_results.json"


def resolved_as_if_the_data_were_there(path: Path) -> Resolved:
    """The spec with every dataset and model pinned to a hash of nought."""
    written = yaml.safe_load(path.read_text())
    if is_bandit(written):
        return resolve_any(written, MemoryStore(), Settings())
    spec = parse_spec(written)
    data = spec.model_dump(mode="json", exclude_defaults=True) | {"seeds": spec.seeds}
    for name, model in spec.models.items():
        if model.dataset is not None:
            data["models"][name]["pinned"] = PINNED
    source = spec.prompts.source
    sizes = {"train": spec.prompts.train, "dev": spec.prompts.dev, "eval": spec.prompts.eval}
    return Resolved(
        spec=data,
        datasets={source.removeprefix("dataset:"): PINNED} if isinstance(source, str) else {},
        policies={name: {"uploaded": PINNED} for name, policy in spec.policies.items() if policy.base is None},
        counts={**sizes, "near_duplicates": 0},
    )


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} >= {
        "bandit", "quickstart", "quickstart-seeds", "critics", "judge-bias", "alpaca-eval-smollm2",
        *(f"paper-figure-{n}" for n in (2, 3, 4, 5)),
    }  # fmt: skip


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_plans(path: Path) -> None:
    made = plan(resolved_as_if_the_data_were_there(path))
    assert made.stages[made.report].kind == "report"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_header_says_what_it_shows_and_costs(path: Path) -> None:
    header = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert "Shows" in header
    assert "Costs" in header


@pytest.mark.parametrize("figure", [2, 3, 4, 5])
def test_a_paper_s_figure_is_priced_as_its_header_says_and_cannot_be_started(figure: int) -> None:
    path = EXAMPLES[0].parent / f"paper-figure-{figure}.yaml"
    spec = parse_spec(yaml.safe_load(path.read_text()))
    assert list(declared_fields(spec))
    resolved = resolve(spec, MemoryStore(), Settings())
    made = plan(resolved)
    todo = asked_of(made, made.stages.values(), resolved.counts, {})
    shown = preview(spec.name, made, resolved.counts, (), Known(asked=todo))
    assert shown["provisional"] and not shown["unknown_prices"]
    said = re.search(r"about \$([\d,]+) \(([\d,]+) to ([\d,]+)\)", path.read_text())
    assert said is not None
    numbers = [float(number.replace(",", "")) for number in said.groups()]
    assert numbers == pytest.approx([shown["cost_usd"], *shown["cost_range"]], rel=0.1)


@pytest.mark.parametrize(
    ("figure", "name", "arms"),
    [
        (2, "figure_2_gpt4_as_strong_teacher_critic_and_judge", 4),
        (4, "figure_4_claude_as_strong_teacher_critic_and_judge", 4),
        (5, "figure_5_gpt4_as_sft_teacher_and_critic", 3),
    ],
)
def test_a_paper_s_figure_has_the_base_models_and_arms_of_the_paper(figure: int, name: str, arms: int) -> None:
    if not RESULTS.exists():
        pytest.skip(f"the paper's numbers are not at {RESULTS}")
    spec = parse_spec(yaml.safe_load((EXAMPLES[0].parent / f"paper-figure-{figure}.yaml").read_text()))
    found = json.loads(RESULTS.read_text())[name]
    assert set(spec.policies) == set(found)
    cell = next(iter(cells(spec).values()))
    assert {len(one) for one in found.values()} == {arms} == {len(cell.arms) + len(set(start_arms(cell).values()))}


def test_the_critics_example_shares_all_but_its_own_critics_arms_with_the_quickstart() -> None:
    mine, quickstart = (
        plan(resolved_as_if_the_data_were_there(EXAMPLES[0].parent / f"{name}.yaml"))
        for name in ("critics", "quickstart")
    )
    new = [stage for key, stage in mine.stages.items() if key not in quickstart.stages]
    assert {stage.kind for stage in new} == {"label", "rl", "sample", "judge", "report"}
    assert sum(stage.kind == "rl" for stage in new) == 2


def test_the_recipes_example_has_every_method_and_control_and_shares_the_quickstart_s_arms() -> None:
    path = EXAMPLES[0].parent / "recipes.yaml"
    spec = parse_spec(yaml.safe_load(path.read_text()))
    assert {arm.rl.method for arm in spec.arms.values() if arm.rl is not None} == set(PREFERENCES)
    assert {arm.control.kind for arm in spec.arms.values() if arm.control is not None} == set(CONTROLS)
    mine, quickstart = (
        plan(resolved_as_if_the_data_were_there(path.parent / f"{name}.yaml")) for name in ("recipes", "quickstart")
    )
    new = Counter(stage.kind for key, stage in mine.stages.items() if key not in quickstart.stages)
    assert (new["rl"], new["reward_model"], new["sft"], new["label"], new["teach"]) == (13, 1, 4, 2, 1)


def test_the_scaling_example_asks_a_teacher_once_for_each_prompt_and_shares_the_quickstart_s_base() -> None:
    path = EXAMPLES[0].parent / "scaling.yaml"
    spec = parse_spec(yaml.safe_load(path.read_text()))
    assert [float(cell.partition("=")[2]) for cell in cells(spec)] == [0.05, 0.1, 0.25, 0.5]
    resolved = resolved_as_if_the_data_were_there(path)
    mine, quickstart = plan(resolved), plan(resolved_as_if_the_data_were_there(path.parent / "quickstart.yaml"))
    shared = Counter(stage.kind for key, stage in mine.stages.items() if key in quickstart.stages)
    # The base model, both SFT arms of all prompts with their samples, and what teachers and reference wrote.
    assert (shared["pretrain"], shared["sft"]) == (1, 2)
    taught = [
        stage for stage in mine.stages.values()
        if stage.kind == "teach" and stage.params["split"] == "train" and stage.options["name"] == "weak-teacher"
    ]  # fmt: skip
    assert sorted(stage.params["stop"] for stage in taught) == [0.05, 0.1, 0.25, 0.5, 1.0]
    asked = asked_of(mine, taught, resolved.counts, {})
    shown = preview(spec.name, mine, resolved.counts, (), Known(asked=asked))
    rows = [row for row in shown["stages"] if row["key"] in {stage.key for stage in taught}]
    assert sum(row["requests"] - row["repeated"] for row in rows) == spec.prompts.train
    assert sum(row["requests"] for row in rows) > spec.prompts.train


def test_the_judge_bias_example_has_gold_labels_of_a_biased_judge_and_shares_the_quickstart_s_sft() -> None:
    path = EXAMPLES[0].parent / "judge-bias.yaml"
    spec = parse_spec(yaml.safe_load(path.read_text()))
    models = {name: spec.models[name].model_dump() for name in ("long-critic", "long-judge")}
    assert all(model["length_bias"] == 0.5 and not model["error_rate"] for model in models.values())
    mine, quickstart = (
        plan(resolved_as_if_the_data_were_there(path.parent / f"{name}.yaml")) for name in ("judge-bias", "quickstart")
    )
    report = mine.stages[mine.report]
    assert report.params["gold"]["n"] == 150 and len(report.params["gold"]["scores"]) == 2
    new = Counter(stage.kind for key, stage in mine.stages.items() if key not in quickstart.stages)
    assert (new["pretrain"], new["teach"], new["sft"], new["label"], new["rl"]) == (0, 0, 0, 1, 1)


def test_the_seeds_example_differs_from_the_quickstart_in_name_and_seeds_alone() -> None:
    one, three = (yaml.safe_load((EXAMPLES[0].parent / f"{name}.yaml").read_text()) for name in
                  ("quickstart", "quickstart-seeds"))  # fmt: skip
    assert {name for name in one if one[name] != three[name]} == {"name", "seeds"}
