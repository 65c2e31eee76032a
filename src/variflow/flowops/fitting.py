"""The motion of the whole frame: fit one matrix to a flow, robustly."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import as_weights
from variflow.base.choices import check_choice
from variflow.base.types import ArrayLike
from variflow.flowops.fields import check_flow
from variflow.flowops.matrices import Reals, move

Motion = Literal["translation", "rigid", "affine", "homography"]
MOTIONS: tuple[str, ...] = get_args(Motion)

# What determines a motion.
_NEEDS = {
    "translation": "1 at least",
    "rigid": "2 at least",
    "affine": "3 at least that are not on one line",
    "homography": "4 at least of which no 3 are on one line",
}
# So many pixels at a time make a candidate for the start.
_MINIMAL = {"translation": 1, "rigid": 2, "affine": 3, "homography": 4}
# Of 400 homographies through 4 pixels, 52 are made of the right ones alone if 60 % of all pixels are right.
_CANDIDATES = 400
# So many pixels judge a candidate, and so many are fitted at last.
_JUDGES, _FITTED = 400, 8_000
# Tukey's constant: residuals beyond so many times the scale do not count. It loses 5 % of precision in normal noise.
_CUT = 4.685
# The median length of a normal error in the plane, as a multiple of its standard deviation along an axis.
_MEDIAN_LENGTH = np.sqrt(2 * np.log(2))
# No flow is more exact than this, in pixels; residuals of an exact flow are rounding errors, and all of them count.
_LEAST_SCALE = 0.01
# The fit stops when no pixel moves by more than this many pixels, or after this many iterations.
_CONVERGED, _ITERATIONS = 1e-4, 30
# Below this share of the largest, an eigenvalue of the normal equations counts as 0.
_SINGULAR = 1e-10


def fit(flow: ArrayLike, motion: Motion, weights: ArrayLike | None = None) -> Reals:
    """Find the motion of the whole frame, whatever moves otherwise in a part of it.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown; such pixels do not count.
    motion : {"translation", "rigid", "affine", "homography"}
        What the frame may do: move (2 unknowns); move and turn (3); also change its size and shear (6); all that a
        camera sees of a plane (8).
    weights : (H, W) array, optional
        How much each pixel counts, from 0 to a million; by default all count alike. Only their ratios matter.

    Returns
    -------
    (3, 3) float64
        Maps a position ``(x, y, 1)`` in pixels of the first frame to the second: the product, divided by its last
        entry. Its own last entry is 1. These are the matrices of OpenCV, and ``params`` of scikit-image's transforms.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit, and if the pixels that count do not determine such a motion: there are
        too few, or all lie on one line.

    See Also
    --------
    from_matrix : The flow of a matrix.

    Notes
    -----
    The start is the best of 400 motions, each through as few pixels as determine one: that whose median residual is
    smallest (Rousseeuw 1984). Iteratively reweighted least squares with Tukey's biweight goes on from there, with the
    scale of the median residual. So up to 40 % of the pixels may move otherwise, also all in one way; at half of them,
    which motion is that of the frame is a matter of opinion. If more than 8000 pixels count, that many of them are
    drawn, always the same, each as likely as its weight says.

    References
    ----------
    P. J. Rousseeuw, Least median of squares regression, Journal of the American Statistical Association 79, 1984.
    A. E. Beaton and J. W. Tukey, The fitting of power series, Technometrics 16, 1974.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> flow = np.full((20, 30, 2), (1.5, -2.0))
    >>> flow[5:15, 5:20] = 8.0  # an object that moves otherwise
    >>> flowops.fit(flow, "translation").round(3).tolist()
    [[1.0, 0.0, 1.5], [0.0, 1.0, -2.0], [0.0, 0.0, 1.0]]
    """
    check_choice("motion", motion, MOTIONS)
    field = check_flow(flow)
    counts = np.ones(field.shape[:2]) if weights is None else as_weights(weights, "weights", field.shape[:2])
    random = np.random.default_rng(0)
    places = np.flatnonzero(~np.isnan(field[..., 0]) & (counts > 0))
    weight = counts.ravel()[places].astype(np.float64)
    known = len(places)
    if known > _FITTED:
        places = places[_draw(random, weight, (_FITTED,))]
        weight = np.ones(_FITTED)
    y, x = np.divmod(places, field.shape[1])
    source = np.stack([x, y]).astype(np.float64)
    shift = field.reshape(-1, 2)[places].T.astype(np.float64)
    if known == 0:
        raise ValueError(_say_undetermined(motion, known))
    # Centred and of size 1, the unknowns are about equally large, and the equations well conditioned.
    centre, typical = source.mean(axis=1), np.median(shift, axis=1)
    first = source - centre[:, None]
    size = float(np.sqrt((first**2).sum(axis=0).mean())) or 1.0
    first, second = first / size, (first + shift - typical[:, None]) / size
    if not _is_determined(motion, first):
        raise ValueError(_say_undetermined(motion, known))
    # Among few pixels, any motion through half of them looks right: so many must agree (Rousseeuw 1984).
    share = min((known + _MINIMAL[motion] + 1) / (2 * known), 1.0)
    start = _find_start(motion, first, second, weight, share, random)
    matrix = _refine(motion, start, first, second, weight, share, size)
    normalise = np.array([[1 / size, 0, -centre[0] / size], [0, 1 / size, -centre[1] / size], [0, 0, 1]])
    restore = np.array([[size, 0, centre[0] + typical[0]], [0, size, centre[1] + typical[1]], [0, 0, 1]])
    whole = restore @ matrix @ normalise
    result: Reals = whole / whole[2, 2]
    return result


def _say_undetermined(motion: str, known: int) -> str:
    return (
        f"flow has {known} known pixel{'s' if known != 1 else ''} of weight above 0, wanted {_NEEDS[motion]}: "
        f"they do not determine the motion {motion!r}"
    )


def _draw(random: np.random.Generator, weight: Reals, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Draw pixels, each as likely as its weight says."""
    upto = np.cumsum(weight)
    places: NDArray[np.intp] = np.searchsorted(upto, random.random(shape) * upto[-1], side="right")
    return np.minimum(places, len(weight) - 1)


