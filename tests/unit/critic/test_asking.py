"""How critics are asked: what is shown, and what is read in their words. What is not plainly there is unparsable."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.critic.compared import rates
from shared.asking import ASKS, DEFAULT, Ask, read_ask
from shared.llm.chat import Answer
from shared.plan.comparisons import Comparison, Verdicts
from shared.templates.defaults import CHECKLIST, LABEL, PAIRWISE, RUBRIC, SCORE, SCORE_WITH_REFERENCE
from shared.templates.reading import label_preference, parse_bracketed, parse_rating
from shared.templates.template import Template

PAIR = Comparison("p1", "Say hi.", "hi", "hello")
CRITERIA = [{"name": "polite", "text": "it greets", "weight": 1}, {"name": "short", "text": "one word", "weight": 3}]
EXAMPLES: dict[str, dict[str, Any]] = {
    "pairwise": {},
    "score": {"reference": "gpt-4"},
    "rubric": {"criteria": CRITERIA},
    "checklist": {"criteria": CRITERIA},
}
BRACKETS = Template("pairwise", "{prompt}{answer_a}{answer_b}[[A]]", brackets=True)


def ask(kind: str = "pairwise", **fields: Any) -> Ask:
    return read_ask({"ask": {"kind": kind, **fields}})


def read(made: Ask, *texts: str, template: Template | None = None, pair: Comparison = PAIR) -> Verdicts:
    return made.read(pair, [Answer(text, "stop") for text in texts], template or made.own_template())


def probable(made: Ask, *first_of: float) -> Verdicts:
    """Verdicts from the probabilities of A."""
    answers = [Answer("A", "stop", top_logprobs={"A": math.log(p), " B": math.log(1 - p)}) for p in first_of]
    return made.read(PAIR, answers, made.own_template())


@pytest.mark.parametrize("kind", ASKS)
def test_every_way_of_asking_renders_and_survives_a_stage_s_params(kind: str) -> None:
    made = ask(kind, **EXAMPLES[kind])
    assert read_ask({"ask": made.params()}).params() == made.params()
    assert "gpt-4" not in str(made.params()), "a model's name is in no key"
    (values, *_) = made.questions(PAIR, None)
    template = made.own_template()
    text = made.request({"sampling": {"max_tokens": 9}}, template, values).messages[-1]["content"]
    assert "Say hi." in text and "{" not in text
    assert template.split(text) == values, "what is rendered is split exactly"


def test_nothing_said_is_the_default() -> None:
    assert read_ask({}) is DEFAULT and DEFAULT.params() == {"kind": "pairwise"} and DEFAULT.shown == "both"


@pytest.mark.parametrize(
    ("flip", "words", "preference"),
    [
        ("average", ("Verdict: A", "Verdict: A"), 0.5),
        ("average", ("Verdict: A", "Verdict: tie"), 0.75),
        ("tie", ("Verdict: A", "Verdict: A"), 0.5),
        ("tie", ("Verdict: A", "Verdict: tie"), 0.5),
        ("tie", ("Verdict: A", "Verdict: B"), 1.0),
        ("tie", ("Verdict: A", "both are fine"), None),
    ],
)
def test_a_flip_is_averaged_or_a_tie(flip: str, words: tuple[str, str], preference: float | None) -> None:
    assert read(ask(flip=flip), *words).preference == preference


def test_one_order_is_asked_and_said() -> None:
    fixed = ask(order="fixed")
    assert [one["answer_a"] for one in fixed.questions(PAIR, None)] == ["hi"]
    verdicts = read(fixed, "Verdict: A")
    assert (verdicts.ab, verdicts.ba, verdicts.order_asked, verdicts.preference) == ("a", None, "ab", 1.0)
    assert rates([verdicts])["both_orders"] == 0


def test_a_random_order_is_the_pair_s_own_and_names_the_completion() -> None:
    made, orders = ask(order="random"), []
    for number in range(200):
        pair = Comparison(f"p{number}", "q", "x", "y")
        (question,) = made.questions(pair, None)
        verdicts = read(made, "Verdict: A", pair=pair)
        orders.append(verdicts.order_asked)
        assert verdicts.preference == (1.0 if question["answer_a"] == "x" else 0.0)
        assert made.questions(pair, None) == [question]
        assert (verdicts.ab is None) == (verdicts.order_asked == "ba")
    assert 60 < orders.count("ab") < 140


def test_probabilities_of_the_labels_are_the_preference() -> None:
    made = ask(verdict="logprobs")
    assert (made.sampling()["top_logprobs"], made.own_template()) == (5, LABEL)
    verdicts = probable(made, 0.9, 0.3)
    assert verdicts.preference == pytest.approx((0.9 + 0.7) / 2)
    assert (verdicts.ab, verdicts.ba) == ("a", "a")
    flipped = probable(made, 0.9, 0.8)
    assert flipped.flipped and flipped.preference == pytest.approx(0.55)
    assert probable(ask(verdict="logprobs", flip="tie"), 0.9, 0.8).preference == 0.5
    assert probable(ask(verdict="logprobs", order="fixed"), 0.9).preference == pytest.approx(0.9)


@given(st.floats(0, 1), st.sampled_from([("A", "B"), (" A", " B"), ("▁A", "ĠB")]))
def test_label_variants_share_one_probability(p: float, tokens: tuple[str, str]) -> None:
    logs = {token: math.log(mass) for token, mass in zip(tokens, (p, 1 - p), strict=True) if mass > 0}
    assert label_preference(logs) == pytest.approx(p)


def test_every_variant_of_a_label_counts_and_a_label_that_is_not_among_the_likeliest_counts_nothing() -> None:
    tops = {"A": math.log(0.3), " A": math.log(0.2), "a": math.log(0.1), "ĠB": math.log(0.2), "The": math.log(0.1)}
    assert label_preference(tops) == pytest.approx(0.6 / 0.8)
    assert label_preference({"B": math.log(0.97), "The": math.log(0.01)}) == 0.0
    assert label_preference({"B": math.log(0.4), "The": math.log(0.3)}) is None, "less than half of it is a label"


@pytest.mark.parametrize("tops", [{}, {"The": -0.1, "A": -2.5}, {"a.": 0.0}, {"AB": 0.0}])
def test_a_first_token_that_is_no_label_is_no_verdict(tops: dict[str, float]) -> None:
    assert label_preference(tops) is None
    made = ask(verdict="logprobs")
    answers = [Answer("A", "stop", top_logprobs=tops)] * 2
    assert made.read(PAIR, answers, LABEL).preference is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Both are good.\n[[A]]", "a"),
        ("[[B]] since B is right, so [[B]]", "b"),
        ("My verdict: [[C]]", "tie"),
        ("[[A]] or [[B]]?", "unparsable"),
        ("[A]", "unparsable"),
        ("", "unparsable"),
    ],
)
def test_mt_bench_s_verdicts(text: str, verdict: str) -> None:
    assert parse_bracketed(text) == verdict
    assert read(ask(), text, text, template=BRACKETS).ab == verdict


@pytest.mark.parametrize(
    ("text", "brackets", "rating"),
    [
        ("Good.\nRating: [[7]]", True, 7.0),
        ("[[7.5]]", True, 7.5),
        ("[[7]] no, [[8]]", True, None),
        ("Rating: 7", True, None),
        ("Fine.\nScore: 7", False, 7.0),
        ("Fine.\n**Score: 7/10**", False, 7.0),
        ("Score: 7/20", False, None),
        ("Fine.\nScore: 7 or 8", False, None),
        ("Score: 4\nNo, better than that.\nScore: 7", False, None),
        ("1. It is right.\nScore: 7\n**Score: 7**", False, 7.0),
        ("7/10", False, 7.0),
        ("Score: 7/" + "1" * 5000, False, None),
        ("It has 7 words.", False, None),
    ],
)
def test_ratings(text: str, brackets: bool, rating: float | None) -> None:
    assert parse_rating(text, brackets, highest=10) == rating


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A is right.\nVerdict: A", "a"),
        ("Verdict: A\nOn reflection no.\nVerdict: B", "unparsable"),
        ("I end with one of:\nVerdict: A\nVerdict: B\nVerdict: tie", "unparsable"),
        ("**Verdict: B**\n\nVerdict: B.", "b"),
        ("Verdict: A or B", "unparsable"),
        ("Verdict: A and B", "unparsable"),
        ("Verdict: A\nI hope this helps.", "unparsable"),
        ("A", "unparsable"),
        ("", "unparsable"),
        ("*" * 100_000, "unparsable"),
    ],
)
def test_a_verdict_is_the_last_line_and_no_other_one_contradicts_it(text: str, verdict: str) -> None:
    assert read(DEFAULT, text, text).ab == verdict


def test_a_template_that_asks_for_the_label_alone_takes_it_alone() -> None:
    made = ask(pinned="0" * 64)
    assert read(made, "A", "b").preference == 1.0
    assert read(made, "A\nB", "B").preference is None


@pytest.mark.parametrize("reason", ["length", "content_filter", "refusal"])
def test_what_was_cut_short_or_withheld_is_not_read(reason: str) -> None:
    for made, text in (
        (DEFAULT, "Verdict: A"),
        (ask("score"), "Score: 1"),
        (ask("rubric", criteria=CRITERIA), "polite: 1\nshort: 1"),
        (ask("checklist", criteria=CRITERIA), "polite: yes\nshort: no"),
    ):
        template = made.own_template()
        assert made.readable(Answer(text, "stop"), template) and not made.readable(Answer(text, reason), template)
        assert made.read(PAIR, [Answer(text, reason), Answer(text, "stop")], template).preference is None
    assert probable(ask(verdict="logprobs"), 0.9, 0.3).preference is not None


@given(st.text(max_size=80))
def test_words_without_a_form_are_never_a_verdict(text: str) -> None:
    if "verdict" not in text.lower():
        assert read(DEFAULT, text, text).preference is None
    if "[[" not in text:
        assert parse_bracketed(text) == "unparsable"


def test_the_higher_score_wins_and_the_margin_is_kept() -> None:
    verdicts = read(ask("score"), "Score: 8", "Score: 5.5")
    assert (verdicts.ab, verdicts.ba, verdicts.preference, verdicts.margin) == ("a", None, 1.0, 2.5)
    assert read(ask("score"), "Score: 8", "Score: 8").preference == 0.5
    assert read(ask("score"), "[[9]]", "Score: 3").preference is None
    brackets = Template("single", "{prompt}{answer}[[rating]]", brackets=True)
    assert read(ask("score"), "Rating: [[7.5]]", "Rating: [[7]]", template=brackets).margin == 0.5
    assert read(ask("score"), "Rating: [[11]]", "Rating: [[7]]", template=brackets).preference is None
    outside = read(ask("score", scale=[1, 5]), "Score: 8", "Score: 3")
    assert (outside.preference, outside.score_b, outside.margin) == (None, 3.0, None)
    assert rates([verdicts])["both_orders"] == 0


def test_a_reference_answer_is_shown_where_there_is_one() -> None:
    made = ask("score", reference="gpt-4")
    assert (made.own_template(), made.own_template("hey")) == (SCORE, SCORE_WITH_REFERENCE)
    assert all(one["reference"] == "hey" for one in made.questions(PAIR, "hey"))
    assert made.fingerprint() != ask("score").fingerprint()


def test_a_rubric_is_a_weighted_mean_of_all_its_criteria() -> None:
    made = ask("rubric", criteria=CRITERIA)
    verdicts = read(made, "Well.\nPolite: 10\n**short**: 2", "- polite: 2\n- short: 10/10")
    assert (verdicts.score_a, verdicts.score_b, verdicts.margin) == (4.0, 8.0, -4.0)
    assert read(made, "polite: 10", "polite: 2\nshort: 3").preference is None
    assert read(made, "polite: 10\nshort: 2\nshort: 3", "polite: 2\nshort: 3").preference is None
    assert read(made, "polite: 10\nshort: 11", "polite: 2\nshort: 3").preference is None


def test_equal_sums_are_a_tie_whatever_the_weights_do_in_binary() -> None:
    criteria = [{"name": "x", "text": "t", "weight": 0.1}, {"name": "y", "text": "u", "weight": 0.3}]
    verdicts = read(ask("rubric", criteria=criteria), "x: 4\ny: 1", "x: 1\ny: 2")
    assert (verdicts.preference, verdicts.margin) == (0.5, 0.0)


def test_a_checklist_is_the_weighted_share_of_what_is_true() -> None:
    made = ask("checklist", criteria=CRITERIA)
    assert (made.own_template(), ask("rubric", criteria=CRITERIA).own_template()) == (CHECKLIST, RUBRIC)
    verdicts = read(made, "polite: yes\nshort: No.", "polite: no\nshort: yes")
    assert (verdicts.score_a, verdicts.score_b) == (0.25, 0.75)
    assert read(made, "polite: maybe\nshort: no", "polite: no\nshort: yes").preference is None


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("rubric", {"criteria": [{"name": "a", "text": "t", "weight": 0}]}, "all weights are zero"),
        ("rubric", {"criteria": []}, "at least 1"),
        ("checklist", {"criteria": [{"name": "a", "text": "t"}, {"name": "A", "text": "u"}]}, "twice"),
        ("rubric", {"criteria": [{"name": "a_b", "text": "t"}, {"name": "ab", "text": "u"}]}, "twice"),
        ("rubric", {"criteria": [{"name": "a", "text": "t", "weight": 1e308}]}, "less than or equal"),
        ("pairwise", {"reference": "gpt-4"}, "show no reference answer"),
        ("score", {"order": "both"}, "one answer at a time"),
        ("rubric", {"criteria": CRITERIA, "flip": "tie"}, "one answer at a time"),
        ("score", {"scale": [10, 1]}, "does not rise"),
        ("pairwise", {"order": "random", "flip": "tie"}, "nothing can flip"),
        ("pairwise", {"template": "my-critic"}, "template:NAME"),
        ("pairwise", {"template": "template:../x"}, "no safe name"),
    ],
)
def test_what_cannot_be_asked_is_refused(kind: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ask(kind, **fields)


def test_a_template_s_own_system_prompt_comes_after_the_model_s() -> None:
    template = Template("pairwise", PAIRWISE.text, system="Be strict.")
    values = DEFAULT.questions(PAIR, None)[0]
    asked = DEFAULT.request({"system": "You judge.", "sampling": {}}, template, values)
    assert asked.messages[0] == {"role": "system", "content": "You judge.\n\nBe strict."}
    assert DEFAULT.request({}, template, values).messages[0]["content"] == "Be strict."
