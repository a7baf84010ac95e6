"""What the terminal shows, from the API's JSON: events add up, stages are grouped, and a pipe gets plain lines."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from touchstone_client import progress
from touchstone_client.events import Event, apply
from touchstone_client.report import print_report
from touchstone_client.view import Dashboard, watch


def stage(key: str, kind: str, arms: list[str], state: str = "pending", **more: Any) -> dict[str, Any]:
    blank = {"reason": None, "error": None, "progress": {"done": 0, "total": 0}, "reused": False}
    return {"key": key * 64, "kind": kind, "arms": arms, "state": state, **blank, **more}


def experiment(*stages: dict[str, Any], state: str = "running") -> dict[str, Any]:
    return {
        "id": "01",
        "name": "e",
        "state": state,
        "stages": list(stages),
        "counts": {},
        "cost_usd": 0.0,
        "created": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:03:05+00:00" if state == "succeeded" else None,
    }


STATES = st.sampled_from(["pending", "ready", "running", "waiting", "committed", "failed", "cancelled"])


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), STATES), max_size=6))
def test_deltas_add_up_to_the_last_state_of_each_stage(deltas: list[dict[str, str]]) -> None:
    summary = apply({}, Event("snapshot", experiment(*(stage(key, "sft", []) for key in "abcd")), "1-0"))
    last = dict.fromkeys("abcd", "pending")
    for delta in deltas:
        changed = [stage(key, "sft", [], state) for key, state in delta.items()]
        summary = apply(summary, Event("update", experiment(*changed), "2-0"))
        last |= delta
    assert [(each["key"][0], each["state"]) for each in summary["stages"]] == list(last.items())


def test_other_events_change_nothing() -> None:
    summary = experiment(stage("a", "sft", ["x"]))
    assert apply(summary, Event("metrics", {"key": "a", "row": {"loss": 1.0}}, "3-0")) == summary
    assert apply(summary, Event("end", {"state": "failed"}, "")) == summary


def test_stages_are_grouped_by_kind_and_arms() -> None:
    summary = experiment(
        stage("a", "prompts", ["x", "y"], "committed", reused=True),
        stage("b", "judge", ["x"], "committed"),
        stage("c", "judge", ["x"], "running", progress={"done": 1, "total": 4}),
        stage("d", "judge", ["y"], "failed", error="the endpoint\nsaid no"),
        stage("e", "sft", ["y"], "waiting", reason="away"),
    )
    groups = {(group.kind, group.arms): group for group in progress.group_stages(summary)}
    assert list(groups) == [("prompts", "all arms"), ("judge", "x"), ("judge", "y"), ("sft", "y")]
    both = groups["judge", "x"]
    assert (both.state, both.committed, both.stages, both.fraction) == ("running", 1, 2, 0.625)
    assert groups["judge", "y"].note == "the endpoint said no"
    assert groups["sft", "y"].note == "away"
    assert [group.kind for group in progress.group_stages(summary, by_arms=False)] == ["prompts", "judge", "sft"]


@pytest.mark.parametrize(("seconds", "said"), [(-1, "0 s"), (59.9, "59 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")])
def test_durations(seconds: float, said: str) -> None:
    assert progress.duration(seconds) == said


class Told:
    """Stands in for a client whose experiment tells these events."""

    def __init__(self, *events: Event) -> None:
        self._events = events

    def events(self, id: str) -> Any:
        return iter(self._events)


def told_to(console: Console, *events: Event) -> dict[str, Any]:
    return watch(Told(*events), "01", console)  # type: ignore[arg-type]


EVENTS = (
    Event(
        "snapshot", experiment(stage("a", "prompts", ["x"], "committed", reused=True), stage("b", "sft", ["x"])), "1"
    ),
    Event("update", experiment(stage("b", "sft", ["x"], "running")), "2"),
    Event("update", experiment(stage("b", "sft", ["x"], "running", progress={"done": 1, "total": 2})), "3"),
    Event("update", experiment(stage("b", "sft", ["x"], "failed", error="no [bold] memory"), state="failed"), "4"),
    Event("end", {"state": "failed"}, ""),
)


def test_without_a_terminal_one_line_for_each_change() -> None:
    out = io.StringIO()
    summary = told_to(Console(file=out, width=60), *EVENTS)
    lines = [line.partition(" ")[2] if line[:1].isdigit() else line for line in out.getvalue().splitlines()]
    assert lines == [
        "1 stages are reused: nothing to do for them",
        "sft      running   x [bbbbbbbb]",
        "sft      failed    x [bbbbbbbb]: no [bold] memory",
        "failed: 2 stages, 1 of them reused",
        "  sft bbbbbbbb: no [bold] memory",
    ]
    assert summary["state"] == "failed"


def test_on_a_terminal_a_live_table() -> None:
    out = io.StringIO()
    told_to(Console(file=out, width=120, height=40, force_terminal=True, color_system=None), *EVENTS)
    text = out.getvalue()
    assert "1/2 stages" in text and "no [bold] memory" in text and "reused" in text


def test_a_low_terminal_shows_kinds_alone() -> None:
    many = [stage(letter, "judge", [f"arm-{letter}"]) for letter in "abcdefgh"]
    console = Console(file=io.StringIO(), width=100, height=8, force_terminal=True)
    dashboard = Dashboard(console)
    dashboard.show(experiment(*many))
    with console.capture() as low:
        console.print(dashboard)
    assert "arm-a" not in low.get() and "0/8" in low.get()


REPORT = {
    "partial": True,
    "arms": {
        "sft-strong": {
            "evaluations": {
                "win-rate@0.7": {"estimate": 62.84, "standard_error": 1.4, "interval": [60.0, 65.6], "n": 300}
            },
            "cost": {"usd": 1.5, "device_hours": 0.25},
        },
        "rlaif-weak": {"evaluations": {}, "cost": {}},
    },
    "contrasts": {
        "headline": {
            "win-rate@0.7": {
                "estimate": -3.0,
                "standard_error": 1.0,
                "interval": [-5.0, -1.0],
                "decision_interval": [-5.5, -0.5],
                "p_value": 0.004,
            }
        }
    },
    "verdict": {
        "level": "sft_suffices",
        "primary": {"contrast": "headline", "evaluation": "win-rate@0.7"},
        "reasons": ["one seed"],
        "sentence": "SFT suffices [here].",
    },
    "notes": [{"kind": "stand-in", "text": "The judge is a stand-in.", "spec": "models.judge"}],
}


def test_a_report_in_the_terminal() -> None:
    out = io.StringIO()
    print_report(REPORT, Console(file=out, width=120))
    text = out.getvalue()
    for words in ("Partial", "62.8 ± 1.4", "1.50", "-3.0", "[-5.5, -0.5]", "(primary)", "0.004"):
        assert words in text, words
    assert "SFT suffices [here]." in text and "one seed" in text and "sft_suffices" in text
    assert "The judge is a stand-in. (spec: models.judge)" in text


def test_a_report_with_nothing_in_it_yet() -> None:
    out = io.StringIO()
    print_report({"partial": True, "arms": {}, "contrasts": {}, "verdict": {}}, Console(file=out))
    assert "Partial" in out.getvalue()


def test_answers_that_are_none_and_costs_that_are_bounds_are_said_at_the_end() -> None:
    counts = {"outcomes": {"answered": 1490, "truncated": 9, "refused": 1}, "reasked": {}, "unparsable": 0}
    stages = [
        stage("a", "teach", [], "committed", answers={**counts, "without_usage": 3}),
        stage("b", "judge", [], "committed", answers={"outcomes": {"answered": 5}, "unparsable": 2}),
        stage("c", "sft", [], "committed", answers=None),
    ]
    out = io.StringIO()
    told_to(Console(file=out, width=200), Event("snapshot", experiment(*stages, state="succeeded"), "1-0"))
    assert "  teach: 9 truncated, 1 refused, of 1,500 answers\n" in out.getvalue()
    assert "  teach: 3 answers without usage count with the most that they can have cost\n" in out.getvalue()
    assert "  judge: 2 unparsable, of 5 answers\n" in out.getvalue()