def _find_start(
    motion: str, source: Reals, target: Reals, weight: Reals, share: float, random: np.random.Generator
) -> Reals:
    """Return the candidate of the least median residual, or that of a larger share of the pixels."""
    drawn = _draw(random, weight, (_CANDIDATES, _MINIMAL[motion]))
    candidates = _pass_through(motion, *(np.moveaxis(points[:, drawn], 0, 1) for points in (source, target)))
    judges = _draw(random, weight, (_JUDGES,))
    residuals = _measure(candidates, source[:, judges], target[:, judges])
    best: Reals = candidates[np.quantile(residuals, share, axis=1, method="higher").argmin()]
    return best


def _measure(matrices: Reals, source: Reals, target: Reals) -> Reals:
    """Return by how much matrices miss the targets; infinite behind the horizon."""
    missed = move(matrices, source) - target
    length = np.hypot(missed[..., 0, :], missed[..., 1, :])
    length[np.isnan(length)] = np.inf
    return length


def _pass_through(motion: str, source: Reals, target: Reals) -> Reals:
    """Return the motions through groups of pixels ``(G, 2, N)``; for those that determine none, the identity."""
    ones = np.ones((len(source), source.shape[-1]))
    if motion in ("translation", "rigid"):
        return _solve_rigid(source, target, ones, turns=motion == "rigid")
    rows = np.swapaxes(_make_columns(motion, source, target, ones), 1, 2)
    determined = np.linalg.det(rows) != 0
    values = np.linalg.solve(rows[determined], target[determined].reshape(-1, rows.shape[2], 1))[..., 0]
    matrices = np.tile(np.eye(3), (len(source), 1, 1))
    matrices.reshape(-1, 9)[determined, : rows.shape[2]] = values
    return matrices


