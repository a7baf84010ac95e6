"""The graph of stages: what is one node, which edges are drawn, and that nothing lies on anything."""

from __future__ import annotations

from typing import Any

from services.api.pages.graph import MOST, NODE_HEIGHT, NODE_WIDTH, graph, reduced
from shared.plan.experiment import plan
from tests.unit.specs import resolved, spec_with


def rows(state: str = "pending", **changes: Any) -> list[dict[str, Any]]:
    """A plan's stages as a summary has them."""
    made = plan(resolved(spec_with(**changes)))
    return [
        {"key": key, "kind": one.kind, "arms": one.arms, "inputs": sorted(set(one.inputs.values())), "state": state}
        for key, one in made.stages.items()
    ]


def test_an_edge_that_a_longer_way_says_too_is_left_out() -> None:
    assert reduced({(0, 1), (1, 2), (0, 2), (2, 3), (0, 3)}) == {(0, 1), (1, 2), (2, 3)}
    assert reduced({(0, 1), (0, 2)}) == {(0, 1), (0, 2)}


def test_no_node_lies_on_another_and_every_edge_goes_right() -> None:
    drawn = graph(rows(), None)
    assert drawn is not None
    places = [(node.x, node.y) for node in drawn.nodes]
    for x, y in places:
        assert 0 <= x <= drawn.width - NODE_WIDTH and 0 <= y <= drawn.height - NODE_HEIGHT
        assert sum(abs(x - a) < NODE_WIDTH and abs(y - b) < NODE_HEIGHT for a, b in places) == 1
    for path in drawn.edges:
        start, end = path.removeprefix("M").split("C")[0], path.rsplit(" ", 2)[1:]
        assert float(start.split()[0]) < float(end[0])


def test_a_stage_that_is_of_no_arm_says_nothing_of_arms() -> None:
    drawn = graph([{"key": "0" * 64, "kind": "bandit", "arms": [], "inputs": [], "state": "committed"}], None)
    assert drawn is not None
    (node,) = drawn.nodes
    assert (node.about, node.label) == ("", "Bandit: committed")


def test_stages_of_the_same_arms_are_one_node_and_every_stage_is_in_one() -> None:
    found = rows(seeds=[0, 1, 2])
    drawn = graph(found, None)
    assert drawn is not None and len(drawn.nodes) <= MOST < len(found)
    assert sorted(key for node in drawn.nodes for key in node.keys) == sorted(row["key"] for row in found)
    trained = [node for node in drawn.nodes if node.title == "SFT"]
    assert {len(node.keys) for node in trained} == {3}, "a seed each"


def test_what_cannot_be_read_even_so_is_one_node_a_kind_and_column() -> None:
    arms = {f"arm-{place}": {"sft": {"teacher": "weak", "fraction": place / 40}} for place in range(1, 40)}
    changes: dict[str, Any] = {"arms": arms, "contrasts": {"one": ["arm-1", "arm-2"]}, "primary__contrast": "one"}
    drawn = graph(rows(**changes), None)
    assert drawn is not None and len(drawn.nodes) <= MOST
    assert [len(node.keys) for node in drawn.nodes if node.title == "SFT"] == [39]


def test_a_node_s_state_is_the_one_that_says_most() -> None:
    found = rows("committed", seeds=[0, 1, 2])
    trained = [row for row in found if row["kind"] == "sft"]
    trained[0]["state"] = "failed"
    drawn = graph(found, None)
    assert drawn is not None
    (node,) = [node for node in drawn.nodes if trained[0]["key"] in node.keys]
    assert (node.state, node.done) == ("failed", 2)
    assert "failed, 2 of 3 done" in node.label


def test_what_is_looked_at_stands_alone() -> None:
    found = rows(seeds=[0, 1, 2])
    key = next(row["key"] for row in found if row["kind"] == "rl")
    drawn = graph(found, None, focus=key)
    assert drawn is not None
    assert [node.keys for node in drawn.nodes if node.focus] == [(key,)]
    assert graph([], None) is None


def test_a_reference_that_two_arms_share_is_one_node_between_their_start_and_their_trainings() -> None:
    arm = {"sft": {"teacher": "weak", "fraction": 0.1}, "rl": {"critic": "critic", "loss": "ipo"}}
    found = rows(defaults__rl={"precompute_ref_log_probs": True}, arms__other=arm)
    (reference,) = [row for row in found if row["kind"] == "reference" and "rlaif-weak" in row["arms"]]
    assert set(reference["arms"]) == {"rlaif-weak", "other"}
    drawn = graph(found, None, focus=reference["key"])
    assert drawn is not None
    (node,) = [node for node in drawn.nodes if node.focus]
    assert node.title == "Reference" and node.keys == (reference["key"],)
