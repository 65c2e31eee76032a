"""Build the pyramid: both frames at every size, finest first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.caching import cached_property
from variflow.frames.frame import Frame, Frames
from variflow.images.color import to_lab
from variflow.images.resampling import Planes, find_reach, find_source, resample, smooth
from variflow.images.windows import Part

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
    part : Part
        Which part of larger frames this is; the whole level if the frames are not a part of others.
    scale : (float, float)
        Width and height of the whole level, each divided by that of the frames.
    origin : Level or callable
        The level that this one is made from, the next one towards the size of the frames. For level 0, a function that
        returns the first frame with all its channels, (C', H, W).
    noise : float
        The standard deviation of the frames' noise at this size, in their unit; 0 if it was not estimated.
    make_guide : callable, optional
        Makes the guide of level 0 if that is a smaller size of larger frames.
    """

    index: int
    frame0: Frame
    frame1: Frame
    part: Part
    scale: tuple[float, float]
    origin: Level | Callable[[], Planes] = field(repr=False)
    noise: float = 0.0
    make_guide: Callable[[], Planes] | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.part.shape

    @cached_property
    def spline(self) -> Planes:
        """The coefficients of the cubic B-spline through the second frame, (C, H, W)."""
        return _core.spline_coefficients(np.ascontiguousarray(self.frame1.planes))

    @cached_property
    def guide(self) -> Planes:
        """The first frame in CIE Lab, slightly smoothed; weights that follow image edges use it."""
        if isinstance(self.origin, Level) and self.index > 0:
            return _reduce_guide(self.origin.guide, self.part, self.origin.part)
        return self.make_guide() if self.make_guide else _begin_guide(self._find_colors())

    def _find_colors(self) -> Planes:
        """Return the first frame with all its channels, as it came or enlarged."""
        if isinstance(self.origin, Level):
            return resample(self.origin._find_colors(), self.part, kernel="cubic", of=self.origin.part)
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


class Excerpt(NamedTuple):
    """How frames lie in larger ones, whose pyramid they share.

    Attributes
    ----------
    parts : list of Part
        Which part of the larger frames each level shows, finest first.
    size : (int, int)
        Height and width of the larger frames; level 0 may be a smaller size of them.
    make_guide : callable, optional
        Makes the guide of level 0 if that is a smaller size.
    """

    parts: list[Part]
    size: tuple[int, int]
    make_guide: Callable[[], Planes] | None = None


def list_sizes(shape: tuple[int, int], *, factor: float, coarsest: int) -> list[tuple[int, int]]:
    """Return the sizes of the levels, finest first.

    They are ``round(size * factor^k)``, as long as the shorter side is at least `coarsest`.
    """
    sizes = [shape]
    while True:
        height, width = (math.floor(length * factor ** len(sizes) + 0.5) for length in shape)
        if min(height, width) < coarsest or (height, width) == sizes[-1]:
            return sizes
        sizes.append((height, width))


def pyramid(
    frames: Frames,
    *,
    factor: float,
    coarsest: int,
    presmoothing: float = 0.0,
    before: list[Level] | None = None,
    with_noise: bool = False,
    noise: float = 0.0,
    excerpt: Excerpt | None = None,
) -> list[Level]:
    """Return the levels, finest first, of the sizes that `list_sizes` says, or of those of an excerpt.

    Each level is made from the next finer one. `presmoothing` is the standard deviation, in pixels, of a Gaussian that
    is applied to the finest level first. `before` are the levels of the pair before in a video; their second frame is
    the first frame here, prepared in the same way. `with_noise` estimates the noise, which falls with the size, as
    pixels are averaged; `noise` is that of the frames where it is known already.
    """
    height, width = frames.first.valid.shape
    if excerpt is None:
        sizes = list_sizes((height, width), factor=factor, coarsest=coarsest)
        excerpt = Excerpt([Part.all(size) for size in sizes], (height, width))
    parts, (height, width), make_guide = excerpt
    first = [level.frame1 for level in before] if before else make_every_size(frames.first, parts, presmoothing)
    second = make_every_size(frames.second, parts, presmoothing)
    noise = estimate_noise(frames) if with_noise else noise
    levels: list[Level] = []
    for index, (pair, part) in enumerate(zip(zip(first, second, strict=True), parts, strict=True)):
        origin = levels[-1] if levels else frames.colors
        rows, columns = part.whole
        scale = columns / width, rows / height
        levels.append(Level(index, *pair, part, scale, origin, noise * scale[0], None if levels else make_guide))
    return levels


