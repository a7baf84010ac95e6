"""Which files of a local folder make a model."""

from __future__ import annotations

from pathlib import Path

from touchstone_client.errors import FieldError, InvalidInput

TAKEN = (".safetensors", ".gguf", ".json", ".txt", ".model", ".jinja")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


def model_files(folder: Path) -> dict[str, Path]:
    """A folder's files that make the model, by their paths in it; hidden ones, README.md and the like stay out.

    Raises:
        InvalidInput: no folder, nothing in it, or a pickle: refused here, before hundreds of megabytes are sent.
    """
    if not folder.is_dir():
        raise InvalidInput(FieldError(str(folder), "is no folder", "Give the folder that `save_pretrained` wrote."))
    paths = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    shown = {inside: path for inside, path in paths.items() if not any(part.startswith(".") for part in inside.parts)}
    if pickles := [inside for inside in shown if inside.suffix.lower() in PICKLES]:
        fix = "Save the weights as safetensors (`model.save_pretrained(folder)`) and remove this file."
        raise InvalidInput(
            *(FieldError(str(each), "is a pickle, which can run code when it is loaded", fix) for each in pickles)
        )
    taken = {inside.as_posix(): path for inside, path in shown.items() if path.suffix.lower() in TAKEN}
    if not taken:
        raise InvalidInput(FieldError(str(folder), "holds no model", f"Taken are {', '.join(TAKEN)}."))
    return taken
