"""Write many frames: as pages of a TIFF, an array of NumPy or Zarr, a film, or a folder of numbered images."""

from __future__ import annotations

import itertools
import operator
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import INTENSITIES, MOST_CHANNELS, read
from variflow.base.kinds import is_float
from variflow.base.types import Numbers
from variflow.io import extras, films, zarr_array
from variflow.io.atomic import atomic, atomic_folder, find_destination, find_folder_destination
from variflow.io.errors import ImageFileError
from variflow.io.images import as_pixels, check_image_path, write_image, write_page
from variflow.io.paths import check_path

_DIGITS = 6


def write_frames(
    path: str | os.PathLike[str],
    frames: Iterable[npt.ArrayLike],
    *,
    fps: float | None = None,
    times: Iterable[float] | None = None,
) -> None:
    """Write frames; `variflow.read_frames` reads back the same numbers, except from an .mp4.

    Frames are taken one after the other, so only one has to be in memory. The file, or the folder, appears
    complete or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        One of

        - ``"stack.tif"``: a page a frame, of integers or of floating point, which is stored with 32 bits;
        - ``"stack.npy"``, ``"stack.zarr"``: one array (T, H, W) or (T, H, W, C) of the type of the frames. Zarr needs
          ``pip install 'variflow[zarr]'``;
        - ``"film.mp4"``: H.264, which all players show and which loses a little, of uint8; frames of odd size get one
          more row or column, and a warning says so; or ``"film.mkv"``: FFV1, which loses nothing, of uint8 or uint16.
          Both need ``pip install 'variflow[video]'``;
        - ``"shot/frame*.png"``, or another extension that `write_image` knows: an image a frame, with its number in the
          place of the star, in a folder that is new or empty.

        An existing file is replaced, and so is another Zarr array.
    frames : iterable of array_like
        Frames of one shape and type, (H, W) or (H, W, C): a list, an array, a generator, what `read_frames` returns.
    fps : float, optional
        For a film: how many frames are shown in a second, 25 by default.
    times : iterable of float, optional
        For a film, in place of `fps`: when each frame is shown, in seconds; they rise. A film begins with its first
        frame, whatever its time.

    Raises
    ------
    ImageFileError
        If the name has no known format.
    FileExistsError
        If the folder for numbered images holds something.
    TypeError, ValueError
        If there are no frames, one is not like the first, or the format takes no such frames.

    Examples
    --------
    >>> import tempfile
    >>> from variflow import read_frames
    >>> folder = tempfile.mkdtemp()
    >>> write_frames(f"{folder}/stack.tif", (np.full((4, 6), time / 10) for time in range(3)))
    >>> len(read_frames(f"{folder}/stack.tif"))
    3
    >>> write_frames(f"{folder}/shot/frame*.png", np.zeros((12, 4, 6), np.uint8))
    >>> sorted(file.name for file in Path(folder, "shot").iterdir())[-1]
    'frame000011.png'
    """
    check_path(path, frames=frames)
    if isinstance(frames, str | bytes | os.PathLike):
        raise TypeError(f"frames is the path {os.fspath(frames)!r}, wanted arrays; variflow.read_frames opens a file")
    check_frames_path(path)
    extension = Path(path).suffix.lower()
    if extension in films.EXTENSIONS and "*" not in os.fspath(path):
        shown = films.choose_times(fps, times)
        films.write_film(path, _check_alike(frames, lambda frame, name: as_pixels(frame, extension, name)), shown)
        return
    for name, value in (("fps", fps), ("times", times)):
        if value is not None:
            raise ValueError(f"{name} is given, and only a film ({', '.join(films.EXTENSIONS)}) has it")
    if "*" in os.fspath(path):
        _write_folder(Path(path), frames)
    elif extension in (".tif", ".tiff"):
        _write_tiff(path, frames)
    elif extension == ".npy":
        _write_npy(path, frames)
    else:
        _write_zarr(path, frames)


def check_frames_path(path: str | os.PathLike[str]) -> None:
    """Raise the error of `write_frames` if it cannot write to this path; for a check before long work."""
    check_path(path)
    extension = Path(path).suffix.lower()
    if "*" in os.fspath(path):
        _check_pattern(Path(path))
    elif extension == ".zarr":
        extras.check_installed("zarr")
        find_folder_destination(path)
        zarr_array.check_replaceable(Path(path))
    elif extension in (".tif", ".tiff", ".npy", *films.EXTENSIONS):
        if extension in films.EXTENSIONS:
            extras.check_installed("av")
        find_destination(path)
    else:
        raise ImageFileError(
            path,
            "the name for frames to write ends with .tif, .tiff, .npy, .zarr, .mp4 or .mkv, or is a pattern as "
            "shot/*.png",
        )


