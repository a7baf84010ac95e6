"""What a card says, and what it says instead of a number that cannot be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyst.critics.card import CriticCard, Labeller, Spent, cards
from services.analyst.critics.concerns import concerns_of
from services.analyst.critics.labels import Label, from_judgements, from_preferences
from services.analyst.critics.length import length
from services.analyst.critics.view import rows
from shared import records
from tests.unit.analyst.critics.simulated import Faults, simulate, table

REAL = Path(__file__).parents[4].parent / "shared/data/alpaca_eval/preferences_gpt4.parquet"


def labeller(name: str, labels: list[Label], **given: object) -> Labeller:
    made = Labeller(name, "simulated", table(labels), {"critic": ("k",)}, spent=Spent(2.0, 1000, 100))
    return replace(made, **given)  # type: ignore[arg-type]


def only(*labellers: Labeller) -> CriticCard:
    return cards({one.name: one for one in labellers})[0]


def test_known_faults_are_found() -> None:
    mine, gold, own = simulate(Faults(first=0.3, error=0.2, unreadable=0.1), 2, 400)
    card = only(labeller("critic", mine, own=own), labeller("people", gold, gold=True, recorded=True))
    flips, first, wrong = card.position.flip_rate, card.position.first_place_rate, card.errors.rate
    faults = Faults(first=0.3)
    assert flips.interval and flips.interval[0] <= faults.flip_rate <= flips.interval[1]
    assert first.interval and first.interval[0] <= faults.first_place_rate <= first.interval[1]
    assert wrong.value and wrong.interval and card.errors.against == "people"
    assert card.agreement[0].other == "people" and card.agreement[0].gold and card.self_preference.against == "people"
    assert card.self_preference.excess.interval and card.self_preference.excess.interval[0] < 0
    assert card.per_label(card.spent.usd) == pytest.approx(2 / card.labels) and card.labels < 400
    said = " ".join(concerns_of(card))
    assert "position bias" in said and "contradicts itself" in said and "could not be read" in said
    assert "learns length" not in said


def test_without_gold_labels_flips_are_no_error() -> None:
    mine, theirs, _ = simulate(Faults(error=0.2), 1, 60)
    card = only(labeller("critic", mine), labeller("judge", theirs))
    assert card.errors.rate.value is None and "inconsistency, not error" in card.errors.rate.why
    assert card.agreement[0].kappa.value is not None and not card.agreement[0].gold
    assert card.self_preference.own_wins.why == "no pair has a completion that the same model wrote"


def test_a_pair_counts_once_in_whatever_order_it_comes_again() -> None:
    mine = simulate(Faults(), 1, 20)[0]
    turned = [Label(one.prompt_id, one.b, one.a, 0.5) for one in mine]
    found = table([*mine, *turned, Label("p0", "same", "same", 0.5)])
    assert (len(found.by_pair), found.repeated, found.identical) == (20, 20, 1)
    assert found.all == mine


def one_order(label: Label) -> Label:
    return replace(label, ba=None, preference=float(label.ab == "a"), asked="ab")


def other_order(label: Label) -> Label:
    return replace(label, ab=None, preference=float(label.ba == "a"), asked="ba")


def without_order(label: Label) -> Label:
    return replace(label, ba=None, preference=float(label.ab == "a"), asked="")


def tied(label: Label) -> Label:
    return replace(label, ab="tie", ba="tie", preference=0.5)


def longer_wins(label: Label) -> Label:
    side = "a" if len(label.a) >= len(label.b) else "b"
    return replace(label, ab=side, ba=side, preference=float(side == "a"))


def as_long(label: Label) -> Label:
    return replace(label, a=label.a.ljust(400)[:400], b=label.b.ljust(400)[:400])


def test_what_cannot_be_estimated_says_why() -> None:
    mine = simulate(Faults(), 1, 60)[0]

    def card(change: object, count: int = 60) -> CriticCard:
        return only(labeller("critic", [change(one) for one in mine[:count]]))  # type: ignore[operator]

    single = card(one_order)
    assert "one order" in single.position.flip_rate.why and single.position.first_place_rate.value is not None
    sided = card(lambda one: replace(one_order(one), sides="judged"))
    assert "always shown first" in sided.position.first_place_rate.why
    mixed = card(lambda one: one_order(one) if int(one.prompt_id[1:]) % 2 else other_order(one))
    assert mixed.position.first_place_rate.value is not None
    assert "no order" in card(without_order).position.first_place_rate.why
    ties = card(tied)
    assert ties.ties.value == 1 and "no answer named a winner" in ties.position.first_place_rate.why
    assert "too few" in ties.length.win_rate.why and "too few" in ties.length.slope.why
    long = card(longer_wins)
    assert long.length.win_rate.value == 1 and "no limit" in long.length.slope.why
    assert "equal length" in card(as_long).length.slope.why
    few = card(lambda one: one, 9)
    for one in (few.ties, few.position.flip_rate, few.length.win_rate, few.length.slope, few.unparsable):
        assert (one.value is None and "too few to say: 9" in one.why) or "too few to say" in one.why


@pytest.mark.parametrize(("prompts", "per_prompt"), [(1, 1), (1, 50), (9, 9)])
def test_too_little_is_said_to_be_too_little(prompts: int, per_prompt: int) -> None:
    mine, gold, own = simulate(Faults(first=0.2), 1, prompts, per_prompt)
    card = only(labeller("critic", mine, own=own), labeller("people", gold, gold=True, recorded=True))
    found = [card.ties, card.unparsable, card.position.flip_rate, card.position.first_place_rate, card.errors.rate]
    found += [card.length.win_rate, card.length.slope, card.agreement[0].kappa, card.self_preference.excess]
    for one in found:
        assert (one.value, one.interval) == (None, None) and "too few to say" in one.why and one.prompts <= prompts
    assert concerns_of(card) == [] and card.length.bins[0].win_rate.value is None


def test_two_that_agree_on_everything_may_still_differ_on_the_next_pair() -> None:
    mine = simulate(Faults(), 1, 60)[0]
    card = only(labeller("critic", mine), labeller("judge", mine))
    kappa = card.agreement[0].kappa
    assert kappa.value == 1 and kappa.interval is not None and 0.8 < kappa.interval[0] < 1 == kappa.interval[1]


def test_a_label_that_could_not_be_read_is_none_however_often_it_comes_again() -> None:
    mine = simulate(Faults(unreadable=0.5), 1, 60)[0]
    card = only(labeller("critic", [*mine, *mine]))
    assert card.labels == 2 * sum(one.preference is not None for one in mine) < 2 * card.pairs


def test_two_that_always_say_the_same_have_no_kappa() -> None:
    mine = [tied(one) for one in simulate(Faults(), 1, 60)[0]]
    card = only(labeller("critic", mine), labeller("judge", mine))
    assert card.agreement[0].agree.value == 1 and "not defined" in card.agreement[0].kappa.why


def test_one_that_always_says_the_same_has_a_kappa_without_an_interval() -> None:
    mine = simulate(Faults(), 1, 60)[0]
    card = only(labeller("critic", mine), labeller("judge", [tied(one) for one in mine]))
    kappa = card.agreement[0].kappa
    assert (kappa.value, kappa.interval) == (0.0, None) and "0 whatever the other says" in kappa.why
    (row,) = [row for row in rows(card) if row.measure == "Kappa with judge"]
    assert (row.value, row.interval) == ("0.00", "–") and kappa.why in row.hint


def test_where_one_side_always_wins_nothing_is_said_of_length() -> None:
    mine = [replace(one, ab="a", ba="a", preference=1.0, sides="judged") for one in simulate(Faults(), 1, 60)[0]]
    assert "one side won every time" in only(labeller("critic", mine)).length.slope.why


def test_what_a_label_costs_is_not_known_where_the_price_is_not() -> None:
    mine = simulate(Faults(), 1, 20)[0]
    card = only(labeller("critic", mine, spent=Spent(None, 1000, 100)))
    assert card.per_label(card.spent.usd) is None and card.per_label(card.spent.input_tokens) == 50
    cost = list(rows(card))[-1]
    assert (cost.value, cost.why) == ("", "its price is unknown, as the spec says") and "50 tokens in" in cost.hint


def test_rows_of_both_kinds_become_labels() -> None:
    row: dict[str, Any] = {"prompt_id": "p", "verdict_ab": "a", "verdict_ba": "b", "raw_ab": "x", "raw_ba": "y"}
    preferences = [{**row, "completion_a": "one", "completion_b": "two", "preference": 0.5}]
    judgements: list[dict[str, Any]] = [
        {**row, "completion": "one", "reference": "two", "score": 50.0, "valid": True},
        {**row, "completion": "one", "reference": "two", "score": None, "valid": False, "verdict_ab": "unparsable"},
        {"prompt_id": "q", "completion": "nothing to compare with", "score": None, "valid": False},
    ]
    (label,) = from_preferences(records.from_rows(preferences, records.PREFERENCES))
    assert label.flipped and label.asked == "both" and label.preference == 0.5 and not label.sides
    found = from_judgements(records.from_rows(judgements, records.JUDGEMENTS))
    assert [one.preference for one in found] == [0.5, None] and all(one.sides == "judged" for one in found)
    offline: list[dict[str, Any]] = [
        {**row, "verdict_ba": None, "completion_a": "one", "completion_b": "two", "preference": 1.0}
    ]
    alone = records.from_rows(offline, records.PREFERENCES)
    assert from_preferences(alone)[0].asked == ""
    rest = alone.select([name for name in alone.column_names if name != "order_asked"])
    assert from_preferences(rest.append_column("order_asked", pa.array(["ba"])))[0].asked == "ba"


texts = st.text("ab ", max_size=30)
verdicts = st.sampled_from(["a", "b", "tie", "unparsable"])


@given(st.lists(st.tuples(st.integers(0, 25), texts, texts, verdicts, verdicts), max_size=60))
def test_turning_every_pair_round_changes_nothing(rows: list[tuple[int, str, str, str, str]]) -> None:
    share, other = {"a": 1.0, "b": 0.0, "tie": 0.5}, {"a": "b", "b": "a"}
    labels = [
        Label(f"p{prompt}", a, b, None if "unparsable" in (ab, ba) else (share[ab] + share[ba]) / 2, ab, ba, "both")
        for prompt, a, b, ab, ba in rows
    ]
    turned = [
        Label(
            one.prompt_id,
            one.b,
            one.a,
            None if one.preference is None else 1 - one.preference,
            other.get(one.ba or "", one.ba),
            other.get(one.ab or "", one.ab),
            "both",
        )
        for one in labels
    ]
    if not labels:
        return
    first, second = (only(labeller("critic", some)) for some in (labels, turned))
    for estimate, same in (
        (first.position.flip_rate, second.position.flip_rate),
        (first.position.first_place_rate, second.position.first_place_rate),
        (first.length.win_rate, second.length.win_rate),
        (first.ties, second.ties),
    ):
        assert estimate.why == same.why
        if estimate.value is not None and estimate.interval is not None and same.interval is not None:
            assert 0 <= estimate.interval[0] <= estimate.interval[1] <= 1
            assert estimate.value == pytest.approx(same.value) and estimate.interval == pytest.approx(same.interval)
    assert sum(one.pairs for one in first.length.bins) <= first.labels


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not here")
def test_real_labels_prefer_the_longer_one() -> None:
    rows = [row for row in pq.read_table(REAL).to_pylist() if row["preference"] is not None]
    labels = [
        Label(row["id"], row["output_1"], row["output_2"], {1: 1.0, 2: 0.0}.get(row["preference"], 0.5)) for row in rows
    ]
    distinct = table(labels)
    found = length(distinct.usable)
    assert len(rows) == 8041 and found.win_rate.value == pytest.approx(0.78, abs=0.005)
    assert found.win_rate.interval and found.win_rate.interval[1] - found.win_rate.interval[0] < 0.03
    assert found.slope.interval and found.slope.interval[0] > 0.5
    rates = [one.win_rate.value for one in found.bins]
    assert rates[:5] == sorted(rates[:5], key=lambda rate: rate or 0), rates
    card = only(Labeller("gpt-4", "recorded", distinct, {"labels": ("k",)}, recorded=True))
    assert "learns length" in concerns_of(card)[0] and "no order" in card.position.flip_rate.why
