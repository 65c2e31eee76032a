"""Build the pyramid: both frames at every size, finest first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.caching import cached_property
from variflow.frames.frame import Frame, Frames
from variflow.images.color import to_lab
from variflow.images.resampling import Planes, resample, smooth

# A pixel of a coarse level is missing if less than this share of its area is known. Its share is also compared with
# those of the pixels at most this many columns and rows away.
_LEAST_SHARE, _AROUND = 0.03, 2

# Standard deviation in pixels of the Gaussian that smooths the guide at every size, against noise.
_GUIDE_SMOOTHING = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class Level(Brief):
    """Both frames at one size; level 0 is that of the frames.

    Attributes
    ----------
    index : int
        Number of finer levels up to the size of the frames; -1 is finer than these.
    frame0, frame1 : Frame
        What data terms see.
    origin : Level or callable
        The level that this one is made from, the next one towards the size of the frames. For level 0, a function that
        returns the first frame with all its channels, (C', H, W).
    noise : float
        The standard deviation of the frames' noise at this size, in their unit; 0 if it was not estimated.
    """

    index: int
    frame0: Frame
    frame1: Frame
    origin: Level | Callable[[], Planes] = field(repr=False)
    noise: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.frame0.valid.shape
        return height, width

    @property
    def scale(self) -> tuple[float, float]:
        """Width and height, each divided by that of the frames."""
        first = self
        while isinstance(first.origin, Level):
            first = first.origin
        return self.shape[1] / first.shape[1], self.shape[0] / first.shape[0]

    @cached_property
    def spline(self) -> Planes:
        """The coefficients of the cubic B-spline through the second frame, (C, H, W)."""
        return _core.spline_coefficients(np.ascontiguousarray(self.frame1.planes))

    @cached_property
    def guide(self) -> Planes:
        """The first frame in CIE Lab, slightly smoothed; weights that follow image edges use it."""
        if isinstance(self.origin, Level) and self.index > 0:
            return resample(self.origin.guide, self.shape, kernel="linear", blur=_GUIDE_SMOOTHING)
        return to_lab(smooth(self._find_colors(), _GUIDE_SMOOTHING))

    def _find_colors(self) -> Planes:
        """Return the first frame with all its channels, as it came or enlarged."""
        if isinstance(self.origin, Level):
            return resample(self.origin._find_colors(), self.shape, kernel="cubic")
        return self.origin()

    def compute_image_edges(self, contrast: float, least: float) -> Planes:
        """Weights of the edges to the right and below of each pixel, (2, H, W); see `variflow.energy.ImageEdges`."""
        if (contrast, least) not in self._image_edges:
            self._image_edges[contrast, least] = _core.image_edges(self.guide, contrast, least)
        return self._image_edges[contrast, least]

    @cached_property
    def filtered(self) -> dict[Any, tuple[Planes, Planes]]:
        """What functions made of both frames, kept by the function and its settings."""
        return {}

    @cached_property
    def _image_edges(self) -> dict[tuple[float, float], Planes]:
        return {}


def pyramid(
    frames: Frames,
    *,
    factor: float,
    coarsest: int,
    presmoothing: float = 0.0,
    before: list[Level] | None = None,
    with_noise: bool = False,
    noise: float = 0.0,
) -> list[Level]:
    """Return the levels, finest first: sizes ``round(size * factor^k)`` while the shorter side is at least `coarsest`.

    Each level is made from the next finer one. `presmoothing` is the standard deviation, in pixels, of a Gaussian that
    is applied to the finest level first. `before` are the levels of the pair before in a video; their second frame is
    the first frame here, prepared in the same way. `with_noise` estimates the noise, which falls with the size, as
    pixels are averaged; `noise` is that of the finest level where it is known already.
    """
    sizes = factor, coarsest, presmoothing
    first = [level.frame1 for level in before] if before else _make_every_size(frames.first, *sizes)
    second = _make_every_size(frames.second, *sizes)
    noise = estimate_noise(frames) if with_noise else noise
    levels: list[Level] = []
    for index, pair in enumerate(zip(first, second, strict=True)):
        origin = levels[-1] if levels else frames.colors
        levels.append(Level(index, *pair, origin, noise * pair[0].planes.shape[2] / frames.first.planes.shape[2]))
    return levels


def enlarge(frames: Frames, level: Level, *, factor: float, presmoothing: float = 0.0) -> Level:
    """Return level -1: the frames enlarged by ``1 / factor``, and smoothed as much as at their own size, level 0."""
    height, width = (math.floor(size / factor + 0.5) for size in level.shape)
    first, second = (
        _smooth(_resize(frame, (height, width)), presmoothing / factor) for frame in (frames.first, frames.second)
    )
    return Level(level.index - 1, first, second, level, level.noise)


def find_nearest_level(levels: list[Level], scale: float) -> int:
    """Return the index of the level nearest to a size, relative to the finest, by the ratio of widths."""
    wanted = levels[0].shape[1] * scale
    apart = [abs(math.log(level.shape[1] / wanted)) for level in levels]
    return apart.index(min(apart))


def estimate_noise(frames: Frames) -> float:
    """Return the standard deviation of the noise of both frames, in their unit; texture hardly raises it.

    It is that of the mean of the channels, because data terms compare all channels together. It is measured in the
    small blocks that have the smallest second differences, because they show noise alone (after J. Immerkaer, Fast
    noise variance estimation, CVIU 1996). It is 0 if there are too few blocks, as in small frames, and where nearly all
    of a frame is as dark as can be: there noise is cut off, and what is left may be texture.
    """
    deviations = []
    for frame in (frames.first, frames.second):
        planes = frame.planes if len(frame.planes) == 1 else frame.planes.mean(axis=0, keepdims=True)
        deviations.append(_core.noise(planes if frame.complete else np.where(frame.valid, planes, np.float32(np.nan))))
    return math.hypot(*deviations) / math.sqrt(2)


def _make_every_size(frame: Frame, factor: float, coarsest: int, presmoothing: float) -> list[Frame]:
    sizes = [_smooth(frame, presmoothing)]
    height, width = frame.valid.shape
    while True:
        scale = factor ** len(sizes)
        shape = (math.floor(height * scale + 0.5), math.floor(width * scale + 0.5))
        if min(shape) < coarsest or shape == sizes[-1].valid.shape:
            return sizes
        sizes.append(_resize(sizes[-1], shape))


def _smooth(frame: Frame, sigma: float) -> Frame:
    if sigma == 0:
        return frame
    planes = smooth(frame.planes, sigma)
    return Frame.whole(planes) if frame.complete else replace(frame, planes=planes)


def _resize(frame: Frame, shape: tuple[int, int]) -> Frame:
    """Bring a frame to another size.

    A coarse pixel is valid if its known share is more than half of the largest share around it. So the rim of a hole
    counts as missing. A pattern of missing pixels, in rows or at random, does not: there the coarse pixels are averages
    of known pixels and of the filled ones between.
    """
    planes = resample(frame.planes, shape, kernel="cubic")
    if frame.complete:
        return Frame.whole(planes)
    share, weights = resample(np.stack([frame.known, frame.weights]), shape, kernel="linear")
    return Frame(planes, find_valid(share), weights, share)


def find_valid(share: Planes) -> NDArray[np.bool_]:
    """Return which pixels of a reduced frame are valid, given the known share of the area of each, (H, W)."""
    valid: NDArray[np.bool_] = (share > 0.5 * _find_largest_around(share)) & (share > _LEAST_SHARE)
    return valid


def _find_largest_around(plane: Planes) -> Planes:
    """Return the largest value of a plane among the pixels at most two columns and rows away."""
    height, width = plane.shape
    steps = range(2 * _AROUND + 1)
    padded = np.pad(plane, _AROUND, mode="edge")
    along_y = reduce(np.maximum, (padded[step : step + height] for step in steps))
    return reduce(np.maximum, (along_y[:, step : step + width] for step in steps))
