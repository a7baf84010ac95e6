"""Uploads checkpoints beside a running training, one at a time and always the newest."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from shared.errors import Outage
from workers.trainer.checkpoints import Checkpoints
from workers.trainer.pace import Pace
from workers.trainer.states import States

RETRY = 5.0


@dataclass(frozen=True)
class Offer:
    """A checkpoint that lies in a local folder."""

    step: int
    folder: Path
    device_seconds: float

    def __str__(self) -> str:
        return f"checkpoint of step {self.step}"


@dataclass(frozen=True)
class State:
    """One that is tried, in a local folder."""

    number: int
    folder: Path

    def __str__(self) -> str:
        return f"state {self.number}"


class Uploads:
    """The newest checkpoint offered is uploaded as soon as the one before is; older ones in between are dropped.

    An outage of the store does not end the training: the upload is tried again, or overtaken by the next. `advanced` is
    called after each upload, in the upload's thread; `log` with what there is to say.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        advanced: Callable[[], None],
        log: Callable[[str], None],
        retry: float = RETRY,
        states: States | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._advanced = advanced
        self._log = log
        self._retry = retry
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pace = Pace()
        self._kept = states
        self._states: list[State] = []
        self._waiting: Offer | None = None
        self._current: Offer | State | None = None
        self._future: Future[None] | None = None
        self._not_before = 0.0

    def keep(self, number: int, folder: Path) -> None:
        """A state to be tried is complete; its folder is removed once it is uploaded.

        It goes before any checkpoint that is not under way: whoever finds a checkpoint finds the states before it.
        """
        self._states.append(State(number, folder))

    def offer(self, step: int, folder: Path, device_seconds: float) -> None:
        """A checkpoint is complete; its folder is removed once it is uploaded or overtaken."""
        if self._waiting is not None:
            shutil.rmtree(self._waiting.folder, ignore_errors=True)
        self._waiting = Offer(step, folder, device_seconds)

    @property
    def idle(self) -> bool:
        """Whether all that was offered is uploaded or overtaken."""
        return self._current is None and self._waiting is None and not self._states

    def hurry(self) -> None:
        """Somebody waits: no upload makes room for the training from now on."""
        self._pace.hurry()

    def step(self) -> None:
        """Take note of an upload that has ended, and start the next. Called often, never blocks long."""
        if self._future is not None and self._future.done():
            self._finish()
        if self._future is not None or time.monotonic() < self._not_before:
            return
        if self._states:
            self._current = self._states.pop(0)
            self._future = self._pool.submit(self._upload_state, self._current)
        elif self._waiting is not None:
            self._current, self._waiting = self._waiting, None
            self._future = self._pool.submit(self._upload, self._current)

    def __enter__(self) -> Uploads:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give up what is under way: the training has ended, well or not."""
        self._pace.end()
        self._pool.shutdown(wait=True)

    def _upload(self, offer: Offer) -> None:
        self._pace.begin()
        self._checkpoints.upload(offer.step, offer.folder, offer.device_seconds, self._pace)
        self._advanced()

    def _upload_state(self, state: State) -> None:
        assert self._kept is not None, "who keeps states says where"
        self._pace.begin()
        self._kept.upload(state.number, state.folder, self._pace)

    def _finish(self) -> None:
        assert self._future is not None and self._current is not None
        future, offer = self._future, self._current
        self._future = self._current = None
        try:
            future.result()
        except Outage as outage:
            self._log(f"{offer} is not uploaded yet: {outage}")
            self._not_before = time.monotonic() + self._retry
            if isinstance(offer, State):
                self._states.insert(0, offer)
                return
            if self._waiting is None:
                self._waiting = offer
                return
        else:
            self._log(f"{offer} saved")
        shutil.rmtree(offer.folder, ignore_errors=True)
