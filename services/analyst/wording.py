"""The words of a verdict. Numbers are in the evaluation's own unit (points of win rate …), with a true minus sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.analyst.bootstrap import Checked
from services.analyst.contrasts import ContrastResult
from services.analyst.power import Needed
from shared.scales import POINTS, Scale, scale_of

LEVELS = {
    "rl_adds_value": "RL adds value",
    "sft_suffices": "SFT suffices",
    "inconclusive": "inconclusive",
    "invalid": "invalid",
    "pending": "not decided yet",
}


def number(value: float, digits: int = 1) -> str:
    """A number as it is read: `−3.1`; never `-0.0`."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", "−")


def points(value: float, unit: str = POINTS) -> str:
    """`1.0 point`, `2.5 points`, `0.31 points of 10`, without a sign."""
    return scale_of(unit).amount(value)


def scoped(sentence: str, scope: str, seeds: int) -> str:
    """Say what the sentence speaks of, where that is less than the recipe."""
    if scope == "recipe":
        return sentence
    runs = "one run each" if seeds == 1 else "two runs each"
    return f"For these trained models ({runs}; another seed may differ): {sentence}"


def decisions(looks: int, cells: int) -> str:
    """Why the interval that decides is wider than the 95% one."""
    if cells == 1:
        return f"{looks} looks were declared"
    return f"{cells} cells are decided" + (f" at each of {looks} looks" if looks > 1 else "")


def incomplete(there: int, total: int) -> str:
    return f"Not decided yet: {there} of {total} sets of judgements are in."


def across(counts: Mapping[str, int]) -> str:
    """What the cells of a matrix say together; `counts` by level."""
    total = sum(counts.values())
    every = "both" if total == 2 else f"all {total}"
    if len(counts) == 1:
        return f"{LEVELS[next(iter(counts))]} in {every} cells."
    found = ", ".join(f"{LEVELS[level]} in {count}" for level, count in counts.items())
    return f"no one answer for {every} cells: {found}."


def invalid(primary: ContrastResult, reasons: Sequence[str]) -> str:
    return f"invalid, so no answer: {'; '.join(reasons)}. What was measured: {measured(primary)}."


def judges_disagree(primary: ContrastResult, others: Sequence[ContrastResult]) -> str:
    seen = "; ".join(measured(other) for other in others)
    return f"inconclusive: another judge says the opposite. {measured(primary)}; but {seen}."


def opposed(primary: ContrastResult, other: ContrastResult) -> str:
    return f"{other.evaluation} gives the opposite level of {primary.evaluation}"


def answer(primary: ContrastResult, delta: float, level: str, reasons: Sequence[str]) -> str:
    """The sentence where the decision interval decides, or cannot."""
    if level == "rl_adds_value":
        return f"RL adds value: {measured(primary)}{_beyond(primary, delta)}."
    if level == "sft_suffices":
        return f"SFT suffices{_addition(primary, delta)}: {measured(primary)}{_beyond(primary, delta)}."
    return f"inconclusive: {measured(primary)}, which reaches both sides of {_threshold(primary, delta)}. {reasons[-1]}"


def measured(result: ContrastResult) -> str:
    """What was seen: `rlaif-weak scores 3.1 points below sft-strong on win-rate@0.7 (95% interval −5.0 to −1.2)`."""
    a, b = result.contrast.arms[:2]
    low, high = result.decision_interval
    level = "95% interval" if result.decision_interval == result.interval else "decision interval"
    scale = scale_of(result.unit)
    interval = f"({level} {scale.number(low)} to {scale.number(high)})"
    if result.win_rates is not None:
        mine, other = (number(rate) for rate in result.win_rates)
        often = "more" if result.estimate >= 0 else "less"
        return (
            f"head to head {a} wins {points(result.estimate)} {often} than {b} on {result.evaluation}, {mine} to "
            f"{other} {interval}"
        )
    where = "above" if result.estimate >= 0 else "below"
    return f"{a} scores {scale.amount(result.estimate)} {where} {b} on {result.evaluation} {interval}"


FAR_APART = 0.2
"""From such a share of the half-width on, the bootstrap and the t interval are said to differ."""