def enlarge(frames: Frames, level: Level, *, factor: float, presmoothing: float = 0.0) -> Level:
    """Return level -1: the frames enlarged by ``1 / factor``, and smoothed as much as at their own size, level 0."""
    height, width = (math.floor(size / factor + 0.5) for size in level.part.whole)
    part = level.part.bring((height, width))
    first, second = (
        _smooth(_resize(frame, part, level.part), presmoothing / factor) for frame in (frames.first, frames.second)
    )
    scale = width / level.part.whole[1], height / level.part.whole[0]
    return Level(level.index - 1, first, second, part, scale, level, level.noise)


def find_nearest_level(levels: list[Level], scale: float) -> int:
    """Return the index of the level nearest to a size, relative to the frames, by the ratio of widths."""
    apart = [abs(math.log(level.scale[0] / scale)) for level in levels]
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


def make_every_size(frame: Frame, parts: list[Part], presmoothing: float) -> list[Frame]:
    """Return a frame smoothed, and then at each further size, made from the one before."""
    sizes = [_smooth(frame, presmoothing)]
    for finer, part in pairwise(parts):
        sizes.append(_resize(sizes[-1], part, finer))
    return sizes


def make_guide(colors: Planes, parts: list[Part]) -> Planes:
    """Return the guide at the last of some sizes, given the first frame with all its channels at the first of them."""
    guide = _begin_guide(colors)
    for finer, part in pairwise(parts):
        guide = _reduce_guide(guide, part, finer)
    return guide


def list_sources(part: Part, sizes: list[tuple[int, int]], presmoothing: float) -> list[Part]:
    """Return which part of each size the frames and the guide of a part of the last one are made of, finest first."""
    parts = [part]
    for size in reversed(sizes[:-1]):
        of_frames = find_source(parts[0], size, kernel="cubic")
        of_guide = find_source(parts[0], size, kernel="linear", blur=_GUIDE_SMOOTHING)
        parts.insert(0, Part(of_frames.window.unite(of_guide.window), size))
    around = parts[0].window.grow(find_reach(max(presmoothing, _GUIDE_SMOOTHING)), sizes[0])
    return [Part(around, sizes[0]), *parts[1:]]


def _begin_guide(colors: Planes) -> Planes:
    return to_lab(smooth(colors, _GUIDE_SMOOTHING))


def _reduce_guide(guide: Planes, to: Part, of: Part) -> Planes:
    return resample(guide, to, kernel="linear", blur=_GUIDE_SMOOTHING, of=of)


def _smooth(frame: Frame, sigma: float) -> Frame:
    if sigma == 0:
        return frame
    planes = smooth(frame.planes, sigma)
    return Frame.whole(planes) if frame.complete else replace(frame, planes=planes)


def _resize(frame: Frame, to: Part, of: Part) -> Frame:
    """Bring a frame to another size.

    A coarse pixel is valid if its known share is more than half of the largest share around it. So the rim of a hole
    counts as missing. A pattern of missing pixels, in rows or at random, does not: there the coarse pixels are averages
    of known pixels and of the filled ones between.
    """
    planes = resample(frame.planes, to, kernel="cubic", of=of)
    if frame.complete:
        return Frame.whole(planes)
    share, weights = resample(np.stack([frame.known, frame.weights]), to, kernel="linear", of=of)
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
