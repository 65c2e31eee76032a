"""Match two frames: find where the surroundings of points look alike, however far they have moved.

Descriptors of oriented gradients are compared from coarse to fine: all displacements at the coarsest level, and then
what neighbours have found and random steps about it. Both directions are searched; a match counts that returns to where
it began, is distinct from what lies beside it, and agrees with its neighbours. From matches to a dense flow: affine
motions fitted to the matches around each place, where ways across image edges are long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.arrays import as_single
from variflow.brief import Brief
from variflow.calling import explained
from variflow.choices import check_whole
from variflow.errors import warn
from variflow.frames import prepare
from variflow.pyramid import Level, pyramid
from variflow.resampling import Planes, resample_flow
from variflow.seeds import COARSEST, Axis, Seeds, fit_affine, odds, placed, search

__all__ = ["Matches", "densify", "match"]


def __dir__() -> list[str]:
    return sorted(__all__)


# Every so many columns and rows a point is matched, and a dense flow is made, if these are not more points than so.
SPACING = 3
_MOST_POINTS = 120_000

# The weighted median of what the matches differ from the fit by: window, step, and standard deviations of the weights
# by distance in points and by colour. A point without a match counts as this many with even odds, and stays at the fit.
_MEDIAN: dict[str, Any] = {"window": 15, "step": 2, "spatial": 5.0, "color": 5.0}
_WITHOUT_MATCH = 1.0

# No displacement is so many times the larger side of the frames; and what .flo files have for an unknown one.
_FARTHEST = 4
_UNKNOWN = np.float32(1666666752)

# A start is made from matches at the level of the pyramid nearest to this size.
_START_SCALE = 0.25
# It is kept where it leads out of the frame by at least so many pixels of the full size.
_UNSEEN = 16.0
# Motion is large if matches are so rough at small levels, and so much at a quarter of the size; and if this part of all
# points match at all. Finer levels see smaller things, and are rougher by about this power of their size.
_MAYBE_LARGE, _LARGE, _ENOUGH = 0.03, 0.049, 0.2
_DETAIL = 0.4


@dataclass(frozen=True, eq=False, repr=False)
class Matches(Brief):
    """Points of the first frame and where they are in the second.

    Those of `variflow.match` lie on a grid; your own, of any kind, may lie anywhere.

    Attributes
    ----------
    points : (N, 2) float32
        ``(x, y)`` in the first frame, in pixels; the centre of the first pixel is (0, 0).
    flow : (N, 2) float32
        ``(u, v)``, the displacement of each in pixels.
    confidence : (N,) float32
        From 0 to 1, the probability that the displacement is right within 3 pixels; by default 1.

    Raises
    ------
    TypeError, ValueError
        If an array cannot be right, naming it.

    Examples
    --------
    >>> from variflow.matching import Matches
    >>> matches = Matches(points=[(10, 20), (30, 5)], flow=[(1.5, 0), (2, 0.5)])
    >>> len(matches), matches.confidence.tolist()
    (2, [1.0, 1.0])
    """

    points: NDArray[np.float32]
    flow: NDArray[np.float32]
    confidence: NDArray[np.float32] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        points = _checked(self.points, "points")
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points has shape {points.shape}, wanted (N, 2): x and y of each")
        flow = _checked(self.flow, "flow")
        if flow.shape != points.shape:
            raise ValueError(f"flow has shape {flow.shape}, wanted that of points, {points.shape}")
        confidence = np.ones(len(points)) if self.confidence is None else self.confidence
        confidence = _checked(confidence, "confidence")
        if confidence.shape != points.shape[:1]:
            raise ValueError(f"confidence has shape {confidence.shape}, wanted one number for each point")
        if confidence.size and not 0 <= confidence.min() <= confidence.max() <= 1:
            raise ValueError(f"confidence is from {confidence.min()} to {confidence.max()}, wanted 0 to 1")
        for name, array in (("points", points), ("flow", flow), ("confidence", confidence)):
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.points)


@explained
def match(
    frame0: Any,
    frame1: Any,
    *,
    mask: Any = None,
    intensity_range: tuple[float, float] | None = None,
    spacing: int = SPACING,
) -> Matches:
    """Find where points of the first frame are in the second, however far they have moved.

    Parameters
    ----------
    frame0, frame1 : array
        As for `variflow.estimate`. Missing pixels match nothing.
    mask : (H, W) bool array or a pair of them, optional
        True where a pixel is usable; one mask is for both frames, and a pair has one for each, or None.
    intensity_range : (low, high), optional
        Intensities that become 0 and 1, see `variflow.estimate`.
    spacing : int
        Every so many columns and rows a point is matched, at least 1; typically 2 to 8. Smaller finds smaller things,
        and takes longer.

    Returns
    -------
    Matches
        Those that return to where they began when the second frame is matched with the first, typically within half a
        pixel of the truth. Frames of more than a million pixels are matched at a smaller size, and less precisely.

    References
    ----------
    E. Tola, V. Lepetit and P. Fua, DAISY: an efficient dense descriptor applied to wide-baseline stereo, PAMI 32, 2010.
    Y. Hu, R. Song and Y. Li, Efficient coarse-to-fine PatchMatch for large displacement optical flow, CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((60, 80), shift=(9, -4))
    >>> matches = variflow.match(pair.frame0, pair.frame1)
    >>> np.median(matches.flow, axis=0).tolist()
    [9.0, -4.0]
    """
    spacing = check_whole("spacing", spacing, 1, 4096, "a whole number of pixels")
    levels = pyramid(prepare(frame0, frame1, mask, None, intensity_range), factor=0.5, coarsest=COARSEST)
    *_, seeds = search(levels, spacing)
    return _matches(seeds, levels[0].shape)


def densify(matches: Matches, frame0: Any) -> NDArray[np.float32]:
    """Return the flow ``(H, W, 2)`` that matches suggest, smooth but for edges of the first frame.

    At each place an affine motion is fitted to the matches around it, which count the less the farther they are, the
    more colours lie between and the less they agree with the rest. Where there are matches, the flow follows them
    closer than the fit does.

    Raises
    ------
    ValueError
        If there are no matches, or none with confidence.

    References
    ----------
    J. Revaud, P. Weinzaepfel, Z. Harchaoui and C. Schmid, EpicFlow: edge-preserving interpolation of correspondences
    for optical flow, CVPR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.matching import Matches, densify
    >>> matches = Matches(points=[(5, 5), (50, 8), (20, 40)], flow=[(1, 0), (1, 0), (1, 0)])
    >>> flow = densify(matches, np.zeros((48, 64)))
    >>> flow.shape, flow.min(axis=(0, 1)).round(3).tolist()
    ((48, 64, 2), [1.0, 0.0])
    """
    levels = pyramid(prepare(frame0, frame0), factor=0.5, coarsest=COARSEST)
    u, v = _dense_from(matches, levels).at(levels[0].shape)
    return np.stack((u, v), axis=-1)


@dataclass(frozen=True, eq=False, repr=False)
class Start(Brief):
    """The flow that an estimate starts from.

    Attributes
    ----------
    level : int
        Index of the level; 0 is the finest.
    planes : pair of (H, W) float32
        The flow ``(u, v)`` at this level, in its pixels.
    matched : bool
        Whether it was made from matches.
    """

    level: int
    planes: tuple[Planes, Planes]
    matched: bool = True

    def kept_unseen(self, flow: tuple[Planes, Planes]) -> tuple[Planes, Planes]:
        """Return the flow of a finer level, but this one, if made from matches, where it leaves the frame.

        There the frames say nothing, and smoothness alone forgets how the motion around continues.
        """
        if not self.matched:
            return flow
        height, width = flow[0].shape
        u, v = resample_flow(self.planes, (height, width))
        outside = np.maximum(
            _beyond(np.arange(width, dtype=np.float32) + u, width),
            _beyond(np.arange(height, dtype=np.float32)[:, None] + v, height),
        )
        leaves = np.nonzero(outside > 0)
        scale = width / self.planes[0].shape[1] * _START_SCALE
        share = np.minimum(outside[leaves] / np.float32(_UNSEEN * scale), np.float32(1))
        kept = flow[0].copy(), flow[1].copy()
        for component, start in zip(kept, (u, v), strict=True):
            component[leaves] += share * (start[leaves] - component[leaves])
        return kept


def _beyond(positions: Planes, size: int) -> Planes:
    """Return how far outside the frame positions along one axis lie, negative inside; they are used up."""
    middle = np.float32((size - 1) / 2)
    positions -= middle
    np.abs(positions, out=positions)
    positions -= middle
    return positions


def start(levels: list[Level]) -> Start | None:
    """Return where to start from if motion is so large that matches are needed, else None.

    The pyramid alone finds how far a thing moves relative to what surrounds it, as long as that is little beside its
    size. So matches at small sizes decide, and are followed to finer levels only if they differ much from what
    surrounds them.
    """
    shape = levels[0].shape
    decided = False
    for number, seeds in enumerate(search(levels, SPACING)):
        if number == 0:  # where all displacements are compared, the matches are rough
            continue
        if (seeds.confidence > 0.5).mean() < _ENOUGH:
            return None
        if not decided:
            size = seeds.shape[1] / shape[1]
            decided = size > 0.2
            if seeds.roughness() * (0.25 / size) ** _DETAIL < (_LARGE if decided else _MAYBE_LARGE):
                return None
    rows, columns = seeds.axes
    return _start(_dense(placed(seeds.found[0], seeds.confidence), rows, columns, levels), levels)


def known_displacements(flow: NDArray[np.float32], shape: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """Return which displacements (..., 2) are known: finite, and not so large that frames of a size cannot have them.

    A person is told of the others, but for what flow files have for unknown.
    """
    most = _FARTHEST * max(shape)
    sizes = np.abs(flow).max(axis=-1)  # NaN where a component is
    known: NDArray[np.bool_] = sizes <= most
    far = sizes[(sizes > most) & (sizes != _UNKNOWN) & np.isfinite(sizes)]
    if far.size:
        warn(
            f"the {name} has {far.size} displacements of more than {most} px, {_FARTHEST} times the larger side of the "
            f"frames (such as {far[0]:g}): taken as unknown"
        )
    return known


def start_from(matches: Matches, levels: list[Level]) -> Start:
    """Return where to start from, given matches."""
    return _start(_dense_from(matches, levels), levels)


def _start(dense: _Dense, levels: list[Level]) -> Start:
    widths = np.array([level.shape[1] for level in levels])
    index = int(np.argmin(np.abs(np.log(widths / (widths[0] * _START_SCALE)))))
    return Start(index, dense.at(levels[index].shape))


@dataclass(frozen=True, eq=False, repr=False)
class _Dense(Brief):
    """A flow on the points of a grid, in pixels of the grid's frame."""

    flow: Planes
    rows: Axis
    columns: Axis

    def at(self, shape: tuple[int, int]) -> tuple[Planes, Planes]:
        """Return the flow of a level of that size, in its pixels."""
        height, width = shape
        u, v = _core.resample(self.flow, *self.rows.to_pixels(height), *self.columns.to_pixels(width))
        return u * np.float32(width / self.columns.size), v * np.float32(height / self.rows.size)


