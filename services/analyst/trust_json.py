"""How far the judge can be trusted, as plain data for report.json."""

from __future__ import annotations

from typing import Any

from services.analyst.critics.agreement import Agreement
from services.analyst.critics.as_json import estimate_dict
from services.analyst.people import People, Rater
from services.analyst.trust import Row, Trust
from services.analyst.trust_page import line, trust_view


def trust_dict(trust: Trust | None) -> dict[str, Any] | None:
    """`rows` are the table, the first of them the verdict's; differences in points, shares in [0, 1]. `said` is the
    same in sentences, for a page or a terminal."""
    view = trust_view(trust)
    if trust is None or view is None:
        return None
    return {
        "arms": list(trust.arms),
        "rows": [_row(row, place == 0, trust.shown) for place, row in enumerate(trust.rows)],
        "people": None if trust.people is None else _people(trust.people),
        "one_order": trust.one_order,
        "one_judge": trust.one_judge,
        "said": {
            "summary": list(view.summary),
            "missing": list(view.missing),
            "votes": view.votes or None,
            "wins": list(view.wins),
        },
    }


def _row(row: Row, primary: bool, shown: str) -> dict[str, Any]:
    words = line(row, primary, shown)
    return {
        "sort": row.sort,
        "name": row.name,
        "source": words.source,
        "hint": words.hint,
        "estimate": row.estimate,
        "standard_error": row.standard_error,
        "interval": None if row.interval is None else list(row.interval),
        "decision_interval": None if row.decision_interval is None else list(row.decision_interval),
        "p_value": row.p_value,
        "n_prompts": row.prompts,
        "n_seeds": row.seeds,
        "n_gold": row.gold,
        "judge_weight": row.weight,
        "judge_bias": row.bias,
        "level": row.level,
        "why": row.why or None,
    }


def _people(found: People) -> dict[str, Any]:
    return {
        "votes": found.votes,
        "superseded": found.superseded,
        "pairs": found.pairs,
        "passed_over": found.passed_over,
        "raters": {rater.name: _rater(rater) for rater in found.raters},
        "pooled": _rater(found.pooled),
        "between": [{"raters": [one, other.other], **_agreement(other)} for one, other in found.between],
        "wins": [
            {
                "arm": one.arm,
                "over": one.other,
                "people": estimate_dict(one.people),
                "judge": estimate_dict(one.judge),
                "difference": estimate_dict(one.difference),
            }
            for one in found.wins
        ],
    }


def _rater(rater: Rater) -> dict[str, Any]:
    return {"votes": rater.votes, "judge": None if rater.judge is None else _agreement(rater.judge)}


def _agreement(found: Agreement) -> dict[str, Any]:
    return {"agree": estimate_dict(found.agree), "kappa": estimate_dict(found.kappa)}
