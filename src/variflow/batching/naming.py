"""Name what is written after the first frame of each pair, and keep it inside one folder."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from variflow.batching.listing import Paths
from variflow.io.reading import find_file


def name_pairs(pairs: Sequence[Paths]) -> list[str]:
    """Return a name for each pair, as a path without extension, with ``/`` between folders.

    It is that of the first frame; where two of these are the same, all names keep the folders below the one that all
    frames share, and pairs that also share the first frame have that of the second behind it.

    Raises
    ------
    ValueError
        If two pairs still have the same name.
    """
    firsts = [os.path.abspath(_find(first)) for first, _ in pairs]
    names = [Path(first).stem for first in firsts]
    if _find_twice(names):
        shared = os.path.commonpath([os.path.dirname(first) for first in firsts])
        names = [Path(os.path.relpath(first, shared)).with_suffix("").as_posix() for first in firsts]
    if twice := _find_twice(names):
        names = [
            f"{name}-{Path(_find(second)).stem}" if _fold(name) in twice else name
            for name, (_, second) in zip(names, pairs, strict=True)
        ]
    if twice := _find_twice(names):
        places = [place for place, name in enumerate(names) if _fold(name) in twice]
        number = places[0]
        other = next(place for place in places[1:] if _fold(names[place]) == _fold(names[number]))
        one, two = (" ".join(pairs[place]) for place in (number, other))
        if pairs[number] == pairs[other]:
            raise ValueError(f"pairs holds {one} twice, wanted each pair once")
        if names[number] == names[other]:
            raise ValueError(
                f"the flows of {one} and of {two} would have the same name, {names[number]}; wanted pairs that differ "
                "in more than the extensions of their files"
            )
        raise ValueError(
            f"the flows of {one} and of {two} would be named {names[number]} and {names[other]}, which some disks take "
            "for one name; wanted names that differ in more than upper and lower case or the encoding of accents"
        )
    return names


def _find(frame: str) -> str:
    """Return the path of a frame without the variable that may follow it."""
    return os.fspath(find_file(frame)) if ":" in frame else frame


def _find_twice(names: Sequence[str]) -> set[str]:
    return {name for name, count in Counter(map(_fold, names)).items() if count > 1}


def _fold(name: str) -> str:
    """Return what file systems compare that ignore case, or how a letter is composed."""
    return unicodedata.normalize("NFC", name).casefold()


def check_apart(root: Path, names: Sequence[str], extension: str, pairs: Sequence[Paths]) -> None:
    """Raise ValueError if a flow in the folder `root` would be written over a frame."""
    folder = os.path.realpath(root)
    real: dict[str, str] = {}
    frames = set()
    for frame in {_find(frame) for pair in pairs for frame in pair if frame.lower().endswith(extension.lower())}:
        parent, base = os.path.split(frame)
        if parent not in real:
            real[parent] = os.path.realpath(parent)
        frames.add(_fold(os.path.join(real[parent], base)))
    for name in names:
        if _fold(os.path.join(folder, f"{name}{extension}")) in frames:
            raise ValueError(f"output {root} would take the flow {name}{extension} over a frame, wanted another folder")


def make_inside(root: Path, name: str) -> Path:
    """Return the path of a file in the folder `root`, whose own folder is made.

    Raises
    ------
    ValueError
        If it would be outside the folder, or a link leads elsewhere.
    """
    wanted = os.path.join(os.path.realpath(root), *name.split("/"))
    if os.path.normpath(wanted) != wanted or os.path.realpath(wanted) != wanted:
        raise ValueError(f"{root / name} leads to {os.path.realpath(wanted)}, wanted a file in {root} and no link")
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
