"""A sequence of frames, whatever it is that they come from."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from variflow.io.errors import ImageFileError, explained


class Frames(Sequence[npt.NDArray[Any]]):
    """Frames in order, each read from its file when it is asked for: what `read_frames` returns.

    A sequence: ``len``, iteration, ``frames[3]``, ``frames[-1]``; ``frames[10:20]`` is again such a sequence and
    reads nothing. A frame is (H, W) or (H, W, C) with the numbers of the file, as `variflow.read_image` returns it, and
    belongs to the caller. What is wrong with a file shows when its frame is read, as `ImageFileError`. One thread at a
    time may read from one sequence.
    """

    @abstractmethod
    def _frame(self, index: int) -> npt.NDArray[Any]:
        """Read the frame `index`, which is there."""

    def _reaches(self, index: int) -> bool:
        """Tell whether the frame `index`, at least 0, is there."""
        return index < len(self)

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Frames: ...
    def __getitem__(self, index: int | slice) -> npt.NDArray[Any] | Frames:
        """Read one frame, or return the part of the sequence."""
        if isinstance(index, slice):
            return Part(self, range(len(self))[index])
        wanted = operator.index(index)
        wanted += len(self) if wanted < 0 else 0
        if wanted < 0 or not self._reaches(wanted):
            raise IndexError(f"frame {index} is asked for, there are {len(self)}")
        return self._frame(wanted)


class Part(Frames):
    """Some of the frames of another sequence."""

    def __init__(self, whole: Frames, places: range) -> None:
        self._whole, self._places = whole, places

    def __len__(self) -> int:
        return len(self._places)

    def _frame(self, index: int) -> npt.NDArray[Any]:
        return self._whole[self._places[index]]


class One(Frames):
    """One image, a sequence of one.

    Parameters
    ----------
    path : Path
        An existing file.
    read : callable
        What reads it.
    """

    def __init__(self, path: Path, read: Callable[[Path], npt.NDArray[Any]]) -> None:
        self._path, self._read = path, read

    def __len__(self) -> int:
        return 1

    def _frame(self, index: int) -> npt.NDArray[Any]:
        with explained(self._path, ImageFileError, "cannot be read as an image"):
            return plain(self._read(self._path))


def plain(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Native byte order, contiguous, and (H, W) rather than (H, W, 1)."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))
