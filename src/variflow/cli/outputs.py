"""Check the outputs of commands: none may overwrite an input or another output, or lie among the frames."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from variflow.base.types import Numbers
from variflow.io import Frames, films
from variflow.io.reading import find_file


def read_folder(text: str, option: str = "--output") -> Path:
    """Return the path of what may be a folder; no name at all would be the current one, and a device is none.

    An empty text is what a variable of the shell is that was never set. `pathlib` would take it for a dot.

    Raises
    ------
    ValueError
        If the text is empty, or names a device.
    """
    if not text:
        raise ValueError(f"{option} is empty, wanted a name; the current folder is .")
    path = Path(text)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{option} is {text}, which is a device; wanted a folder or a file, as --help says")
    return path


def check_apart(output: Path, frames: Iterable[str | os.PathLike[str]]) -> None:
    """Raise ValueError if an output is the folder of some of the frames, where its files would mix with them."""
    for folder in {os.path.dirname(find_file(frame) if ":" in os.fspath(frame) else frame) for frame in frames}:
        if is_same_place(output, Path(folder)):
            raise ValueError(f"--output {output} is the folder of the frames, wanted another one")


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None]) -> None:
    """Raise ValueError if an output is the same file as an input or another output, even by another path.

    Parameters
    ----------
    outputs, inputs : dict
        Paths by their names in messages; None for a path that is not given.
    """
    taken = {name: path for name, path in inputs.items() if path is not None}
    for name, path in outputs.items():
        if path is None:
            continue
        for other, its in taken.items():
            if is_same_place(path, find_file(its)):
                raise ValueError(f"{name} {path} is the same as {other} {its}, which would be overwritten")
        taken[name] = path


def get_film_times(output: Path, frames: Frames) -> list[float] | None:
    """Return the times of frames if the output is a film; other outputs have none."""
    return frames.times if output.suffix.lower() in films.EXTENSIONS else None


def fit_depth(output: Path, source: Frames, frames: Iterable[Numbers]) -> Iterable[Numbers]:
    """Return frames made of a source as the output takes them.

    Those of a film of more than 8 bits, which fill 16, become 8 where the output takes no more. Those of a stack stay
    as they are: nothing says which range they fill.
    """
    from variflow.io.video import Video

    shallow = output.suffix.lower() in (".mp4", ".jpg", ".jpeg")
    return map(_take_high_bits, frames) if shallow and isinstance(source, Video) else frames


def _take_high_bits(frame: Numbers) -> Numbers:
    """Return a frame from 0 to 255, if it is one from 0 to 65535."""
    return frame if frame.dtype != np.uint16 else ((frame.astype(np.uint32) + 128) // 257).astype(np.uint8)


def is_same_place(first: Path, second: Path) -> bool:
    """Return whether two paths lead, or would lead, to the same file or folder."""
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
    """Return whether names that differ only in case are the same there, judged by the folder's own name."""
    swapped = folder.with_name(folder.name.swapcase()) if folder.name else folder
    return swapped != folder and swapped.exists() and os.path.samefile(folder, swapped)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
