"""Arrays and files that are read window by window."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import (
    INTENSITIES,
    MARKS,
    MOST_CHANNELS,
    check_frame,
    mark_where_all,
    name_axes,
    read,
)
from variflow.base.brief import Brief
from variflow.base.kinds import is_float, name_kind
from variflow.base.types import ArrayLike, Numbers
from variflow.images.windows import Window
from variflow.io import zarr_array
from variflow.io.errors import ImageFileError, explain_errors
from variflow.io.variables import decode

_PALETTE = 3  # a photometric interpretation of TIFF


@dataclass(frozen=True, eq=False, repr=False)
class Source(Brief):
    """A frame, or a mask, that is read window by window.

    Attributes
    ----------
    array : array
        ``(H, W)`` or ``(H, W, C)``: whatever has a shape and a type, and is read by slicing.
    name : str
        What errors and warnings call it.
    nodata : float, optional
        The number of which its file says that it marks missing pixels.
    path : Path, optional
        Its file or folder, if it is known.
    """

    array: Any
    name: str
    nodata: float | None = None
    path: Path | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(map(int, self.array.shape))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.shape[0], self.shape[1]

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.shape[2] if len(self.shape) == 3 else 1

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes, as arrays of xarray have them; empty if they have none."""
        return name_axes(self.array)

    def is_in(self, folder: Path) -> bool:
        """Return whether it is known to be read from a folder or from what lies in it."""
        return self.path is not None and folder.resolve() in (self.path.resolve(), *self.path.resolve().parents)

    def read(self, window: Window) -> tuple[Numbers, NDArray[np.bool_] | None]:
        """Return the pixels of a window, ``(h, w, C)``, and which are known, ``(h, w)``; None if all are.

        Beyond the frame no pixel is known.
        """
        inside = window.intersect(self.size)
        pixels, known = read(self._take(inside), self.name, INTENSITIES)
        pixels = np.array(np.atleast_3d(pixels))
        where = None if known is None else mark_where_all(np.atleast_3d(known))
        if self.nodata is not None:
            present: NDArray[np.bool_] = ~mark_where_all(_is_number(pixels, self.nodata))
            where = present if where is None else where & present
        if inside == window:
            return pixels, where
        whole = np.zeros((*window.shape, pixels.shape[2]), pixels.dtype)
        certain = np.zeros(window.shape, bool)
        place = inside.within(window)
        whole[place] = pixels
        certain[place] = True if where is None else where
        return whole, certain

    def read_marks(self, window: Window) -> NDArray[np.bool_]:
        """Return a window of a mask, True where a pixel is usable; False beyond the frame."""
        inside = window.intersect(self.size)
        marks, known = read(self._take(inside), self.name, (MARKS[0], f"{MARKS[1]}: True where a pixel is usable"))
        whole = np.zeros(window.shape, bool)
        whole[inside.within(window)] = marks.astype(bool) if known is None else marks.astype(bool) & known
        return whole

    def _take(self, window: Window) -> Any:
        explained = explain_errors(self.path, ImageFileError, "cannot be read") if self.path else nullcontext()
        with explained:
            return self.array[window.top : window.bottom, window.left : window.right]


def _is_number(pixels: Numbers, number: float) -> NDArray[np.bool_]:
    """Return where pixels are a number, which a file may write with fewer digits than they have."""
    if not is_float(pixels.dtype):
        return np.asarray(pixels == number)
    with np.errstate(over="ignore"):
        return np.asarray(np.isclose(pixels, number, rtol=2 * float(np.finfo(pixels.dtype).eps), atol=0))


class _Mapped:
    """An array in a file that is mapped into memory for each part that is read, so that no page of it stays there."""

    def __init__(self, map_array: Callable[[], Any]) -> None:
        self._map_array = map_array
        array = map_array()
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, part: tuple[slice, ...]) -> Numbers:
        """Return a part in memory of its own."""
        return np.array(self._map_array()[part])


class _Decoded:
    """A Zarr array whose attributes say what its numbers mean."""

    def __init__(self, array: Any, meaning: Mapping[str, object]) -> None:
        self._array, self._meaning = array, meaning
        self.shape = array.shape
        self.dtype = decode(np.zeros(0, array.dtype), meaning).dtype

    def __getitem__(self, part: tuple[slice, ...]) -> Numbers:
        """Return a part, NaN where it is missing."""
        return decode(np.array(self._array[part]), self._meaning).astype(self.dtype)


