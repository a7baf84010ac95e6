"""What the plan tells the report of its critics, and the check of critics on recorded pairs."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import BadInputs
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved
from tests.unit.analyst.fixture import offline, quickstart

PEOPLE = {"provider": "recorded", "preferences": "dataset:people", "gold": True}


def planned(data: dict[str, Any]) -> Plan:
    spec = parse_spec(data)
    whole = spec.model_dump(mode="json", exclude_defaults=True) | {"seeds": spec.seeds}
    policies = {name: {"uploaded": "0" * 64} for name in spec.policies}
    counts = {split: getattr(spec.prompts, split) for split in ("train", "dev", "eval")}
    return plan(Resolved(spec=whole, counts=counts, policies=policies, datasets={"alpaca-eval": "1" * 64}))


def critics(made: Plan) -> dict[str, Any]:
    found: dict[str, Any] = made.stages[made.report].params["critics"]
    return found


def with_people(**changes: Any) -> dict[str, Any]:
    data = quickstart(**changes)
    return data | {"models": data["models"] | {"people": PEOPLE}}


def test_every_labeller_has_its_stages_by_role() -> None:
    found = critics(planned(quickstart()))
    assert set(found) == {"critic", "judge"} and not any(one["gold"] or one["own"] for one in found.values())
    assert {role: len(keys) for role, keys in found["critic"]["stages"].items()} == {"critic": 2}
    assert {role: len(keys) for role, keys in found["judge"]["stages"].items()} == {"judge": 18}
    recorded = critics(planned(offline()))["gpt-4-labels"]
    assert recorded["recorded"] and set(recorded["stages"]) == {"labels"}


def test_a_check_asks_every_critic_about_recorded_pairs_and_changes_no_other_key() -> None:
    before, made = planned(with_people()), planned(with_people(critic_check={"labels": "people"}))
    found = critics(made)
    assert found["people"]["gold"] and set(found["people"]["stages"]) == {"labels"}
    (labels,) = found["people"]["stages"]["labels"]
    assert made.stages[labels].params["split"] == "eval"
    for name in ("critic", "judge"):
        (check,) = found[name]["stages"]["check"]
        assert made.stages[check].inputs == {"preferences": labels}
        assert made.stages[made.report].inputs[f"stage/{check}"] == check
    assert set(before.stages) - {before.report} < set(made.stages)


def test_a_reward_model_is_checked_by_the_rewards_of_the_recorded_pairs() -> None:
    data = with_people(critic_check={"labels": "people"}, critic="panel")
    data["models"] |= {
        "rm": {"provider": "reward_model", "model": "model:tiny", "pinned": {"uploaded": "0" * 64}},
        "panel": {"provider": "ensemble", "members": ["critic", "rm"]},
    }
    made = planned(data)
    found = critics(made)
    (labels,) = found["people"]["stages"]["labels"]
    (check,) = found["panel"]["stages"]["check"]
    rewards = made.stages[made.stages[check].inputs["members/1/rewards/preferences"]]
    assert (rewards.kind, rewards.inputs) == ("reward", {"completions": labels})


def test_members_of_an_ensemble_have_its_stages_and_their_place_in_its_votes() -> None:
    data = with_people(critic_check={"labels": "people"}, critic="panel")
    data["models"] |= {
        "panel": {"provider": "ensemble", "members": ["judge", "critic"]},
    }
    found = critics(planned(data))
    assert found["panel"]["members"] == ["judge", "critic"] and "votes" not in found["panel"]
    assert not any("unpriced" in one for one in found.values())
    (check,) = found["panel"]["stages"]["check"]
    keys = [*found["panel"]["stages"]["critic"], check]
    assert found["critic"]["stages"] == {"member": keys} and found["critic"]["votes"] == dict.fromkeys(keys, 1)
    assert set(found["judge"]["stages"]) == {"judge", "member", "check"}
    assert found["judge"]["votes"] == dict.fromkeys(keys, 0)
    assert found["panel"]["sides"] == {check: "given"} == found["critic"]["sides"]


def test_a_member_that_wrote_what_is_compared_is_known() -> None:
    model = {"provider": "openai", "model": "gpt-4", "base_url": "http://127.0.0.1:1/v1"}
    data = quickstart()
    data["models"] |= {"reference": model, "panel": {"provider": "ensemble", "members": ["reference", "critic"]}}
    data["evaluations"]["win-rate"]["judge"] = "panel"
    found = critics(planned(data))
    assert len(found["reference"]["own"]) == 1 and found["panel"]["own"] == []


def test_what_the_critics_own_model_wrote_is_known() -> None:
    model = {"provider": "openai", "model": "gpt-4", "base_url": "http://127.0.0.1:1/v1", "price": "unknown"}
    data = quickstart()
    # Asked otherwise as a judge, it is the same model.
    data["models"] |= {"reference": model, "judge": {**model, "system": "Judge fairly.", "temperature": 0.1}}
    made = planned(data)
    (own,) = critics(made)["judge"]["own"]
    assert critics(made)["judge"]["unpriced"], "as its price says"
    assert made.stages[own].kind == "teach" and made.stages[own].params["split"] == "eval"
    assert critics(made)["critic"]["own"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"critic_check": {"labels": "nobody"}}, "critic_check.labels"),
        ({"critic_check": {"labels": "judge"}}, "critic_check.labels"),
        ({"critic_check": {"labels": "people", "split": "test"}}, "critic_check.split"),
        (
            {
                "critic_check": {"labels": "people", "split": "dev"},
                "prompts": {"source": {"world": {}}, "train": 100, "eval": 20},
            },
            "critic_check.split",
        ),
        (
            {
                "models": quickstart()["models"]
                | {"c": {"provider": "recorded", "completions": "dataset:x", "gold": True}}
            },
            "models.c",
        ),
    ],
)
def test_a_check_that_cannot_be_is_refused(changes: dict[str, Any], field: str) -> None:
    data = with_people(**{name: value for name, value in changes.items() if name != "models"})
    data["models"] |= changes.get("models", {})
    with pytest.raises(BadInputs) as refused:
        parse_spec(data)
    assert field in [error.field for error in refused.value.errors]
