"""How far a flow is from the truth.

Every measure leaves out the pixels whose truth is unknown (NaN) and those that `valid` excludes. A pixel that the
estimate leaves unknown although its truth is known is an error, not a pixel to skip: skipping it would reward gaps.

References
----------
S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 92, 2011;
J. L. Barron, D. J. Fleet, S. S. Beauchemin, "Performance of Optical Flow Techniques", IJCV 12, 1994.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["angular_error", "endpoint_error", "endpoint_error_map"]


def endpoint_error(flow: npt.ArrayLike, truth: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> float:
    """Mean length, in pixels, of the difference between a flow and the truth.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        The estimate (u, v), in pixels.
    truth : array_like (H, W, 2)
        The true flow; NaN where it is unknown.
    valid : array_like of bool (H, W), optional
        True where a pixel counts. Default: everywhere.

    Returns
    -------
    error : float
        The mean over the pixels that count, >= 0.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit, if no pixel counts, or if `flow` is unknown where a pixel counts.

    Examples
    --------
    >>> truth = np.zeros((2, 2, 2))
    >>> endpoint_error(truth + [3.0, 4.0], truth)
    5.0
    """
    u, v, true_u, true_v = _known(flow, truth, valid)
    return float(np.mean(np.hypot(u - true_u, v - true_v)))


def angular_error(flow: npt.ArrayLike, truth: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> float:
    """Mean angle, in degrees, between (u, v, 1) of a flow and of the truth.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        The estimate (u, v), in pixels.
    truth : array_like (H, W, 2)
        The true flow; NaN where it is unknown.
    valid : array_like of bool (H, W), optional
        True where a pixel counts. Default: everywhere.

    Returns
    -------
    error : float
        The mean over the pixels that count, 0 to 180; exactly 0 for equal flows.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit, if no pixel counts, or if `flow` is unknown where a pixel counts.

    Examples
    --------
    >>> round(angular_error([[[1.0, 0.0]]], [[[0.0, 0.0]]]), 9)
    45.0
    """
    u, v, true_u, true_v = _known(flow, truth, valid)
    du, dv = u - true_u, v - true_v
    # The cross product written with differences vanishes exactly for equal flows and keeps its digits for close ones,
    # where the arc cosine of the dot product would lose them all.
    cross = np.sqrt(du**2 + dv**2 + (true_u * dv - true_v * du) ** 2)
    dot = u * true_u + v * true_v + 1
    return float(np.mean(np.degrees(np.arctan2(cross, dot))))


def endpoint_error_map(flow: npt.ArrayLike, truth: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Length, in pixels, of the difference between a flow and the truth at every pixel.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        The estimate (u, v), in pixels; NaN where it is unknown.
    truth : array_like (H, W, 2)
        The true flow; NaN where it is unknown.

    Returns
    -------
    error : float64 (H, W)
        NaN where either is unknown.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit.

    Examples
    --------
    >>> endpoint_error_map([[[3.0, 4.0], [1.0, 1.0]]], [[[0.0, 0.0], [np.nan, np.nan]]])
    array([[ 5., nan]])
    """
    estimate, true = _pair(flow, truth)
    both = np.isfinite(estimate).all(axis=-1) & np.isfinite(true).all(axis=-1)
    error = np.full(both.shape, np.nan)
    difference = estimate[both] - true[both]
    error[both] = np.hypot(difference[:, 0], difference[:, 1])
    return error


def _known(flow: npt.ArrayLike, truth: npt.ArrayLike, valid: npt.ArrayLike | None) -> list[npt.NDArray[np.float64]]:
    """Return u, v, true u and true v of the pixels that count, each a vector."""
    estimate, true = _pair(flow, truth)
    counts = np.isfinite(true).all(axis=-1)
    if valid is not None:
        mask: npt.NDArray[Any] = np.asarray(valid)
        if mask.dtype.kind not in "biu":
            raise TypeError(f"valid: its type is {mask.dtype}, bool is wanted")
        if mask.shape != counts.shape:
            raise ValueError(f"valid: its shape is {mask.shape}, that of the flow, {counts.shape}, is wanted")
        counts &= mask.astype(bool)
    if not counts.any():
        raise ValueError("truth: no pixel is both known and valid")
    estimate, true = estimate[counts], true[counts]
    missing = int(np.sum(~np.isfinite(estimate).all(axis=-1)))
    if missing:
        raise ValueError(f"flow: unknown at {missing} of the {len(estimate)} pixels whose truth is known")
    return [estimate[:, 0], estimate[:, 1], true[:, 0], true[:, 1]]


def _pair(flow: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    estimate, true = _real("flow", flow), _real("truth", truth)
    if estimate.shape != true.shape:
        raise ValueError(f"flow: its shape is {estimate.shape}, that of the truth, {true.shape}, is wanted")
    return estimate, true


def _real(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array: npt.NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: its type is {array.dtype}, real numbers are wanted")
    if array.ndim != 3 or array.shape[2] != 2 or 0 in array.shape:
        raise ValueError(f"{name}: its shape is {array.shape}, (H, W, 2) with at least one pixel is wanted")
    return array.astype(np.float64)
