"""Model folders: by content hash, safe files only."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from shared import models
from shared.errors import BadInput, PermanentError
from shared.filecache import FileCache
from shared.store import MemoryStore


def folder(path: Path, **files: str) -> Path:
    for name, text in {"config.json": "{}", "model.safetensors": "weights", **files}.items():
        target = path / name.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return path


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    store = MemoryStore()
    source = folder(tmp_path / "in", **{"README.md": "left out", ".git__config.json": "left out", "a__b.txt": "text"})
    sha256 = models.add_model(store, "tiny", source)
    info = models.find_model(store, "tiny")
    assert info is not None and info.sha256 == sha256
    assert info.files == {"a/b.txt": 4, "config.json": 2, "model.safetensors": 7} and info.bytes == 13
    with closing(FileCache(tmp_path / "out")) as cache:
        fetched = models.fetch_model(store, sha256, cache)
    assert {path.relative_to(fetched).as_posix() for path in fetched.rglob("*") if path.is_file()} == set(info.files)
    assert (fetched / "a/b.txt").read_text() == "text"
    assert models.fetch_model(store, sha256, cache) == fetched and cache.used.hits == 3


def test_same_files_same_hash_and_names_do_not_matter(tmp_path: Path) -> None:
    store = MemoryStore()
    first = models.add_model(store, "a", folder(tmp_path / "1"))
    assert models.add_model(store, "b", folder(tmp_path / "2")) == first
    assert models.add_model(store, "c", folder(tmp_path / "3", **{"x.txt": "more"})) != first
    assert [info.name for info in models.list_models(store)[0]] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "sub__model.PTH", "training_args.bin", "x.pkl"])
def test_pickles_are_refused_with_the_fix(name: str, tmp_path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(BadInput) as caught:
        models.add_model(store, "m", folder(tmp_path, **{name: "x"}))
    assert "pickle" in caught.value.problem and "safetensors" in caught.value.fix
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    "name", ["../x.json", "/etc/x.json", "a//b.json", ".x.json", "a\\b.json", "modeling.py", "a/../b.json"]
)
def test_unsafe_paths_and_code_are_refused(name: str) -> None:
    with pytest.raises(BadInput):
        models.check_file(name)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["config.json"], "no weights"),
        (["model.safetensors"], "lack config.json"),
        (["config.json", "model.safetensors", "model.safetensors/x.json"], "also a file"),
    ],
)
def test_folders_that_are_no_model(names: list[str], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        models.check_folder(names)
    assert words in caught.value.problem


def test_gguf_needs_no_config() -> None:
    models.check_folder(["model.Q4_1.gguf"])


def test_a_changed_or_missing_model_is_noticed(tmp_path: Path) -> None:
    store = MemoryStore()
    sha256 = models.add_model(store, "m", folder(tmp_path / "in"))
    store.put(f"models/{sha256}/model.safetensors", b"other")
    cache = FileCache(tmp_path / "out")
    with pytest.raises(PermanentError, match="changed"):
        models.fetch_model(store, sha256, cache)
    with pytest.raises(PermanentError, match="not in the store"):
        models.fetch_model(store, "0" * 64, cache)
    cache.close()
