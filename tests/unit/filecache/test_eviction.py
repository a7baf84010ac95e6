"""Whatever is asked of the cache, in whatever order: it keeps to its limit but for what is in use, and that stays."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from shared.filecache import FileCache, Wanted
from tests.unit.filecache.counting import CountingStore

LIMIT = 300
SIZES = [0, 1, 50, 120, 200, 299, 300, 400]


class Cache(RuleBasedStateMachine):
    """Several users of one folder: each takes a file, some let go of it, in any order."""

    users = Bundle("users")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = CountingStore()
        self.files = [self.store.add(f"o/{number}", bytes([number]) * size) for number, size in enumerate(SIZES)]
        self.in_use: dict[FileCache, Wanted] = {}

    @rule(target=users, number=st.sampled_from(range(len(SIZES))))
    def take(self, number: int) -> FileCache:
        before = self._bytes()
        user, wanted = FileCache(self.root, LIMIT), self.files[number]
        assert user.path(self.store, wanted).read_bytes() == bytes([number]) * wanted.size
        self.in_use[user] = wanted
        if user.used.misses:
            used = sum(file.size for file in {*self.in_use.values()})
            assert self._bytes() <= max(LIMIT, used)
        else:
            assert self._bytes() == before
        return user

    @rule(user=consumes(users))
    def let_go(self, user: FileCache) -> None:
        del self.in_use[user]
        user.close()

    @invariant()
    def what_is_in_use_is_there(self) -> None:
        for wanted in self.in_use.values():
            assert (self.root / wanted.sha256[:2] / wanted.sha256).stat().st_size == wanted.size

    @invariant()
    def no_less_is_counted_than_there_is(self) -> None:
        if (self.root / "bytes").exists():
            assert int((self.root / "bytes").read_text()) >= self._bytes()

    def _bytes(self) -> int:
        return sum(path.stat().st_size for path in self.root.glob("??/*"))

    def teardown(self) -> None:
        for user in self.in_use:
            user.close()
        shutil.rmtree(self.root)


TestCache = Cache.TestCase
TestCache.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
