"""Match again along epipolar lines, where the frames show one rigid scene.

A match that need only be sought along a line is found where textures are weak, repeated, or look different after a long
way. And where nothing matches, as outside the second frame, depth continues more reliably than motion does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from variflow import _core
from variflow.base.brief import Brief
from variflow.frames.pyramid import Level
from variflow.images.resampling import Planes, smooth
from variflow.matching.dense import DenseFlow, make_dense_flow
from variflow.matching.epipolar import EpipolarLines, Reals, find_lines
from variflow.matching.search import GridMatches, compute_odds, place_on_grid

# A match is on its line, or in the plane, if it is no farther from it than this many pixels. The frames show a rigid
# scene if at least this share of all matches is on the lines, and of these more than this share off the plane: where
# all is in one plane, nothing tells the lines. Nor do lines mean anything if motions differ so little that many come
# near to any line: they must spread over this many pixels, but for the outermost 5 % at either end.
_ON_LINE, _ENOUGH, _OFF_PLANE, _LEAST_SPREAD = 2.0, 0.3, 0.1, 16.0
# The depths that are compared: those of all matches but the outermost `_OUTERMOST` percent at either end, and half of
# their range beyond. They are a pixel apart, or farther if that would be too many. Where nothing matches, flows go as
# far beyond those of the matches.
_OUTERMOST, _BEYOND, _MOST_DEPTHS = 0.5, 0.5, 120
# How ambiguous a match along a line is, from 0 to 1.
_AMBIGUITY = 0.5
# A place belongs to the scene if so much of the confidence around it, weighed by a Gaussian of this many points, is
# that of matches on lines.
_AROUND, _MOSTLY = 2.5, 0.7


def make_dense_flow_of_grid(grid: GridMatches, levels: list[Level]) -> DenseFlow:
    """Return the flow that the matches of a grid suggest; where they show a rigid scene, that of the scene.

    References
    ----------
    K. Yamaguchi, D. McAllester and R. Urtasun, Robust monocular epipolar flow estimation, CVPR 2013.
    J. Wulff, L. Sevilla-Lara and M. Black, Optical flow in mostly rigid scenes, CVPR 2017.
    """
    dense = _limit(make_dense_flow(place_on_grid(grid.found[0], grid.confidence), *grid.axes, levels), grid)
    scene = _find_scene(grid)
    if scene is None:
        return dense
    depth, confidence = _search_depth(scene, grid, levels)
    # The searched depth is better than that of a match, which has moved by whole pixels.
    searched = confidence > 0
    depth = np.where(searched, depth, np.where(scene.on_line, scene.depth, 0))
    on_line = np.where(searched, confidence, scene.on_line)
    flow = scene.lines.place(scene.points, _fill(depth, on_line, scene, grid, levels)) - scene.points
    near, other = smooth(np.stack([on_line, scene.off_line]), _AROUND)
    belongs = (near >= _MOSTLY * (near + other)) & (np.abs(flow).max(axis=-1) <= max(grid.shape))
    return DenseFlow(np.where(belongs, np.moveaxis(flow, -1, 0), dense.flow).astype(np.float32), *grid.axes, belongs)


def _limit(dense: DenseFlow, grid: GridMatches) -> DenseFlow:
    """Return a flow that goes beyond those of sure matches by a part of their range at most, except where these are."""
    sure = grid.confidence[0] > 0.5
    if not sure.any():
        return dense
    ends = np.percentile(grid.found[0][:2, sure], (_OUTERMOST, 100 - _OUTERMOST), axis=1).astype(np.float32)
    lowest, highest = ends[:, :, None, None]
    beyond = np.float32(_BEYOND) * (highest - lowest)
    limited = np.clip(dense.flow, lowest - beyond, highest + beyond)
    return replace(dense, flow=np.where(sure, dense.flow, limited))


@dataclass(frozen=True, eq=False, repr=False)
class _Scene(Brief):
    """A rigid scene that two frames show, as the points of a grid see it.

    Attributes
    ----------
    lines : EpipolarLines
        The lines of its points.
    points : (rows, columns, 2) float64
        The points of the grid, x and y in pixels.
    depth : (rows, columns) float64
        The depth of each match; NaN without one.
    on_line, off_line : (rows, columns) float32
        The confidence of the matches that are on their lines, and of those that are not, else 0.
    depths : (D,) float64
        The depths to compare, evenly spaced.
    stretch : float
        By how many pixels a point typically moves for each unit of depth.
    """

    lines: EpipolarLines
    points: Reals
    depth: Reals
    on_line: Planes
    off_line: Planes
    depths: Reals
    stretch: float


def _find_scene(grid: GridMatches) -> _Scene | None:
    """Return the rigid scene that matches show; None if they show none, a plane, or motions that differ little."""
    rows, columns = grid.axes
    points = np.stack(np.meshgrid(columns.positions, rows.positions), axis=-1).astype(np.float64)
    targets = points + np.moveaxis(grid.found[0][:2], 0, -1)
    confidence = grid.confidence[0]
    sure = confidence > 0.5
    if not sure.any() or np.ptp(np.percentile(grid.found[0][:2, sure], (5, 95), axis=1), axis=0).max() < _LEAST_SPREAD:
        return None
    lines = find_lines(points.reshape(-1, 2), targets.reshape(-1, 2), sure.ravel(), grid.shape)
    if lines is None:
        return None
    depth = lines.find_depth(points, targets)
    missed = lines.place(points, depth) - targets
    on_line = sure & (np.hypot(missed[..., 0], missed[..., 1]) < _ON_LINE)
    if on_line.sum() < _ENOUGH * sure.sum():
        return None
    lowest, highest = np.percentile(depth[on_line], (_OUTERMOST, 100 - _OUTERMOST))
    if not highest > lowest:
        return None
    stretch = lines.measure_stretch(points, depth, 1e-3 * float(highest - lowest))[on_line]
    stretch = np.where(np.isfinite(stretch), stretch, 0)
    typical = float(np.median(stretch))
    off_plane = stretch * np.abs(depth[on_line]) > _ON_LINE
    if not (typical > 0 and off_plane.mean() > _OFF_PLANE):
        return None
    beyond = _BEYOND * (highest - lowest)
    count = min((1 + 2 * _BEYOND) * (highest - lowest) * np.percentile(stretch, 95), _MOST_DEPTHS)
    return _Scene(
        lines,
        points,
        depth,
        np.where(on_line, confidence, np.float32(0)),
        np.where(sure & ~on_line, confidence, np.float32(0)),
        np.linspace(lowest - beyond, highest + beyond, max(int(count), 2)),
        typical,
    )


def _search_depth(scene: _Scene, grid: GridMatches, levels: list[Level]) -> tuple[Reals, Planes]:
    """Return the depth at which both frames look alike, and its confidence, both ``(rows, columns)``."""
    level = next(level for level in levels if level.shape == grid.shape)
    frames = level.frame0, level.frame1
    both = scene.lines, scene.lines.reverse()
    ambiguity = np.full(scene.depth.shape, _AMBIGUITY)
    found = _core.search_lines(
        np.stack([frame.planes.mean(axis=0, dtype=np.float32) for frame in frames]),
        np.stack([frame.valid for frame in frames]).astype(np.float32),
        np.stack([lines.as_matrix() for lines in both]),
        float(scene.depths[0]),
        float(scene.depths[1] - scene.depths[0]),
        len(scene.depths),
        grid.spacing,
    ).astype(np.float64)
    forward, backward = (
        np.stack([*np.moveaxis(lines.place(scene.points, depth) - scene.points, -1, 0), ambiguity])
        for lines, depth in zip(both, found, strict=True)
    )
    with np.errstate(over="ignore"):  # beyond the horizon
        both_ways = forward.astype(np.float32), backward.astype(np.float32)
    return found[0], _core.match_confidence(*both_ways, grid.spacing)[0]


def _fill(depth: Reals, confidence: Planes, scene: _Scene, grid: GridMatches, levels: list[Level]) -> Reals:
    """Return the depth of each point of the grid, from that of the points with confidence."""
    y, x = np.indices(depth.shape, np.float32)
    in_pixels = (depth * scene.stretch).astype(np.float32)
    placed = np.stack([in_pixels, np.zeros_like(x), compute_odds(confidence), x, y])
    filled = make_dense_flow(placed, *grid.axes, levels).flow[0] / scene.stretch
    limited: Reals = np.where(confidence > 0, filled, np.clip(filled, scene.depths[0], scene.depths[-1]))
    return limited
