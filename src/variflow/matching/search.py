"""Search for matches of the points of a grid, from coarse to fine, in both directions, and fill gaps on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.types import Numbers
from variflow.frames.frame import Frame
from variflow.frames.pyramid import Level
from variflow.images.resampling import Planes, smooth, sum_boxes

# Frames with more pixels are matched at a smaller size: a descriptor takes 64 bytes a pixel.
MOST_PIXELS = 1_000_000
# Shorter side of the coarsest level that is searched, in pixels. There, all displacements up to `_REACH` are compared.
COARSEST = 20
_REACH = 16
# Standard deviation in pixels of the Gaussian that smooths a frame before its descriptors are computed, and the
# gradient below which descriptors fade.
_SMOOTHING = 0.8
_NOISE = 2 / 255
# In the unit of the descriptors' differences, which are typically 100 to 2000: how much zero is favoured at the
# coarsest level, and the cost of each pixel by which a match differs from one of its eight neighbours.
_FAVOUR = 60.0
_SMOOTHNESS = 4.0
_SWEEPS = 3

# The fit of affine motions: its reach in points of the grid; how much each unit of colour in CIE Lab adds to a
# distance; the deviation in pixels from which matches count less; and the variance of their positions, in points, below
# which slopes are not trusted.
_FIT: dict[str, float] = {"reach": 10.0, "contrast": 1.5, "tolerance": 2.0, "ridge": 0.01}
# The motion of a match is compared with the mean over a window of this many points.
_WINDOW = 9


@dataclass(frozen=True)
class Axis:
    """Where the points of a grid lie along one axis of a frame: centred, every so many pixels."""

    size: int
    spacing: int

    @property
    def count(self) -> int:
        """The number of points."""
        return (self.size - 1) // self.spacing + 1

    @property
    def first(self) -> int:
        """The position of the first point, in pixels."""
        return (self.size - 1 - (self.count - 1) * self.spacing) // 2

    @property
    def positions(self) -> NDArray[np.int64]:
        """The position of each point, in pixels."""
        return self.first + self.spacing * np.arange(self.count)

    def to_pixels(self, size: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return indices and weights that interpolate from the points to the pixels of a level of a size."""
        position = ((np.arange(size) + 0.5) * (self.size / size) - 0.5 - self.first) / self.spacing
        return _interpolate(position, self.count)

    def from_pixels(self, size: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return indices and weights that interpolate from the pixels of a level of a size to the points."""
        return _interpolate(np.clip((self.positions + 0.5) * (size / self.size) - 0.5, 0, size - 1), size)


def _interpolate(position: Numbers, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    first = np.clip(np.floor(position), 0, max(count - 2, 0))
    part = position - first if count > 1 else np.zeros_like(position)
    return first.astype(np.int32), np.stack([1 - part, part], axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class GridMatches(Brief):
    """The matches that the search found at a level.

    Attributes
    ----------
    shape : (int, int)
        Height and width of the level, in pixels.
    spacing : int
        Pixels between points of the grid.
    found : two (3, rows, columns) float32
        At each point of the first frame's grid, and of the second's: u, v in pixels of the level, and ambiguity from 0
        to 1; NaN where nothing was found.
    confidence : (1, rows, columns) float32
        The probability that a match of the first frame is right; 0 where there is none.
    """

    shape: tuple[int, int]
    spacing: int
    found: tuple[Planes, Planes]
    confidence: Planes

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns of the grid."""
        height, width = self.shape
        return Axis(height, self.spacing), Axis(width, self.spacing)

    def measure_share(self) -> float:
        """Return the share of the points that have a match, among those that do not look like all around them."""
        distinct = self.found[0][2] < 1  # False of NaN
        return float((self.confidence[0] > 0.5)[distinct].mean()) if distinct.any() else 0.0

    def measure_shift(self) -> float:
        """Return how far the whole frame moves, in pixels of the level: the length of the median of its matches."""
        known = self.confidence[0] > 0.5
        return math.hypot(*np.median(self.found[0][:2, known], axis=1)) if known.any() else 0.0

    def measure_roughness(self) -> float:
        """Return how far things move against their surroundings, relative to the size of these.

        That is a high percentile of the differences between matches and their mean over a window, in widths of the
        window: the 95th, or half of the 99th where that is larger, as around one small thing.
        """
        known = self.confidence > 0.5
        u, v, count = np.where(known, np.concatenate([self.found[0][:2], np.ones_like(known)]), np.float32(0))
        sums = sum_boxes(np.stack([u, v, count]), _WINDOW)
        differences = np.hypot(*(np.stack([u, v]) - sums[:2] / np.maximum(sums[2], 1)))[known[0]]
        often, rarely = np.percentile(differences, (95, 99))
        return float(max(often, rarely / 2)) / (_WINDOW * self.spacing)


def search(levels: list[Level], spacing: int) -> Iterator[GridMatches]:
    """Match from coarse to fine; the level next to the finest is searched again after its gaps are filled."""
    finest_first = _choose_levels(levels)
    order = [*reversed(finest_first[1:] or finest_first), *reversed(finest_first[:2])]
    begun: tuple[Planes | None, Planes | None] = (None, None)
    shape = (0, 0)
    for level, finer in zip(order, [*order[1:], None], strict=True):
        if level.shape != shape:
            first, second = _Side.of(level.frame0, spacing), _Side.of(level.frame1, spacing)
        shape = level.shape
        found = _search_one_way(first, second, begun[0], spacing), _search_one_way(second, first, begun[1], spacing)
        sure = _core.match_confidence(*found, spacing)
        yield GridMatches(shape, spacing, found, sure)
        if finer is not None:
            sure_back = _core.match_confidence(found[1], found[0], spacing)
            filled = _fill_gaps(found[0], sure, first.guide), _fill_gaps(found[1], sure_back, second.guide)
            begun = _lift(filled[0], shape, finer.shape, spacing), _lift(filled[1], shape, finer.shape, spacing)


@dataclass(frozen=True, eq=False, repr=False)
class _Side(Brief):
    """One frame at one level, as the search sees it."""

    descriptors: NDArray[np.uint8]
    valid: Planes
    guide: Planes

    @classmethod
    def of(cls, frame: Frame, spacing: int) -> _Side:
        plane = smooth(frame.planes.mean(axis=0, keepdims=True, dtype=np.float32), _SMOOTHING)
        rows, columns = (Axis(size, spacing).positions for size in plane.shape[1:])
        valid = np.ascontiguousarray(frame.valid, np.float32)[None]
        guide = _core.lab(np.ascontiguousarray(plane[:, rows[:, None], columns]))
        return cls(_core.descriptors(plane, _NOISE), valid, guide)


def _search_one_way(first: _Side, second: _Side, begun: Planes | None, spacing: int) -> Planes:
    reach, sweeps, favour, smoothness = (_REACH, 0, _FAVOUR, 0.0) if begun is None else (4, _SWEEPS, 0.0, _SMOOTHNESS)
    return _core.search_matches(
        first.descriptors,
        second.descriptors,
        first.valid,
        second.valid,
        begun,
        spacing,
        reach,
        sweeps,
        favour,
        smoothness,
    )


def _choose_levels(levels: list[Level]) -> list[Level]:
    """Return levels, each about half the size of the one before, beginning with the finest that is not too large."""
    usable = [level for level in levels if min(level.shape) >= COARSEST]
    finer = [level for level in usable if level.shape[0] * level.shape[1] > MOST_PIXELS]
    usable = usable[len(finer) :]
    chosen = usable[:1]
    while coarser := [level for level in usable if level.shape[1] < 0.7 * chosen[-1].shape[1]]:
        half = 0.5 * chosen[-1].shape[1]
        chosen.append(min(coarser, key=lambda level: abs(math.log(level.shape[1] / half))))
    return chosen or levels[-1:]


def _lift(found: Planes, shape: tuple[int, int], finer: tuple[int, int], spacing: int) -> Planes:
    """Bring the matches of one level to the grid of a finer one."""
    if finer == shape:
        return found
    nearest = []
    for size, coarse in zip(finer, shape, strict=True):
        grid = Axis(coarse, spacing)
        position = (Axis(size, spacing).positions + 0.5) * (coarse / size) - 0.5
        nearest.append(np.clip(np.rint((position - grid.first) / spacing), 0, grid.count - 1).astype(np.int64))
    scale = np.array([finer[1] / shape[1], finer[0] / shape[0]], np.float32)
    return found.take(nearest[0], axis=1).take(nearest[1], axis=2) * scale[:, None, None]


def compute_odds(confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weights of matches: the odds that they are right, about 50 for a certain one."""
    odds: NDArray[np.float32] = confidence / (np.float32(1.02) - confidence)
    return odds


def _fill_gaps(found: Planes, confidence: Planes, guide: Planes) -> Planes:
    """Fill the points without a match with the motion of the matches around them."""
    if not confidence.any():
        return np.ascontiguousarray(found[:2])
    fitted = fit_affine(place_on_grid(found, confidence), guide, rounds=2, turns=2)
    return np.where(confidence > 0, found[:2], fitted[:2])


def place_on_grid(found: Planes, confidence: Planes) -> Planes:
    """Return u, v, weight, x and y (in points) of the match at each point of the grid; weight 0 for none."""
    y, x = np.indices(confidence.shape[1:], np.float32)
    u, v = np.where(confidence > 0, found[:2], np.float32(0))
    return np.stack([u, v, compute_odds(confidence[0]), x, y])


def fit_affine(placed: Planes, guide: Planes, *, rounds: int, turns: int) -> Planes:
    """Return u and v of affine motions fitted to the matches around each point, and the matches minus the fit."""
    return np.asarray(_core.fill_affine(placed, guide, **_FIT, rounds=rounds, turns=turns))
