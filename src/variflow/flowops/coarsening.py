"""Bring a flow, or what belongs to its pixels, to a coarser grid: one value for each square of pixels."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import as_single
from variflow.base.choices import check_choice, check_whole
from variflow.base.types import ArrayLike

Statistic = Literal["mean", "median"]
STATISTICS: tuple[str, ...] = get_args(Statistic)


def coarsen(
    values: ArrayLike, grid: int, statistic: Statistic = "mean"
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the mean or the median of each square of pixels, and of how many known pixels it is.

    Displacements stay in pixels of the frame, other than with `resize`. The squares begin at the first row and column;
    what is left over at the right and at the bottom belongs to none.

    Parameters
    ----------
    values : (H, W, 2), (H, W, C) or (H, W) array
        A flow, or any other values of pixels, such as a confidence. Where one component is NaN or infinite, none
        counts.
    grid : int
        The side of a square in pixels, from 1 to the shorter side of the frame.
    statistic : {"mean", "median"}
        What a square gets, for each component by itself. The median is hardly changed by a few wild values.

    Returns
    -------
    coarse : (H // grid, W // grid, ...) float32
        NaN where no pixel of a square is known. The value at ``[i, j]`` belongs to the rows from ``i * grid`` to
        ``(i + 1) * grid - 1``, and likewise to the columns.
    count : (H // grid, W // grid) int32
        How many pixels of a square are known.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> confidence = np.array([[1.0, 0.5, 0.2, np.nan], [0.5, 0.0, np.nan, np.nan]])
    >>> coarse, count = flowops.coarsen(confidence, 2)
    >>> coarse.tolist(), count.tolist()
    ([[0.5, 0.20000000298023224]], [[4, 1]])
    """
    fine = as_single(values, "values")
    if fine.ndim not in (2, 3) or 0 in fine.shape:
        raise ValueError(f"values has shape {fine.shape}, wanted (H, W) or (H, W, C) with at least one pixel")
    height, width = fine.shape[:2]
    side = check_grid(grid, (height, width))
    check_choice("statistic", statistic, STATISTICS)
    rows, columns = height // side, width // side
    planes = fine.reshape(height, width, -1)[: rows * side, : columns * side]
    squares = planes.reshape(rows, side, columns, side, -1).transpose(0, 2, 4, 1, 3)
    squares = squares.reshape(rows, columns, -1, side * side)
    known = np.isfinite(squares).all(axis=2, keepdims=True)
    count = known.sum(axis=3)
    with np.errstate(invalid="ignore"):
        if statistic == "mean":
            made = np.where(known, squares, 0).sum(axis=3, dtype=np.float64) / count
        else:
            made = _take_median(np.where(known, squares, np.float32(np.nan)), count)
    return made.reshape(rows, columns, *fine.shape[2:]).astype(np.float32), count[..., 0].astype(np.int32)


def check_grid(grid: object, shape: tuple[int, ...]) -> int:
    """Return the side of a square; raise ValueError if it is not a whole number up to the shorter side of a frame."""
    return check_whole("grid", grid, 1, min(shape[:2]), "a whole number of pixels")


def _take_median(squares: NDArray[np.float32], count: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return the median of the last axis without what is NaN, which is sorted to its end."""
    ordered = np.sort(squares, axis=3)
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, squares.shape[3] - 1)], axis=3)
    both = np.take_along_axis(ordered, np.broadcast_to(middle, (*squares.shape[:3], 2)), axis=3)
    median: NDArray[np.float64] = both.mean(axis=3, dtype=np.float64)
    return median
