"""List pairs of frames: from a text file, from frames in order, or from a published data set."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from variflow import datasets
from variflow.io.paths import check_path
from variflow.io.reading import Files, read_frames

Paths = tuple[str, str]

_BLANK = " \t\r"  # a name may hold other white space


def list_pairs(source: str | os.PathLike[str], *, apart: bool = False) -> list[Paths]:
    r"""List the pairs of frames that a source names; no frame is read.

    Parameters
    ----------
    source : str or os.PathLike
        One of

        - a text file with two paths a line, relative to its own folder: separated by commas where its name ends in
          ``.csv``, else by a tab, or by spaces. A path with spaces stands in double quotes. Empty lines are left out,
          and lines that begin with ``#``;
        - a folder of images, or a pattern such as ``"shot/*.png"``, in the order of the numbers in their names: each
          frame and the next are a pair;
        - ``NAME:FOLDER``, a published data set, as for `variflow.datasets.load`.
    apart : bool
        Of a folder or a pattern, frames 0 and 1 are a pair, 2 and 3 the next, and so on, as double-frame cameras
        write them.

    Returns
    -------
    pairs : list of (str, str)
        The paths of the first and the second frame. A variable may follow a file, as for `variflow.read_image`.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or nothing matches the pattern.
    ValueError
        If the source holds no pair, a line has not two paths, there is no such data set, or `apart` is set for a list
        or a data set.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp(), "pairs.txt")
    >>> _ = file.write_text('a.png b.png\n"day 2/a.png" "day 2/b.png"\n')
    >>> [[Path(frame).relative_to(file.parent).as_posix() for frame in pair] for pair in list_pairs(file)]
    [['a.png', 'b.png'], ['day 2/a.png', 'day 2/b.png']]
    """
    check_path(source, "source", "the name of a list, a folder or a pattern")
    text = os.fspath(source)
    name, _, folder = text.partition(":")
    if folder and not os.path.lexists(text) and (name in datasets.names() or _may_name_a_set(name, folder)):
        _refuse_apart(apart, f"the data set {name}")
        return [(os.fspath(frame0), os.fspath(frame1)) for frame0, frame1 in datasets.load(name, folder).frames]
    if os.path.isfile(text):
        _refuse_apart(apart, f"the list {text}")
        return [pair for _, pair in _read_list(Path(text))]
    frames = read_frames(source)
    if not isinstance(frames, Files):
        raise ValueError(f"source {text} holds several frames in one file, wanted a file for each frame")
    return _pair_up([os.fspath(path) for path in frames.paths], text, apart)


def _may_name_a_set(name: str, folder: str) -> bool:
    """Return whether a name before a folder, which is no data set, looks like one that is misspelt."""
    return re.fullmatch(r"[\w-]{2,}", name) is not None and os.path.isdir(folder) and not os.path.exists(name)


def _refuse_apart(apart: bool, source: str) -> None:
    if apart:
        raise ValueError(f"apart is set for {source}, which says itself what the pairs are; wanted a folder or pattern")


def _pair_up(frames: list[str], source: str, apart: bool) -> list[Paths]:
    if len(frames) < 2:
        raise ValueError(f"source {source} has 1 frame, wanted two or more")
    if not apart:
        return list(pairwise(frames))
    if len(frames) % 2:
        raise ValueError(f"source {source} has {len(frames)} frames, wanted an even number for pairs that are apart")
    return list(zip(frames[::2], frames[1::2], strict=True))


def number_lines(source: str | os.PathLike[str]) -> dict[Paths, int]:
    """Return the line of each pair in a list, from 1; nothing of another source, or of a list that is gone by now."""
    with suppress(OSError, ValueError):
        return {pair: number for number, pair in _read_list(Path(source))} if os.path.isfile(source) else {}
    return {}


def _read_list(path: Path) -> Iterator[tuple[int, Paths]]:
    """Yield the pairs of a list, each with its line; a name of a file need not be text."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    if "\0" in content:
        raise ValueError(
            f"source {path} is no text, wanted a list with two paths a line, a folder or a pattern; `variflow video` "
            "takes frames that are in one file"
        )
    folder, found = os.path.dirname(path), 0
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip(_BLANK) or line.startswith("#"):
            continue
        try:
            cells = _split_line(line.strip(_BLANK), path.suffix.lower() == ".csv")
        except csv.Error as error:
            raise ValueError(f"source {path}, line {number}: {error}, wanted two paths") from None
        if len(cells) != 2:
            count = "1 path" if len(cells) == 1 else f"{len(cells)} paths"
            raise ValueError(f"source {path}, line {number} has {count}, wanted 2: {line.strip()[:80]}")
        found += 1
        yield number, (os.path.join(folder, cells[0]), os.path.join(folder, cells[1]))
    if not found:
        raise ValueError(f"source {path} lists no pair, wanted two paths a line")


def _split_line(line: str, commas: bool) -> list[str]:
    separator = "," if commas else "\t" if "\t" in line else " "
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
    return [cell.strip(_BLANK) for cell in cells if cell.strip(_BLANK)]
