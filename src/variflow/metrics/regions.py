"""Parts of a frame in which flows are compared separately: by speed, and near motion boundaries."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_flow, as_mask
from variflow.base.choices import check_number
from variflow.base.types import Numbers

Mask = npt.NDArray[np.bool_]


def speed_between(truth: npt.ArrayLike, slowest: float, fastest: float = np.inf) -> Mask:
    """Tell where the true speed lies in a range: s0-10, s10-40 and s40+ of MPI-Sintel.

    Parameters
    ----------
    truth : array_like (H, W, 2)
        The true flow; NaN where it is unknown.
    slowest, fastest : float
        The range, px per frame: `slowest`, at least 0, belongs to it; `fastest`, which is above it, does not.

    Returns
    -------
    mask : bool (H, W)
        False where the truth is unknown.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> speed_between([[[3.0, 4.0], [6.0, 8.0]]], 0, 10)
    array([[ True, False]])
    """
    check_number("slowest", slowest, least=0, what="a speed in pixels per frame")
    check_number("fastest", fastest, above=slowest, infinite=True, what="a speed in pixels per frame")
    field = as_flow(truth, "truth", np.float64)
    speed = np.hypot(field[..., 0], field[..., 1])
    return np.asarray((speed >= slowest) & (speed < fastest))


def motion_boundaries(truth: npt.ArrayLike, jump: float = 1.0) -> Mask:
    """Mark the pixels on both sides of a jump of the true flow.

    Parameters
    ----------
    truth : array_like (H, W, 2)
        The true flow; NaN where it is unknown. A gap is no jump.
    jump : float
        Largest difference, px, between the flows of neighbours that still move together, at least 0; 0.5 to 2.

    Returns
    -------
    mask : bool (H, W)
        True at both pixels of any two neighbours in a row or column that do not move together.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> motion_boundaries([[[0.0, 0.0], [0.5, 0.0], [5.0, 0.0], [np.nan, np.nan]]])
    array([[False,  True,  True, False]])
    """
    check_number("jump", jump, least=0, what="a difference in pixels")
    field = as_flow(truth, "truth", np.float64)
    mask = np.zeros(field.shape[:2], bool)
    for ahead, behind in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        apart = np.linalg.norm(field[ahead] - field[behind], axis=-1) > jump
        mask[ahead] |= apart
        mask[behind] |= apart
    return mask


def near(mask: npt.ArrayLike, distance: float = 10.0) -> Mask:
    """Tell which pixels lie close to a marked one.

    Parameters
    ----------
    mask : array_like of bool (H, W)
        For example, motion boundaries.
    distance : float
        Largest distance, px, between the centres of the pixels, at least 0; 10 is that of d0-10 of MPI-Sintel.

    Returns
    -------
    mask : bool (H, W)
        True at these pixels; False everywhere if nothing is marked.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    Examples
    --------
    >>> near([[True, False, False]], 1)
    array([[ True,  True, False]])
    """
    from scipy import ndimage

    check_number("distance", distance, least=0, what="a distance in pixels")
    marked = as_mask(mask, "mask", meaning="where it is marked")
    if marked.ndim != 2:
        raise ValueError(f"mask has shape {marked.shape}, wanted (H, W)")
    if not marked.any():
        return np.zeros(marked.shape, bool)
    away: Numbers = ndimage.distance_transform_edt(~marked)
    return np.asarray(away <= distance)
