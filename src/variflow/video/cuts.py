"""Tell where another scene begins: where no flow makes the frames alike, and they show other intensities."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from variflow.frames.frame import Frame
from variflow.frames.pyramid import Level, find_nearest_level
from variflow.images.resampling import Planes, average_boxes
from variflow.problem import Problem
from variflow.state import State

# Frames are compared at this size, in windows of so many pixels.
_SIZE, _WINDOW = 1 / 2, 9
# The frames of one scene correlate by more than this in half of the windows, along their flow: of the pairs with known
# flow the least is .35, and pairs of different scenes have up to .28, unless they are so smooth that a flow makes one
# of the other. The more pixels have other intensities, the more correlation is wanted, up to this.
_LEAST, _SLOPE, _MOST = 0.3, 3.0, 0.7
# Two frames of one scene have about the same intensities, whatever the light, even if they show noise alone. These are
# the bins of a histogram from 3 standard deviations below the mean to 3 above, and the share of the pixels that may be
# in other bins. By chance there may be as many more as this times the root of the bins over the pixels.
# So many pixels are enough to tell.
_BINS, _OTHER, _CHANCE, _ENOUGH = 32, 0.03, 1.0, 40_000
# Frames that correlate by more than this at that size, without any flow, show one scene: a quick test for most pairs.
_ALIKE, _COARSE = 0.85, 1 / 8
# A spread below this, in frames from 0 to 1, is rounding.
_FLAT = 1e-5


def is_cut(problem: Problem, state: State) -> bool:
    """Return whether the frames show different scenes, judged by the flow at the end of an estimate."""
    if _look_alike(problem.levels[find_nearest_level(problem.levels, _COARSE)]):
        return False
    seen = [_take_usable(frame) for frame in (problem.levels[0].frame0, problem.levels[0].frame1)]
    fewest = min(map(len, seen))
    if not fewest:
        return False
    excess = _share_apart(*seen) - _OTHER - _CHANCE * (_BINS / fewest) ** 0.5
    if excess <= 0:
        return False
    level = problem.levels[max(find_nearest_level(problem.levels, _SIZE), state.level)]
    at = problem.linearise(level, state.resample(level.shape))
    valid = at.valid
    if not valid.any():
        return False
    first, along = (_average_channels(planes) for planes in (level.frame0.planes, at.frame1))
    correlation = _correlate(first, np.where(valid, along, first))[valid]
    least = min(_LEAST + _SLOPE * excess, _MOST)
    return bool(2 * np.count_nonzero(correlation < least) > correlation.size)


def _look_alike(level: Level) -> bool:
    """Return whether the frames of a level correlate well as they are."""
    frames = level.frame0, level.frame1
    first, second = (_average_channels(frame.planes) for frame in frames)
    if not all(frame.complete for frame in frames):
        both = level.frame0.valid & level.frame1.valid
        first, second = first[both], second[both]
    if not first.size:
        return False
    first, second = ((values - values.mean()).ravel() for values in (first, second))
    least = first.size * _FLAT**2
    power = float((first * first).sum()), float((second * second).sum())
    return min(power) >= least and float((first * second).sum()) > _ALIKE * math.sqrt(math.prod(power))


def _take_usable(frame: Frame) -> NDArray[np.float32]:
    """Return the intensities of usable pixels of a frame, averaged over its channels, (N,)."""
    every = max(1, math.isqrt(frame.valid.size // _ENOUGH))
    values = _average_channels(frame.planes[:, ::every, ::every])
    return values.ravel() if frame.complete else values[frame.valid[::every, ::every]]


def _average_channels(planes: Planes) -> Planes:
    average: Planes = planes[0] if len(planes) == 1 else planes.mean(axis=0)
    return average


def _share_apart(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the share of pixels whose intensity, relative to mean and spread, the other frame does not have."""
    shares = []
    for values in (first, second):
        spread = float(values.std())
        bins = (values - values.mean()) * (_BINS / 6 / (spread if spread > _FLAT else 1.0)) + _BINS / 2
        counts = np.bincount(np.clip(bins, 0, _BINS - 1).astype(np.uint8), minlength=_BINS)
        shares.append(counts / max(values.size, 1))
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _correlate(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the correlation of both images in the window around each pixel; 0 where one of them is flat."""
    sums = average_boxes(np.stack((first, second, first * first, second * second, first * second)), _WINDOW)
    mean0, mean1, square0, square1, product = sums
    spread = np.maximum(square0 - mean0**2, 0) * np.maximum(square1 - mean1**2, 0)
    return np.asarray((product - mean0 * mean1) / np.sqrt(np.maximum(spread, 1e-12)), np.float32)
