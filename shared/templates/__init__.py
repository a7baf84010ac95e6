"""Templates of what critics and judges are asked, and how their verdicts are read."""

from shared.templates.pairwise import render_pairwise, split_pairwise
from shared.templates.reading import parse_verdict
from shared.templates.template import Template

__all__ = ["Template", "parse_verdict", "render_pairwise", "split_pairwise"]
