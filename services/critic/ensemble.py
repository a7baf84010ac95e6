"""Ensembles: every member compares, and their votes make one verdict. Pure but for the asking of the members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import fsum

import pyarrow as pa

from services.critic.compared import Compared
from services.critic.critics import Critic
from shared.artifacts import Cost
from shared.gather import add_metrics
from shared.llm.providers.ensemble import MEMBERS
from shared.plan.comparisons import SHARE, Comparison, Verdict, Verdicts, by_preference

Compare = Callable[[Critic, Sequence[Comparison], Mapping[str, pa.Table]], Compared]


def compare_together(
    critic: Critic, comparisons: Sequence[Comparison], tables: Mapping[str, pa.Table], compare: Compare
) -> Compared:
    """The members' verdicts, taken together; costs and counts of requests are all members', `members` has each's."""
    found = [
        compare(member, comparisons, _own(tables, f"{MEMBERS}{number}/"))
        for number, member in enumerate(members(critic))
    ]
    votes = zip(*(one.verdicts for one in found), strict=True)
    verdicts = [combine(critic.identity["vote"], given) for given in votes]
    metrics = {
        **add_metrics(one.metrics for one in found),
        "abstained": sum(vote.preference is None for one in found for vote in one.verdicts),
        "members": {str(number): {**one.metrics, "usd": one.cost.usd} for number, one in enumerate(found)},
    }
    return Compared(verdicts, metrics, sum((one.cost for one in found), Cost()))


def members(critic: Critic) -> Iterator[Critic]:
    """An ensemble's members, in their order."""
    known = critic.options.get("members", [{}] * len(critic.identity["members"]))
    for params, options in zip(critic.identity["members"], known, strict=True):
        yield Critic.of(params, "critic", options)


def combine(vote: str, votes: Sequence[Verdicts]) -> Verdicts:
    """One verdict of several. Who said nothing that can be read abstains; if all did, nothing can be read.

    majority: what more members say than anything else, else a tie. mean: of the preferences.
    """
    given = [one.preference for one in votes if one.preference is not None]
    if all((one.ab, one.ba) == (None, None) for one in votes):
        return Verdicts(None, None, raw_ab="nothing to judge by", votes=tuple(votes))
    if not given:
        return Verdicts("unparsable", None, votes=tuple(votes))
    if vote == "mean":
        # Rounded: votes that balance are a tie, whatever the order of the sum.
        preference = round(fsum(given) / len(given), 12)
        return Verdicts(by_preference(preference), None, settled=preference, votes=tuple(votes))
    first, *others = Counter(by_preference(one) for one in given).most_common()
    verdict: Verdict = "tie" if others and others[0][1] == first[1] else first[0]
    return Verdicts(verdict, None, settled=SHARE[verdict], votes=tuple(votes))


def _own(tables: Mapping[str, pa.Table], prefix: str) -> dict[str, pa.Table]:
    """A member's inputs: the stage's, and its own under the names that it knows."""
    common = {name: table for name, table in tables.items() if not name.startswith(MEMBERS)}
    return common | {name.removeprefix(prefix): table for name, table in tables.items() if name.startswith(prefix)}