def _solve_rigid(source: Reals, target: Reals, weight: Reals, *, turns: bool) -> Reals:
    """Return the rigid motions of least squares, of groups or of one ``(..., 2, N)``."""
    share = (weight / weight.sum(axis=-1, keepdims=True))[..., None, :]
    here, there = (share * source).sum(axis=-1, keepdims=True), (share * target).sum(axis=-1, keepdims=True)
    matrices = np.broadcast_to(np.eye(3), (*source.shape[:-2], 3, 3)).copy()
    if turns:
        a, b = share * (source - here), target - there
        dot = (a * b).sum(axis=(-2, -1))
        cross = (a[..., 0, :] * b[..., 1, :] - a[..., 1, :] * b[..., 0, :]).sum(axis=-1)
        angle = np.arctan2(cross, dot)
        matrices[..., 0, 0] = matrices[..., 1, 1] = np.cos(angle)
        matrices[..., 1, 0] = np.sin(angle)
        matrices[..., 0, 1] = -matrices[..., 1, 0]
    matrices[..., :2, 2:] = there - matrices[..., :2, :2] @ here
    return matrices


def _make_columns(motion: str, source: Reals, target: Reals, depth: Reals) -> Reals:
    """Return the columns of two linear equations a pixel for the first 6 or 8 entries of a matrix.

    ``(..., 6 or 8, 2 N)``: first the equations for all x, then those for all y.
    """
    unknowns = 8 if motion == "homography" else 6
    columns = np.zeros((*source.shape[:-2], unknowns, 2, source.shape[-1]))
    columns[..., 0:2, 0, :] = columns[..., 3:5, 1, :] = source
    columns[..., 2, 0, :] = columns[..., 5, 1, :] = 1
    if unknowns == 8:
        columns[..., 6:, :, :] = -source[..., :, None, :] * target[..., None, :, :]
    columns /= depth[..., None, None, :]
    return columns.reshape(*source.shape[:-2], unknowns, -1)


def _is_determined(motion: str, source: Reals) -> bool:
    """Return whether the positions of the pixels determine a motion."""
    if motion == "translation":
        return True
    if motion == "rigid":
        return bool(np.ptp(source, axis=1).any())
    columns = _make_columns(motion, source, source, np.ones(source.shape[1]))
    values = np.linalg.eigvalsh(columns @ columns.T)
    return bool(values[0] > _SINGULAR * values[-1])


def _refine(
    motion: str, matrix: Reals, source: Reals, target: Reals, weight: Reals, share: float, size: float
) -> Reals:
    """Minimise the robust error by iteratively reweighted least squares; a pixel is 1 / size long."""
    residual = _measure(matrix, source, target)
    for _ in range(_ITERATIONS):
        scale = max(_find_quantile(residual, weight, share) / _MEDIAN_LENGTH, _LEAST_SCALE / size)
        robust = weight * (1 - np.minimum(residual / (_CUT * scale), 1) ** 2) ** 2
        closer = _solve(motion, matrix, source, target, robust)
        residual = _measure(closer, source, target)
        if not np.isfinite(_find_quantile(residual, weight, share)):  # the horizon crossed the frame
            break
        change = np.nanmax(np.abs(move(closer, source) - move(matrix, source)))
        matrix = closer
        if change * size < _CONVERGED:
            break
    return matrix


def _solve(motion: str, matrix: Reals, source: Reals, target: Reals, weight: Reals) -> Reals:
    """Return the motion of weighted least squares; for a homography, one step of Gauss and Newton towards it."""
    if motion in ("translation", "rigid"):
        return _solve_rigid(source, target, weight, turns=motion == "rigid")
    used = weight > 0
    source, target, weight = source[:, used], target[:, used], np.tile(weight[used], 2)
    moved, depth = move(matrix, source), matrix[2, :2] @ source + 1
    columns = _make_columns(motion, source, moved, depth)
    weighted = columns * weight
    inverse = np.linalg.pinv(weighted @ columns.T, rcond=_SINGULAR, hermitian=True)
    closer = matrix.copy()
    closer.reshape(-1)[: len(columns)] += inverse @ (weighted @ (target - moved).ravel())
    return closer


def _find_quantile(values: Reals, weight: Reals, share: float) -> float:
    """Return the value below which a share of the weight lies."""
    order = values.argsort()
    upto = np.cumsum(weight[order])
    return float(values[order[min(np.searchsorted(upto, upto[-1] * share), len(values) - 1)]])
