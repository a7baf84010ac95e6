"""An ensemble's members have cards of their own, from the votes that are kept."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from touchstone_client.critics import print_critics

from services.analyst.critics.card import cards
from services.analyst.critics.labels import from_judgements, from_preferences
from services.analyst.tasks import make
from services.api.critic_cards import CriticCards
from shared import records
from shared.plan.comparisons import Comparison, Verdict, Verdicts
from tests.unit.analyst.critics.simulated import table
from tests.unit.analyst.critics.test_card import labeller
from tests.unit.analyst.fixture import experiment, quickstart

MEMBERS = ("first", "second")


def votes(one: Verdict, other: Verdict) -> Verdicts:
    members = (Verdicts(one, one, "x", "y"), Verdicts(other, None, "z", score_a=1.0, score_b=2.0))
    return Verdicts("tie", None, settled=0.5, votes=members)


def row_of(pair: Comparison, given: Verdicts) -> dict[str, Any]:
    texts = {"prompt_id": pair.prompt_id, "completion_a": pair.a, "completion_b": pair.b}
    return {**texts, "preference": given.preference, **given.columns()}


def preferences(count: int = 40) -> pa.Table:
    """The first member says a, the second one b in every fourth pair, else a; one of its answers is lost."""
    rows = []
    for place in range(count):
        pair = Comparison(f"p{place}", "q", f"one {place}", f"two {place}")
        given = votes("a", "unparsable" if place == 1 else "b" if place % 4 == 0 else "a")
        rows.append(row_of(pair, given))
    return records.from_rows(rows, records.PREFERENCES)


def test_a_member_s_labels_are_its_votes() -> None:
    made = preferences()
    first, second = (from_preferences(made, member) for member in (0, 1))
    assert [one.asked for one in first[:2]] == ["both", "both"] and {one.asked for one in second} == {""}
    assert [one.preference for one in second[:4]] == [0.0, None, 1.0, 1.0]
    assert {one.preference for one in from_preferences(made)} == {0.5}, "the whole's own verdict"
    plain = made.drop_columns(["votes"])
    assert from_preferences(plain, 0) == [] and len(from_preferences(plain)) == 40


def test_a_judging_member_s_labels_are_its_votes() -> None:
    row: dict[str, Any] = {"prompt_id": "p", "completion": "x", "reference": "y", "score": 50.0, "valid": True}
    made = records.from_rows([{**row, **votes("a", "b").columns()}], records.JUDGEMENTS)
    (whole,), (first,), (second,) = (from_judgements(made, member) for member in (None, 0, 1))
    assert (whole.preference, first.preference, second.preference) == (0.5, 1.0, 0.0)
    assert first.sides == "judged"


def test_members_are_compared_with_each_other_and_held_against_no_ensemble_of_theirs() -> None:
    made = preferences()
    labels = {"panel": from_preferences(made)} | {
        name: from_preferences(made, place) for place, name in enumerate(MEMBERS)
    }
    found = {
        card.name: card
        for card in cards(
            {name: labeller(name, given, members=MEMBERS if name == "panel" else ()) for name, given in labels.items()}
        )
    }
    assert found["panel"].members == MEMBERS and found["panel"].beside is None
    assert {one.other: one.related for one in found["panel"].agreement} == {"first": True, "second": True}
    first = found["first"]
    assert first.member_of == ("panel",) and first.beside == "second"
    pairwise = next(one for one in first.agreement if one.other == "second")
    assert pairwise.agree.n == 39 and pairwise.agree.value == pytest.approx(29 / 39) and not pairwise.related
    assert first.position.flip_rate.value == 0.0 and found["second"].position.flip_rate.value is None
    assert found["second"].unparsable.value == pytest.approx(1 / 40) and found["second"].labels == 39
    assert table(labels["panel"]).read == 40


def test_the_report_of_an_ensemble_has_its_members_cards(tmp_path: Path) -> None:
    data = quickstart()
    data["models"] |= {
        "panel": {"provider": "ensemble", "members": ["critic", "other"]},
        "other": {"provider": "simulated", "error_rate": 0.2, "seed": 7, "ask": {"kind": "score"}},
    }
    made = experiment(tmp_path, data | {"critic": "panel"})
    planned = made.params["critics"]
    assert planned["panel"]["members"] == ["critic", "other"]
    assert set(planned["critic"]["stages"]) == set(planned["other"]["stages"]) == {"member"}
    assert set(planned["other"]["votes"].values()) == {1}
    rng = np.random.default_rng(0)
    bill = {"usd": 0.25, "input_tokens": 1000, "output_tokens": 100}
    for key in planned["panel"]["stages"]["critic"]:
        made.commit(
            key, {"preferences.parquet": ensemble_rows(rng)}, {"members": {"0": bill, "1": {**bill, "usd": 0.75}}}
        )
    files = make(made.params, made.artifacts(), partial=False)
    report = json.loads(files["report.json"])
    found = CriticCards.model_validate({"id": "x", "partial": False, "critics": report["critics"]}).critics
    assert found["panel"].members == ["critic", "other"] and found["other"].member_of == ["panel"]
    assert (found["critic"].cost.usd, found["other"].cost.usd) == (0.5, 1.5), "of two stages"
    between = next(one for one in found["critic"].agreement if one.with_ == "other")
    assert between.kappa.estimate is not None and not between.related
    page = files["report.html"].decode()
    assert "an ensemble of critic and other" in page and "votes in panel" in page and "a member of it" in page
    out = io.StringIO()
    print_critics({"partial": False, "critics": report["critics"]}, Console(file=out, width=80))
    assert "kappa with critic (its member)" in out.getvalue() and "(its ensemble)" in out.getvalue()


def ensemble_rows(rng: np.random.Generator) -> pa.Table:
    rows = []
    for place in range(60):
        pair = Comparison(f"p{place}", "q", f"one {place}" + "x" * int(rng.integers(9)), f"two {place}")
        one: Verdict = "a" if rng.random() < 0.5 else "b"
        other: Verdict = one if rng.random() < 0.8 else "tie"
        given = votes(one, other)
        rows.append(row_of(pair, given))
    return records.from_rows(rows, records.PREFERENCES)
