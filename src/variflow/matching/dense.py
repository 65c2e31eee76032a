"""Make a dense flow from matches: fit an affine motion to the matches around each point.

Distances are longer across image edges, so that matches beyond an edge count less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.types import ArrayLike
from variflow.frames.checking import prepare
from variflow.frames.pyramid import Level, pyramid
from variflow.images.resampling import Planes
from variflow.matching.matches import Matches, find_known_displacements
from variflow.matching.search import COARSEST, Axis, compute_odds, fit_affine

# Points to match, and points of a dense flow, are this many columns and rows apart. A dense flow has at most
# `_MOST_POINTS` of them; larger frames have wider spacing.
SPACING = 3

_MOST_POINTS = 120_000

# The weighted median of the differences between matches and fit: its window and step, and the standard deviations of
# the weights by distance (in points) and by colour. A point without a match has no difference, with the weight of this
# many matches of even odds.
_MEDIAN: dict[str, Any] = {"window": 15, "step": 2, "spatial": 5.0, "color": 5.0, "lightness": 5.0}

_WITHOUT_MATCH = 1.0


def densify(matches: Matches, frame0: ArrayLike) -> NDArray[np.float32]:
    """Return the flow ``(H, W, 2)`` that matches suggest, smooth except at edges of the first frame.

    At each point an affine motion is fitted to the matches around it. A match counts less the farther it is, the more
    the colours between differ, and the less it agrees with the others. Where there are matches, the flow follows them
    more closely than the fit.

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
    u, v = make_dense_flow_from_matches(matches, levels).resample(levels[0].shape)
    return np.stack((u, v), axis=-1)


@dataclass(frozen=True, eq=False, repr=False)
class DenseFlow(Brief):
    """A flow on the points of a grid, in pixels of the grid's frame.

    Attributes
    ----------
    flow : (2, rows, columns) float32
    rows, columns : Axis
        Where the points lie.
    scene : (rows, columns) bool, optional
        Where the flow is that of a rigid scene.
    """

    flow: Planes
    rows: Axis
    columns: Axis
    scene: NDArray[np.bool_] | None = None

    def resample(self, shape: tuple[int, int]) -> tuple[Planes, Planes]:
        """Return the flow at a size, in pixels of that size."""
        height, width = shape
        u, v = _core.resample(self.flow, *self.rows.to_pixels(height), *self.columns.to_pixels(width))
        return u * np.float32(width / self.columns.size), v * np.float32(height / self.rows.size)

    def find_scene(self) -> NDArray[np.bool_]:
        """Return at which pixels of the grid's frame the flow is that of a rigid scene, as at all points around."""
        assert self.scene is not None
        other = (~self.scene)[None].astype(np.float32)
        size = self.rows.size, self.columns.size
        found: NDArray[np.bool_] = (
            _core.resample(other, *self.rows.to_pixels(size[0]), *self.columns.to_pixels(size[1]))[0] <= 0
        )
        return found


def make_dense_flow_from_matches(matches: Matches, levels: list[Level]) -> DenseFlow:
    """Return the flow that matches suggest, given the pyramid of the frames."""
    shape = levels[0].shape
    spacing = max(SPACING, math.ceil(math.sqrt(shape[0] * shape[1] / _MOST_POINTS)))
    rows, columns = (Axis(size, spacing) for size in shape)
    on_grid = _place_on_grid(matches, rows, columns)
    if not on_grid[2].any():
        raise ValueError(f"there are {len(matches)} matches, none with confidence inside a frame of {shape}")
    return make_dense_flow(on_grid, rows, columns, levels)


def make_dense_flow(on_grid: Planes, rows: Axis, columns: Axis, levels: list[Level]) -> DenseFlow:
    """Return the flow that matches on a grid suggest; `on_grid` holds u, v, weight, x and y of each."""
    like = next(level for level in reversed(levels) if level.shape[1] >= columns.size / columns.spacing)
    guide = _core.resample(like.guide, *rows.from_pixels(like.shape[0]), *columns.from_pixels(like.shape[1]))
    fitted = fit_affine(on_grid, guide, rounds=3, turns=3)
    flow, rest = fitted[:2], np.ascontiguousarray(fitted[2:])
    everywhere, trusted = np.ones_like(on_grid[:1]), on_grid[2:3] + np.float32(_WITHOUT_MATCH)
    flow = flow + _core.weighted_median(rest, rest, everywhere, guide, trusted, **_MEDIAN)
    return DenseFlow(flow, rows, columns)


def _place_on_grid(matches: Matches, rows: Axis, columns: Axis) -> Planes:
    """Return u, v, weight, x and y (in points) of the surest match nearest to each point of the grid."""
    placed = np.zeros((5, rows.count, columns.count), np.float32)
    x = (matches.points[:, 0] - columns.first) / columns.spacing
    y = (matches.points[:, 1] - rows.first) / rows.spacing
    size = np.array([columns.size, rows.size])
    inside = np.all((matches.points >= -0.5) & (matches.points < size - 0.5), axis=1)
    inside &= find_known_displacements(matches.flow, (rows.size, columns.size), "flow of the matches")
    order = np.argsort(matches.confidence, kind="stable")
    order = order[inside[order]]
    column = np.clip(np.rint(x[order]), 0, columns.count - 1).astype(np.int64)
    row = np.clip(np.rint(y[order]), 0, rows.count - 1).astype(np.int64)
    cells = np.stack([*matches.flow[order].T, compute_odds(matches.confidence[order]), x[order], y[order]])
    placed[:, row, column] = cells  # if several fall on one point, the last stays, which is the surest
    return placed
