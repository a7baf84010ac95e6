"""Claims on a real Valkey: one holder of a request at a time, also after a wipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from shared.llm import claims as claims_module
from shared.llm.claims import Claims


def test_a_process_does_not_claim_again_what_it_holds_though_redis_was_wiped(
    redis_server: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Wiped so often that nobody waits any more for living holders to announce theirs.
    monkeypatch.setattr(claims_module, "GRACE", 0.0)
    monkeypatch.setattr(claims_module, "TICK", 60.0)
    claims = Claims(redis_server, tmp_path)
    try:
        assert claims.claim(["a"], lambda: None) == {"a"}
        for other in "bcd":
            redis_server.flushall()
            assert claims.claim(["a", other], lambda: None) == {other}
        claims.release(["a"])
        assert claims.claim(["a"], lambda: None) == {"a"}
    finally:
        claims.close(settled=True)