def _dense_from(matches: Matches, levels: list[Level]) -> _Dense:
    shape = levels[0].shape
    spacing = max(SPACING, math.ceil(math.sqrt(shape[0] * shape[1] / _MOST_POINTS)))
    rows, columns = (Axis(size, spacing) for size in shape)
    on_grid = _placed(matches, rows, columns)
    if not on_grid[2].any():
        raise ValueError(f"there are {len(matches)} matches, none with confidence inside a frame of {shape}")
    return _dense(on_grid, rows, columns, levels)


def _dense(on_grid: Planes, rows: Axis, columns: Axis, levels: list[Level]) -> _Dense:
    """Return the flow that matches on a grid suggest: u, v, weight, x and y of each."""
    like = next(level for level in reversed(levels) if level.shape[1] >= columns.size / columns.spacing)
    guide = _core.resample(like.guide, *rows.from_pixels(like.shape[0]), *columns.from_pixels(like.shape[1]))
    fitted = fit_affine(on_grid, guide, rounds=3, turns=3)
    flow, rest = fitted[:2], np.ascontiguousarray(fitted[2:])
    everywhere, trusted = np.ones_like(on_grid[:1]), on_grid[2:3] + np.float32(_WITHOUT_MATCH)
    flow = flow + _core.weighted_median(rest, rest, everywhere, guide, trusted, **_MEDIAN)
    return _Dense(flow, rows, columns)