def _check_alike(frames: Iterable[npt.ArrayLike], convert: Callable[[Numbers, str], Numbers]) -> Iterator[Numbers]:
    """Yield the frames as they are stored; raise if there are none, or one is not like the first."""
    first: tuple[tuple[int, ...], np.dtype[np.generic]] | None = None
    for number, frame in enumerate(frames):
        given, known = read(frame, f"frame {number}", INTENSITIES)
        kind = given.shape, given.dtype
        first = kind if first is None else first
        if kind != first:
            said, wanted = (f"{dtype} of shape {shape}" for shape, dtype in (kind, first))
            raise ValueError(f"frame {number} is {said}, wanted {wanted}, as the first")
        yield convert(given if known is None else np.ma.array(given, mask=~known), f"frame {number}")
    if first is None:
        raise ValueError("frames is empty, wanted at least one frame")


def _as_numbers(frame: Numbers, name: str) -> Numbers:
    """Return a frame as it is stored in an array of frames."""
    if isinstance(frame, np.ma.MaskedArray):
        if not is_float(frame.dtype):
            raise ValueError(f"{name} has masked pixels, wanted none; filled(...) gives them a value")
        frame = frame.filled(np.nan)
    channels = frame.shape[2:]
    if frame.ndim not in (2, 3) or 0 in frame.shape or (channels and channels[0] > MOST_CHANNELS):
        raise ValueError(f"{name} has shape {frame.shape}, wanted (H, W) or (H, W, C) with C up to {MOST_CHANNELS}")
    if frame.ndim == 2 and frame.shape[1] <= MOST_CHANNELS:  # its columns would be taken for channels
        frame = frame[..., None]
    return np.ascontiguousarray(frame)


def _write_tiff(path: str | os.PathLike[str], frames: Iterable[npt.ArrayLike]) -> None:
    import tifffile

    extension = Path(path).suffix.lower()
    pages = _check_alike(frames, lambda frame, name: as_pixels(frame, extension, name))
    first = next(pages)
    # A plain TIFF, which every program reads, is at most four gigabytes long.
    count = operator.length_hint(frames, sys.maxsize)
    big = count * (first.nbytes + 4096) > 1 << 32
    with atomic(path) as file, tifffile.TiffWriter(file, bigtiff=big) as writer:
        for pixels in itertools.chain([first], pages):
            write_page(writer, pixels)


def _write_npy(path: str | os.PathLike[str], frames: Iterable[npt.ArrayLike]) -> None:
    with atomic(path) as file:
        count, length, shape, kind = 0, 0, (), np.dtype(np.uint8)
        for frame in _check_alike(frames, _as_numbers):
            if not count:
                shape, kind = frame.shape, frame.dtype
                length = _write_header(file, (1, *shape), kind)
            file.write(frame.data)
            count += 1
        file.seek(0)
        assert _write_header(file, (count, *shape), kind) == length  # NumPy leaves room for any number of frames


def _write_header(file: IO[bytes], shape: tuple[int, ...], kind: np.dtype[np.generic]) -> int:
    description = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)
    return int(file.tell())


def _write_zarr(path: str | os.PathLike[str], frames: Iterable[npt.ArrayLike]) -> None:
    zarr = extras.load("zarr")
    with zarr_array.atomic_array(path) as (part, call):
        array: Any = None
        for frame in _check_alike(frames, _as_numbers):
            if array is None:
                chunks = (1, *(min(1024, length) for length in frame.shape))
                everything = {"write_empty_chunks": True}  # a chunk of -0.0 is not one of 0.0
                array = call(
                    zarr.create_array, part, shape=(0, *frame.shape), dtype=frame.dtype, chunks=chunks,
                    config=everything, overwrite=True,
                )  # fmt: skip
            call(array.append, frame[None])


def _check_pattern(path: Path) -> None:
    if path.name.count("*") != 1 or "*" in os.fspath(path.parent):
        raise ImageFileError(path, "wanted one star, in the name of the files")
    folder = path.parent
    check_image_path(folder.parent / path.name.replace("*", "0"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: is there and not empty; numbered images are written into a new folder")


def _write_folder(path: Path, frames: Iterable[npt.ArrayLike]) -> None:
    folder, extension = path.parent, path.suffix.lower()
    with atomic_folder(folder) as part:
        for number, pixels in enumerate(_check_alike(frames, lambda frame, name: as_pixels(frame, extension, name))):
            write_image(part / path.name.replace("*", f"{number:0{_DIGITS}d}"), pixels)
