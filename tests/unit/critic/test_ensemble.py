"""Ensembles: votes become one verdict, and each one's vote is kept."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.critic.compared import Compared
from services.critic.critics import Critic
from services.critic.ensemble import combine, compare_together
from services.critic.pairs import preference_row
from shared import records
from shared.artifacts import Cost
from shared.plan.comparisons import Comparison, Verdict, Verdicts
from shared.plan.experiment import plan
from shared.spec.parse import parse_spec
from tests.unit.specs import resolved, spec_with

PAIR = Comparison("p1", "q", "x", "y")
VERDICTS = st.sampled_from(["a", "b", "tie", "unparsable"])


def votes(*verdicts: Verdict) -> list[Verdicts]:
    return [Verdicts(verdict, None) for verdict in verdicts]


@pytest.mark.parametrize(
    ("given_votes", "majority", "mean"),
    [
        (("a", "a", "b"), 1.0, 2 / 3),
        (("a", "b"), 0.5, 0.5),
        (("a", "tie"), 0.5, 0.75),
        (("a", "tie", "tie"), 0.5, 2 / 3),
        (("b", "b", "unparsable"), 0.0, 0.0),
        (("a", "b", "unparsable"), 0.5, 0.5),
        (("unparsable", "unparsable"), None, None),
    ],
)
def test_votes_become_one_verdict(given_votes: tuple[Verdict, ...], majority: float | None, mean: float | None) -> None:
    assert combine("majority", votes(*given_votes)).preference == majority
    assert combine("mean", votes(*given_votes)).preference == pytest.approx(mean)


@given(st.lists(VERDICTS, min_size=1, max_size=7), st.sampled_from(["majority", "mean"]), st.randoms())
def test_the_members_order_and_the_pair_s_do_not_count(given_votes: list[Verdict], vote: str, random: Any) -> None:
    whole = combine(vote, votes(*given_votes))
    shuffled = random.sample(given_votes, len(given_votes))
    turned = [{"a": "b", "b": "a"}.get(one, one) for one in given_votes]
    assert combine(vote, votes(*shuffled)).preference == pytest.approx(whole.preference)
    other = combine(vote, votes(*turned)).preference  # type: ignore[arg-type]
    assert (other is None) == (whole.preference is None)
    assert other is None or whole.preference is None or other == pytest.approx(1 - whole.preference)


def test_votes_that_balance_are_a_tie() -> None:
    soft = [Verdicts("a", "a", settled=share) for share in (0.8, 0.6, 0.1)]
    assert combine("mean", soft).ab == "tie"


def test_where_no_member_has_anything_to_judge_by_nothing_is_unparsable() -> None:
    nothing = [Verdicts(None, None), Verdicts(None, None)]
    row = preference_row(PAIR, combine("majority", nothing).preference, combine("majority", nothing))
    assert row["dropped"] == "unjudged" and row["verdict_ab"] is None
    some = combine("majority", [*nothing, Verdicts("unparsable", None)])
    assert preference_row(PAIR, some.preference, some)["dropped"] == "unparsable"


def test_every_vote_is_kept_in_the_row() -> None:
    soft = Verdicts("a", "a", "A", "B", settled=0.8)
    together = combine("mean", [soft, Verdicts("b", None, "of a …", score_a=2, score_b=5)])
    row = preference_row(PAIR, together.preference, together)
    (kept,) = records.from_rows([row], records.PREFERENCES).to_pylist()
    assert kept["preference"] == pytest.approx(0.4) and kept["chosen"] == "y"
    assert [vote["preference"] for vote in kept["votes"]] == [0.8, 0.0]
    assert kept["votes"][1]["margin"] == -3.0 and kept["votes"][0]["raw_ba"] == "B"


def test_members_get_their_own_inputs_options_and_ways_of_asking() -> None:
    members = [{"critic": {"provider": "x"}, "ask": {"kind": "score"}}, {"critic": {"provider": "y"}}]
    options = {"name": "both", "members": [{"name": "one"}, {"name": "two", "price": {"input": 1, "output": 2}}]}
    critic = Critic.of({"critic": {"provider": "ensemble", "vote": "mean", "members": members}}, "critic", options)
    tables = {name: pa.table({"at": [name]}) for name in ("samples", "members/1/towards")}
    seen: list[tuple[str, str, list[str]]] = []

    def compare(member: Critic, pairs: Any, given_tables: Any) -> Compared:
        seen.append((member.endpoint.name, member.ask.kind, sorted(given_tables)))
        return Compared(votes("a"), {"requests": 2}, Cost(usd=1.0))

    found = compare_together(critic, [PAIR], tables, compare)
    assert seen == [("one", "score", ["samples"]), ("two", "pairwise", ["samples", "towards"])]
    assert (found.cost.usd, found.metrics["requests"], found.metrics["abstained"]) == (2.0, 4, 0)


def test_the_plan_knows_members_by_who_they_are() -> None:
    ensemble = {"provider": "ensemble", "members": ["critic", "sim"]}
    models = {"models__both": ensemble, "models__sim": {"provider": "similarity", "towards": "strong"}}
    made = plan(resolved(spec_with(**models, **{"arms__rlaif-weak__rl__critic": "both"})))
    (label,) = [one for one in made.stages.values() if one.kind == "label" and one.options["name"] == "both"]
    assert [one["critic"]["provider"] for one in label.params["critic"]["members"]] == ["simulated", "similarity"]
    assert set(label.inputs) == {"samples", "members/1/towards"}
    assert [one["name"] for one in label.options["members"]] == ["critic", "sim"]
    assert "sim" not in str(label.params).replace("simulated", "").replace("similarity", "")


def test_a_reward_model_s_rewards_of_a_reference_are_shared_by_all_arms() -> None:
    model = {"provider": "reward_model", "model": "model:tiny", "pinned": {"uploaded": "0" * 64}, "batch_size": 4}
    changes = {"arms__rlaif-weak__rl__critic": "rm", "evaluations__win-rate__judge": "rm"}
    made = plan(resolved(spec_with(models__rm=model, **changes)))
    judges = [stage for stage in made.stages.values() if stage.kind == "judge"]
    assert len({stage.inputs["rewards/reference"] for stage in judges}) == 1
    assert len({stage.inputs["rewards/samples"] for stage in judges}) == len(judges)
    reward = made.stages[judges[0].inputs["rewards/reference"]]
    assert reward.params == {"model": {"uploaded": "0" * 64}, "dtype": "float32"} and reward.options["batch_size"] == 4
    (label,) = [one for one in made.stages.values() if one.kind == "label" and "rewards/samples" in one.inputs]
    assert made.stages[label.inputs["rewards/samples"]].inputs == {"completions": label.inputs["samples"]}


def test_an_ensemble_with_an_imitating_member_imitates() -> None:
    models = {
        "models__both": {"provider": "ensemble", "members": ["critic", "sim"]},
        "models__sim": {"provider": "similarity", "towards": "strong"},
    }
    made = plan(resolved(spec_with(**models, **{"evaluations__win-rate__judge": "both"})))
    assert made.stages[made.report].params["evaluations"]["win-rate@0.7"]["imitation"]
    assert not made.stages[made.report].params["evaluations"]["win-rate@0.7"]["offline_judge"]


@pytest.mark.parametrize(
    ("members", "field", "says"),
    [
        (["critic"], "models.both.members", "at least 2"),
        (["critic", "critic"], "models.both", "twice"),
        (["critic", "weak"], "models.both.members.1", "cannot compare"),
        (["critic", "nobody"], "models.both.members.1", "not under models"),
        (["critic", "both"], "models.both.members.1", "is an ensemble itself"),
        (["critic", "labels"], "models.both.members.1", "recorded pairs"),
    ],
)
def test_members_that_cannot_vote_are_refused(members: list[str], field: str, says: str) -> None:
    from shared.errors import BadInput

    models = {
        "models__both": {"provider": "ensemble", "members": members},
        "models__labels": {"provider": "recorded", "preferences": "dataset:labels"},
    }
    with pytest.raises(BadInput) as caught:
        parse_spec(spec_with(**models))
    assert (caught.value.field, says in str(caught.value)) == (field, True)
