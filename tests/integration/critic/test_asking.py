"""Ways of asking, by the critic worker as a real process: orders, templates, probabilities, scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.llm.providers.openai import OpenAIModel
from shared.templates.uploads import read_templates
from shared.uploaded_templates import publish_templates
from shared.world.reward import reward
from tests.integration.critic.rows import (
    CRITIC,
    completions,
    failure,
    label_params,
    labelled,
    logprobs,
    samples_of,
    words,
)
from tests.integration.llm import standin
from tests.integration.llm.standin import StandIn, completion, refusal
from tests.integration.llm.traffic import start_simulator, traffic
from tests.integration.llm.units import artifact, made, run, unit
from tests.stack import Stack

MT_BENCH = b'{"name": "pair", "type": "pairwise", "system_prompt": "Judge.", "output_format": "[[A]]", \
"prompt_template": "{question} <A>{answer_a}</A> <B>{answer_b}</B>"}'


@pytest.fixture
def provider() -> Iterator[StandIn]:
    with standin.running() as made_up:
        yield made_up


def identity(provider: StandIn) -> dict[str, Any]:
    return OpenAIModel(provider="openai", model="m", base_url=provider.url).identity()


def test_one_order_is_half_the_requests(critic: Stack) -> None:
    log = start_simulator(critic, latency_ms=0)
    samples = samples_of(critic, words(1), words(2))
    rows, metrics = labelled(critic, label_params(CRITIC.identity(), kind="pairwise", order="random"), samples)
    assert len(traffic(log)) == 30 and {row["order_asked"] for row in rows} == {"ab", "ba"}
    for row in rows:
        a, b = (reward(row["prompt"], row[f"completion_{place}"]) for place in "ab")
        assert row["preference"] == (0.5 if a == b else float(a > b))
        assert (row["verdict_ab"] is None) == (row["order_asked"] == "ba")
    assert metrics["both_orders"] == 0


def test_an_uploaded_template_is_what_is_asked(critic: Stack, provider: StandIn) -> None:
    info = publish_templates(critic.store, "mt", read_templates("j.jsonl", MT_BENCH))
    provider.reply = lambda prompt, before: (200, completion("Well. [[A]]" if "<A>good" in prompt else "[[C]]"), {})
    samples = samples_of(critic, ["good", "bad"], ["bad", "fine"])
    params = label_params(identity(provider), kind="pairwise", pinned=info.entries["pair"], flip="tie")
    rows, _ = labelled(critic, params, samples)
    assert [row["preference"] for row in rows] == [0.5, 0.5], "a and tie do not agree, which is a tie"
    assert (rows[0]["verdict_ab"], rows[0]["verdict_ba"]) == ("a", "tie")
    assert all(body["messages"][0] == {"role": "system", "content": "Judge."} for body in provider.bodies)


def test_probabilities_of_the_labels_become_preferences(critic: Stack, provider: StandIn) -> None:
    def reply(prompt: str, before: int) -> standin.Reply:
        body = completion("A")
        first = "begin answer A\ngood" in prompt
        body["choices"][0]["logprobs"] = logprobs(**({"A": 0.8, "B": 0.2} if first else {"B": 0.6, "A": 0.4}))
        return 200, body, {}

    provider.reply = reply
    samples = samples_of(critic, ["good", "same"], ["bad", "same"])
    rows, metrics = labelled(critic, label_params(identity(provider), kind="pairwise", verdict="logprobs"), samples)
    assert rows[0]["preference"] == pytest.approx((0.8 + 0.6) / 2) and rows[0]["chosen"] == "good"
    assert rows[1]["dropped"] == "identical"
    assert len(provider.bodies) == metrics["requests"] == 2, "the probe is the first request, not one more"
    assert all(body["top_logprobs"] == 5 and body["logprobs"] for body in provider.bodies)


def test_simulated_critics_give_probabilities_too(critic: Stack) -> None:
    start_simulator(critic, "--faults", '{"logprobs": true}', latency_ms=0)
    samples = samples_of(critic, words(1), words(2))
    params = label_params(CRITIC.identity(), kind="pairwise", verdict="logprobs")
    rows, metrics = labelled(critic, params, samples)
    assert metrics["unparsable"] == 0
    for row in rows:
        a, b = (reward(row["prompt"], row[f"completion_{place}"]) for place in "ab")
        if a != b:
            assert row["preference"] == pytest.approx(float(a > b), abs=0.01)


def test_what_cannot_be_read_is_asked_again_where_the_spec_says_so(critic: Stack, provider: StandIn) -> None:
    provider.reply = lambda prompt, before: (200, completion("Verdict: A" if before else "Hard to say."), {})
    samples = samples_of(critic, ["good"], ["bad"])
    rows, metrics = labelled(critic, label_params(identity(provider)), samples)
    assert rows[0]["dropped"] == "unparsable" and metrics["unparsable"] == 2
    again = {**identity(provider), "reask": {"unparsable": 1}}
    rows, metrics = labelled(critic, label_params(again), samples)
    assert rows[0]["preference"] == 0.5 and metrics["unparsable"] == 0
    assert metrics["reasked"] == {"unparsable": 2} and metrics["requests_paid"] == 2 and len(provider.bodies) == 4


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ((200, completion("A"), {}), "answers without log-probabilities"),
        ((400, refusal("logprobs is not supported"), {}), "refuses log-probabilities"),
    ],
)
def test_an_endpoint_without_log_probabilities_is_found_out_by_one_request(
    critic: Stack, provider: StandIn, reply: standin.Reply, says: str
) -> None:
    provider.reply = lambda prompt, before: reply
    params = label_params(identity(provider), kind="pairwise", verdict="logprobs")
    samples = samples_of(critic, words(1), words(2))
    marker = failure(critic, unit("label", params, {"samples": samples}, options={"name": "gpt"}))
    assert marker.permanent and f"models.gpt.ask.verdict: the endpoint {says}" in marker.message
    assert "verdict: label" in marker.message and len(provider.bodies) == 1


def test_a_wrong_key_is_not_taken_for_missing_log_probabilities(critic: Stack, provider: StandIn) -> None:
    provider.reply = lambda prompt, before: (401, refusal("bad key"), {})
    params = label_params(identity(provider), kind="pairwise", verdict="logprobs")
    given = unit("label", params, {"samples": samples_of(critic, words(1), words(2))}, options={"name": "gpt"})
    marker = failure(critic, given)
    assert "models.gpt.api_key" in marker.message and "bad key" in marker.message


def test_each_completion_is_scored_once_and_the_margin_kept(critic: Stack) -> None:
    log = start_simulator(critic, latency_ms=0)
    samples = samples_of(critic, words(1), words(2))
    rows, metrics = labelled(critic, label_params(CRITIC.identity(), kind="score"), samples)
    for row in rows:
        a, b = (1 + round(9 * reward(row["prompt"], row[f"completion_{place}"])) for place in "ab")
        assert (row["score_a"], row["score_b"], row["margin"]) == (a, b, a - b)
        assert row["preference"] == (0.5 if a == b else float(a > b))
    distinct = {(row["prompt_id"], row[f"completion_{place}"]) for row in rows for place in "ab"}
    assert len(traffic(log)) == len(distinct) and metrics["both_orders"] == 0


def test_scores_judge_arms_and_are_shared_between_pairs(critic: Stack) -> None:
    log = start_simulator(critic, latency_ms=0)
    reference = made(critic, "teach", completions(words(3)))
    criteria = [{"name": "right", "text": "it is right"}]
    for ask in (
        {"kind": "score"},
        {"kind": "rubric", "criteria": criteria},
        {"kind": "checklist", "criteria": criteria},
    ):
        params = {"protocol": "pairwise", "order": "both", "judge": CRITIC.identity(), "ask": ask}
        before = len(traffic(log))
        for first in (1, 2):
            given = unit("judge", params, {"samples": samples_of(critic, words(first)), "reference": reference})
            rows = artifact_rows(critic, given)
            assert all(row["valid"] and row["margin"] is not None for row in rows)
            assert all(row["score"] == (50.0 if row["margin"] == 0 else 100.0 * (row["margin"] > 0)) for row in rows)
        assert len(traffic(log)) - before <= 90, "the reference's 30 scores are asked for once"


def test_reference_answers_are_shown_where_there_are_some(critic: Stack, provider: StandIn) -> None:
    provider.reply = lambda prompt, before: (200, completion("Score: 9" if "gold" in prompt else "Score: 2"), {})
    samples = samples_of(critic, words(1, 2), words(2, 2))
    inputs = {"reference_answers": made(critic, "teach", completions(["gold"]))}
    rows, _ = labelled(critic, label_params(identity(provider), kind="score"), samples, inputs=inputs)
    assert [row["score_a"] for row in rows] == [9.0, 2.0]


def artifact_rows(stack: Stack, given: Any) -> list[dict[str, Any]]:

    rows: list[dict[str, Any]] = artifact(stack, run(stack, given)).rows().to_pylist()
    return rows
