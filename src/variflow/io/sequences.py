"""A sequence of frames, whatever its source."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from variflow.base.caching import cached_property
from variflow.base.types import Numbers
from variflow.io.errors import ImageFileError, explain_errors


class Frames(Sequence[Numbers]):
    """Frames in order, each read from its file when it is asked for: what `read_frames` returns.

    A sequence: ``len``, iteration, ``frames[3]``, ``frames[-1]``; ``frames[10:20]`` is again such a sequence and reads
    nothing. A frame is (H, W) or (H, W, C) with the numbers of the file, as `variflow.read_image` returns it, in its
    own memory. A damaged file raises `ImageFileError` when its frame is read. Only one thread at a time may read from a
    sequence.
    """

    _path: Path

    def __repr__(self) -> str:
        """Describe the sequence in one line; nothing is read for it."""
        count = self._known_length
        number = "frames" if count is None else f"{count} frame{'s' if count != 1 else ''}"
        rate = f", {self.fps:g} per second" if self.fps is not None else ""
        return f"<{number} of {self._source}{rate}>"

    @cached_property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the first frame, (H, W) or (H, W, C); that frame is read for it. None if there is no frame."""
        return self[0].shape if self._reaches(0) else None

    def map(self, change: Callable[[Numbers], Numbers]) -> Frames:
        """Return the same sequence with a function applied to each frame when it is read.

        Parameters
        ----------
        change : callable
            Takes a frame and returns one, such as a part of it.

        Examples
        --------
        >>> import tempfile
        >>> import variflow
        >>> path = f"{tempfile.mkdtemp()}/stack.tif"
        >>> variflow.write_frames(path, np.zeros((3, 40, 60), np.uint16))
        >>> variflow.read_frames(path).map(lambda frame: frame[10:30, 20:50])[2].shape
        (20, 30)
        """
        return Changed(self, change)

    @property
    def names(self) -> list[str] | None:
        """The name of each frame's file; None if frames do not have their own files."""
        return None

    @property
    def fps(self) -> float | None:
        """The mean number of frames per second; None if it is unknown."""
        return None

    @property
    def times(self) -> list[float] | None:
        """When each frame is shown, in seconds after the first; None if that is unknown.

        For a video, all of it is decoded once, as for ``len``.
        """
        return None

    @property
    def expected_length(self) -> int | None:
        """How many frames there are, or are said to be; None if only reading them tells. Nothing is read for it."""
        return self._known_length

    def time_of(self, index: int) -> float | None:
        """When the frame `index`, at least 0, is shown, in seconds after the first; None if that is unknown.

        For a video this costs nothing if the frame has just been read.
        """
        times = self.times
        return None if times is None else times[index]

    @property
    def _source(self) -> str:
        return repr(self._path.name)

    @property
    def _known_length(self) -> int | None:
        """How many frames there are, if that is known without reading them."""
        return len(self)

    @abstractmethod
    def _read_frame(self, index: int) -> Numbers:
        """Read the frame `index`, which exists."""

    def _reaches(self, index: int) -> bool:
        """Return whether the frame `index`, at least 0, exists."""
        return index < len(self)

    @overload
    def __getitem__(self, index: int) -> Numbers: ...
    @overload
    def __getitem__(self, index: slice) -> Frames: ...
    def __getitem__(self, index: int | slice) -> Numbers | Frames:
        """Read one frame, or return a part of the sequence."""
        if isinstance(index, slice):
            return Part(self, range(len(self))[index])
        try:
            wanted = operator.index(index)
        except TypeError:
            raise TypeError(f"index is {index!r}, wanted a whole number or a slice") from None
        wanted += len(self) if wanted < 0 else 0
        if wanted < 0 or not self._reaches(wanted):
            raise IndexError(f"index is {index}, wanted one of the {len(self)} frames of {self._source}")
        return self._read_frame(wanted)

    def look_at(self, index: int) -> Numbers:
        """Return the frame `index`, to be read only: the sequence may keep it."""
        return self[index]


class Part(Frames):
    """Some of the frames of another sequence."""

    def __init__(self, whole: Frames, places: range) -> None:
        self._whole, self._places = whole, places

    def __len__(self) -> int:
        return len(self._places)

    @property
    def names(self) -> list[str] | None:
        """The name of each frame's file; None if frames do not have their own files."""
        names = self._whole.names
        return None if names is None else [names[place] for place in self._places]

    @property
    def fps(self) -> float | None:
        """The mean number of frames per second; None if it is unknown."""
        return None if self._whole.fps is None else self._whole.fps / abs(self._places.step)

    @property
    def times(self) -> list[float] | None:
        """When each frame is shown, in seconds after the first; None if that is unknown."""
        times = self._whole.times
        return None if times is None else [times[place] - times[self._places[0]] for place in self._places]

    @property
    def _source(self) -> str:
        return self._whole._source

    def _read_frame(self, index: int) -> Numbers:
        return self._whole[self._places[index]]


class Changed(Frames):
    """Another sequence, with a function applied to each frame."""

    def __init__(self, whole: Frames, change: Callable[[Numbers], Numbers]) -> None:
        self._whole, self._change = whole, change

    def __len__(self) -> int:
        return len(self._whole)

    @property
    def names(self) -> list[str] | None:
        """The name of each frame's file; None if frames do not have their own files."""
        return self._whole.names

    @property
    def fps(self) -> float | None:
        """The mean number of frames per second; None if it is unknown."""
        return self._whole.fps

    @property
    def times(self) -> list[float] | None:
        """When each frame is shown, in seconds after the first; None if that is unknown."""
        return self._whole.times

    @property
    def expected_length(self) -> int | None:
        """How many frames there are, or are said to be; None if only reading them tells."""
        return self._whole.expected_length

    def time_of(self, index: int) -> float | None:
        """When the frame `index` is shown, in seconds after the first; None if that is unknown."""
        return self._whole.time_of(index)

    @property
    def _source(self) -> str:
        return self._whole._source

    @property
    def _known_length(self) -> int | None:
        return self._whole._known_length

    def _reaches(self, index: int) -> bool:
        return self._whole._reaches(index)

    def _read_frame(self, index: int) -> Numbers:
        return self._change(self._whole[index])


class One(Frames):
    """One image, a sequence of one.

    Parameters
    ----------
    path : Path
        An existing file.
    read : callable
        Reads the file.
    """

    def __init__(self, path: Path, read: Callable[[Path], Numbers]) -> None:
        self._path, self._read = path, read

    def __len__(self) -> int:
        return 1

    def _read_frame(self, index: int) -> Numbers:
        with explain_errors(self._path, ImageFileError, "cannot be read as an image"):
            return make_plain(self._read(self._path))


def make_plain(image: Numbers) -> Numbers:
    """Return an image in native byte order, contiguous, and as (H, W) rather than (H, W, 1)."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))
