"""Frames from what people have: folders, patterns, lists of files, stacks, arrays and videos, read when asked for."""

from __future__ import annotations

import glob
import math
import operator
import os
import re
import weakref
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from variflow.io import images, npy, png, tiff, zarr_array
from variflow.io.content import content_of
from variflow.io.errors import ImageFileError, explained

_PICTURES = (".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


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
            return _Part(self, range(len(self))[index])
        wanted = operator.index(index)
        wanted += len(self) if wanted < 0 else 0
        if wanted < 0 or not self._reaches(wanted):
            raise IndexError(f"frame {index} is asked for, there are {len(self)}")
        return self._frame(wanted)


def read_frames(source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Frames:
    """Open a sequence of frames; each is read when it is asked for.

    Parameters
    ----------
    source : str, os.PathLike or iterable of them
        One of

        - a folder of images, in the order of the numbers in their names (frame2 before frame10);
        - a pattern such as ``"shot/*.png"``, likewise; ``**`` stands for folders in folders;
        - image files, one after the other;
        - one file that holds frames: a TIFF of several pages, an animation, a NumPy array (``.npy``), a video; or the
          folder of a Zarr array. An array has the axes (T, H, W) or (T, H, W, C), where C is at most 16. A video needs
          ``pip install 'variflow[video]'``; its frames are RGB, or gray if it is gray, of 8 bits or, if it has more,
          16, and turned as its player would;
        - one image, a sequence of one.

    Returns
    -------
    frames : Frames
        The sequence.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or nothing matches the pattern.
    ImageFileError
        If the file holds no frames, or the folder no images.
    ImportError
        If it needs a library that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for time in range(11):
    ...     images.write_image(folder / f"frame{time}.png", np.full((4, 6), time, np.uint8))
    >>> frames = read_frames(folder)
    >>> len(frames), frames[10].max(), [frame.max() for frame in frames[2:5]]
    (11, np.uint8(10), [np.uint8(2), np.uint8(3), np.uint8(4)])
    """
    if not isinstance(source, str | os.PathLike):
        return _Files([Path(path) for path in source])
    path = Path(source)
    if not path.exists():
        found = glob.glob(os.fspath(source), recursive=True)
        if not found:
            raise FileNotFoundError(f"{os.fspath(source)}: no such file, and no file whose name matches")
        return _Files(sorted(map(Path, found), key=_natural))
    with explained(path, ImageFileError, "cannot be read as frames"):
        if path.is_dir():
            return _zarr(path) if zarr_array.is_zarr(path) else _folder(path)
        if not path.is_file():
            raise ImageFileError(path, "not a file")
        return _frames_of_file(path)


def _frames_of_file(path: Path) -> Frames:
    start = images.read_start(path)
    if start.startswith(tiff.MAGICS):
        return _Pages(path)
    if start.startswith(npy.MAGICS):
        return _Array(path, _mapped(path))
    if start.startswith((png.MAGIC, b"P5", b"P6")):
        return _Files([path])
    found = content_of(path)
    if found.decoders:
        return _Animation(path)
    if found.kind not in ("video", "unknown") or path.suffix.lower() in _PICTURES:
        raise ImageFileError(path, f"is {found.name}, no image and no video that can be read")
    from variflow.io.video import Video

    return Video(path)


def _zarr(path: Path) -> Frames:
    array = zarr_array.open_array(path, ImageFileError)
    shape = array.shape[1:] if images.is_stack(path, array.shape) else array.shape
    zarr_array.check_size(path, array, shape, ImageFileError)
    return _Array(path, array)


def _folder(path: Path) -> Frames:
    found = [
        file
        for file in path.iterdir()
        if file.suffix.lower() in _PICTURES and not file.name.startswith(".") and file.is_file()
    ]
    if not found:
        raise ImageFileError(path, f"a folder without images ({', '.join(_PICTURES)})")
    return _Files(sorted(found, key=_natural))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order names by the numbers in them."""
    parts = re.split(r"(\d+)", os.fspath(path))
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


class _Part(Frames):
    """Some of the frames of another sequence."""

    def __init__(self, whole: Frames, places: range) -> None:
        self._whole, self._places = whole, places

    def __len__(self) -> int:
        return len(self._places)

    def _frame(self, index: int) -> npt.NDArray[Any]:
        return self._whole[self._places[index]]


class _Files(Frames):
    """One image a file."""

    def __init__(self, paths: list[Path]) -> None:
        if not paths:
            raise ValueError("source: it is empty, one file at least is wanted")
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(f"{path}: no such file")
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def _frame(self, index: int) -> npt.NDArray[Any]:
        return images.read_image(self._paths[index])


class _Array(Frames):
    """An array on disk, of which only the frame that is wanted is read."""

    def __init__(self, path: Path, array: Any) -> None:
        self._path, self._array = path, array
        self._many = images.is_stack(path, array.shape)

    def __len__(self) -> int:
        return int(self._array.shape[0]) if self._many else 1

    def _frame(self, index: int) -> npt.NDArray[Any]:
        with explained(self._path, ImageFileError, f"frame {index} cannot be read"):
            return images.plain(np.array(self._array[index] if self._many else self._array[...]))


class _Pages(Frames):
    """The pages of a TIFF, of which one or, with planes of colour, several make a frame."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = tiff.opened(path, ImageFileError)
        weakref.finalize(self, self._file.close)
        series = tiff.checked_series(path, self._file, ImageFileError)
        inner = re.search(r"C?(YX|YXS|SYX)$", series.axes)
        outer = series.axes[: inner.start()] if inner else series.axes
        if inner is None or len(outer) > 1:
            said = " x ".join(map(str, series.shape))
            raise ImageFileError(path, f"a TIFF of {said} (axes {series.axes}); frames have one axis beside y, x and C")
        self._axes, self._series = inner[0], series
        self._count = series.shape[0] if outer else 1

    def __len__(self) -> int:
        return self._count

    def _frame(self, index: int) -> npt.NDArray[Any]:
        series = self._series
        shape = series.shape[-len(self._axes) :]
        with explained(self._path, ImageFileError, f"frame {index} cannot be read"):
            if series.dataoffset is not None:  # one block, of which tifffile may know the first page alone
                frame = self._file.filehandle.read_array(
                    series.keyframe.dtype.newbyteorder(self._file.byteorder),
                    math.prod(shape),
                    series.dataoffset + index * math.prod(shape) * series.dtype.itemsize,
                ).reshape(shape)
            else:
                each = len(series) // self._count
                pages = series.pages[index * each : (index + 1) * each]
                tiff.check_data(self._path, series, pages, ImageFileError)
                frame = self._file.asarray(slice(index * each, (index + 1) * each), series=0).reshape(shape)
            return images.tiff_pixels(self._path, frame, self._axes, series.keyframe)


class _Animation(Frames):
    """The pictures of one file that imageio reads, in RGB if there are several."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with images.open_pictures(path) as file:
            self._count = images.picture_count(file)

    def __len__(self) -> int:
        return self._count

    def _frame(self, index: int) -> npt.NDArray[Any]:
        if self._count == 1:
            return images.read_image(self._path)
        with (
            explained(self._path, ImageFileError, f"frame {index} cannot be read"),
            images.open_pictures(self._path) as file,
        ):
            return images.plain(images.read_picture(self._path, file, index, "RGB"))


def _mapped(path: Path) -> npt.NDArray[Any]:
    with path.open("rb") as file:
        header = npy.read_header(path, file, path.stat().st_size, ImageFileError)
        start = file.tell()
    order: Literal["C", "F"] = "F" if header.fortran else "C"
    return np.memmap(path, dtype=header.dtype, mode="r", offset=start, shape=header.shape, order=order)
