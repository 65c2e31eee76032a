"""What frames say of a flow: whether there is anything to measure, and whether they agree with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.arrays import as_pixels, check_same_shape
from variflow.base.choices import check_window
from variflow.base.types import ArrayLike
from variflow.flowops.fields import check_flow, find_inside
from variflow.images.warping import warp

Reals = NDArray[np.float64]

# No frame is more exact than this share of its range: one grey level of 256.
_LEAST_NOISE = 1 / 255
# The sum of so many squares of noise varies by this, divided by the root of their number, relative to itself.
_CHANCE = 4.0
# The estimate of the variance of noise is off by about this share.
_UNSURE = 0.15
_QUANTILES = (0.1, 99.9)
# What frames share is no noise, if they correlate by more than this, noise included: two frames of mere noise do not.
_SHARED = 0.5
# What is seen in the first frame and gone in the second exceeds noise by this factor, more than chance makes.
_CLEAR = 4.0
# Variances below this share of that of the frame are rounding errors.
_ROUNDING = 1e-9


def precision(frame: ArrayLike, *, window: int = 15) -> NDArray[np.float32]:
    """Return how exactly a window of a frame can be located, given its noise: the signal that there is.

    It is the standard deviation that noise causes in the direction in which the frame varies least, of the displacement
    of a whole window: the bound of Cramér and Rao. A bare wall, and a stretch of a straight edge, cannot be located.

    Parameters
    ----------
    frame : (H, W) or (H, W, C) array
        Of any real type, NaN where missing. Of channels, their mean counts.
    window : int
        The width of the window in pixels, odd; typically 9 to 33.

    Returns
    -------
    (H, W) float32
        In pixels; infinite where there is no more than noise, and NaN where no pixel is known.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    See Also
    --------
    correlation : Whether two frames agree with a flow.

    Notes
    -----
    The noise is estimated from the frame. It is taken to be one level of 256 at least, so that a frame without noise is
    not thought to be perfect.

    References
    ----------
    B. Pan, H. Xie, Z. Wang, K. Qian and Z. Wang, Study on subset size selection in digital image correlation for
    speckle patterns, Optics Express 16, 2008 (the same bound, for one direction).

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> frame = np.zeros((40, 60)); frame[:, :30] = np.random.default_rng(0).random((40, 30))
    >>> found = flowops.precision(frame)
    >>> bool(found[20, 10] < 0.5), float(found[20, 50])
    (True, inf)
    """
    return locate(frame, np.inf, window=window)


def locate(frame: ArrayLike, unshared: Reals | float, *, window: int = 15) -> NDArray[np.float32]:
    """Return the precision, where noise has no more than the variance `unshared` (see `compare`)."""
    plane = _as_plane(frame, "frame")
    check_window("window", window)
    known = np.isfinite(plane)
    if not known.any():
        return np.full(plane.shape, np.nan, np.float32)
    low, high = np.percentile(plane[known], _QUANTILES)
    noise = np.maximum(np.sqrt(np.minimum(_measure_noise(plane) ** 2, unshared)), _LEAST_NOISE * float(high - low))
    dy, dx = (_differentiate(plane, axis) for axis in (0, 1))
    counts = np.isfinite(dx) & np.isfinite(dy)
    xx, xy, yy, many = (
        _sum_around(np.where(counts, values, 0), window) for values in (dx * dx, dx * dy, dy * dy, counts.astype(float))
    )
    # A central difference has half the variance of a pixel. What is left must exceed what noise leaves by chance.
    of_noise = many * noise**2 / 2
    least = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy) - of_noise
    found = np.full(plane.shape, np.inf)
    some = least > (_CHANCE / np.sqrt(np.maximum(many, 1)) + _UNSURE) * of_noise
    found[some] = (np.sqrt(2) * noise / np.sqrt(np.where(some, least, 1)))[some]
    found[_sum_around(known.astype(float), window) < 0.5] = np.nan
    return found.astype(np.float32)


def correlation(frame0: ArrayLike, frame1: ArrayLike, flow: ArrayLike, *, window: int = 15) -> NDArray[np.float32]:
    """Return how well two frames agree along a flow: the correlation of windows, of what is not noise.

    It is 1 where the frames differ by no more than noise and by brightness and contrast, and about 0 where they have
    nothing to do with each other.

    Parameters
    ----------
    frame0, frame1 : (H, W) or (H, W, C) array
        Of any real type, NaN where missing. Of channels, their mean counts.
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    window : int
        The width of the window in pixels, odd; typically 9 to 33.

    Returns
    -------
    (H, W) float32
        From -1 to 1. NaN where the flow is unknown or leaves the frame, where half of the window is missing, or where
        one of the frames shows no more than noise.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    See Also
    --------
    precision : Whether there is anything to measure.
    variflow.Result.confidence : How likely a flow is right, which also looks at the flow back.

    Notes
    -----
    Noise lowers a correlation. Its share in the variances, estimated from both frames, is subtracted from them (C.
    Spearman, The proof and measurement of association between two things, American Journal of Psychology 15, 1904).

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> from variflow.datasets import synthetic
    >>> frame = synthetic.translation((40, 60), shift=(0, 0)).frame0
    >>> still = np.zeros((40, 60, 2))
    >>> bool((flowops.correlation(frame, 2.0 * frame + 3, still) > 0.99).all())
    True
    >>> bool(np.median(flowops.correlation(frame, np.roll(frame, 20, axis=1), still)) < 0.5)
    True
    """
    return compare(frame0, frame1, flow, window=window)[0]


def compare(
    frame0: ArrayLike, frame1: ArrayLike, flow: ArrayLike, *, window: int = 15
) -> tuple[NDArray[np.float32], NDArray[np.bool_], Reals]:
    """Return the correlation, where the second frame lacks what the first one clearly shows, and what is not shared.

    Parameters
    ----------
    frame0, frame1, flow, window
        As for `correlation`.

    Returns
    -------
    correlation : (H, W) float32
        As `correlation` returns it.
    gone : (H, W) bool
        Where the second frame shows no more than noise, and the first one more; the correlation is NaN there.
    unshared : (H, W) float64
        The variance of what the first frame shows and the second does not; infinite where they hardly agree.
    """
    first, second, field = _as_plane(frame0, "frame0"), _as_plane(frame1, "frame1"), check_flow(flow)
    check_same_shape("frame1", second.shape, "frame0", first.shape)
    check_same_shape("flow", field.shape, "frame0", (*first.shape, 2))
    check_window("window", window)
    inside = find_inside(field)
    warped = np.asarray(warp(second, field), np.float64)
    counts = np.isfinite(first) & np.isfinite(warped) & inside
    many, all_told = (_sum_around(where.astype(float), window) for where in (counts, np.ones_like(counts)))
    if not counts.any():
        return np.full(first.shape, np.nan, np.float32), np.zeros(first.shape, bool), np.full(first.shape, np.inf)
    noises = [_measure_noise(plane) for plane in (first, second)]
    # Around their means, so that squares of large numbers do not cancel.
    a, b = (np.where(counts, plane - plane[counts].mean(), 0) for plane in (first, warped))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_a, mean_b = _sum_around(a, window) / many, _sum_around(b, window) / many
        both = _sum_around(a * b, window) / many - mean_a * mean_b
        whole_a, whole_b = (
            np.maximum(_sum_around(plane * plane, window) / many - mean**2, 0)
            for plane, mean in ((a, mean_a), (b, mean_b))
        )
        seen = [whole_a - noises[0] ** 2, whole_b - noises[1] ** 2]
        with_noise = both / np.sqrt(whole_a * whole_b)
        found = np.clip(both / np.sqrt(np.maximum(seen[0], 0) * np.maximum(seen[1], 0)), -1, 1)
    # What is seen must exceed noise, and rounding.
    least = [max(noise**2, _ROUNDING * plane.var()) for plane, noise in zip((a, b), noises, strict=True)]
    unknown = ~inside | (many < all_told / 2)
    found[unknown | (seen[0] <= least[0]) | (seen[1] <= least[1])] = np.nan
    gone: NDArray[np.bool_] = ~unknown & (seen[0] > _CLEAR * least[0]) & (seen[1] <= least[1])
    unshared = np.full(first.shape, np.inf)
    more_than_rounding = (whole_a > _ROUNDING * a.var()) & (whole_b > _ROUNDING * b.var())
    shared = ~unknown & more_than_rounding & (with_noise > _SHARED)
    unshared[shared] = ((1 - with_noise[shared]) * whole_a[shared]).clip(0)
    return found.astype(np.float32), gone, unshared


def _as_plane(frame: ArrayLike, name: str) -> Reals:
    """Return the mean of the channels, NaN where one is missing."""
    pixels = np.atleast_3d(as_pixels(frame, name).astype(np.float64))
    plane: Reals = pixels.mean(axis=2)
    plane[~np.isfinite(plane)] = np.nan
    return plane


def _measure_noise(plane: Reals) -> float:
    return float(_core.noise(np.ascontiguousarray(plane[None], np.float32)))


def _differentiate(plane: Reals, axis: int) -> Reals:
    """Return central differences, NaN at the border."""
    along = np.moveaxis(plane, axis, 0)
    found = np.full(along.shape, np.nan)
    found[1:-1] = (along[2:] - along[:-2]) / 2
    differences: Reals = np.moveaxis(found, 0, axis)
    return differences


def _sum_around(values: Reals, window: int) -> Reals:
    """Return the sums over a window around each pixel, of what lies in the frame."""
    from scipy.ndimage import uniform_filter

    sums: Reals = uniform_filter(np.asarray(values, np.float64), window, mode="constant") * window**2
    return sums
