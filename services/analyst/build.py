"""From what was read to what is said: `build_report`. Pure; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from services.analyst import bootstrap
from services.analyst import verdict as verdicts
from services.analyst.answer_notes import answer_notes
from services.analyst.arena.joining import complete_pairs, missing_pairs, rated, rating, rating_difference
from services.analyst.arena.ratings import Ratings
from services.analyst.arena.win_rates import win_rates
from services.analyst.categories import parts
from services.analyst.contrasts import Contrast, ContrastResult, compare, parse_contrasts, weigh
from services.analyst.declared import declared_notes
from services.analyst.frontier import Frontier, frontier, prices
from services.analyst.intervals import Method, crossed
from services.analyst.judges import JudgeView, judge_views
from services.analyst.lengths.notes import length_notes
from services.analyst.lengths.study import LengthStudy
from services.analyst.match import used
from services.analyst.model import ArmEstimate, ArmReport, ContrastReport, Cost, Report, ReportInputs, StageFacts
from services.analyst.notes import notes_for
from services.analyst.nulls import null_results, null_scores
from services.analyst.orders import under_each_order
from services.analyst.params import ReportParams
from services.analyst.preferences import by_seed
from services.analyst.scores import ArmScores, align, assemble
from services.analyst.too_long import too_long, too_long_notes
from services.analyst.trust import Trust, trust
from services.analyst.tuning.notes import compared_trials, tuning_notes

Scores = Mapping[tuple[str, str], ArmScores]
"""By arm and evaluation, where all seeds are there."""


def build_report(
    inputs: ReportInputs,
    partial: bool = False,
    method: Method = crossed,
    elsewhere: Mapping[str, ContrastResult] = MappingProxyType({}),
    study: LengthStudy | None = None,
) -> Report:
    """The report of an experiment; `partial` lets scores be missing, and then says no verdict.

    `elsewhere` is the primary contrast as other judges saw it who are not among this report's evaluations, by judge.
    `study` is what the inputs say of length, where that is known already.

    Raises:
        ValueError: scores are missing in a report that is not partial, or judgements or contrasts are not well formed.
    """
    params = inputs.params
    scores = complete_scores(inputs)
    pairs = complete_pairs(params, inputs.battles)
    if not partial and (missing := sorted(params.expected - set(scores))):
        raise ValueError(f"no judgements of {missing[0][0]} under {missing[0][1]}")
    if not partial and (unfought := missing_pairs(params, pairs)):
        name, (a, b) = unfought[0]
        raise ValueError(f"no judgements of {a} against {b} under {name}")
    ratings = rated(params, pairs)
    alpha = verdicts.decision_alpha(params.looks, params.cells)
    study = study or LengthStudy.of(inputs, scores)
    contrasts = tuple(
        _contrast(contrast, params, scores, ratings, study, alpha, method)
        for contrast in parse_contrasts(params.contrasts).values()
    )
    there, total = sets_of_judgements(inputs)
    costs = {arm: cost_of((key for _, key in stages), inputs.stages) for arm, stages in params.stages.items()}
    found = _verdict(params, contrasts, scores, costs, alpha, (there, total), partial, elsewhere)
    arms = _arms(params, scores, ratings, study, costs, inputs.stages, method)
    arenas = {name: one for name, one in ratings.items() if one is not None}
    lengths = study.lengths_of(
        inputs.examples_of, [one.contrast for one in contrasts], _deltas(params, contrasts, costs, partial), alpha
    )
    primary = next(one for one in contrasts if one.contrast.name == found.contrast)
    orders = _orders(found, primary, inputs, alpha, method)
    return Report(
        name=params.name,
        partial=partial,
        verdict=found,
        arms=arms,
        contrasts=contrasts,
        evaluations=params.evaluations,
        notes=(
            *notes_for(params, contrasts, scores, partial, arenas),
            *tuning_notes(params),
            *length_notes(params, contrasts, lengths),
            *answer_notes(inputs.stages.values()),
            *too_long_notes(arms),
            *declared_notes(params, inputs.stages),
        ),
        total=cost_of((key for stages in params.stages.values() for _, key in stages), inputs.stages),
        stages=stages_with_arms({arm: [key for _, key in keys] for arm, keys in params.stages.items()}, inputs.stages),
        curves=inputs.curves,
        examples=inputs.examples,
        examples_of=inputs.examples_of,
        spec=params.spec,
        seeds=tuple(params.seeds),
        looks=params.looks,
        cells=params.cells,
        alpha=alpha,
        scores_there=there,
        scores_total=total,
        bootstrap=_bootstrap(found, primary, scores, alpha),
        frontier=_frontier(params, arms, contrasts, inputs.stages),
        orders=orders,
        trust=_trust(found, primary, inputs, scores, orders, elsewhere, alpha),
        categories=parts(params.evaluations, primary.contrast, set(params.seeds), inputs.rated, method),
        nulls=null_results(params, scores),
        null_prompts=params.null_prompts,
        null_cost=cost_of(
            (key for null in params.null_completions for _, key in params.stages.get(null, ())), inputs.stages
        ),
        choices=inputs.choices,
        judges=_judges(found, primary, params, elsewhere),
        another_family=params.another_family,
        arenas=arenas,
        win_rates=win_rates(params.evaluations, pairs, method),
        lengths=lengths,
        tuning=inputs.tuning,
    )


def sets_of_judgements(inputs: ReportInputs) -> tuple[int, int]:
    """How many are there, and how many there will be.

    Those under a choice among temperatures are no others; head to head one set scores both arms.
    """
    params = inputs.params
    scores = [row for row in params.scores if not row.mirrored]
    there = {row.input for row in scores if row.seed in inputs.scores.get((row.arm, row.evaluation), {})}
    own = {row.input for row in scores if not params.evaluations[row.evaluation].best_of}
    battles = [row for row in params.battles if params.evaluations[row.evaluation].pooled]
    fought = sum(row.seed in inputs.battles.get(row.evaluation, {}).get((row.a, row.b), {}) for row in battles)
    return len(there & own) + inputs.dev_there + fought, len(own) + len(params.dev_scores) + len(battles)


def complete_scores(inputs: ReportInputs) -> dict[tuple[str, str], ArmScores]:
    """The tables of every arm and evaluation that has all of its seeds."""
    wanted: dict[tuple[str, str], set[int]] = {}
    for row in inputs.params.scores:
        wanted.setdefault((row.arm, row.evaluation), set()).add(row.seed)
    return {
        (arm, evaluation): assemble(arm, evaluation, inputs.scores[arm, evaluation])
        for (arm, evaluation), seeds in wanted.items()
        if set(inputs.scores.get((arm, evaluation), {})) == seeds
    }


def _bootstrap(
    verdict: verdicts.Verdict, primary: ContrastReport, scores: Scores, alpha: float
) -> bootstrap.Checked | None:
    """The primary contrast's deciding interval checked; None where it is not there."""
    if verdict.evaluation not in primary.results:
        return None
    contrast = primary.contrast
    aligned = align([scores[arm, verdict.evaluation] for arm in contrast.arms])
    return bootstrap.check(weigh(aligned.values, contrast.weights), alpha)


