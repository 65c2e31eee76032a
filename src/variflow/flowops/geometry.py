"""The flow of frames that were resized, cropped, rotated or flipped."""

from __future__ import annotations

import operator
from typing import Literal

import numpy as np

from variflow.base.choices import check_choice, check_shape
from variflow.base.types import ArrayLike
from variflow.flowops.fields import Flow, check_finite, check_flow, sample
from variflow.images.resampling import resample

Window = tuple[int, int, int, int]


def resize(flow: ArrayLike, shape: tuple[int, int]) -> Flow:
    """Return the flow of the frames resized to another shape, its displacements in pixels of the new size.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    shape : (int, int)
        The new height and width, at least 1. Where the new grid is coarser, a Gaussian suppresses aliases.

    Returns
    -------
    (new H, new W, 2) float32
        NaN where less than half of the pixels that it is computed from, by weight, is known.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.resize(np.full((2, 2, 2), 3.0), (2, 4))[0, 0]
    array([6., 3.], dtype=float32)
    """
    old = check_flow(flow)
    height, width = old.shape[:2]
    new_height, new_width = check_shape(shape)
    if (new_height, new_width) == (height, width):
        return old
    known = ~np.isnan(old[..., 0])
    planes = np.concatenate([np.moveaxis(np.where(known[..., None], old, 0), 2, 0), known[None].astype(np.float32)])
    u, v, share = resample(planes, (new_height, new_width), kernel="linear")
    share[share < 0.5] = np.nan
    scale = np.array([new_width / width, new_height / height], np.float32)
    resized: Flow = np.stack([u, v], axis=2) / share[..., None] * scale
    return resized


def crop(flow: ArrayLike, window: Window, second: Window | None = None) -> Flow:
    """Return the flow of the frames cropped to a window, or of each to its own.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    window : (top, left, height, width)
        The window of the first frame, inside it.
    second : (top, left, height, width), optional
        The window of the second frame, of the same height and width; by default that of the first. It may lie anywhere:
        all displacements change by the difference between the windows.

    Returns
    -------
    (height, width, 2) float32
        A pixel that leaves the window keeps its displacement.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.full((6, 8, 2), 3.0)
    >>> flowops.crop(flow, (1, 2, 4, 5), second=(1, 4, 4, 5))[0, 0]
    array([1., 3.], dtype=float32)
    """
    whole = check_flow(flow)
    top, left, height, width = _check_window(window, "window")
    if min(top, left) < 0 or top + height > whole.shape[0] or left + width > whole.shape[1]:
        raise ValueError(f"window is {window!r}, wanted one inside the frame of {whole.shape[:2]}")
    cropped = whole[top : top + height, left : left + width]
    if second is not None:
        other_top, other_left, *size = _check_window(second, "second")
        if size != [height, width]:
            raise ValueError(f"second is {second!r}, wanted the height and width of window, {(height, width)}")
        cropped = cropped - np.array([other_left - left, other_top - top], np.float32)
    return np.ascontiguousarray(cropped)


def rotate(flow: ArrayLike, degrees: float) -> Flow:
    """Return the flow of the frames rotated about their centre.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    degrees : float
        Counter-clockwise as the frames are seen, as `numpy.rot90` and `skimage.transform.rotate` turn. Multiples of 90
        are exact and exchange height and width; for others the size stays and the flow is looked up bilinearly.

    Returns
    -------
    (H, W, 2) or (W, H, 2) float32
        NaN where it comes from outside the frame.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    What moves right moves up in frames that have been turned by 90 degrees:

    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.zeros((2, 3, 2)); flow[..., 0] = 1
    >>> turned = flowops.rotate(flow, 90)
    >>> turned.shape, turned[0, 0].tolist()
    ((3, 2, 2), [0.0, -1.0])
    """
    old = check_flow(flow)
    turns, rest = divmod(check_finite("degrees", degrees) % 360, 90)
    if rest == 0:
        cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][int(turns)]
        placed = np.rot90(old, int(turns))
    else:
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        height, width = old.shape[:2]
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        x, y = np.arange(width) - middle_x, np.arange(height)[:, None] - middle_y
        placed = sample(old, cosine * x - sine * y + middle_x, sine * x + cosine * y + middle_y)
    u, v = placed[..., 0], placed[..., 1]
    turned: Flow = np.stack([cosine * u + sine * v, cosine * v - sine * u], axis=2).astype(np.float32) + np.float32(0)
    return turned


def flip(flow: ArrayLike, axis: Literal["x", "y"]) -> Flow:
    """Return the flow of the frames mirrored along x (left and right exchanged) or along y (top and bottom).

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    axis : {"x", "y"}

    Returns
    -------
    (H, W, 2) float32

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flowops.flip(np.full((1, 2, 2), 3.0), "x")[0, 0]
    array([-3.,  3.], dtype=float32)
    """
    check_choice("axis", axis, ("x", "y"))
    along = "yx".index(axis)
    flipped: Flow = np.flip(check_flow(flow), along) * np.array([-1, 1] if axis == "x" else [1, -1], np.float32)
    return flipped + np.float32(0)  # no negative zeros


def _check_window(window: Window, name: str) -> Window:
    try:
        top, left, height, width = (operator.index(part) for part in window)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {window!r}, wanted whole numbers (top, left, height, width)") from None
    if height < 1 or width < 1:
        raise ValueError(f"{name} is {window!r}, wanted a height and a width of at least 1")
    return top, left, height, width
