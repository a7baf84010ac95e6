"""A card as plain data, for report.json and the API."""

from __future__ import annotations

from typing import Any

from services.analyst.critics.card import CriticCard
from services.analyst.critics.concerns import concerns_of
from services.analyst.critics.estimates import Estimate


def card_dict(card: CriticCard) -> dict[str, Any]:
    """Rates are shares in [0, 1]; an estimate that cannot be made is null, and `why` says so."""
    length, own, spent = card.length, card.self_preference, card.spent
    return {
        "provider": card.provider,
        "roles": list(card.stages),
        "members": list(card.members),
        "member_of": list(card.member_of),
        "gold": card.gold,
        "recorded": card.recorded,
        "stages": {role: list(keys) for role, keys in card.stages.items()},
        "missing": card.missing,
        "pairs": {"distinct": card.pairs, "repeated": card.repeated, "identical": card.identical},
        "ties": estimate_dict(card.ties),
        "unparsable": estimate_dict(card.unparsable),
        "position": {
            "flip_rate": estimate_dict(card.position.flip_rate),
            "first_place_rate": estimate_dict(card.position.first_place_rate),
        },
        "length": {
            "unit": "characters",
            "win_rate_longer": estimate_dict(length.win_rate),
            "ties": length.ties,
            "slope_per_doubling": estimate_dict(length.slope),
            "others_win_rate_longer": estimate_dict(length.others),
            "others": card.beside,
            "bins": [
                {
                    "low": one.low,
                    "high": one.high,
                    "pairs": one.pairs,
                    "ties": one.ties,
                    "win_rate_longer": estimate_dict(one.win_rate),
                }
                for one in length.bins
            ],
        },
        "agreement": [
            {
                "with": one.other,
                "gold": one.gold,
                "recorded": one.recorded,
                "related": one.related,
                "agree": estimate_dict(one.agree),
                "kappa": estimate_dict(one.kappa),
            }
            for one in card.agreement
        ],
        "error": {
            "against": card.errors.against,
            "rate": estimate_dict(card.errors.rate),
            "ties": estimate_dict(card.errors.ties),
        },
        "self_preference": {
            "own_wins": estimate_dict(own.own_wins),
            "against": own.against,
            "excess": estimate_dict(own.excess),
        },
        "cost": {
            "labels": card.labels,
            "usd": spent.usd,
            "usd_per_label": card.per_label(spent.usd),
            "input_tokens_per_label": card.per_label(spent.input_tokens),
            "output_tokens_per_label": card.per_label(spent.output_tokens),
        },
        "warnings": concerns_of(card),
    }


def estimate_dict(one: Estimate) -> dict[str, Any]:
    """A number, its interval, over how many answers and prompts, and why there is none."""
    return {
        "estimate": one.value,
        "interval": None if one.interval is None else list(one.interval),
        "n": one.n,
        "prompts": one.prompts,
        "why": one.why or None,
    }