def _orders(
    verdict: verdicts.Verdict,
    primary: ContrastReport,
    inputs: ReportInputs,
    alpha: float,
    method: Method,
) -> dict[str, ContrastResult]:
    """The primary contrast in each order, once all of it is there."""
    if verdict.evaluation not in primary.results:
        return {}
    together = inputs.params.evaluations[verdict.evaluation].head_to_head
    return under_each_order(primary.contrast, verdict.evaluation, inputs.orders, alpha, method, together)


def _trust(
    verdict: verdicts.Verdict,
    primary: ContrastReport,
    inputs: ReportInputs,
    scores: Scores,
    orders: Mapping[str, ContrastResult],
    elsewhere: Mapping[str, ContrastResult],
    alpha: float,
) -> Trust | None:
    """What bears on how far the judge can be trusted, once the primary contrast is there."""
    params, evaluation = inputs.params, verdict.evaluation
    if evaluation not in primary.results:
        return None
    arms = {arm: scores[arm, evaluation] for arm in primary.contrast.arms}
    others = [
        (params.evaluations[name].judge or name, primary.results[name])
        for name in params.second_judges
        if name in primary.results
    ]
    others += elsewhere.items()
    about = params.evaluations[evaluation]
    return trust(
        primary.results[evaluation], about, arms, orders, others, inputs.gold, inputs.voted, verdict.delta, alpha
    )


