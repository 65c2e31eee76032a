"""The epipolar geometry of two frames: along which line the second frame shows each point of a rigid scene.

A camera that moves through a rigid scene, or a rigid thing before a camera, shows a point on a line that depends on
where the first frame shows it. Where on the line depends on its depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.base.types import Numbers

Reals = NDArray[np.float64]

# Candidates pass through eight points each, drawn at random, `_BATCH` at a time: until with this probability one of
# them has none but right points, judged by the points near the lines of the best, or up to `_BATCHES` times. So many
# points judge them, by their distances from the lines, which count up to `_FAR` pixels.
_BATCH, _BATCHES, _CERTAIN, _JUDGES, _FAR = 100, 10, 0.99, 250, 1.0
# Each point is the first sure one of so many that are drawn, whatever is sure: if one no longer is, the others stay.
_HANDFUL = 16
# The best `_FINALISTS` are then fitted to `_FITTED` points, in so many rounds.
_FINALISTS, _FITTED, _ROUNDS = 3, 4000, 12
# The plane that most points lie near is fitted in so many rounds; points farther off than this many pixels count less.
_PLANE_ROUNDS, _OFF_PLANE = 20, 2.0
# Fewer matches tell nothing. Nor does a plane that the second frame shows edge-on, whose determinant is below `_LEAST`.
_FEWEST, _LEAST = 50, 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class EpipolarLines(Brief):
    """Where the second frame may show each point of the first.

    Attributes
    ----------
    homography : (3, 3) float64
        Where the second frame shows the points of the plane that most of the scene lies near.
    epipole : (3,) float64
        The point of the second frame through which all lines pass. The point x is seen at ``homography x + depth
        epipole``, in homogeneous coordinates. Depth is 0 in the plane. It is a linear function of position in any other
        plane of the scene.
    """

    homography: Reals
    epipole: Reals

    def place(self, points: Reals, depth: Reals) -> Reals:
        """Return where points ``(..., 2)`` of some depth are seen, ``(..., 2)``; NaN or infinite beyond the horizon."""
        x, y, divisor = (seen + depth * e for seen, e in zip(self._project(points), self.epipole, strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([x / divisor, y / divisor], axis=-1)

    def find_depth(self, points: Reals, targets: Reals) -> Reals:
        """Return the depth at which points are seen nearest to their targets, both ``(..., 2)``."""
        flat, along = _cross(targets, *self._project(points)), _cross(targets, *self.epipole)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth: Reals = -(flat * along).sum(axis=0) / (along * along).sum(axis=0)
        return depth

    def _project(self, points: Reals) -> tuple[Reals, Reals, Reals]:
        """Return the homogeneous coordinates of where points of depth 0 are seen."""
        x, y = np.moveaxis(points, -1, 0)
        a, b, c = (row[0] * x + row[1] * y + row[2] for row in self.homography)
        return a, b, c

    def measure_stretch(self, points: Reals, depth: Reals, step: float) -> Reals:
        """Return by how many pixels points move along their lines for each unit of depth; `step` is a small depth."""
        with np.errstate(invalid="ignore"):
            apart = self.place(points, depth + step) - self.place(points, depth - step)
        stretch: Reals = np.hypot(apart[..., 0], apart[..., 1]) / (2 * step)
        return stretch

    def reverse(self) -> EpipolarLines:
        """Return the lines of the first frame for points of the second; depths are about the same."""
        back = np.asarray(np.linalg.inv(self.homography), np.float64)
        return EpipolarLines(back, -back @ self.epipole)

    def as_matrix(self) -> NDArray[np.float32]:
        """Return homography and epipole side by side, ``(3, 4)``."""
        return np.column_stack([self.homography, self.epipole]).astype(np.float32)


def find_lines(points: Reals, targets: Reals, sure: NDArray[np.bool_], shape: tuple[int, int]) -> EpipolarLines | None:
    """Return the lines on which most sure matches lie; None if there are too few.

    Parameters
    ----------
    points, targets : (N, 2) float64
        Where each match is in the first frame, and in the second; may be NaN where it is not sure.
    sure : (N,) bool
        Which matches are sure.
    shape : (int, int)
        Height and width of both frames.

    References
    ----------
    R. Hartley, In defense of the eight-point algorithm, PAMI 19, 1997.
    M. Irani and P. Anandan, Parallax geometry of pairs of points for 3D scene analysis, ECCV 1996 (plane and parallax).
    """
    if sure.sum() < _FEWEST:
        return None
    unit = 2 / max(shape)
    centre = (np.array(shape[::-1]) - 1) / 2
    first, second = (_to_homogeneous((of - centre) * unit) for of in (points, targets))
    # An equation of zeros says nothing.
    equations = np.where(sure[:, None], (second[:, :, None] * first[:, None, :]).reshape(-1, 9), 0)
    matrix = _find_fundamental(equations, sure, _FAR * unit)
    near = sure & (_measure_distance(matrix[None], equations)[0] < _FAR * unit)
    if near.sum() < _FEWEST:
        return None
    epipole = np.linalg.svd(matrix)[0][:, 2]
    # Its sign is that of depth, and could be either.
    x, y, z = epipole = epipole * np.sign(epipole[np.abs(epipole).argmax()])
    plane = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ matrix
    lines = EpipolarLines(plane / np.linalg.norm(plane), epipole)
    fitted = _draw(near, _FITTED)
    homography = _fit_plane(lines, first[fitted, :2], second[fitted, :2], _OFF_PLANE * unit)
    scale = homography[2, 2]  # that of the middle of the frame
    if not (abs(scale) > _LEAST and abs(np.linalg.det(homography / scale)) > _LEAST):
        return None
    normalise = np.array([[unit, 0, -unit * centre[0]], [0, unit, -unit * centre[1]], [0, 0, 1]])
    restore = np.linalg.inv(normalise)
    return EpipolarLines(restore @ homography @ normalise / scale, restore @ epipole / scale)


def _find_fundamental(equations: Reals, sure: NDArray[np.bool_], far: float) -> Reals:
    """Return the fundamental matrix F of the least robust error, where x' F x = 0.

    Parameters
    ----------
    equations : (N, 9) float64
        The products of the homogeneous coordinates of each x' and x; those with the last of x' are x itself.
    sure : (N,) bool
        Which may be drawn.
    far : float
        The distance from its line at which a point counts its most.
    """
    random = np.random.default_rng(0)
    judges = equations[_draw(sure, _JUDGES)]
    finalists = np.empty((0, 3, 3))
    for batch in range(_BATCHES):
        handfuls = random.integers(len(equations), size=(_BATCH, 8, _HANDFUL))
        first_sure = sure[handfuls].argmax(axis=2, keepdims=True)
        drawn = equations[np.take_along_axis(handfuls, first_sure, axis=2)[..., 0]]
        candidates = np.concatenate([finalists, _solve(np.swapaxes(drawn, 1, 2) @ drawn)])
        distance = _measure_distance(candidates, judges)
        best = np.argsort(np.minimum(distance**2, far**2).mean(axis=1), kind="stable")[:_FINALISTS]
        finalists = candidates[best]
        all_right = (distance[best[0]] < far).mean() ** 8
        if (1 - all_right) ** ((batch + 1) * _BATCH) < 1 - _CERTAIN:
            break
    fitted = equations[_draw(sure, _FITTED)]
    for _ in range(_ROUNDS):
        distance = _measure_distance(finalists, fitted)
        weight = 1 / ((far**2 + distance**2) * _measure_lengths(finalists, fitted)) ** 2
        finalists = _solve(np.swapaxes(weight[:, :, None] * fitted, 1, 2) @ fitted)
    errors = np.minimum(_measure_distance(finalists, fitted) ** 2, far**2).mean(axis=1)
    least: Reals = finalists[errors.argmin()]
    return least


def _solve(moments: Reals) -> Reals:
    """Return the matrices (..., 3, 3) of rank 2 that come near to solving the equations with these moments."""
    matrices = np.linalg.eigh(moments)[1][..., 0].reshape(*moments.shape[:-2], 3, 3)
    left, values, right = np.linalg.svd(matrices)
    values[..., 2] = 0
    return np.asarray((left * values[..., None, :]) @ right)


def _measure_lengths(matrices: Reals, equations: Reals) -> Reals:
    """Return by what the residuals of N equations are divided to be distances from the lines, ``(M, N)``."""
    normals = matrices[:, :2] @ equations[:, 6:].T
    lengths: Reals = np.maximum(np.hypot(normals[:, 0], normals[:, 1]), 1e-12)
    return lengths


def _measure_distance(matrices: Reals, equations: Reals) -> Reals:
    """Return the distances of the targets from the lines of each matrix, ``(M, N)``."""
    distances: Reals = np.abs(matrices.reshape(-1, 9) @ equations.T) / _measure_lengths(matrices, equations)
    return distances


def _fit_plane(lines: EpipolarLines, first: Reals, second: Reals, far: float) -> Reals:
    """Return the homography of the plane that most points lie near."""
    depth = lines.find_depth(first, second)
    stretch = lines.measure_stretch(first, depth, 1e-3 * float(np.abs(depth).mean()) or 1e-3)
    usable = np.isfinite(stretch)
    columns, depth, stretch = _to_homogeneous(first[usable]), depth[usable], stretch[usable]
    weight = stretch
    plane = np.zeros(3)
    for _ in range(_PLANE_ROUNDS):
        plane = np.asarray(np.linalg.lstsq(columns * weight[:, None], depth * weight, rcond=None)[0], np.float64)
        off = stretch * (columns @ plane - depth) / far
        weight = stretch / np.sqrt(1 + off**2)
    homography: Reals = lines.homography + np.outer(lines.epipole, plane)
    return homography


def _draw(among: NDArray[np.bool_], most: int) -> NDArray[np.intp]:
    """Return up to so many of those that may be drawn, in an order that does not depend on which may be."""
    order = np.random.default_rng(0).permutation(len(among))
    return order[among[order]][:most]


def _cross(points: Reals, a: Numbers, b: Numbers, c: Numbers) -> Reals:
    """Return the cross products of points ``(..., 2)``, whose third coordinate is 1, and of others, ``(3, ...)``."""
    x, y = np.moveaxis(points, -1, 0)
    return np.stack([y * c - b, a - x * c, x * b - y * a])


def _to_homogeneous(points: Reals) -> Reals:
    return np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)
