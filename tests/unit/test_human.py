"""Which pairs people see, and the votes that count."""

from __future__ import annotations

from shared.human import Cast, Prefers, Sheet, Vote, count, rank, read_ballots, report_name, shown, write_votes
from shared.store import MemoryStore

HEADS = Sheet("rlaif-weak", "sft-strong", "win-rate@0.7", 0)


def a_vote(rater: str, prompt: str, vote: Vote = "left", prefers: Prefers = "a") -> Cast:
    return Cast(shown(HEADS.code("x"), prompt).row, rater, vote, prefers, HEADS, prompt, "2026-11-23T18:00:00+00:00")


def test_sides_are_shuffled_by_hash_and_say_nothing_of_arms() -> None:
    code = HEADS.code("x")
    rows = [shown(code, f"p{place}") for place in range(400)]
    assert 150 < sum(row.swapped for row in rows) < 250
    assert [shown(code, f"p{place}") for place in range(400)] == rows, "the same for whoever asks again"
    assert len({row.row for row in rows}) == 400 and not any("weak" in row.row for row in rows)
    codes = {HEADS.code("x"), HEADS.code("y"), Sheet("sft-strong", "rlaif-weak", HEADS.evaluation, 0).code("x")}
    assert len(codes | {Sheet("rlaif-weak", None, HEADS.evaluation, 0).code("x")}) == 4


def test_a_vote_is_for_the_text_and_not_for_the_side() -> None:
    for prompt in ("p0", "p1", "p2", "p3", "p4", "p5"):
        row = shown(HEADS.code("x"), prompt)
        assert row.prefers("left") == ("b" if row.swapped else "a")
        assert row.prefers("right") == ("a" if row.swapped else "b")
        assert row.prefers("tie") == "tie"


def test_the_order_is_a_random_one_that_all_can_repeat() -> None:
    ids = [f"p{place:04}" for place in range(1000)]
    first = set(sorted(ids, key=rank)[:100])
    assert 30 < sum(id < "p0500" for id in first) < 70


def test_a_later_vote_of_the_same_rater_counts_and_both_are_kept() -> None:
    store = MemoryStore()
    first = write_votes(store, "x", [a_vote("Ann", "p1", "left", "a"), a_vote("Ann", "p2")])
    second = write_votes(store, "x", [a_vote("Ann", "p1", "tie", "tie"), a_vote("Bob", "p1", "right", "b")])
    found = read_ballots(store, "x")
    assert first < second and found.objects == (first, second)
    assert {(one.rater, one.prompt_id): one.prefers for one in found.cast} == {
        ("Ann", "p1"): "tie",
        ("Ann", "p2"): "a",
        ("Bob", "p1"): "b",
    }
    assert found.superseded == 1 and all(one.sheet == HEADS for one in found.cast)
    assert read_ballots(store, "nobody").cast == ()


def test_votes_against_the_reference_are_read_as_they_were_written() -> None:
    store = MemoryStore()
    alone = Sheet("rlaif-weak", None, "win-rate@0.7", 1)
    vote = Cast(shown(alone.code("x"), "p").row, "Ann", "right", "b", alone, "p", "2026-11-23T18:00:00+00:00")
    write_votes(store, "x", [vote])
    assert read_ballots(store, "x").cast == (vote,)
    assert count([(vote,), (vote,)], ["1", "2"]).superseded == 1


def test_a_reports_name_says_which_votes_are_in_it() -> None:
    names = {
        report_name("x", "stages/report/k/1.json", votes, "report.json")
        for votes in (["a"], ["a", "b"], ["b", "a"], ["b"])
    }
    assert len(names) == 3 and all(name.startswith("experiments/x/human/reports/") for name in names)
    assert report_name("x", "stages/report/k/2.json", ["a"], "report.json") not in names