def _frontier(
    params: ReportParams,
    arms: Iterable[ArmReport],
    contrasts: Iterable[ContrastReport],
    stages: Mapping[str, StageFacts],
) -> Frontier | None:
    """Cost against quality under the primary evaluation."""
    evaluation = params.primary.evaluation
    found = {arm.name: arm.evaluations[evaluation] for arm in arms if evaluation in arm.evaluations}
    scores = {arm: (one.estimate, one.interval) for arm, one in found.items()}
    results = [one.results[evaluation] for one in contrasts if evaluation in one.results]
    return frontier(params, prices(params, stages), scores, results)


def cost_of(keys: Iterable[str], stages: Mapping[str, StageFacts]) -> Cost:
    """The sum over distinct stages."""
    distinct = set(keys)
    found = [stages[key] for key in sorted(distinct) if key in stages]
    return Cost(
        usd=sum(stage.usd for stage in found),
        declared=sum(stage.declared_usd for stage in found),
        device_hours=sum(stage.device_seconds for stage in found) / 3600,
        stages=len(distinct),
        missing=len(distinct) - len(found),
    )


def delta_of(params: ReportParams, costs: Mapping[str, Cost], pair: tuple[str, str]) -> float:
    """Delta in the primary's unit: as given, or the arms' difference in cost over the price of a point."""
    if params.delta.usd_per_point is None:
        return 2.0 if params.delta.given is None else params.delta.given
    hour = params.device_hour_usd or 0.0
    of = [costs.get(arm, Cost()) for arm in pair]
    a, b = (cost.usd + cost.declared + cost.device_hours * hour for cost in of)
    return (a - b) / params.delta.usd_per_point


def _deltas(
    params: ReportParams, contrasts: Iterable[ContrastReport], costs: Mapping[str, Cost], partial: bool
) -> dict[str, float]:
    """Delta in points for every difference of two arms; none yet where it comes from costs that are not all known."""
    if partial and params.delta.usd_per_point is not None:
        return {}
    pairs = {one.contrast.name: one.contrast.pair for one in contrasts}
    return {name: delta_of(params, costs, pair) for name, pair in pairs.items() if pair is not None}


def _contrast(
    contrast: Contrast,
    params: ReportParams,
    scores: Scores,
    ratings: Mapping[str, Ratings | None],
    study: LengthStudy,
    alpha: float,
    method: Method,
) -> ContrastReport:
    results: dict[str, ContrastResult] = {}
    pending, absent = [], []
    figures = params.figures
    for name, evaluation in params.evaluations.items():
        if any((arm, name) not in figures for arm in contrast.arms):
            continue
        if name not in ratings if evaluation.pooled else any((arm, name) not in scores for arm in contrast.arms):
            pending.append(name)
            continue
        if evaluation.pooled:
            found = ratings[name]
            result = None if found is None else rating_difference(contrast, name, found, alpha)
        elif evaluation.length_controlled is not None:
            result = study.compare(contrast, name, alpha)
        else:
            by_arm = {arm: scores[arm, name] for arm in contrast.arms}
            bounded, direct = evaluation.in_points, evaluation.head_to_head
            result = compare(contrast, by_arm, alpha, method, bounded, direct, evaluation.unit)
        if result is None:
            absent.append(name)
        else:
            results[name] = replace(result, length_ratio=study.ratio(contrast, name))
    return ContrastReport(contrast, results, tuple(pending), tuple(absent))


def _arms(
    params: ReportParams,
    scores: Scores,
    ratings: Mapping[str, Ratings | None],
    study: LengthStudy,
    costs: Mapping[str, Cost],
    stages: Mapping[str, StageFacts],
    method: Method,
) -> tuple[ArmReport, ...]:
    figures = params.figures
    return tuple(
        ArmReport(
            name,
            arm,
            {
                evaluation: found
                for evaluation in params.evaluations
                if (found := _estimate(name, evaluation, params, scores, ratings, study, method)) is not None
            },
            costs.get(name, Cost()),
            used(params.recipes[name], stages) if name in params.recipes else None,
            tuple(one for one in params.evaluations if (name, one) not in figures),
            too_long((key for _, key in params.stages.get(name, ())), stages),
        )
        for name, arm in params.arms.items()
    )


