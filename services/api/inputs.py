"""What is there of the completions that a plan's critics and judges compare: committed, or answered in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.api.ledgered import Ledgered
from shared import records
from shared.artifacts import read_commit
from shared.estimate.answered import LATER, Input
from shared.estimate.asks import asked_model, prompt_range
from shared.llm.chat import request_key, user_request
from shared.llm.entries import Scope
from shared.llm.outcomes import due
from shared.plan.model import Plan, Stage
from shared.splits import SplitPrompt
from shared.store import NotFound, ObjectStore

MOST_BYTES = 256 << 20
"""How much is read for one plan."""


class CommittedInputs:
    """`Inputs` of a plan: the rows of its committed stages, and of teachers who have answered in the ledger."""

    def __init__(
        self,
        store: ObjectStore,
        plan: Plan,
        done: Mapping[str, str],
        prompts: Mapping[str, Sequence[SplitPrompt]],
        counts: Mapping[str, int],
        ledger: Ledgered,
    ) -> None:
        self._store = store
        self._plan = plan
        self._done = done
        self._prompts = prompts
        self._counts = counts
        self._ledger = ledger
        self._left = MOST_BYTES
        self._found: dict[str, Input | str] = {}

    def __call__(self, key: str) -> Input | str:
        if key not in self._found:
            self._found[key] = self._committed(key) if key in self._done else self._answered(self._plan.stages[key])
        return self._found[key]

    def _committed(self, key: str) -> Input | str:
        try:
            _, manifest = read_commit(self._store, self._done[key])
            (file,) = [ref for name, ref in manifest.files.items() if name.endswith(".parquet")]
            self._left -= file.size
            if self._left < 0:
                return "so many completions are not read beforehand"
            return Input(records.read(self._store.get(file.object)))
        except (NotFound, ValueError):
            return "what it compares cannot be read"

    def _answered(self, stage: Stage) -> Input | str:
        """A teacher's completions of the prompts that it has answered, and need not be asked about again."""
        model = asked_model(stage)
        if stage.kind != "teach" or model is None or stage.params["split"] not in self._prompts:
            return LATER
        scope = Scope.of(model).name
        if self._ledger.empty(scope):
            return LATER
        if why := self._ledger.blocked(scope):
            return why
        first, last = prompt_range(stage, self._counts) or (0, 0)
        prompts = self._prompts[stage.params["split"]][first:last]
        keys = [request_key(model, user_request(model, prompt.prompt)) for prompt in prompts]
        answers = self._ledger.answers(keys) or {}
        rows = [
            {"prompt_id": prompt.prompt_id, "sample_index": 0, "prompt": prompt.prompt, "completion": answers[key].text}
            for key, prompt in zip(keys, prompts, strict=True)
            if key in answers and not due([answers[key]], model.get("reask", {}), 1)
        ]
        return Input(records.from_rows(rows, records.COMPLETIONS), whole=len(rows) == len(prompts)) if rows else LATER
