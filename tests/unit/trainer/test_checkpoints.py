"""Checkpoints in the store: whole ones count, the newest first, and older ones go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import Outage, Stopped
from shared.store import AT_ONCE, MemoryStore
from tests.waiting import wait_until
from workers.trainer.checkpoints import FSDP_WEIGHTS, Checkpoints, needed
from workers.trainer.pace import Pace
from workers.trainer.uploads import Uploads

SCRATCH = "scratch/key/"


def folder(at: Path, step: int) -> Path:
    """A local checkpoint as transformers leaves it."""
    made = at / f"checkpoint-{step}"
    made.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "training_args.bin"):
        (made / name).write_bytes(f"{name} at {step}".encode())
    return made


def test_the_newest_comes_back_with_its_cost(tmp_path: Path) -> None:
    checkpoints = Checkpoints(MemoryStore(), SCRATCH)
    checkpoints.upload(9, folder(tmp_path, 9), 1.5, Pace())
    checkpoints.upload(10, folder(tmp_path, 10), 2.5, Pace())
    marker = checkpoints.download_newest(tmp_path / "back")
    assert marker is not None
    assert (marker.step, marker.device_seconds) == (10, 2.5)
    assert {path.name: path.read_text() for path in (tmp_path / "back").iterdir()} == {
        "model.safetensors": "model.safetensors at 10",
        "optimizer.pt": "optimizer.pt at 10",
    }


def test_folders_in_a_checkpoint_come_back(tmp_path: Path) -> None:
    made = folder(tmp_path, 9)
    (made / "global_step9").mkdir()
    (made / "global_step9" / "zero_pp_rank_0.pt").write_bytes(b"a rank's")
    checkpoints = Checkpoints(MemoryStore(), SCRATCH)
    checkpoints.upload(9, made, 0.0, Pace())
    assert checkpoints.download_newest(tmp_path / "back") is not None
    assert (tmp_path / "back" / "global_step9" / "zero_pp_rank_0.pt").read_bytes() == b"a rank's"


def test_weights_that_fsdp_has_of_its_own_are_uploaded_once(tmp_path: Path) -> None:
    made = folder(tmp_path, 9)
    for name in (FSDP_WEIGHTS, "model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (made / name).write_bytes(b"weights")
    assert [path.name for path in needed(made)] == ["optimizer.pt", FSDP_WEIGHTS]


def test_a_checkpoint_of_another_layout_is_left_alone(tmp_path: Path) -> None:
    store = MemoryStore()
    Checkpoints(store, SCRATCH).upload(10, folder(tmp_path, 10), 0.0, Pace())
    shared = Checkpoints(store, SCRATCH, "fsdp")
    assert shared.download_newest(tmp_path / "back") is None
    assert not (tmp_path / "back").exists()
    shared.upload(5, folder(tmp_path, 5), 0.0, Pace())
    found = shared.download_newest(tmp_path / "back"), Checkpoints(store, SCRATCH).download_newest(tmp_path / "other")
    assert [marker and marker.step for marker in found] == [5, 10]


def test_none_at_first(tmp_path: Path) -> None:
    assert Checkpoints(MemoryStore(), SCRATCH).download_newest(tmp_path / "back") is None


def test_an_upload_prunes_all_but_the_last_two(tmp_path: Path) -> None:
    store = MemoryStore()
    checkpoints = Checkpoints(store, SCRATCH)
    for step in range(1, 5):
        checkpoints.upload(step, folder(tmp_path, step), 0.0, Pace())
        assert uploaded(store) == set(range(max(1, step - 1), step + 1))
    assert {int(info.name.split("/")[3][:8]) for info in store.list(SCRATCH)} == {3, 4}


def test_what_was_cut_short_is_pruned_and_stands_for_none_of_the_two(tmp_path: Path) -> None:
    store = MemoryStore()
    checkpoints = Checkpoints(store, SCRATCH)
    checkpoints.upload(1, folder(tmp_path, 1), 0.0, Pace())
    store.put(f"{SCRATCH}checkpoints/00000002.killed/model.safetensors", b"half")
    checkpoints.upload(3, folder(tmp_path, 3), 0.0, Pace())
    assert {int(info.name.split("/")[3][:8]) for info in store.list(SCRATCH)} == {1, 3}


def test_an_upload_that_was_cut_short_does_not_count(tmp_path: Path) -> None:
    store = MemoryStore()
    checkpoints = Checkpoints(store, SCRATCH)
    checkpoints.upload(1, folder(tmp_path, 1), 0.0, Pace())

    class Ended(Pace):
        def rest(self) -> None:
            if any("00000002" in info.name for info in store.list(SCRATCH)):
                self.end()
            super().rest()

    with pytest.raises(Stopped):
        checkpoints.upload(2, folder(tmp_path, 2), 0.0, Ended())
    marker = checkpoints.download_newest(tmp_path / "back")
    assert marker is not None and marker.step == 1


@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path: Path, harm: str) -> None:
    store = MemoryStore()
    checkpoints = Checkpoints(store, SCRATCH)
    # As two workers that overlap would leave it: the slower one has not pruned yet.
    checkpoints.upload(2, folder(tmp_path, 2), 0.0, Pace())
    checkpoints.upload(1, folder(tmp_path, 1), 0.0, Pace())
    name = next(
        info.name for info in store.list(f"{SCRATCH}checkpoints/00000002") if info.name.endswith("optimizer.pt")
    )
    if harm == "changed":
        store.put(name, b"other bytes")
    else:
        store.delete([name])
    marker = checkpoints.download_newest(tmp_path / "back")
    assert marker is not None and marker.step == 1
    assert (tmp_path / "back" / "optimizer.pt").read_text() == "optimizer.pt at 1"


class SlowStore(MemoryStore):
    """Lets nothing through until told to, then fails as often as told to."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.open = threading.Event()
        self.failures = failures

    def put_file(
        self, name: str, path: Path, before_part: Callable[[], None] | None = None, at_once: int = AT_ONCE
    ) -> None:
        self.open.wait()
        if self.failures:
            self.failures -= 1
            raise Outage("the store is away")
        super().put_file(name, path, before_part, at_once)


