"""Leases: who works on a unit now. In Redis, so they may be lost; nothing depends on them but thrift.

A lease is renewed here, by one thread a process. A renewal that finds no key (Redis was wiped) takes it again; only
another owner's value means that it is lost. A process that holds a unit's lease does not take it a second time, though
a wiped Redis would give it. `Lease.held` is the holder's own monotonic deadline: before each paid request and before a
commit the holder waits for it to be true.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

import redis
import structlog

log = structlog.get_logger()

RENEW = """
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] or not owner then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def lease_name(commit_key: str) -> str:
    return f"lease:{commit_key}"


class Lease:
    """One unit's lease. `lost` is set when another owner has it."""

    def __init__(self, name: str, owner: str, deadline: float) -> None:
        self.name = name
        self.owner = owner
        self.deadline = deadline
        self.lost = threading.Event()

    @property
    def held(self) -> bool:
        """Surely ours at this moment."""
        return not self.lost.is_set() and time.monotonic() < self.deadline


class Leases:
    """A process's leases and the thread that renews them, three times a lifetime."""

    def __init__(self, client: redis.Redis, seconds: float) -> None:
        self._redis = client
        self._seconds = seconds
        self._renew = client.register_script(RENEW)
        self._release = client.register_script(RELEASE)
        self._held: set[Lease] = set()
        self._lock = threading.Lock()
        self._taking = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)
        self._thread.start()

    def take(self, commit_key: str, owner: str) -> Lease | None:
        """The unit's lease, or None where another owner has it. Raises redis errors."""
        name = lease_name(commit_key)
        with self._taking:
            if any(lease.name == name for lease in self._living()):
                return None
            asked = time.monotonic()
            if not self._redis.set(name, owner, nx=True, px=int(self._seconds * 1000)):
                return None
            lease = Lease(name, owner, asked + self._seconds)
            with self._lock:
                self._held.add(lease)
        return lease

    def release(self, lease: Lease) -> None:
        """Give it back; a Redis that is away lets it expire by itself."""
        with self._lock:
            self._held.discard(lease)
        try:
            self._release(keys=[lease.name], args=[lease.owner])
        except redis.RedisError as error:
            log.warning("lease.release_failed", lease=lease.name, error=str(error))

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def __enter__(self) -> Leases:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _beat(self) -> None:
        while not self._closed.wait(self._seconds / 3):
            for lease in self._living():
                self._renew_one(lease)

    def _living(self) -> list[Lease]:
        """This process's leases but those that it lost, whose holders are about to end."""
        with self._lock:
            return [lease for lease in self._held if not lease.lost.is_set()]

    def _renew_one(self, lease: Lease) -> None:
        asked = time.monotonic()
        try:
            if self._renew(keys=[lease.name], args=[lease.owner, int(self._seconds * 1000)]):
                lease.deadline = asked + self._seconds
            else:
                lease.lost.set()
        except redis.RedisError as error:
            log.warning("lease.renew_failed", lease=lease.name, error=str(error))
            return
        with self._lock:
            released = lease not in self._held
        if released:
            self.release(lease)
