"""Find occlusion and confidence from the forward and the backward flow.

A point that both frames show comes back to where it began when it follows the flow and then the backward flow. The
distance by which it misses tells how wrong the flow may be. A point is occluded if it misses and the frames do not
match there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from variflow import flowops
from variflow.frames.bars import NO_BARS, Bars
from variflow.frames.frame import Frame
from variflow.frames.pyramid import Level
from variflow.images.resampling import resample, smooth
from variflow.images.windows import Part
from variflow.linearisation.comparison import Comparison
from variflow.linearisation.level import find_inside

Flow = NDArray[np.float32]

# A miss is tolerated if its square is below a share of the squared motions, forward and back, plus some square pixels
# (Sundaram et al., below).
_RELATIVE, _ABSOLUTE = 0.01, 0.5
# This holds where the mismatch of the gradients plus `_LEAST` is `_MATCH` pixels. The tolerance is smaller where they
# match worse, and larger where they match better. Fitted by benchmarks/fit_occlusion.py.
_MATCH, _LEAST = 1.2, 0.05

# The odds of an error below a pixel are 1 / ((miss / _EVEN)^_POWER + (mismatch / _ALIKE)^_STEEPNESS). The distance by
# which points miss tells most, but a flow that is wrong in both directions alike shows only in how badly the frames
# match. Both are averaged, by Gaussians of `_AVERAGED` and `_AROUND` pixels, because errors come in groups. Fitted to
# errors on Middlebury, Sintel, KITTI and FlyingChairs, by benchmarks/fit_occlusion.py.
_EVEN, _AVERAGED, _POWER = 0.76, 2.0, 1.25
_ALIKE, _AROUND, _STEEPNESS = 1.22, 4.0, 4.46
# Confidence is multiplied by this where there is nothing to compare: a guess on the safe side.
BLIND = 0.5


def find_occlusion(flow: Flow, backward: Flow, comparison: Comparison, bars: Bars = NO_BARS) -> NDArray[np.bool_]:
    """Return where a point of the first frame is not visible in the second.

    Parameters
    ----------
    flow, backward : (H, W, 2) float32
        From the first frame to the second, and from the second to the first.
    comparison : Comparison
        Along `flow`.
    bars : Bars
        Those of both frames.

    Returns
    -------
    (H, W) bool
        True where the flow leaves the frame or the picture between bars, or where the point misses by more than the
        mismatch allows.

    References
    ----------
    N. Sundaram, T. Brox and K. Keutzer, Dense point trajectories by GPU-accelerated large displacement optical flow,
    ECCV 2010 (the tolerance that grows with motion).
    """
    back = flowops.warp(backward, flow, "bilinear")
    tolerance = _RELATIVE * (_square(flow) + _square(back)) + _ABSOLUTE
    excess = _square(flow + back) * ((comparison.mismatch + _LEAST) / _MATCH) ** 4
    occlusion: NDArray[np.bool_] = excess > tolerance
    picture, u, v = map(bars.crop, (occlusion, flow[..., 0], flow[..., 1]))
    picture |= ~find_inside((u, v))
    return occlusion


def _square(flow: Flow) -> NDArray[np.float32]:
    squared: NDArray[np.float32] = flow[..., 0] ** 2 + flow[..., 1] ** 2
    return squared


def mask_occluded(level: Level, occlusion: NDArray[np.bool_], part: Part) -> Level:
    """Return a level whose data count nothing where a point is occluded, as found on a part of frames of any size."""
    if not occlusion.any():
        return level
    first = level.frame0
    visible = 1 - resample(occlusion[None].astype(np.float32), level.part, kernel="linear", of=part)[0]
    return replace(level, frame0=Frame(first.planes, first.valid, first.weights * visible))


def estimate_confidence(flow: Flow, backward: Flow, comparison: Comparison) -> NDArray[np.float32]:
    """Return roughly the probability that the flow is right to within a pixel, ``(H, W)`` from 0 to 1.

    Parameters
    ----------
    flow, backward : (H, W, 2) float32
        From the first frame to the second, and from the second to the first.
    comparison : Comparison
        Along `flow`.
    """
    missed = np.hypot(*np.moveaxis(flow + flowops.warp(backward, flow, "bilinear"), 2, 0))
    miss = smooth(missed[None], _AVERAGED)[0]
    mismatch = smooth(comparison.mismatch[None], _AROUND)[0]
    with np.errstate(over="ignore"):
        doubt = (miss / np.float32(_EVEN)) ** np.float32(_POWER) + (mismatch / np.float32(_ALIKE)) ** np.float32(
            _STEEPNESS
        )
        sure: NDArray[np.float32] = 1 / (1 + doubt)
    return np.where(comparison.compared, sure, np.float32(BLIND) * sure)
