"""The Hugging Face hub as a source: what a name stands for now, as a commit, and data files as they are at one.

`HF_ENDPOINT` and `HF_TOKEN` of the server's environment count, as they do for huggingface_hub itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from shared.errors import BadInput, Outage
from shared.tables import FORMATS

Kind = Literal["model", "dataset"]
TIMEOUT_S = 10
AWAY = {
    "model": "or upload the model: touchstone model add NAME FOLDER, then `model: model:NAME`",
    "dataset": "or download the file and upload it: touchstone dataset add FILE",
}


@dataclass(frozen=True)
class DataFiles:
    """Data files of a dataset repository: its name, the commit, and the files' paths in it."""

    name: str
    revision: str
    files: tuple[str, ...]

    @property
    def origin(self) -> dict[str, str]:
        """Where a dataset came from, as its record keeps it."""
        return {"hub": self.name, "revision": self.revision, "files": ", ".join(self.files)}


def revision_of(field: str, name: str, kind: Kind = "model") -> str:
    """The commit that `OWNER/NAME` or `OWNER/NAME@REVISION` stands for now.

    Raises:
        BadInput: the hub has no such repository or revision.
        Outage: the hub cannot be reached.
    """
    return str(_info(field, name, kind).sha)


def find_files(field: str, name: str, pattern: str, largest: int) -> DataFiles:
    """The data files of `OWNER/NAME[@REVISION]` that a pattern (`data/train-*.parquet`) names; without one the only.

    Raises:
        BadInput: there is none, several and no pattern, or they are larger than `largest` bytes or of several formats.
        Outage: the hub cannot be reached.
    """
    info = _info(field, name, "dataset", files_metadata=True)
    sizes = {
        one.rfilename: one.size or 0
        for one in sorted(info.siblings or (), key=lambda one: one.rfilename)
        if Path(one.rfilename).suffix.lower() in FORMATS
    }
    found = [file for file in sizes if not pattern or fnmatchcase(file, pattern)]
    some = ", ".join(list(sizes)[:8]) + (" …" if len(sizes) > 8 else "")
    if not found:
        problem = f"{name} has no {pattern or 'data file'}" + (f"; it has {some}" if sizes else "")
        raise BadInput("hub_file", problem, f"Name a file that ends in {', '.join(FORMATS)}.")
    if not pattern and len(found) > 1:
        raise BadInput(
            "hub_file", f"{name} has several data files: {some}", "Name one, or a pattern: data/train-*.parquet"
        )
    if len({Path(file).suffix for file in found}) > 1 or (len(found) > 1 and not found[0].endswith(".parquet")):
        raise BadInput("hub_file", f"{pattern} names {len(found)} files", "Name one file, or several of Parquet.")
    if (size := sum(sizes[file] for file in found)) > largest:
        fix = "Name a smaller file, or raise TOUCHSTONE_MAX_DATASET_BYTES on the server."
        raise BadInput("hub_file", f"holds {size:,} bytes, and {largest:,} are the most", fix)
    return DataFiles(name.partition("@")[0], str(info.sha), tuple(found))


def download(field: str, wanted: DataFiles, folder: Path) -> list[Path]:
    """The files' local copies, as they are at the commit. Raises `BadInput` and `Outage` as `revision_of` does."""
    from huggingface_hub import HfApi

    given: dict[str, Any] = {"repo_type": "dataset", "revision": wanted.revision, "local_dir": folder}
    with _errors(field, wanted.name, wanted.revision, "dataset"):
        api = HfApi()
        return [Path(api.hf_hub_download(wanted.name, file, **given, etag_timeout=TIMEOUT_S)) for file in wanted.files]


def _info(field: str, name: str, kind: Kind, **more: Any) -> Any:
    from huggingface_hub import HfApi

    bare, _, revision = name.partition("@")
    api = HfApi()
    ask: Any = api.model_info if kind == "model" else api.dataset_info
    with _errors(field, bare, revision, kind):
        return ask(bare, revision=revision or None, timeout=TIMEOUT_S, **more)


@contextmanager
def _errors(field: str, name: str, revision: str, kind: Kind) -> Iterator[None]:
    """The hub's errors as ours, each naming the field and the fix."""
    import httpx2
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    added = "model:NAME for one added by `touchstone model add`" if kind == "model" else "the path of a file to upload"
    try:
        yield
    except HFValidationError:
        problem = f"{name[:120]!r} is no name of a {kind}"
        raise BadInput(field, problem, f"Write OWNER/NAME as the hub does, or {added}.") from None
    except RepositoryNotFoundError:
        fix = "Check its name, or log in if it is gated."
        raise BadInput(field, f"the model hub has no {kind} {name!r}", fix) from None
    except RevisionNotFoundError:
        fix = "Name a branch, tag or commit of it."
        raise BadInput(field, f"{name} has no revision {revision!r}", fix) from None
    except (HfHubHTTPError, httpx2.TransportError, OSError) as error:
        why = f"{field}: the model hub cannot be reached ({type(error).__name__})"
        raise Outage(f"{why}; try again later, {AWAY[kind]}") from None