def uploaded(store: MemoryStore) -> set[int]:
    return {int(info.name.split("/")[3][:8]) for info in store.list(SCRATCH) if info.name.endswith("checkpoint.json")}


def steps_until(uploads: Uploads, condition: Callable[[], bool], what: str) -> None:
    def look() -> bool:
        uploads.step()
        return condition()

    wait_until(look, 5, what)


def test_only_the_newest_offer_waits(tmp_path: Path) -> None:
    store = SlowStore()
    saved: list[None] = []
    with Uploads(Checkpoints(store, SCRATCH), lambda: saved.append(None), lambda line: None) as uploads:
        for step in (1, 2, 3):
            uploads.offer(step, folder(tmp_path, step), 0.0)
            uploads.step()
        assert not (tmp_path / "checkpoint-2").exists()
        store.open.set()
        assert not uploads.idle
        steps_until(uploads, lambda: uploads.idle, "the newest to be uploaded")
    assert uploaded(store) == {1, 3}
    assert len(saved) == 2


def test_an_outage_is_tried_again(tmp_path: Path) -> None:
    store = SlowStore(failures=1)
    store.open.set()
    lines: list[str] = []
    with Uploads(Checkpoints(store, SCRATCH), lambda: None, lines.append, retry=0.01) as uploads:
        uploads.offer(1, folder(tmp_path, 1), 0.0)
        steps_until(uploads, lambda: len(lines) == 2, "the upload after an outage")
    assert uploaded(store) == {1}
    assert "the store is away" in lines[0] and "saved" in lines[1]
    assert not (tmp_path / "checkpoint-1").exists()


def test_an_upload_is_given_up_when_the_training_ends(tmp_path: Path) -> None:
    store = SlowStore()
    with Uploads(Checkpoints(store, SCRATCH), lambda: None, lambda line: None) as uploads:
        uploads.offer(1, folder(tmp_path, 1), 0.0)
        uploads.step()
        threading.Timer(0.05, store.open.set).start()
    assert uploaded(store) == set()
