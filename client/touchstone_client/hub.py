"""An exported folder on the Hugging Face hub: the model as a repository, its rows as a dataset repository beside it.

Needs huggingface_hub, which the client alone does not: `pip install huggingface_hub`. The token is that of `hf auth
login` or HF_TOKEN; this command neither takes nor shows one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from touchstone_client.errors import FieldError, InvalidInput, Unreachable

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
DATASET = "dataset"


def check_repository(name: str) -> str:
    """The name, if it is one of a hub repository and huggingface_hub is there. Raises `InvalidInput`."""
    if not REPOSITORY.fullmatch(name):
        raise InvalidInput(FieldError("--repo", f"{name[:120]!r} is no repository's name", "Write OWNER/NAME."))
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        fix = "pip install huggingface_hub, or leave --repo out."
        raise InvalidInput(FieldError("--repo", "huggingface_hub is not installed", fix)) from None
    return name


def publish(folder: Path, repository: str, public: bool = False) -> list[str]:
    """Upload an exported folder; returns the repositories' addresses. A new repository is private unless `public`.

    Raises:
        InvalidInput: the hub refuses, or the repository is public and was not meant to be.
        Unreachable: the hub is away.
    """
    from huggingface_hub import HfApi

    api: Any = HfApi()
    with _told():
        found = [_upload(api, folder, repository, "model", public, [f"{DATASET}/*"])]
        if (folder / DATASET).is_dir():
            found.append(_upload(api, folder / DATASET, repository, "dataset", public, []))
    return found


def _upload(api: Any, folder: Path, repository: str, kind: str, public: bool, without: list[str]) -> str:
    address = str(api.create_repo(repository, repo_type=kind, private=not public, exist_ok=True))
    # One that was there before keeps its visibility: a private model must not end in public by that.
    if not public and not api.repo_info(repository, repo_type=kind).private:
        fix = "Say --public if everybody may read it, or name another repository."
        raise InvalidInput(FieldError("--repo", f"the {kind} repository {repository} is there, and public", fix))
    with warnings.catch_warnings():
        # The training's curve is a Parquet file in a model's repository, and meant to be.
        warnings.filterwarnings("ignore", message=".*about to commit a data file")
        api.upload_folder(
            repo_id=repository,
            repo_type=kind,
            folder_path=folder,
            ignore_patterns=without,
            commit_message="Exported by Touchstone",
        )
    return address


@contextmanager
def _told() -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        said = str(error).strip().splitlines()[0] if str(error).strip() else f"status {status}"
        if status in {401, 403, 404}:
            fix = "Log in with a token that may write: hf auth login, or HF_TOKEN."
            raise InvalidInput(FieldError("--repo", f"the hub refuses ({said})", fix)) from None
        raise Unreachable(
            f"the model hub is in trouble: {said}; the folder is complete, and --repo tries again"
        ) from None
    except Exception as error:
        # Whichever HTTP library the installed huggingface_hub is built on.
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in {"httpx", "httpx2", "requests"}:
            told = str(error) or type(error).__name__
            raise Unreachable(f"the model hub cannot be reached: {told}; the folder is complete") from None
        raise
