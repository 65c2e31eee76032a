"""Interpolated frames: made from two frames and the flow between them, and compared with the true frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import as_flow, as_pixels, check_same_shape, find_known
from variflow.base.choices import check_number
from variflow.base.types import Numbers
from variflow.images.warping import warp

Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def interpolation_error(frame: npt.ArrayLike, truth: npt.ArrayLike, *, normalized: bool = False) -> float:
    """Root of the mean square difference between an interpolated frame and the true one: IE of Middlebury.

    Parameters
    ----------
    frame, truth : array_like (H, W) or (H, W, C)
        Intensities; the difference of two colours is the length of their difference. NaN in `truth` does not count.
    normalized : bool
        Divide each squared difference by 1 plus the squared gradient of `truth`: the normalized error, NE. It presumes
        intensities from 0 to 255.

    Returns
    -------
    error : float
        In the unit of the intensities.

    Raises
    ------
    ValueError
        If shapes differ, or if `frame` is missing where `truth` is not.

    Examples
    --------
    >>> interpolation_error([[3.0, 4.0]], [[0.0, 0.0]]) == 12.5**0.5
    True
    """
    made, true = _as_reals(frame, "frame"), _as_reals(truth, "truth")
    check_same_shape("frame", made.shape, "truth", true.shape)
    made, true = (np.atleast_3d(array) for array in (made, true))
    counts = find_known(true)
    square = np.sum((made - true) ** 2, axis=2)
    if normalized:
        steepness = [np.gradient(true, axis=axis) for axis in (0, 1) if true.shape[axis] > 1]
        square = square / (1 + np.sum([np.sum(slope**2, axis=2) for slope in steepness], axis=0))
        counts &= np.isfinite(square) | ~find_known(made)
    if not counts.any():
        raise ValueError("truth is missing everywhere, wanted at least one pixel")
    if not np.isfinite(square[counts]).all():
        raise ValueError("frame is missing where truth is not, wanted every pixel that truth has")
    return float(np.sqrt(np.mean(square[counts])))


def in_between(frame0: npt.ArrayLike, frame1: npt.ArrayLike, flow: npt.ArrayLike, time: float = 0.5) -> Reals:
    """Make the frame at a time between two frames, as Middlebury does to judge a flow.

    The flow is carried to that time. Where several pixels arrive, the one on which both frames agree best is taken, and
    gaps are filled from their rims. Each pixel then blends the two frames along its motion. Where only one of them
    shows the point, it takes that one.

    Parameters
    ----------
    frame0, frame1 : array_like (H, W) or (H, W, C)
        The frames, NaN where missing; a pixel missing in one is taken from the other.
    flow : array_like (H, W, 2)
        Displacement (u, v) in pixels from the first frame to the second, known everywhere.
    time : float
        0 is the first frame, 1 the second.

    Returns
    -------
    frame : float64, shape of a frame
        In the unit of the frames.

    Raises
    ------
    ValueError
        If shapes do not fit, `time` is out of range, or the flow is unknown somewhere.

    References
    ----------
    S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 92, 2011, section 3.3.2.

    Examples
    --------
    >>> frames = np.zeros((5, 8)), np.zeros((5, 8))
    >>> frames[0][:, 2] = frames[1][:, 4] = 100.0
    >>> in_between(*frames, np.full((5, 8, 2), [2.0, 0.0]))[2].tolist()
    [0.0, 0.0, 0.0, 100.0, 0.0, 0.0, 0.0, 0.0]
    """
    first, second = _as_reals(frame0, "frame0"), _as_reals(frame1, "frame1")
    field = as_flow(flow, "flow", np.float64)
    check_same_shape("frame1", second.shape, "frame0", first.shape)
    if field.shape[:2] != first.shape[:2]:
        raise ValueError(f"flow has shape {field.shape}, wanted {(*first.shape[:2], 2)}, for the frames' size")
    check_number("time", time, least=0, most=1)
    if not np.isfinite(field).all():
        raise ValueError("flow is unknown somewhere, wanted known everywhere: metrics.complete fills it")

    mismatch = np.sum(np.abs(np.atleast_3d(first - _look_up(second, field))), axis=2)
    mismatch[np.isnan(mismatch)] = np.inf  # a missing pixel agrees with nothing
    there = _carry(field, 1.0, mismatch)
    # Where no point of the first frame arrives, only the second shows it; what another point covers, only the first
    # shows.
    hidden1 = np.isnan(there[..., 0])
    hidden0 = ~(np.linalg.norm(_look_up_nearest(there, field) - field, axis=2) <= 0.5)
    motion = _fill(_carry(field, time, mismatch))
    before, after = -time * motion, (1 - time) * motion
    only0 = _look_up_nearest(_dilate(hidden0), before) | _leaves_frame(after)
    only1 = _look_up_nearest(_dilate(hidden1), after) | _leaves_frame(before)
    weight = np.where(only0 == only1, 1 - time, only0)
    weight = weight if first.ndim == 2 else weight[..., None]
    of_first, of_second = _look_up(first, before), _look_up(second, after)
    blend = weight * of_first + (1 - weight) * of_second
    return np.where(np.isnan(of_first), of_second, np.where(np.isnan(of_second), of_first, blend))


def _as_reals(frame: npt.ArrayLike, name: str) -> Reals:
    return as_pixels(frame, name).astype(np.float64)


def _look_up(frame: Reals, motion: Reals) -> Reals:
    return np.asarray(warp(frame, motion, "bilinear"), np.float64)


def _find_targets(motion: Reals) -> tuple[Reals, Reals]:
    height, width = motion.shape[:2]
    return np.arange(width) + motion[..., 0], np.arange(height)[:, None] + motion[..., 1]


def _leaves_frame(motion: Reals) -> Mask:
    x, y = _find_targets(motion)
    height, width = motion.shape[:2]
    return np.asarray((x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5))


def _look_up_nearest(array: Numbers, motion: Reals) -> Numbers:
    """Look an array up along a motion, at the nearest pixel of the frame."""
    x, y = _find_targets(motion)
    height, width = motion.shape[:2]
    column, row = (np.clip(np.rint(at), 0, size - 1).astype(int) for at, size in ((x, width), (y, height)))
    return np.asarray(array[row, column])


def _carry(flow: Reals, time: float, mismatch: Reals) -> Reals:
    """Carry a flow to where its pixels are at a time, NaN where none arrives; the smallest mismatch wins."""
    height, width = flow.shape[:2]
    x, y = _find_targets(time * flow)
    columns = np.stack([np.floor(x), np.ceil(x)] * 2).astype(int)
    rows = np.stack([np.floor(y)] * 2 + [np.ceil(y)] * 2).astype(int)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    source = np.broadcast_to(np.arange(height * width).reshape(height, width), inside.shape)[inside]
    target = (rows * width + columns)[inside]
    # From the worst to the best: of several writes to one place the last one stays.
    order = np.argsort(-mismatch.ravel()[source], kind="stable")
    carried = np.full((height * width, 2), np.nan)
    carried[target[order]] = flow.reshape(-1, 2)[source[order]]
    return carried.reshape(height, width, 2)


def _fill(flow: Reals) -> Reals:
    """Fill gaps from their rims inwards, each pixel with the mean of its known neighbours."""
    known = np.isfinite(flow[..., 0])
    if not known.any():
        return np.zeros_like(flow)
    flow = np.where(known[..., None], flow, 0)
    while not known.all():
        count = _sum_neighbours(known.astype(np.float64)[..., None])
        rim = ~known & (count[..., 0] > 0)
        flow[rim] = (_sum_neighbours(flow) / np.maximum(count, 1))[rim]
        known = known | rim
    return flow


def _dilate(mask: Mask) -> Mask:
    return np.asarray(_sum_neighbours(mask.astype(np.float64)[..., None])[..., 0] > 0)


def _sum_neighbours(planes: Reals) -> Reals:
    """Sum over the 3 x 3 neighbourhood of each pixel of (H, W, C), with zeros beyond the frame."""
    padded = np.pad(planes, ((1, 1), (1, 1), (0, 0)))
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])
