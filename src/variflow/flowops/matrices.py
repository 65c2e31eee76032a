"""Motions that a 3 x 3 matrix says for all pixels: move points, and make the flow of a matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import as_numbers, mark_unknown
from variflow.base.choices import check_shape
from variflow.base.types import ArrayLike
from variflow.flowops.fields import Flow

Reals = NDArray[np.float64]


def from_matrix(matrix: ArrayLike, shape: tuple[int, int]) -> Flow:
    """Return the flow of a motion that a matrix says for all pixels, such as `fit` finds.

    Parameters
    ----------
    matrix : (3, 3) or (2, 3) array
        Maps a position ``(x, y, 1)`` in pixels of the first frame to the second: the product, divided by its last
        entry. ``(2, 3)`` lacks the last row, ``(0, 0, 1)``. These are the matrices of OpenCV, and ``params`` of
        scikit-image's transforms.
    shape : (int, int)
        Height and width of the frames, at least 1.

    Returns
    -------
    (H, W, 2) float32
        ``(u, v)`` in pixels. NaN on the horizon of a homography and behind it.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit, or the matrix has values that are not finite, or a last row of zeros.

    See Also
    --------
    fit : The matrix of a flow.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> quarter_turn = np.array([[0, -1, 0], [1, 0, 0]])
    >>> flowops.from_matrix(quarter_turn, (2, 3))[0, 2].tolist()  # from x = 2, y = 0 to x = 0, y = 2
    [-2.0, 2.0]
    """
    whole = check_matrix(matrix, "matrix")
    height, width = check_shape(shape)
    y, x = np.indices((height, width), dtype=np.float64)
    points = np.stack([x.ravel(), y.ravel()])
    with np.errstate(over="ignore"):  # what single precision does not hold is unknown
        flow: Flow = (move(whole, points) - points).astype(np.float32)
    return mark_unknown(np.ascontiguousarray(flow.T).reshape(height, width, 2))


def check_matrix(matrix: ArrayLike, name: str) -> Reals:
    """Return a finite ``(3, 3)`` matrix in its own memory, with the last row that ``(2, 3)`` lacks."""
    array = as_numbers(matrix, name).astype(np.float64)
    if array.shape == (2, 3):
        array = np.vstack([array, [0.0, 0.0, 1.0]])
    if array.shape != (3, 3):
        raise ValueError(f"{name} has shape {array.shape}, wanted (3, 3) or (2, 3)")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has values that are NaN or infinite, wanted finite ones")
    if not array[2].any():
        raise ValueError(f"{name} is singular, with a last row of zeros, so it moves no pixel to a place")
    # A homography may be multiplied by any number: the first pixel is to lie in front of the horizon.
    return -array if array[2, 2] < 0 else array


def move(matrices: Reals, points: Reals) -> Reals:
    """Move points ``(..., 2, N)`` by matrices ``(..., 3, 3)``; NaN on the horizon and behind it."""
    moved = matrices[..., :2] @ points + matrices[..., 2:]
    depth = moved[..., 2:, :]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        result: Reals = moved[..., :2, :] / np.where(depth > 0, depth, np.nan)
    return result
