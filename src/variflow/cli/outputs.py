"""Where the commands write: never over what they read, nor over one another."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from variflow.io.reading import find_file


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None]) -> None:
    """Raise ValueError if an output is the file of an input, or of another output, whatever the paths look like.

    Parameters
    ----------
    outputs, inputs : dict
        By what they are called: paths, or None for what is not given.
    """
    taken = {name: path for name, path in inputs.items() if path is not None}
    for name, path in outputs.items():
        if path is None:
            continue
        for other, its in taken.items():
            if is_same_place(path, find_file(its)):
                raise ValueError(f"{name} {path} is the same as {other} {its}, which would be overwritten")
        taken[name] = path


def is_same_place(first: Path, second: Path) -> bool:
    """Return whether two paths lead to one file or folder, or would, if there is none yet."""
    real = [Path(os.path.realpath(path)) for path in (first, second)]
    if os.devnull in map(str, real):
        return False
    if all(path.exists() for path in (first, second)):
        return os.path.samefile(first, second)
    if real[0] == real[1]:
        return True
    folders = [path.parent for path in real]
    if not (all(folder.is_dir() for folder in folders) and os.path.samefile(*folders)):
        return False
    return _ignores_case(folders[0]) and _fold(real[0].name) == _fold(real[1].name)


def _ignores_case(folder: Path) -> bool:
    """Return whether names that differ in case are one name there, as far as the folder's own name can tell."""
    swapped = folder.with_name(folder.name.swapcase()) if folder.name else folder
    return swapped != folder and swapped.exists() and os.path.samefile(folder, swapped)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
