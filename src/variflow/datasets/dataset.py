"""How a folder of files becomes a sequence of samples.

A data set is a list of first frames and, for each of them, a :class:`Pair` that says where the parts of its sample are.
The second frame is the one whose name has the next number. Until a sample is asked for, only names are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np

from variflow.base.arrays import find_known
from variflow.base.types import Numbers
from variflow.datasets.sample import Sample
from variflow.io import FileFormatError, read_flow, read_image

Array = Numbers
Part = Callable[[], Array | None]


@dataclass(frozen=True)
class Pair:
    """Where the parts of a sample are: the path of the first frame, and functions that read the other parts.

    Parameters
    ----------
    name : str
        What the data set calls the pair.
    frame0 : Path
        The first frame.
    flow, occlusion, valid, foreground, between : callable, optional
        Each returns its part of the :class:`Sample`, or None if the file is not there.
    """

    name: str
    frame0: Path
    flow: Part | None = None
    occlusion: Part | None = None
    valid: Part | None = None
    foreground: Part | None = None
    between: Part | None = None

    def read(self) -> Sample:
        """Read the sample."""
        fields = ("flow", "occlusion", "valid", "foreground", "between")
        parts = {field: part() for field in fields if (part := getattr(self, field)) is not None}
        frames = read_image(self.frame0), read_image(find_next_frame(self.frame0))
        for field, part in parts.items():
            if part is not None and part.shape[:2] != frames[0].shape[:2]:
                shape, wanted = (" x ".join(map(str, reversed(array.shape[:2]))) for array in (part, frames[0]))
                raise FileFormatError(self.frame0, f"a frame of {wanted} pixels, but its {field} has {shape}")
        flow = parts.get("flow")
        if flow is not None:
            known = find_known(flow)
            valid = parts.get("valid")
            parts["valid"] = known if valid is None else known & valid
        return Sample(self.name, *frames, **parts)


class Dataset(Sequence[Sample]):
    """The samples of a data set, each read only when it is asked for.

    Parameters
    ----------
    name : str
        Name of the data set.
    root : str or os.PathLike
        The folder that holds it.
    layout : str
        What is expected in the folder, for the error message if nothing is found.
    frames : iterable of Path
        Frames, in any order; a frame without a following one is left out.
    pair : callable
        Returns the :class:`Pair` of a first frame.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no pair in it.
    """

    def __init__(
        self,
        name: str,
        root: str | os.PathLike[str],
        layout: str,
        frames: Iterable[Path],
        pair: Callable[[Path], Pair],
    ) -> None:
        if not Path(root).is_dir():
            raise FileNotFoundError(f"{os.fspath(root)}: no such folder, wanted one that holds {layout}")
        self.name = name
        self._pairs = [pair(frame) for frame in sorted(frames) if find_next_frame(frame).exists()]
        if not self._pairs:
            raise FileNotFoundError(f"{os.fspath(root)}: no pair of frames in it, wanted {layout}")

    @property
    def names(self) -> list[str]:
        """The names of the samples, in order; no file is read for them."""
        return [pair.name for pair in self._pairs]

    @property
    def frames(self) -> list[tuple[Path, Path]]:
        """The paths of the two frames of each sample, in order; no file is read for them."""
        return [(pair.frame0, find_next_frame(pair.frame0)) for pair in self._pairs]

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Dataset: ...

    def __getitem__(self, index: int | slice) -> Sample | Dataset:
        if isinstance(index, slice):
            part = object.__new__(Dataset)
            part.name, part._pairs = self.name, self._pairs[index]
            return part
        try:
            pair = self._pairs[index]
        except IndexError:
            raise IndexError(f"index is {index}, wanted one of the {len(self)} pairs of {self.name}") from None
        except TypeError:
            raise TypeError(f"index is {index!r}, wanted a whole number or a slice") from None
        return pair.read()

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {len(self)} pairs>"


def find_next_frame(frame: Path) -> Path:
    """Return the path of the next frame: the same name with the next number.

    Examples
    --------
    >>> find_next_frame(Path("alley_1/frame_0009.png")).name, find_next_frame(Path("00001_img1.ppm")).name
    ('frame_0010.png', '00001_img2.ppm')
    """
    parts = re.fullmatch(r"(.*?)(\d*)(\D*)", frame.stem, re.DOTALL)
    assert parts is not None  # any name fits
    head, number, tail = parts.groups()
    return frame.with_name(f"{head}{int(number or 0) + 1:0{len(number)}d}{tail}{frame.suffix}")


def defer(reader: Callable[[Path], Array], *paths: Path) -> Part:
    """Return a function that reads the first path that exists, or returns None if none does."""

    def part() -> Array | None:
        found = next((path for path in paths if path.exists()), None)
        return None if found is None else reader(found)

    return part


def read_marks(image: Path) -> Array:
    """Read an image and return where it is not 0."""
    pixels: Array = read_image(image) != 0
    return np.asarray(pixels.any(axis=2)) if pixels.ndim == 3 else pixels


def read_unmarked(image: Path) -> Array:
    """Read an image and return where it is 0."""
    return ~read_marks(image)


defer_flow = partial(defer, read_flow)
defer_mask = partial(defer, read_marks)
