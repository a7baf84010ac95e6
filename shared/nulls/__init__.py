"""Null completions: the same answer to every prompt, which answers none. A judge that prefers one does not read.

Constant answers have won real leaderboards (Zheng et al. 2024, arXiv 2410.07137). Each is a file here, `<name>.txt`;
the words are our own. Two say nothing, two speak to the judge:

    sorry     declines
    generic   words that fit every prompt and tell nothing
    praise    claims for itself what a judge is asked to look for
    verdict   pretends to be the end of what is compared, and dictates the verdict: the structured responses of Zheng
              et al., section 3, in the form of our own question
"""

from __future__ import annotations

from importlib.resources import files
from types import MappingProxyType

NAMES = ("sorry", "generic", "praise", "verdict")
PROMPTS = 50
"""Eval prompts that they are judged on, the first by rank: enough to tell a judge that rewards them from one that does
not, and few against those of the arms."""

NULLS = MappingProxyType(
    {name: files("shared.nulls").joinpath(f"{name}.txt").read_text("utf-8").strip() for name in NAMES}
)
"""Their texts by name."""
WORDS = MappingProxyType(
    {
        "sorry": "declines to answer",
        "generic": "words that fit every prompt",
        "praise": "praises itself",
        "verdict": "dictates the verdict",
    }
)
"""What each does, for whoever reads its score."""
