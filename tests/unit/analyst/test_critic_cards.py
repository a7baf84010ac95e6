"""Critics' cards in a report: in its JSON as the API describes it, on its page, and in the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console
from touchstone_client.critics import print_critics

from services.analyst.tasks import make
from services.api.critic_cards import CriticCards
from tests.unit.analyst.fixture import experiment


def test_the_report_has_a_card_for_each_critic(tmp_path: Path) -> None:
    made = experiment(tmp_path, usd=0.5)
    files = make(made.params, made.artifacts(), partial=False)
    report = json.loads(files["report.json"])
    cards = CriticCards.model_validate({"id": "x", "partial": False, "critics": report["critics"]})
    judge = cards.critics["judge"]
    assert judge.roles == ["judge"] and judge.missing == 0 and judge.pairs.distinct > 0
    assert judge.position.flip_rate.estimate is not None and judge.cost.usd == 9.0
    page = files["report.html"].decode()
    assert page.count('<article class="critic">') == len(cards.critics) and "First-place rate" in page
    assert "no gold labels: flips measure inconsistency, not error" in page
    out = io.StringIO()
    print_critics({"partial": True, "critics": report["critics"]}, Console(file=out, width=80))
    shown = out.getvalue()
    assert "judge (simulated; judge)" in shown and "error rate: no gold labels" in shown and "Partial" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_partial_report_says_what_is_missing_of_a_critic(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    some = tuple(made.keys("judge")[::2])
    report = json.loads(make(made.params, made.artifacts(some), partial=True)["report.json"])
    assert report["critics"]["judge"]["missing"] == len(some)