def _matches(seeds: Seeds, shape: tuple[int, int]) -> Matches:
    """Return the matches of the first frame, in pixels of its full size."""
    known = seeds.confidence[0] > 0
    rows, columns = np.nonzero(known)
    scale = np.array([shape[1] / seeds.shape[1], shape[0] / seeds.shape[0]], np.float32)
    y, x = (axis.positions for axis in seeds.axes)
    points = np.stack([x[columns], y[rows]], axis=1).astype(np.float32)
    flow = seeds.found[0][:2, known].T * scale
    return Matches((points + np.float32(0.5)) * scale - np.float32(0.5), flow, seeds.confidence[0, known])


def _placed(matches: Matches, rows: Axis, columns: Axis) -> Planes:
    """Return u, v, weight, x and y (in points) of the surest match nearest to each point of the grid."""
    placed = np.zeros((5, rows.count, columns.count), np.float32)
    x = (matches.points[:, 0] - columns.first) / columns.spacing
    y = (matches.points[:, 1] - rows.first) / rows.spacing
    size = np.array([columns.size, rows.size])
    inside = np.all((matches.points >= -0.5) & (matches.points < size - 0.5), axis=1)
    inside &= known_displacements(matches.flow, (rows.size, columns.size), "flow of the matches")
    order = np.argsort(matches.confidence, kind="stable")
    order = order[inside[order]]
    column = np.clip(np.rint(x[order]), 0, columns.count - 1).astype(np.int64)
    row = np.clip(np.rint(y[order]), 0, rows.count - 1).astype(np.int64)
    cells = np.stack([*matches.flow[order].T, odds(matches.confidence[order]), x[order], y[order]])
    placed[:, row, column] = cells  # of several for one point the last, the surest, stays
    return placed


def _checked(array: Any, name: str) -> NDArray[np.float32]:
    values = as_single(array, name).copy()
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite")
    return values
