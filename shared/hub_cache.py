"""Models of the hub on this host's disk, in huggingface_hub's own cache: it locks its files and resumes downloads.

It lies where `HF_HUB_CACHE` or `HF_HOME` says, else beside the store's files; no limit is kept on it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from shared.disk import check_room
from shared.errors import Outage

FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.gguf")
CODE = "*.py"
OWN_PLACE = ("HF_HUB_CACHE", "HF_HOME")


def fetch_from_hub(name: str, revision: str | None, beside: Path, code: bool = False) -> Path:
    """A local folder of a hub's model at a commit; the model's own code too, where that may run.

    Raises:
        Outage: the hub does not give it, or the disk has no room for it.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    into = Path(constants.HF_HUB_CACHE) if any(os.environ.get(place) for place in OWN_PLACE) else beside / "hub"
    patterns = [*FILES, CODE] if code else [*FILES]
    given: dict[str, Any] = {"revision": revision, "cache_dir": into, "allow_patterns": patterns}
    into.mkdir(parents=True, exist_ok=True)
    try:
        files = snapshot_download(name, **given, dry_run=True)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        return _here(name, given, error)
    check_room(into, sum(file.file_size or 0 for file in files if file.will_download), f"the hub's model {name}")
    try:
        return Path(snapshot_download(name, **given))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise Outage(f"the model hub does not give {name}: {error}") from error


def _here(name: str, given: dict[str, Any], away: Exception) -> Path:
    """What is here of a model, where the hub is away."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, **given, local_files_only=True))
    except LocalEntryNotFoundError:
        raise Outage(f"the model hub does not give {name}: {away}") from away
