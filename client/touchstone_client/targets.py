"""Finding the experiment that a person means by an id, the beginning of one, a name, or the spec's own file."""

from __future__ import annotations

from pathlib import Path

import yaml

from touchstone_client.client import Client
from touchstone_client.errors import FieldError, InvalidInput, NotFound, Problem


def find_experiment(client: Client, target: str) -> str:
    """The id of the experiment that `target` means: an id, a name (its newest), a spec's file, or an id's beginning.

    Raises:
        NotFound: nothing fits.
        InvalidInput: several ids begin so, or the file names no experiment.
    """
    if _is_file(target):
        target = spec_name(Path(target))
    known = [(str(item["id"]), str(item["name"])) for item in client.list()]
    exact = [id for id, name in known if id == target] or [id for id, name in known if name == target][:1]
    if exact:
        return exact[0]
    begins = [id for id, _ in known if target and id.startswith(target)]
    if len(begins) > 1:
        raise InvalidInput(FieldError("id", f"{len(begins)} experiments begin with {target!r}", "Give more of the id."))
    if not begins:
        raise NotFound(Problem(404, "Not Found", f"no experiment has the id or name {target!r}; see `touchstone ls`"))
    return begins[0]


def _is_file(target: str) -> bool:
    try:
        return Path(target).is_file()
    except (OSError, ValueError):
        # Too long for a file's name, say.
        return False


def spec_name(path: Path) -> str:
    """The `name` in a spec's file. Raises `InvalidInput` where there is none."""
    try:
        data = yaml.safe_load(path.read_bytes())
    except OSError as error:
        problem = error.strerror or str(error)
        raise InvalidInput(FieldError(str(path), problem, "Give a file that can be read, or the id.")) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise InvalidInput(FieldError(str(path), f"is not YAML: {problem}", "Mend it, or give the id.")) from None
    name = data.get("name") if isinstance(data, dict) else None
    if not isinstance(name, str):
        raise InvalidInput(FieldError(str(path), "names no experiment", "Give a spec with `name:`, or the id."))
    return name
