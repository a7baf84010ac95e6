"""What the reader must know besides the numbers: stand-ins, what was not judged, what was dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.analyst.arena.notes import battle_notes
from services.analyst.arena.ratings import Ratings
from services.analyst.model import ContrastReport, Note
from services.analyst.params import EvaluationParams, ReportParams
from services.analyst.score_notes import score_notes, turn_notes
from services.analyst.scores import ArmScores
from services.analyst.verdict import scope_of
from services.analyst.wording import decisions
from shared.spec.matrix import cells
from shared.spec.model import Spec
from shared.spec.parse import parse_spec

SIMULATED = "simulated"


def notes_for(
    params: ReportParams,
    contrasts: tuple[ContrastReport, ...],
    scores: Mapping[tuple[str, str], ArmScores],
    partial: bool,
    arenas: Mapping[str, Ratings],
) -> tuple[Note, ...]:
    """All notes, the weightiest first."""
    spec = cells(parse_spec(params.spec))[params.cell]
    return (
        *_judges(params),
        *_critics(spec),
        *score_notes(spec),
        *_nulls(params, scores, partial),
        *_limits(params, contrasts),
        *(Note("limit", text, path) for text, path in battle_notes(params.evaluations, arenas)),
        *_data(params, contrasts, scores),
        *turn_notes(params),
        *(
            [Note("limit", "This report is partial: numbers will change, and no verdict is drawn yet.")]
            if partial
            else []
        ),
    )


def _judges(params: ReportParams) -> Iterator[Note]:
    """One note an entry of `evaluations`, whatever temperatures it has; one for all that a simulated judge decides."""
    entries: dict[str, tuple[str, EvaluationParams]] = {}
    for name, evaluation in params.evaluations.items():
        entries.setdefault(_entry(name, evaluation), (name, evaluation))
    simulated: dict[str, list[str]] = {}
    for entry, (_, evaluation) in entries.items():
        if evaluation.judge is None and evaluation.imitation:
            yield Note(
                "stand-in",
                f"{entry}: {evaluation.reason or 'it measures imitation'}. It cannot say which answers are better; a "
                "pairwise evaluation by a judge that can be asked does.",
                ("evaluations", entry, "protocol"),
            )
        elif evaluation.imitation or evaluation.offline_judge:
            yield _stand_in(entry, evaluation)
        elif evaluation.judge_provider == SIMULATED:
            simulated.setdefault(evaluation.judge or "", []).append(entry)
    for judge, names in simulated.items():
        said = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} judged"
        yield Note(
            "stand-in",
            f"{said} in a simulated world ({judge}), whose true answers are known: it shows that the instrument works, "
            "and says nothing about language models. For a real answer let this line name a real provider.",
            ("models", judge, "provider"),
        )


def _stand_in(entry: str, evaluation: EvaluationParams) -> Note:
    why = evaluation.reason or "it answers without being asked about these completions"
    return Note(
        "stand-in",
        f"The judge of {entry}, {evaluation.judge} (provider: {evaluation.judge_provider or 'offline'}), is an offline "
        f"stand-in: {why}. For a real answer let this line name a judge that can be asked, such as a model with "
        "provider: openai.",
        ("evaluations", entry, "judge"),
    )


def _critics(spec: Spec) -> Iterator[Note]:
    for name, arm in spec.arms.items():
        if arm.rl is None or arm.rl.critic is None or arm.control is not None:
            continue
        if spec.models[arm.rl.critic].imitation:
            yield Note(
                "stand-in",
                f"The critic of {name}, {arm.rl.critic} (provider: {spec.models[arm.rl.critic].provider}), is an "
                "offline stand-in: it prefers what is closer to a teacher's words. For a real answer let this line "
                "name a critic that can be asked.",
                ("arms", name, "rl", "critic"),
            )


def _nulls(params: ReportParams, scores: Mapping[tuple[str, str], ArmScores], partial: bool) -> Iterator[Note]:
    places = {(null, params.primary.evaluation) for null in params.null_completions}
    if partial and not places.isdisjoint(params.expected):
        return
    if not any(place in scores and scores[place].valid.any() for place in places):
        where = " head to head" if params.evaluations[params.primary.evaluation].head_to_head else ""
        yield Note(
            "limit",
            f"No null completions were judged{where} (answers that say nothing): whether the judge rewards emptiness "
            f"was not checked{' there' if where else ''}.",
        )


def _limits(params: ReportParams, contrasts: tuple[ContrastReport, ...]) -> Iterator[Note]:
    if scope_of(len(params.seeds)) == "checkpoints":
        yield Note(
            "limit",
            f"Every arm was trained {'once' if len(params.seeds) == 1 else 'twice'}: intervals cover other prompts, "
            "not other training runs. Three seeds or more let the verdict speak of the recipe.",
            ("seeds",),
        )
    if params.another_family is False:
        yield Note(
            "limit",
            "No judge of another family was asked the same: whether one would agree was not checked. An evaluation "
            "like the primary one with such a judge shows both levels side by side.",
            ("evaluations",),
        )
    if not params.checks.tuning_trials:
        yield Note(
            "limit",
            "The spec declares no numbers of tuning trials: whether all arms had as many was not checked.",
        )
    if params.decisions > 1:
        yield Note(
            "limit",
            f"{decisions(params.looks, params.cells)}: the interval that decides misses in "
            f"{5 / params.decisions:.2g}% of experiments, the 95% interval is drawn inside it.",
        )
    if params.delta.usd_per_point is not None and params.device_hour_usd is None:
        yield Note("limit", "Delta comes from money paid to endpoints; device hours are counted but have no price.")
    if any(report.contrast.name != params.primary.contrast for report in contrasts):
        yield Note(
            "limit", "Every contrast but the primary is exploratory: none is corrected for being one of several."
        )


def _data(
    params: ReportParams, contrasts: tuple[ContrastReport, ...], scores: Mapping[tuple[str, str], ArmScores]
) -> Iterator[Note]:
    if params.unjudged:
        yield Note(
            "data",
            f"{' and '.join(params.unjudged)} {'is' if len(params.unjudged) == 1 else 'are'} not judged as an arm: "
            "recorded completions of the eval prompts are missing.",
        )
    if params.near_duplicates:
        yield Note(
            "data",
            f"{params.near_duplicates} prompts are near-duplicates of another; each went to the split of the first of "
            "its cluster, so no cluster is on both sides of training and evaluation.",
        )
    for evaluation, of in params.evaluations.items():
        if of.raw is not None:
            # It has the judgements of another, which says it.
            continue
        dropped = {
            arm: int((~scores[arm, evaluation].valid).sum()) for arm in params.arms if (arm, evaluation) in scores
        }
        if any(dropped.values()):
            alike = len(set(dropped.values())) == 1
            counts = ", ".join(f"{count} of {arm}'s" for arm, count in dropped.items() if count)
            which = f"{max(dropped.values())} of every arm's" if alike else counts
            yield Note("data", f"{evaluation}: {which} prompts lack a valid judgement in some seed and do not count.")
    for report in contrasts:
        for evaluation in report.absent:
            pooled = params.evaluations[evaluation].pooled
            why = "fewer than two prompts are valid for all of its arms"
            if pooled:
                why = "its arms were not compared, nor through others, or on fewer than two prompts"
            yield Note("data", f"{report.contrast.name} under {evaluation} cannot be estimated: {why}.")
        for evaluation, result in report.results.items():
            points = params.evaluations[evaluation].in_points
            raw = params.evaluations[evaluation].length_controlled is None
            if points and raw and report.contrast.pair is None and result.log_odds is None:
                name = report.contrast.name
                yield Note("data", f"{name} under {evaluation} has no log-odds: an arm won or lost everything.")


def _entry(name: str, evaluation: EvaluationParams) -> str:
    """The entry of the spec that an evaluation comes from: its name without the temperature."""
    return name.rsplit("@", 1)[0] if evaluation.sampled else name
