"""What the page of samples says of an evaluation's scores."""

from __future__ import annotations

from typing import Any

from shared.protocols import Evaluation
from shared.scales import OF_TEN, POINTS, scale_of

COMPARED = "The judge compared each with the reference's answer, in both orders."
DIRECT = "The judge compared the two with each other, in both orders."
RATED = "The judge rated each answer of a conversation of two turns alone; a score is their mean."
SCORED = "Each has a score of its own ({method})."


def told_of(evaluation: Evaluation, direct: bool = False) -> dict[str, Any]:
    """`lead` says how samples were scored, `how` follows a score, `scale` is how its number is read; `direct`: two
    arms were compared with each other."""
    compared = direct or "reference" in evaluation.models()
    if direct:
        lead, how = DIRECT, " of 100 against the other"
    elif compared:
        lead, how = COMPARED, " of 100 against the reference"
    elif evaluation.unit == OF_TEN:
        lead, how = RATED, " of 10"
    else:
        lead = SCORED.format(method=evaluation.method or evaluation.protocol)
        how = "% right" if evaluation.unit == POINTS else f" {scale_of(evaluation.unit).many}"
    return {"lead": lead, "how": how, "scale": scale_of(evaluation.unit), "compared": compared}
