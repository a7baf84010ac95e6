"""Cards of simulated critics with known faults, asked by the real critic worker about recorded pairs."""

from __future__ import annotations

from typing import Any

import pytest

from services.analyst.critics.card import CriticCard, cards
from services.analyst.critics.estimates import Estimate
from services.analyst.critics.reading import read_labellers
from shared import records
from shared.artifacts import Artifact
from shared.llm.providers.simulated import SimulatedModel
from shared.world.prompts import make_prompts
from shared.world.reward import reward
from tests.integration.llm.traffic import start_simulator
from tests.integration.llm.units import artifact, made, run, unit
from tests.stack import Stack

COUNT = 150
ROWS = [
    {
        "prompt_id": prompt.prompt_id,
        "prompt": prompt.text,
        "completion_a": " ".join(words[1 : 3 + place % 4]),
        "completion_b": " ".join(words[2 : 7 - place % 3]),
    }
    for place, prompt in enumerate(make_prompts(COUNT, seed=0))
    if (words := prompt.text.split())
]


def truth(row: dict[str, Any]) -> float:
    """The true preference, from the world's reward."""
    a, b = (reward(row["prompt"], row[f"completion_{side}"]) for side in "ab")
    return 0.5 if a == b else float(a > b)


GOLD = records.from_rows([{**row, "preference": truth(row)} for row in ROWS], records.PREFERENCES)


def cards_of(stack: Stack, **faults: SimulatedModel) -> dict[str, CriticCard]:
    """What a report would show of these critics, after each was asked about all pairs."""
    gold = made(stack, "preferences", GOLD)
    artifacts: dict[str, Artifact] = {f"stage/{gold.key}": artifact(stack, gold)}
    params: dict[str, Any] = {
        "people": {"provider": "recorded", "gold": True, "recorded": True, "stages": {"labels": [gold.key]}}
    }
    # As if each of them had written the first completion of every pair itself.
    own = [{"prompt_id": row["prompt_id"], "sample_index": 0, "completion": row["completion_a"]} for row in ROWS]
    wrote = made(stack, "demonstrations", records.from_rows(own, records.COMPLETIONS))
    artifacts[f"stage/{wrote.key}"] = artifact(stack, wrote)
    for name, model in faults.items():
        label = {"pairs": "given", "critic": model.identity(), "order": "both"}
        price = {"input": 1.0, "output": 2.0}
        done = run(stack, unit("label", label, {"preferences": gold}, options={"name": name, "price": price}))
        artifacts[f"stage/{done.key}"] = artifact(stack, done)
        params[name] = {"provider": "simulated", "stages": {"check": [done.key]}, "own": [wrote.key]}
    return {card.name: card for card in cards(read_labellers(params, artifacts))}


def holds(estimate: Estimate, true: float) -> bool:
    assert estimate.interval is not None, estimate.why
    return estimate.interval[0] <= true <= estimate.interval[1]


def test_known_faults_are_within_the_cards_intervals(critic: Stack) -> None:
    start_simulator(critic, latency_ms=0)
    found = cards_of(
        critic,
        wrong=SimulatedModel(provider="simulated", error_rate=0.2),
        first=SimulatedModel(provider="simulated", position_bias=0.25),
        long=SimulatedModel(provider="simulated", length_bias=0.5),
    )
    wrong, first, long = (found[name] for name in ("wrong", "first", "long"))
    distinct = [row for row in ROWS if row["completion_a"] != row["completion_b"]]
    assert wrong.pairs == len(distinct) and wrong.errors.against == "people"
    assert holds(wrong.errors.rate, 0.2) and wrong.position.flip_rate.value == 0
    assert wrong.spent.usd and wrong.per_label(wrong.spent.input_tokens)

    ties = sum(truth(row) == 0.5 for row in distinct) / len(distinct)
    # A pair of equal rewards flips only if both orders are drawn; any other one if the order against its content is.
    assert holds(first.position.flip_rate, 0.25 * (1 - ties) + 0.25**2 * ties)
    named = (1 - ties) + 0.25 * ties
    assert holds(first.position.first_place_rate, (0.25 + 0.75 * 0.5 * (1 - ties)) / named)
    assert holds(long.position.first_place_rate, 0.5) and not holds(first.position.first_place_rate, 0.5)

    unequal = [row for row in distinct if len(row["completion_a"]) != len(row["completion_b"])]
    longer = [abs(truth(row) - (len(row["completion_a"]) < len(row["completion_b"]))) for row in unequal]
    wins = sum(0.5 + 0.5 * (share == 1.0) for share in longer)
    decided = sum(1.0 if share != 0.5 else 0.5 for share in longer)
    assert holds(long.length.win_rate, wins / decided)
    by_people = sum(share == 1.0 for share in longer) / sum(share != 0.5 for share in longer)
    assert long.length.others.value == pytest.approx(by_people)
    # None of them cares who wrote what.
    assert wrong.self_preference.against == "people" and holds(first.self_preference.excess, 0.0)
    kappas = {one.other: one.kappa.value for one in long.agreement}
    assert set(kappas) == {"people", "wrong", "first"} and kappas["people"]
