"""Claims: who is asking what right now, so that two stages that need the same request send it once.

A claim is `claim:<request key>` = owner in Redis. It outlives the longest request, so that a holder which is merely
slow or paused keeps it; a holder that died is known by its owner file (a lock that ended with it), is declared dead by
whoever finds that, and its claims are free at once. `claim-beat:<server's run>` is renewed by every process twice a
second: where it is missing, Redis was wiped, restarted or away, and claims are refused for two seconds in which all
living holders announce theirs again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import redis
import structlog
from ulid import ULID

from shared.llm.locks import create_locked, take_over

log = structlog.get_logger()

LIFETIME = 360.0
"""Seconds: more than one request may take (`shared.llm.endpoints.TIMEOUT`)."""
TICK = 0.5
GRACE = 2.0
BEAT = 2.5
CHUNK = 1000
SUFFIX = ".owner"

CLAIM = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = redis.call('GET', KEYS[1])
if not since then
  since = now
  redis.call('SET', KEYS[1], now, 'PX', ARGV[4])
end
local wait = ARGV[3] - (now - since)
if wait > 0 then return {-wait} end
local won = {}
for i = 2, #KEYS do
  local holder = redis.call('GET', KEYS[i])
  if not holder or redis.call('EXISTS', 'claim-dead:' .. holder) == 1 then
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
    won[#won + 1] = 1
  else
    won[#won + 1] = 0
  end
end
return won
"""
ANNOUNCE = """
local lost = {}
for i = 1, #KEYS do
  local holder = redis.call('GET', KEYS[i])
  if not holder or holder == ARGV[1] then
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
  else
    lost[#lost + 1] = i
  end
end
return lost
"""
RELEASE = """
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
"""
TICKED = """
local since = redis.call('GET', KEYS[1])
if since then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  return since
end
local time = redis.call('TIME')
since = tostring(time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', KEYS[1], since, 'PX', ARGV[1])
return since
"""


class Claims:
    """One process's claims and the thread that keeps them. `folder` is on the host's disk, shared by its processes."""

    def __init__(self, client: redis.Redis, folder: Path) -> None:
        self.owner = str(ULID())
        self._redis = client
        self._file = folder / f"{self.owner}{SUFFIX}"
        self._fd = create_locked(self._file)
        self._claim, self._announce = client.register_script(CLAIM), client.register_script(ANNOUNCE)
        self._release, self._ticked = client.register_script(RELEASE), client.register_script(TICKED)
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="claims", daemon=True)
        self._thread.start()

    def holds(self, key: str) -> bool:
        """Whether this process still has the claim, as far as it knows."""
        return key in self._held

    def claim(self, keys: Collection[str], check: Callable[[], None]) -> set[str]:
        """Claim what nobody else has; returns the keys won. `check` is called while it waits, and may raise.

        Raises redis errors.
        """
        deadline = time.monotonic() + GRACE
        won: set[str] = set()
        for chunk in _chunks(keys):
            # However often Redis is wiped, the wait is bounded: then only this process's own luck counts.
            while (wait := self._try(chunk, won, time.monotonic() < deadline)) > 0:
                check()
                time.sleep(min(wait, 0.1))
        return won

    def release(self, keys: Iterable[str]) -> None:
        """Give claims back; a Redis that is away lets them lapse."""
        with self._lock:
            mine = [key for key in keys if key in self._held]
            self._held.difference_update(mine)
        try:
            for chunk in _chunks(mine):
                self._release(keys=[_name(key) for key in chunk], args=[self.owner])
        except redis.RedisError as error:
            log.warning("claims.release_failed", claims=len(mine), error=str(error))

    def bury(self, owner: str) -> None:
        """Let everybody know that an owner is dead. Raises redis errors."""
        self._redis.set(f"claim-dead:{owner}", 1, px=int(LIFETIME * 1000))

    def close(self, settled: bool) -> None:
        """End. Claims are given back if all is `settled`; else they are freed by who uploads what is left here."""
        self._closed.set()
        self._thread.join()
        if settled:
            self.release(list(self._held))
            self._file.unlink(missing_ok=True)
        os.close(self._fd)

    def _try(self, chunk: list[str], won: set[str], patient: bool) -> float:
        """One attempt; returns the seconds to wait before the next, or 0 when it is done."""
        beat = self._beat_name()
        args = [self.owner, int(LIFETIME * 1000), int(GRACE * 1000) if patient else 0, int(BEAT * 1000)]
        with self._lock:
            # What another stage of this process holds a wiped Redis would give a second time.
            free = [key for key in chunk if key not in self._held]
            answers: list[int] = self._claim(keys=[beat, *map(_name, free)], args=args)
            if answers and answers[0] < 0:
                return -answers[0] / 1000
            gained = {key for key, answer in zip(free, answers, strict=True) if answer}
            self._held |= gained
        won |= gained
        return 0.0

    def _beat_name(self) -> str:
        info: dict[str, Any] = self._redis.info("server")
        return f"claim-beat:{info['run_id']}"

    def _beat(self) -> None:
        era: object = None
        renewed = time.monotonic()
        while True:
            try:
                name = self._beat_name()
                now = (name, self._ticked(keys=[name], args=[int(BEAT * 1000)]))
                # Another beat than last time: what was claimed before may be gone, whoever noticed it first.
                if now != era or time.monotonic() - renewed > LIFETIME / 4:
                    self._announce_all()
                    era, renewed = now, time.monotonic()
            except redis.RedisError as error:
                if era is not None:
                    log.warning("claims.redis_away", error=str(error))
                era = None
            if self._closed.wait(TICK):
                return

    def _announce_all(self) -> None:
        with self._lock:
            for chunk in _chunks(self._held):
                lost: list[int] = self._announce(
                    keys=[_name(key) for key in chunk], args=[self.owner, int(LIFETIME * 1000)]
                )
                self._held.difference_update(chunk[place - 1] for place in lost)


def dead_owners(folder: Path) -> list[tuple[str, Path, int]]:
    """Owners of this host that are dead: name, file and the descriptor of the lock that is ours from now on."""
    files = ((path, take_over(path)) for path in sorted(folder.glob(f"*{SUFFIX}")))
    return [(path.name.removesuffix(SUFFIX), path, fd) for path, fd in files if fd is not None]


def _name(key: str) -> str:
    return f"claim:{key}"


def _chunks(keys: Iterable[str]) -> Iterable[list[str]]:
    listed = list(keys)
    return (listed[at : at + CHUNK] for at in range(0, len(listed), CHUNK))
