"""Go there and back: the flow from the second frame to the first, what the second does not show, and what to trust.

A point that both frames show returns, along the flow and the backward flow, to where it began. How far it misses says
how far the flow may be wrong; where it misses and the frames do not match either, it is occluded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import flowops
from variflow.base.brief import Brief
from variflow.frames.checking import prepare
from variflow.frames.frame import Frame
from variflow.frames.pyramid import Level, pyramid
from variflow.images.resampling import Planes, resample, smooth
from variflow.linearisation.level import LevelLinearisation, inside, linearise
from variflow.linearisation.linearisation import mismatch_over
from variflow.model import Model
from variflow.start.inverse import _SHARE, Inverse

Flow = NDArray[np.float32]


# Occlusion is estimated within the solve at the level nearest to this size.
_WITHIN = 0.5


# A miss is forgiven where its square is below this share of the squared motions, there and back, plus this many square
# pixels; where the gradients match to this many pixels. It is forgiven less where they match worse, and more where they
# match better.
_RELATIVE, _ABSOLUTE = 0.01, 0.5


_MATCH = 1.2


# Gradients below one grey level of 256 are as likely noise; their mismatch is smoothed over this many pixels, and none
# is less than the last number.
_NOISE, _AROUND, _LEAST = 1 / 255, 1.0, 0.05


# The probability of an error below a pixel is 1/2 where points miss by so many pixels, averaged by a Gaussian of so
# many, and its odds fall with this power of the miss. Fitted to errors on Middlebury, Sintel, KITTI and FlyingChairs.
_EVEN, _AVERAGED, _POWER = 0.67, 2.0, 1.4


# Where there was nothing to compare, so much of it is left.
_BLIND = 0.5


def estimated_at(levels: list[Level]) -> int:
    """Return the level at which occlusion is estimated within the solve: that of about half the size."""
    return nearest(levels, _WITHIN)


def backward_model(model: Model) -> Model:
    """Return a model for the way back: with a third of the warps, since it starts near its end."""
    fewer = tuple(math.ceil(_SHARE * warps) for warps in np.atleast_1d(model.warps).tolist())
    return replace(model, warps=fewer, occlusion="unknown")


def backwards(inputs: Mapping[str, Any], flow: Flow) -> dict[str, Any]:
    """Return the arguments of the estimate from the second frame to the first, given those of the flow there."""
    return {
        **inputs,
        "frame0": inputs["frame1"],
        "frame1": inputs["frame0"],
        "model": backward_model(inputs["model"]),
        "init": Inverse(flow),
        "mask": _swapped(inputs["mask"]),
        "weights": _swapped(inputs["weights"]),
    }


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Brief):
    """How well a flow makes the frames match.

    Attributes
    ----------
    mismatch : (H, W) float32
        How far, in pixels, the flow is from where the gradients of both frames agree: their difference, divided by how
        fast they change, averaged over the pixels around.
    compared : (H, W) bool
        False where there is nothing to compare: a pixel is missing, or its target, or the flow leaves the frame.
    """

    mismatch: Planes
    compared: NDArray[np.bool_]

    @classmethod
    def of(cls, inputs: Mapping[str, Any], flow: Flow) -> Comparison:
        """Compare the frames among the arguments of an estimate, along its flow."""
        model: Model = inputs["model"]
        named = {name: inputs[name] for name in ("frame0", "frame1", "mask", "weights", "intensity_range")}
        frames = prepare(**named, channels=model.channels)
        level = pyramid(frames, factor=model.factor, coarsest=flow.size, presmoothing=model.presmoothing)[0]
        u, v = np.ascontiguousarray(np.moveaxis(flow, 2, 0))
        return cls.around(linearise(level, (u, v), derivative=model.derivative, interpolation=model.interpolation))

    @classmethod
    def around(cls, at: LevelLinearisation) -> Comparison:
        """Compare the frames of a linearisation."""
        at.keep(("Ixt", "Iyt", "Ixx", "Ixy", "Iyy"))
        return cls(smooth(mismatch_over(at, _NOISE)[None], _AROUND)[0], at.valid)


def occluded(flow: Flow, backward: Flow, comparison: Comparison) -> NDArray[np.bool_]:
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


def without(level: Level, occlusion: NDArray[np.bool_]) -> Level:
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


def nearest(levels: list[Level], scale: float) -> int:
    """Return which level is nearest to a size, relative to the finest."""
    widths = np.array([level.shape[1] for level in levels])
    return int(np.argmin(np.abs(widths - widths[0] * scale)))


def _swapped(pair: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
    """Return what is given for both frames in the other order."""
    return None if pair is None else pair[::-1]
