"""Reading and writing flows and images.

A flow format is a module with ``read(path) -> flow`` and ``write(file, flow)``, entered in one table here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from variflow.io import flo
from variflow.io.atomic import atomic, destination
from variflow.io.errors import FileFormatError, FlowFileError, ImageFileError
from variflow.io.images import check_image_path, read_image, write_image

__all__ = [
    "FileFormatError",
    "FlowFileError",
    "ImageFileError",
    "atomic",
    "check_flow_path",
    "check_image_path",
    "read_flow",
    "read_image",
    "write_flow",
    "write_image",
]


class _Format(NamedTuple):
    read: Callable[[Path], npt.NDArray[np.float32]]
    write: Callable[[BinaryIO, npt.NDArray[np.float32]], None]


_FORMATS = {".flo": _Format(flo.read, flo.write)}


def read_flow(path: str | os.PathLike[str]) -> npt.NDArray[np.float32]:
    """Read a flow; the extension of the name says the format (``.flo``).

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    flow : float32 (H, W, 2)
        Displacement (u, v) along x (right) and y (down) in pixels, from the first frame to the second; NaN in both
        components where the file says that it is unknown.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FlowFileError
        If the extension is unknown, or the file is not what its header says (wrong magic, truncated, trailing data).

    Examples
    --------
    >>> import tempfile
    >>> name = Path(tempfile.mkdtemp()) / "right.flo"
    >>> write_flow(name, np.full((2, 3, 2), [1.5, 0.0]))
    >>> read_flow(name)[0, 0]
    array([1.5, 0. ], dtype=float32)
    """
    known = _format(path)
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{os.fspath(path)}: no such file")
    if not file.is_file():
        raise FlowFileError(path, "not a file")
    try:
        return known.read(file)
    except OSError as error:
        raise FlowFileError(path, f"cannot be read: {error.strerror or error}") from error


def write_flow(path: str | os.PathLike[str], flow: npt.ArrayLike) -> None:
    """Write a flow; the extension of the name says the format (``.flo``).

    The file appears complete or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        The file; an existing one is replaced.
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels, of any real type, stored as float32. NaN in either component means unknown.

    Raises
    ------
    FlowFileError
        If the extension is unknown.
    TypeError, ValueError
        If `flow` is not an array of real numbers of that shape, or holds a displacement that the format cannot.
    """
    known = _format(path)
    values: npt.NDArray[Any] = np.asarray(flow)
    if values.dtype.kind not in "fiu":
        raise TypeError(f"flow: its type is {values.dtype}, real numbers are wanted")
    if values.ndim != 3 or values.shape[2] != 2 or 0 in values.shape:
        raise ValueError(f"flow: its shape is {values.shape}, (H, W, 2) with at least one pixel is wanted")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and the format refuses it
        single = values.astype(np.float32)
    with atomic(path) as file:
        known.write(file, single)


def check_flow_path(path: str | os.PathLike[str]) -> None:
    """Raise what `write_flow` would if it can write no flow there: to be asked before long work."""
    _format(path)
    destination(path)


def _format(path: str | os.PathLike[str]) -> _Format:
    extension = Path(path).suffix.lower()
    if extension not in _FORMATS:
        said = f"{extension!r} is no extension of a flow file" if extension else "the name has no extension"
        raise FlowFileError(path, f"{said}; known are {', '.join(sorted(_FORMATS))}")
    return _FORMATS[extension]
