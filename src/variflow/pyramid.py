"""Build the pyramid: both frames at every size, finest first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from variflow.color import gray, lab
from variflow.frames import Frame
from variflow.resampling import Planes, resample, smooth

# Standard deviation in pixels of a Gaussian on the guide, against noise.
_GUIDE_SMOOTHING = 1.0


@dataclass(frozen=True)
class Level:
    """Both frames at one size; level 0 is the finest.

    Attributes
    ----------
    index : int
    frame0, frame1 : Frame
        What data terms see.
    colors : (C', H, W) float32
        The first frame with all its channels.
    """

    index: int
    frame0: Frame
    frame1: Frame
    colors: Planes

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.frame0.valid.shape
        return height, width

    @cached_property
    def guide(self) -> Planes:
        """The first frame in CIE Lab, slightly smoothed: what weights that follow image edges look at."""
        return lab(smooth(self.colors, _GUIDE_SMOOTHING))


def pyramid(
    frames: tuple[Frame, Frame],
    *,
    factor: float,
    coarsest: int,
    presmoothing: float = 0.0,
    channels: Literal["all", "gray"] = "all",
) -> list[Level]:
    """Return the levels, finest first: sizes ``round(size * factor^k)`` while the shorter side is at least `coarsest`.

    Each level is made from the one before it. `presmoothing` is the standard deviation, in pixels, of a Gaussian
    applied to the finest level first. `channels` is what data terms see: ``"all"`` or ``"gray"``.
    """
    colors = frames[0].planes
    if channels == "gray":
        frames = (replace(frames[0], planes=gray(colors)), replace(frames[1], planes=gray(frames[1].planes)))
    if presmoothing > 0:
        frames = (_smoothed(frames[0], presmoothing), _smoothed(frames[1], presmoothing))
    levels = [Level(0, *frames, colors)]
    height, width = levels[0].shape
    while True:
        scale = factor ** len(levels)
        shape = (math.floor(height * scale + 0.5), math.floor(width * scale + 0.5))
        if min(shape) < coarsest or shape == levels[-1].shape:
            return levels
        finer = levels[-1]
        first, second = _reduced(finer.frame0, shape), _reduced(finer.frame1, shape)
        levels.append(Level(len(levels), first, second, resample(finer.colors, shape, kernel="cubic")))


def _smoothed(frame: Frame, sigma: float) -> Frame:
    return replace(frame, planes=smooth(frame.planes, sigma))


def _reduced(frame: Frame, shape: tuple[int, int]) -> Frame:
    """Reduce a frame; a coarse pixel is valid where most of what it covers is."""
    valid = _reduced_plane(frame.valid.astype(np.float32), shape) > 0.5
    return Frame(resample(frame.planes, shape, kernel="cubic"), valid, _reduced_plane(frame.weights, shape))


def _reduced_plane(plane: Planes, shape: tuple[int, int]) -> Planes:
    if (plane == 1).all():  # no mask, no weights: by far the most common, and exact
        return np.ones(shape, np.float32)
    reduced: Planes = resample(plane[None], shape, kernel="linear")[0]
    return reduced
