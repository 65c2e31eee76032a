"""Tell from the way there and back what the second frame does not show, and what to trust.

A point that both frames show returns, along the flow and the backward flow, to where it began. How far it misses says
how far the flow may be wrong; where it misses and the frames do not match either, it is occluded.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from variflow import flowops
from variflow.frames.frame import Frame
from variflow.frames.pyramid import Level
from variflow.images.resampling import resample, smooth
from variflow.linearisation.comparison import Comparison
from variflow.linearisation.level import inside

Flow = NDArray[np.float32]

# A miss is forgiven where its square is below a share of the squared motions, there and back, plus some square pixels
# (Sundaram et al., below).
_RELATIVE, _ABSOLUTE = 0.01, 0.5
# That is so where the gradients match to `_MATCH` pixels; `_LEAST` pixels are added to each mismatch. A miss is
# forgiven less where they match worse, and more where they match better. Fitted by benchmarks/fit_occlusion.py.
_MATCH, _LEAST = 1.2, 0.05

# The probability of an error below a pixel is 1/2 where points miss by `_EVEN` pixels, averaged by a Gaussian of
# `_AVERAGED` pixels, and its odds fall with this power of the miss. Fitted to errors on Middlebury, Sintel, KITTI and
# FlyingChairs, by benchmarks/fit_occlusion.py.
_EVEN, _AVERAGED, _POWER = 0.67, 2.0, 1.4
# Where there was nothing to compare, this share of it is left: a guess on the safe side.
_BLIND = 0.5


def find_occlusion(flow: Flow, backward: Flow, comparison: Comparison) -> NDArray[np.bool_]:
    """Return where a point of the first frame is not visible in the second.

    Parameters
    ----------
    flow, backward : (H, W, 2) float32
        From the first frame to the second, and from the second to the first.
    comparison : Comparison
        Along `flow`.

    Returns
    -------
    (H, W) bool
        True where the flow leaves the frame, or where the point misses by more than the mismatch allows.

    References
    ----------
    N. Sundaram, T. Brox and K. Keutzer, Dense point trajectories by GPU-accelerated large displacement optical flow,
    ECCV 2010 (the tolerance that grows with motion).
    """
    back = flowops.warp(backward, flow, "bilinear")
    tolerance = _RELATIVE * (flow**2 + back**2).sum(axis=2) + _ABSOLUTE
    excess = ((flow + back) ** 2).sum(axis=2) * ((comparison.mismatch + _LEAST) / _MATCH) ** 4
    occlusion: NDArray[np.bool_] = (excess > tolerance) | ~inside((flow[..., 0], flow[..., 1]))
    return occlusion


def mask_occluded(level: Level, occlusion: NDArray[np.bool_]) -> Level:
    """Return a level where the data at what is occluded, seen at any size, count nothing."""
    if not occlusion.any():
        return level
    first = level.frame0
    visible = 1 - resample(occlusion[None].astype(np.float32), level.shape, kernel="linear")[0]
    return replace(level, frame0=Frame(first.planes, first.valid, first.weights * visible))


def confidence(flow: Flow, backward: Flow, comparison: Comparison) -> NDArray[np.float32]:
    """Return the probability, roughly, that the flow is right within a pixel, ``(H, W)`` from 0 to 1.

    Parameters
    ----------
    flow, backward : (H, W, 2) float32
        From the first frame to the second, and from the second to the first.
    comparison : Comparison
        Along `flow`.
    """
    missed = np.hypot(*np.moveaxis(flow + flowops.warp(backward, flow, "bilinear"), 2, 0))
    around = smooth(missed[None], _AVERAGED)[0]
    with np.errstate(over="ignore"):
        sure: NDArray[np.float32] = 1 / (1 + (around / np.float32(_EVEN)) ** np.float32(_POWER))
    return np.where(comparison.compared, sure, np.float32(_BLIND) * sure)
