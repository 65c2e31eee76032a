"""Build the pyramid: both frames at every size, finest first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from variflow.frames import Frame
from variflow.resampling import Planes, resample, smooth


@dataclass(frozen=True)
class Level:
    """Both frames at one size; level 0 is the finest."""

    index: int
    frame0: Frame
    frame1: Frame

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.frame0.valid.shape
        return height, width


def pyramid(frames: tuple[Frame, Frame], *, factor: float, coarsest: int, presmoothing: float = 0.0) -> list[Level]:
    """Return the levels, finest first: sizes ``round(size * factor^k)`` while the shorter side is at least `coarsest`.

    Each level is made from the one before it. `presmoothing` is the standard deviation, in pixels, of a Gaussian
    applied to the finest level first.
    """
    if presmoothing > 0:
        frames = (_smoothed(frames[0], presmoothing), _smoothed(frames[1], presmoothing))
    levels = [Level(0, *frames)]
    height, width = levels[0].shape
    while True:
        scale = factor ** len(levels)
        shape = (math.floor(height * scale + 0.5), math.floor(width * scale + 0.5))
        if min(shape) < coarsest or shape == levels[-1].shape:
            return levels
        finer = levels[-1]
        levels.append(Level(len(levels), _reduced(finer.frame0, shape), _reduced(finer.frame1, shape)))


def _smoothed(frame: Frame, sigma: float) -> Frame:
    return Frame(smooth(frame.planes, sigma), frame.valid, frame.weights)


def _reduced(frame: Frame, shape: tuple[int, int]) -> Frame:
    """Reduce a frame; a coarse pixel is valid where most of what it covers is."""
    valid = _reduced_plane(frame.valid.astype(np.float32), shape) > 0.5
    return Frame(resample(frame.planes, shape, kernel="cubic"), valid, _reduced_plane(frame.weights, shape))


def _reduced_plane(plane: Planes, shape: tuple[int, int]) -> Planes:
    if (plane == 1).all():  # no mask, no weights: by far the most common, and exact
        return np.ones(shape, np.float32)
    reduced: Planes = resample(plane[None], shape, kernel="linear")[0]
    return reduced
