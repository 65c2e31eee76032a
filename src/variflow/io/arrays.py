"""Frames in arrays: NumPy's ``.npy`` and Zarr, with the axes (H, W), (H, W, C), (T, H, W) or (T, H, W, C)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from variflow.base.arrays import count_frame_axes
from variflow.base.types import Numbers
from variflow.io import npy, zarr_array
from variflow.io.errors import ImageFileError, explain_errors
from variflow.io.sequences import Frames, make_plain
from variflow.io.variables import Measured, Variable


class Array(Frames):
    """An array on disk; only the frame that is asked for is read.

    Parameters
    ----------
    path : Path
        For messages.
    array : array
        Anything that has a shape and can be indexed like a NumPy array.

    Raises
    ------
    ImageFileError
        If its axes are not those of frames.
    """

    def __init__(self, path: Path, array: npy.Stored | zarr_array.Unreplaced) -> None:
        self._path, self._array = path, array
        self._many = is_stack(path, array.shape)

    def __len__(self) -> int:
        return int(self._array.shape[0]) if self._many else 1

    def refuse_stack(self) -> None:
        """Raise `ImageFileError` unless the array is one frame; a stack of one is a stack."""
        if self._many:
            shape = self._array.shape
            raise ImageFileError(
                self._path, f"an array of frames, of shape {shape}, wanted one image; variflow.read_frames reads them"
            )

    def _read_frame(self, index: int) -> Numbers:
        with explain_errors(self._path, ImageFileError, f"frame {index} cannot be read"):
            return make_plain(np.array(self._array[index] if self._many else self._array[...]))


def is_stack(path: Path, shape: tuple[int, ...]) -> bool:
    """Return whether a shape is that of many frames, (T, H, W[, C]), and not of one, (H, W[, C]); C is at most 16.

    Raises
    ------
    ImageFileError
        If it is neither.
    """
    outer = len(shape) - count_frame_axes(shape)
    if outer not in (0, 1):
        raise ImageFileError(path, f"an array of shape {shape}, wanted (T, H, W) or (T, H, W, C) with C up to 16")
    return outer == 1


def open_npy(path: Path) -> Array:
    """Open the frames of a ``.npy`` file; only the frame that is asked for is read."""
    return Array(path, npy.Stored(path, ImageFileError))


def open_zarr(path: Path) -> Frames:
    """Open the frames of a Zarr array; only the chunks of the frame that is asked for are read."""
    array = zarr_array.open_array(path, ImageFileError)
    axes, meaning = zarr_array.find_axes(array), zarr_array.find_meaning(array)
    if axes or meaning:
        stored = zarr_array.Unreplaced(path, array)
        names = axes or ("",) * array.ndim
        variable = Variable(path.name, array.shape, names, array.dtype, meaning, stored.__getitem__)
        zarr_array.check_size(path, array, array.shape[1:], ImageFileError)
        return Measured(path, variable)
    shape = array.shape[1:] if is_stack(path, array.shape) else array.shape
    zarr_array.check_size(path, array, shape, ImageFileError)
    return Array(path, zarr_array.Unreplaced(path, array))