def open_frame(value: ArrayLike, name: str) -> Source:
    """Return a frame that is read window by window, from an array or a path.

    Raises
    ------
    TypeError, ValueError, ImageFileError
        If it is no frame, naming the argument or the file.
    """
    source = _open(value, name)
    shape, kind = source.shape, np.dtype(source.array.dtype).kind
    if kind not in INTENSITIES[0]:
        raise TypeError(f"{name} has dtype {source.array.dtype}, wanted {INTENSITIES[1]}")
    check_frame(shape, value, name)
    return source


def open_mask(value: ArrayLike, size: tuple[int, int]) -> Source:
    """Return a mask that is read window by window; raise ValueError or TypeError if it has another size or type."""
    source = _open(value, "mask")
    if source.shape != size:
        raise ValueError(f"mask has shape {source.shape}, wanted {size}")
    if np.dtype(source.array.dtype).kind not in MARKS[0]:
        raise TypeError(f"mask has dtype {source.array.dtype}, wanted {MARKS[1]}: True where a pixel is usable")
    return source


def _open(value: ArrayLike, name: str) -> Source:
    return _open_path(value, name) if isinstance(value, str | os.PathLike) else _open_array(value, name)


def _open_array(value: ArrayLike, name: str) -> Source:
    if not all(hasattr(value, part) for part in ("shape", "dtype", "__getitem__")):
        if not (isinstance(value, list | tuple | memoryview) or hasattr(value, "__dlpack__")):
            raise TypeError(f"{name} is {name_kind(value)}, wanted an array that is read by slicing, or a path")
        value = read(value, name, INTENSITIES)[0]
    if any(length != length for length in value.shape):  # NaN
        raise ValueError(f"{name} has shape {value.shape}, wanted known lengths, as compute_chunk_sizes() finds them")
    return Source(value, name, path=_find_path(value))


def _find_path(array: Any) -> Path | None:
    """Return the folder of an open Zarr array on the disk; None of others."""
    root = getattr(getattr(array, "store", None), "root", None)
    return Path(root, str(getattr(array, "path", ""))) if isinstance(root, str | os.PathLike) else None


def _open_path(path: str | os.PathLike[str], name: str) -> Source:
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{os.fspath(path)}: {name} is not there")
    if file.is_dir():
        array = zarr_array.open_array(file, ImageFileError)
        meaning = zarr_array.find_meaning(array)
        return Source(_Decoded(array, meaning) if meaning else array, name, path=file)
    if file.suffix.lower() == ".npy":
        with explain_errors(file, ImageFileError, "an array of NumPy that cannot be opened"):
            return Source(_Mapped(lambda: np.load(file, mmap_mode="r", allow_pickle=False)), name, path=file)
    if file.suffix.lower() in (".tif", ".tiff"):
        return _open_tiff(file, name)
    raise ImageFileError(file, "is not read window by window; wanted a Zarr array, .npy, .tif, or an array")


def _open_tiff(path: Path, name: str) -> Source:
    """Open the first series of a TIFF: mapped where it lies in one piece, else by its tiles or strips."""
    import tifffile

    from variflow.io import extras, tiff_colors

    with explain_errors(path, ImageFileError, "a TIFF that cannot be opened"):
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            page = series.keyframe
            shape, in_one_piece = series.shape, series.dataoffset is not None
            palette = page.photometric == _PALETTE
            nodata = tiff_colors.find_nodata(path, page, np.dtype(series.dtype))
        if len(shape) == 2 or (len(shape) == 3 and shape[2] <= MOST_CHANNELS):
            if palette:
                raise ImageFileError(path, "has a palette, wanted intensities or colours")
            array: Any
            if in_one_piece:
                array = _Mapped(lambda: tifffile.memmap(path, series=0, mode="r"))
            else:
                zarr = extras.load("zarr")
                store = tifffile.imread(path, aszarr=True, series=0, level=0)
                array = zarr.open(store, mode="r")
                weakref.finalize(array, store.close)
            return Source(array, name, None if nodata is None else float(nodata), path)
    raise ImageFileError(path, f"has the shape {shape}, wanted one image (H, W), or (H, W, C) with channels last")
