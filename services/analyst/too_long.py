"""Prompts that were too long for the policy's context: without a completion they neither count nor train."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from services.analyst.model import ArmReport, Note, StageFacts


def too_long(keys: Iterable[str], stages: Mapping[str, StageFacts]) -> dict[str, int]:
    """An arm's, by split: the most that any one sampling of it left out. Samplings of a split leave out the same."""
    found: dict[str, int] = {}
    for facts in (stages[key] for key in keys if key in stages):
        # A stage of before splits were noted says none.
        if count := int(facts.metrics.get("too_long", 0)):
            split = str(facts.metrics.get("split", "sampled"))
            found[split] = max(found.get(split, 0), count)
    return dict(sorted(found.items()))


def too_long_notes(arms: Iterable[ArmReport]) -> Iterator[Note]:
    """One note on all arms, where any left prompts out."""
    said = [f"{count:,} {split} prompts of {arm.name}" for arm in arms for split, count in arm.too_long.items()]
    if said:
        yield Note(
            "data",
            "Prompts that with max_tokens are too long for the policy's context have no completion; they neither count "
            f"nor train: {', '.join(said)}.",
        )
