"""Templates of what critics and judges are asked, and how their verdicts are read."""

from shared.templates.pairwise import Verdict, parse_verdict, render_pairwise, split_pairwise

__all__ = ["Verdict", "parse_verdict", "render_pairwise", "split_pairwise"]
