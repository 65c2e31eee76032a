"""Errors of a flow against the true flow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_flow, as_mask, check_same_shape, find_known
from variflow.base.choices import check_number


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
    return float(np.mean(_measure_distances(*_select_known(flow, truth, valid))))


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
    return float(np.mean(_measure_angles(*_select_known(flow, truth, valid))))


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
        NaN where the truth is unknown, infinite where the estimate alone is.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit.

    Examples
    --------
    >>> endpoint_error_map([[[3.0, 4.0], [1.0, 1.0]]], [[[0.0, 0.0], [np.nan, np.nan]]])
    array([[ 5., nan]])
    """
    return _measure_everywhere(_measure_distances, flow, truth)


def angular_error_map(flow: npt.ArrayLike, truth: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Angle, in degrees, between (u, v, 1) of a flow and of the truth at every pixel.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        The estimate (u, v), in pixels; NaN where it is unknown.
    truth : array_like (H, W, 2)
        The true flow; NaN where it is unknown.

    Returns
    -------
    error : float64 (H, W)
        0 to 180; NaN where the truth is unknown, infinite where the estimate alone is.

    Raises
    ------
    TypeError, ValueError
        If types or shapes do not fit.

    Examples
    --------
    >>> angular_error_map([[[1.0, 0.0]]], [[[-1.0, 0.0]]])
    array([[90.]])
    """
    return _measure_everywhere(_measure_angles, flow, truth)


def outliers(
    flow: npt.ArrayLike,
    truth: npt.ArrayLike,
    valid: npt.ArrayLike | None = None,
    *,
    above: float = 3.0,
    relative: float = 0.05,
) -> float:
    """Share of the pixels whose end-point error is too large: by default Fl of KITTI 2015.

    An outlier is off by more than `above` pixels and by more than the fraction `relative` of the true speed. With
    ``relative=0`` it is the n-pixel outlier of KITTI 2012 and Spring. Fl-noc, Fl-bg and Fl-fg take as `valid` what is
    not occluded, the background and the foreground.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        The estimate (u, v), in pixels; where it is unknown, it is an outlier.
    truth : array_like (H, W, 2)
        The true flow; NaN where it is unknown.
    valid : array_like of bool (H, W), optional
        True where a pixel counts. Default: everywhere.
    above : float
        Error, px, that any outlier exceeds, at least 0; 1, 3 or 5 in benchmarks.
    relative : float
        Fraction of the true speed that any outlier exceeds, at least 0; 0.05 in KITTI 2015, 0 elsewhere.

    Returns
    -------
    share : float
        Percent of the pixels that count.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit, or if no pixel counts.

    Examples
    --------
    >>> truth = np.full((1, 2, 2), 100.0)
    >>> outliers(truth + [[[4.0, 0.0], [8.0, 0.0]]], truth)  # 4 px is less than 5 % of 141 px
    50.0
    >>> outliers(truth + [[[4.0, 0.0], [8.0, 0.0]]], truth, relative=0)
    100.0
    """
    check_number("above", above, least=0, what="an error in pixels")
    check_number("relative", relative, least=0, what="a fraction of the speed")
    u, v, true_u, true_v = _select(flow, truth, valid)
    error = _measure_distances(u, v, true_u, true_v)
    good = (error <= above) | (error <= relative * np.hypot(true_u, true_v))
    return float(100 * np.mean(~good))  # an unknown estimate compares false and so is not good


def complete(flow: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Fill the unknown pixels of an estimate from its known ones, as the benchmark KITTI does before it compares.

    A gap within a row takes, in each component, the smaller of the values at its two ends, which belong to the
    background more often. A gap at the end of a row takes the nearest value. Rows without any known pixel are filled
    along the columns in the same way.

    Parameters
    ----------
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels; NaN where it is unknown.

    Returns
    -------
    flow : float32 (H, W, 2)
        Known everywhere.

    Raises
    ------
    TypeError, ValueError
        If it is not a flow, or is unknown everywhere.

    Examples
    --------
    >>> gap = [np.nan, np.nan]
    >>> complete([[gap, [2.0, 5.0], gap, [3.0, 4.0]]])[0].tolist()
    [[2.0, 5.0], [2.0, 5.0], [2.0, 4.0], [3.0, 4.0]]
    """
    field = as_flow(flow)
    if not find_known(field).any():
        raise ValueError("flow is unknown everywhere, wanted at least one known pixel")
    return _fill_rows(_fill_rows(field).transpose(1, 0, 2)).transpose(1, 0, 2)


def _fill_rows(field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Fill the gaps of every row that has a known pixel."""
    width = field.shape[1]
    known = find_known(field)
    at = np.arange(width)
    left = np.maximum.accumulate(np.where(known, at, -1), axis=1)
    right = np.minimum.accumulate(np.where(known, at, width)[:, ::-1], axis=1)[:, ::-1]
    left, right = np.where(left < 0, right, left), np.where(right == width, left, right)
    row = np.arange(len(field))[:, None]
    # In a row without a known pixel both ends are out of range; the pixels they are clipped to are NaN as well.
    ends = (field[row, np.clip(end, 0, width - 1)] for end in (left, right))
    return np.asarray(np.minimum(*ends))


def _measure_distances(*components: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    u, v, true_u, true_v = components
    return np.hypot(u - true_u, v - true_v)


def _measure_angles(*components: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    u, v, true_u, true_v = components
    du, dv = u - true_u, v - true_v
    # Written with differences, the cross product is exactly 0 for equal flows and stays precise for close ones, where
    # the arc cosine of the dot product would lose all digits.
    cross = np.sqrt(du**2 + dv**2 + (true_u * dv - true_v * du) ** 2)
    dot = u * true_u + v * true_v + 1
    return np.asarray(np.degrees(np.arctan2(cross, dot)))


def _measure_everywhere(
    measure: Callable[..., npt.NDArray[np.float64]], flow: npt.ArrayLike, truth: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    estimate, true = _check_pair(flow, truth)
    given, known = map(find_known, (estimate, true))
    error = np.where(known, np.inf, np.nan)
    both = given & known
    error[both] = measure(*estimate[both].T, *true[both].T)
    return error


def _select_known(
    flow: npt.ArrayLike, truth: npt.ArrayLike, valid: npt.ArrayLike | None
) -> list[npt.NDArray[np.float64]]:
    """Return u, v, true u and true v of the pixels that count, each a vector; raise if the estimate has gaps."""
    components = _select(flow, truth, valid)
    missing = int(np.sum(~(np.isfinite(components[0]) & np.isfinite(components[1]))))
    if missing:
        raise ValueError(f"flow is unknown at {missing} of the {components[0].size} pixels that count, wanted none")
    return components


def _select(flow: npt.ArrayLike, truth: npt.ArrayLike, valid: npt.ArrayLike | None) -> list[npt.NDArray[np.float64]]:
    """Return u, v, true u and true v of the pixels that count; u and v are NaN or infinite where they are unknown."""
    estimate, true = _check_pair(flow, truth)
    counts = find_known(true)
    if valid is not None:
        counts &= as_mask(valid, "valid", counts.shape, "where a pixel counts")
    if not counts.any():
        raise ValueError("truth has no pixel that counts, wanted at least one that is known and valid")
    estimate, true = estimate[counts], true[counts]
    return [estimate[:, 0], estimate[:, 1], true[:, 0], true[:, 1]]


def _check_pair(flow: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    estimate, true = as_flow(flow, "flow", np.float64), as_flow(truth, "truth", np.float64)
    check_same_shape("flow", estimate.shape, "truth", true.shape)
    return estimate, true