def bootstrapped(checked: Checked, scale: Scale = scale_of(POINTS)) -> str:
    """The primary's interval over prompts by bootstrap beside the t interval, and whether they tell the same."""
    share = f"{100 * (1 - checked.alpha):.4g}%"
    digits = scale.digits + 1
    both = [f"{number(low, digits)} to {number(high, digits)}" for low, high in (checked.bca, checked.t)]
    same = checked.apart < FAR_APART
    return (
        f"The primary checked by a bootstrap over prompts ({checked.resamples:,} resamples, BCa, seeds as they are): "
        f"{share} interval {both[0]}; by the t distribution, over prompts too, {both[1]}. "
        + ("They agree." if same else "They differ: few prompts, or a few with extreme scores, make this contrast.")
    )


def by_interval(primary: ContrastResult, delta: float, level: str) -> str:
    low, high = primary.decision_interval
    number = scale_of(primary.unit).number
    if level == "rl_adds_value":
        return f"the lower end of the interval, {number(low)}, lies above delta, {number(delta)}"
    if level == "sft_suffices":
        return f"the upper end of the interval, {number(high)}, lies below delta, {number(delta)}"
    return f"delta, {number(delta)}, lies within the interval, {number(low)} to {number(high)}"


def what_would_decide(primary: ContrastResult, delta: float, needs: Needed | None) -> str:
    """Which sizes would bring the half-width to 0.7 delta, or that prompts alone cannot."""
    h = (primary.decision_interval[1] - primary.decision_interval[0]) / 2
    number = scale_of(primary.unit).number
    if delta == 0:
        return "With a delta of zero no number of prompts or seeds is sure to decide."
    if needs is None:
        return (
            f"The interval is already ±{number(h)}, within 0.7 delta: the true difference lies close to delta, "
            "and more data may not decide."
        )
    goal = f"To bring the interval from ±{number(h)} to ±{number(needs.target)} (0.7 delta)"
    if not needs.seeds_known:
        prompts = f"takes about {needs.prompts:,} prompts" if needs.prompts else "prompts alone cannot"
        return f"{goal} {prompts} for these trained models; to speak of the recipe takes at least 3 seeds."
    ways = []
    if needs.prompts:
        ways.append(f"{needs.prompts:,} prompts with these {primary.seeds} seeds")
    if needs.seeds:
        ways.append(f"{needs.seeds} seeds with these {primary.prompts:,} prompts")
    if needs.both:
        ways.append(f"{needs.both[0]:,} prompts with {needs.both[1]} seeds")
    alone = "" if needs.prompts else "; more prompts alone cannot"
    return f"{goal} takes {', or '.join(ways)}{alone}." if ways else f"{goal}: neither prompts nor seeds in reach can."


ANOTHER_LOOK = (
    "More prompts after this result are another look at the same question. They decide only where the spec declared so "
    "many looks before the first (looks: 2), each by a wider interval; an extension nobody declared is exploratory."
)


def _beyond(primary: ContrastResult, delta: float) -> str:
    a = primary.contrast.arms[0]
    amount = scale_of(primary.unit).amount
    above = primary.decision_interval[0] > delta
    if delta <= 0:
        side = "and loses less than that" if above else "and loses more than that"
        if above and primary.decision_interval[0] > 0:
            side = "and loses nothing"
        return f"; {a} may lose {amount(delta)} and still be the better buy, {side}"
    if above:
        return f", more than the {amount(delta)} that would make it worth its cost"
    if primary.decision_interval[1] < 0:
        return ""
    return f", less than the {amount(delta)} that would make {a} worth its cost"


def _addition(primary: ContrastResult, delta: float) -> str:
    low, high = primary.decision_interval
    amount = scale_of(primary.unit).amount
    if delta <= 0:
        return ""
    better = " and is better" if high < 0 else ""
    same = f"the same within {amount(delta)}" if low > -delta else ""
    return better + (", " + same if same else "")


def _threshold(primary: ContrastResult, delta: float) -> str:
    amount = scale_of(primary.unit).amount
    if delta <= 0:
        return f"the {amount(delta)} that it may lose"
    return f"the {amount(delta)} that would make it worth its cost"


def one_family(judges: int) -> str:
    """What is said beside a verdict that rests on judges who are likely to share their mistakes."""
    if judges > 1:
        return "Its judges are of one family: whether a judge of another would agree was not asked."
    return "One judge was asked: whether a judge of another family would agree is not known."
