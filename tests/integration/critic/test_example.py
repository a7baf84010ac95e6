"""The critics of `examples/critics.yaml`, by the critic worker as a real process, and the cards that they get."""

from __future__ import annotations

from pathlib import Path

from services.analyst.critics.card import CriticCard, cards
from services.analyst.critics.reading import read_labellers
from shared.artifacts import Artifact
from shared.plan.experiment import plan
from shared.plan.model import Stage
from tests.integration.critic.rows import completions, samples_of, words
from tests.integration.llm.traffic import start_simulator
from tests.integration.llm.units import artifact, made, run, unit
from tests.stack import Stack
from tests.unit.test_examples import EXAMPLES, resolved_as_if_the_data_were_there

EXAMPLE = EXAMPLES[0].parent / "critics.yaml"


def cards_of(stack: Stack, example: Path) -> dict[str, CriticCard]:
    """The cards of all its critics and judges, after each labelled the same made-up samples."""
    planned = plan(resolved_as_if_the_data_were_there(example))
    samples = samples_of(stack, words(1), words(2))
    one, reference = samples_of(stack, words(1)), made(stack, "teach", completions(words(3)))

    def labelled(stage: Stage) -> Artifact:
        inputs = {"samples": samples} if stage.kind == "label" else {"samples": one, "reference": reference}
        assert set(inputs) == set(stage.inputs)
        return artifact(stack, run(stack, unit(stage.kind, stage.params, inputs, options=stage.options)))

    asked = [stage for stage in planned.stages.values() if stage.kind in {"label", "judge"}]
    # Whatever arm is judged, it is asked about the same samples here.
    first = {stage.options["name"]: stage for stage in reversed(asked) if stage.kind == "judge"}
    done = [stage for stage in asked if stage.kind == "label" or stage is first[stage.options["name"]]]
    artifacts = {f"stage/{stage.key}": labelled(stage) for stage in done}
    params = planned.stages[planned.report].params["critics"]
    return {card.name: card for card in cards(read_labellers(params, artifacts))}


def test_every_critic_of_the_example_is_read_and_held_against_its_check(critic: Stack) -> None:
    start_simulator(critic, latency_ms=0)
    found = cards_of(critic, EXAMPLE)
    panel = ("critic", "soft-critic", "long-critic")
    assert set(found) == {"check", "judge", "score-judge", "rubric-judge", "panel", *panel}
    assert found["panel"].members == panel and found["check"].gold
    for name, card in found.items():
        assert card.unparsable.value == 0.0, name
        if name != "check":
            assert card.errors.against == "check" and card.errors.rate.n > 0, name
    for name in panel:
        assert {*panel, "panel", "check"} - {name} <= {one.other for one in found[name].agreement}
        assert found[name].member_of == ("panel",) and found[name].spent.input_tokens
    assert found["soft-critic"].position.flip_rate.n == found["long-critic"].position.flip_rate.n > 0