def _estimate(
    arm: str,
    evaluation: str,
    params: ReportParams,
    scores: Scores,
    ratings: Mapping[str, Ratings | None],
    study: LengthStudy,
    method: Method,
) -> ArmEstimate | None:
    """An arm's mean score, length-controlled figure or rating; None where it has none, or not yet."""
    if (arm, evaluation) in scores:
        if params.evaluations[evaluation].length_controlled is not None:
            return study.estimate(arm, evaluation)
        one = arm_estimate(scores[arm, evaluation], method)
        if one is None or not params.evaluations[evaluation].alpaca_eval:
            return one
        return replace(one, alpaca_eval=by_seed(scores[arm, evaluation]))
    found = ratings.get(evaluation)
    if found is None or arm not in found.battles.arms:
        return None
    error, prompts, dropped = rating(found, arm)
    low, high = error.bounds()
    ends = (float(low), float(high))
    return ArmEstimate(float(error.mean), float(error.standard_error), ends, prompts, error.seeds, dropped)


def arm_estimate(scores: ArmScores, method: Method = crossed) -> ArmEstimate | None:
    """An arm's mean score and its error; None with fewer than two valid prompts."""
    common = scores.common
    if common.shape[1] < 2:
        return None
    error = method(common)
    low, high = error.bounds()
    return ArmEstimate(
        estimate=float(error.mean),
        standard_error=float(error.standard_error),
        interval=(float(low), float(high)),
        prompts=error.prompts,
        seeds=error.seeds,
        dropped=int((~scores.valid).sum()),
    )


def _verdict(
    params: ReportParams,
    contrasts: tuple[ContrastReport, ...],
    scores: Scores,
    costs: Mapping[str, Cost],
    alpha: float,
    sets: tuple[int, int],
    partial: bool,
    elsewhere: Mapping[str, ContrastResult],
) -> verdicts.Verdict:
    name, evaluation = params.primary.contrast, params.primary.evaluation
    primary = next((one for one in contrasts if one.contrast.name == name), None)
    if primary is None or primary.contrast.pair is None:
        known = [one.contrast.name for one in contrasts if one.contrast.pair is not None]
        raise ValueError(f"primary.contrast: {name!r} is not one of the differences of two arms: {known}")
    if evaluation not in params.evaluations:
        raise ValueError(f"primary.evaluation: {evaluation!r} is not one of {list(params.evaluations)}")
    seeds = len(params.seeds)
    if partial:
        known_delta = params.delta.given
        there, total = sets
        return verdicts.pending(name, evaluation, seeds, known_delta, total - there, total)
    delta = delta_of(params, costs, primary.contrast.pair)
    if evaluation in primary.absent:
        return verdicts.unjudged(name, evaluation, seeds, delta)
    checks = verdicts.Checks(
        eval_in_training=params.checks.eval_in_training,
        tuning_trials=compared_trials(params, primary.contrast.pair),
        measures_imitation=_imitation(params),
        null_scores=null_scores(params, primary.contrast.pair, scores),
    )
    second = [primary.results[other] for other in params.second_judges if other in primary.results]
    return verdicts.decide(primary.results[evaluation], delta, checks, [*second, *elsewhere.values()], alpha)


def _judges(
    verdict: verdicts.Verdict,
    primary: ContrastReport,
    params: ReportParams,
    elsewhere: Mapping[str, ContrastResult],
) -> tuple[JudgeView, ...]:
    """What each judge says of the primary contrast, once it is decided."""
    if verdict.level == "pending" or verdict.delta is None or verdict.evaluation not in primary.results:
        return ()
    here = [(params.evaluations[one].judge, one) for one in (verdict.evaluation, *params.second_judges)]
    seen = [(judge, primary.results[one]) for judge, one in here if judge is not None and one in primary.results]
    return judge_views(params, [*seen, *elsewhere.items()], verdict.delta)


def _imitation(params: ReportParams) -> str | None:
    evaluation = params.evaluations[params.primary.evaluation]
    if not evaluation.imitation:
        return None
    return evaluation.reason or f"{params.primary.evaluation} measures imitation of a teacher, not quality"


def stages_with_arms(
    needed: Mapping[str, Iterable[str]], facts: Mapping[str, StageFacts]
) -> tuple[tuple[StageFacts, tuple[str, ...]], ...]:
    """Every stage with the arms that need it, in the order in which arms need them."""
    users: dict[str, dict[str, None]] = {}
    for arm, keys in needed.items():
        for key in keys:
            users.setdefault(key, {})[arm] = None
    return tuple((facts[key], tuple(arms)) for key, arms in users.items() if key in facts)
