"""A template: the text that a critic is asked, with named places for what it is asked about. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from shared.canonical import content_key

Sort = Literal["pairwise", "single"]
"""Whether two answers are shown, or one."""
SHORTEST_FENCE = 5
ALIASES = {"question": "prompt", "ref_answer_1": "reference"}
"""MT-Bench's names of our places."""
FENCE = "fence"
PLACES: dict[Sort, tuple[str, ...]] = {"pairwise": ("prompt", "answer_a", "answer_b"), "single": ("prompt", "answer")}
"""What a template must have a place for; `reference` may come to both, `criteria` to a single one."""

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Template:
    """`text` is the user's message, `system` what stands before it; `brackets`: the verdict is `[[A]]` or `[[5]]`."""

    sort: Sort
    text: str
    system: str = ""
    brackets: bool = False

    @cached_property
    def places(self) -> frozenset[str]:
        """The names in braces, in our words."""
        return frozenset(ALIASES.get(name, name) for name in _PLACE.findall(self.text))

    @property
    def sha256(self) -> str:
        """The hash of all that a critic sees of it."""
        return content_key({"sort": self.sort, "system": self.system, "text": self.text, "brackets": self.brackets})

    def render(self, values: Mapping[str, str]) -> str:
        """The user's message.

        Where the template has a fence, it is a run of `#` longer than any in the values, so that no answer can pretend
        to end, or to be another one.
        """
        runs = (len(run) for value in values.values() for run in re.findall("#+", value))
        given = {**values, FENCE: "#" * max(SHORTEST_FENCE, 1 + max(runs, default=0))}
        return _PLACE.sub(lambda place: given.get(ALIASES.get(place[1], place[1]), place[0]), self.text)

    def split(self, text: str) -> dict[str, str] | None:
        """The values exactly as `render` was given them; None if it did not make this text. For fenced templates."""
        match = self._pattern.fullmatch(text)
        return None if match is None else {name: value for name, value in match.groupdict().items() if name != FENCE}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """The template as a pattern: its first fence is captured, the others must be the same one."""
        pieces: list[str] = []
        seen: set[str] = set()
        end = 0
        for place in _PLACE.finditer(self.text):
            pieces.append(re.escape(self.text[end : place.start()]))
            name, end = ALIASES.get(place[1], place[1]), place.end()
            content = f"#{{{SHORTEST_FENCE},}}" if name == FENCE else "(?s:.*?)"
            pieces.append(f"(?P={name})" if name in seen else f"(?P<{name}>{content})")
            seen.add(name)
        return re.compile("".join([*pieces, re.escape(self.text[end:])]))
