"""Read and write flow files under OpenCV's names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import FLOWS, as_numbers
from variflow.base.types import ArrayLike
from variflow.io import FlowFileError, read_flow, write_flow
from variflow.io.flo import LARGEST_KNOWN
from variflow.io.paths import check_path


def readOpticalFlow(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a flow file, called as ``cv2.readOpticalFlow``.

    OpenCV reads ``.flo`` files alone, returns nothing if one cannot be read, and marks unknown flow by huge numbers.

    Parameters
    ----------
    path : str or os.PathLike
        The file, of any format that `variflow.read_flow` knows.

    Returns
    -------
    (H, W, 2) float32
        The flow, NaN where it is unknown.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FlowFileError
        If it is no flow, or damaged.

    Examples
    --------
    >>> import tempfile
    >>> from variflow.compat.opencv import readOpticalFlow, writeOpticalFlow
    >>> name = tempfile.mkdtemp() + "/flow.flo"
    >>> writeOpticalFlow(name, np.full((2, 3, 2), 0.25))
    True
    >>> readOpticalFlow(name).shape
    (2, 3, 2)
    """
    return read_flow(path)


def writeOpticalFlow(path: str | os.PathLike[str], flow: ArrayLike) -> bool:
    """Write a ``.flo`` file, called as ``cv2.writeOpticalFlow``.

    OpenCV returns False if the file cannot be written. Here that raises an error, which says why.

    Parameters
    ----------
    path : str or os.PathLike
        The file, with a name that ends in ``.flo``; an existing one is replaced.
    flow : (H, W, 2) array
        The flow, of any real type. It is unknown where NaN, or above 1e9, as OpenCV reads what is unknown in a file. It
        is stored as float32.

    Returns
    -------
    bool
        True.

    Raises
    ------
    FlowFileError
        If the name does not end in ``.flo``.
    OSError
        If the file cannot be written.
    TypeError, ValueError
        If `flow` is not such an array.
    """
    check_path(path, flow=flow)
    if Path(path).suffix.lower() != ".flo":
        raise FlowFileError(path, "OpenCV writes .flo files, wanted such a name; variflow.write_flow writes others")
    numbers = as_numbers(flow, "flow", file=FLOWS)
    with np.errstate(invalid="ignore"):  # NaN, which is unknown already
        known = np.abs(numbers) <= LARGEST_KNOWN
    write_flow(path, numbers if known.all() else np.where(known, numbers, np.nan))
    return True
