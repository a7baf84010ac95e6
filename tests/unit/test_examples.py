"""Every shipped spec parses and plans; its header says what it shows and costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from shared.plan import plan
from shared.resolve import Resolved
from shared.specparse import parse_spec

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))
PINNED = "0" * 64


def resolved_as_if_the_data_were_there(path: Path) -> Resolved:
    """The spec with every dataset and model pinned to a hash of nought."""
    spec = parse_spec(yaml.safe_load(path.read_text()))
    data = spec.model_dump(mode="json", exclude_defaults=True) | {"seeds": spec.seeds}
    for name, model in spec.models.items():
        if model.dataset is not None:
            data["models"][name]["pinned"] = PINNED
    source = data["prompts"]["source"]
    sizes = {"train": spec.prompts.train, "dev": spec.prompts.dev, "eval": spec.prompts.eval}
    return Resolved(
        spec=data,
        datasets={source.removeprefix("dataset:"): PINNED} if isinstance(source, str) else {},
        policies={name: {"uploaded": PINNED} for name, policy in spec.policies.items() if policy.model},
        counts={**sizes, "near_duplicates": 0},
    )


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} >= {"quickstart", "quickstart-seeds", "alpaca-eval-smollm2"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_plans(path: Path) -> None:
    made = plan(resolved_as_if_the_data_were_there(path))
    assert made.stages[made.report].kind == "report"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_header_says_what_it_shows_and_costs(path: Path) -> None:
    header = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert "Shows" in header
    assert "Costs" in header


def test_the_seeds_example_differs_from_the_quickstart_in_name_and_seeds_alone() -> None:
    one, three = (yaml.safe_load((EXAMPLES[0].parent / f"{name}.yaml").read_text()) for name in
                  ("quickstart", "quickstart-seeds"))  # fmt: skip
    assert {name for name in one if one[name] != three[name]} == {"name", "seeds"}
