"""Total generalised variation: a flow that is affine in parts costs nothing within each part."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from variflow import _core
from variflow.base.choices import check_constant, check_whole
from variflow.base.types import Array
from variflow.energy.edges import ImageEdges, check_edges
from variflow.energy.penalties import L1, Penalty, check_penalty, huber_of
from variflow.energy.term import Increment, Term, check_weight

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

_ROOT_HALF = math.sqrt(0.5)
# Step of the slopes, before it is divided by the most that one slope contributes to all differences. Any number above 0
# leads to the minimum; this one is fast for slopes of the usual size.
_STEP = 0.01


@dataclass(frozen=True)
class TotalGeneralisedVariation(Term):
    """Neighbours move alike, up to a slope: total generalised variation of second order, of the whole flow.

    ``weight * min over w of the sum over pixels of penalty(|grad flow - w|) + second * |E w|``, with a field w of
    slopes, four planes, and its symmetrised gradient ``E w``. Where the flow jumps it is the total variation; elsewhere
    it is the total variation of the slope, so that affine flows cost nothing. Differences are to the next pixel, and
    lengths are those of u and v jointly.

    The value is that of the slopes which primal-dual steps find, or of the slopes of the flow itself if they cost less.
    It is the minimum, or a little more. The derivative is taken as if the slopes were fixed, which is exact at the
    minimum (Danskin, 1967).

    Parameters
    ----------
    penalty : Penalty
        `L1` or `Huber`, of differences in pixels (of displacement per pixel of distance).
    weight : float
        Factor of the term; larger is smoother.
    second : float
        What a change of slope costs, relative to a jump, in pixels; typically 1 to 10. A larger value bends the flow
        less.
    edges : ImageEdges, optional
        Weights of the squared ``grad flow - w``, which let the flow jump at image edges.
    iterations : int
        Number of steps that find the slopes; typically 50 to 1000. More steps come closer to the minimum. The solver
        `variflow.solve.primal_dual.PrimalDual` ignores it, because it finds slopes and flow together.

    References
    ----------
    K. Bredies, K. Kunisch and T. Pock, Total generalized variation, SIAM Journal on Imaging Sciences 3, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from variflow.energy import L1, Smoothness, TotalGeneralisedVariation
    >>> ramp = np.tile(np.arange(4.0), (3, 1))
    >>> at = SimpleNamespace(flow=(ramp, 2 * ramp))
    >>> still = np.zeros((3, 4)), np.zeros((3, 4))
    >>> float(TotalGeneralisedVariation()(still, at)), float(Smoothness(L1(), per="pixel")(still, at)) > 20
    (0.0, True)
    """

    penalty: Penalty = field(default_factory=L1)
    weight: float = 1.0
    second: float = 4.0
    edges: ImageEdges | None = None
    iterations: int = 200

    def __post_init__(self) -> None:
        check_penalty(self)
        huber = huber_of(self.penalty)
        if huber is None or huber[0] != 1:
            raise TypeError(
                f"penalty of TotalGeneralisedVariation is {self.penalty!r}, wanted L1 or Huber, or one of your own "
                "whose as_huber() returns (1.0, threshold)"
            )
        check_weight(self)
        check_edges(self)
        check_constant("second of TotalGeneralisedVariation", self.second, above=0)
        if isinstance(self.iterations, Real):
            check_whole("iterations of TotalGeneralisedVariation", self.iterations, 1)

    def __call__(self, d: Increment, at: Linearisation) -> Array:
        """Return the penalised differences, summed over pixels, for the slopes that make them smallest."""
        gradient, edges = _compute_gradient(d, at), self._weigh_edges(at)
        if isinstance(gradient, np.ndarray):
            found = self._find_slopes_in_core(at.flow[0] + d[0], at.flow[1] + d[1], edges)
        else:
            found = self._find_slopes(gradient, edges)
        xp = gradient.__array_namespace__()
        return xp.minimum(self._evaluate(gradient, edges, found), self._evaluate(gradient, edges, _continue(gradient)))

    def _evaluate(self, gradient: Array, edges: Array, slopes: Array) -> Array:
        first = ((edges * (gradient - slopes)) ** 2).sum(axis=0)
        second = (_symmetrise(slopes) ** 2).sum(axis=0)
        return self.weight * (self.penalty.of_squared(first).sum() + self.second * L1().of_squared(second).sum())

    def _weigh_edges(self, at: Linearisation) -> Array:
        """Return factors of the differences of u along x and y, and of v; 0 where there is no next pixel."""
        height, width = at.flow[0].shape
        xp = at.flow[0].__array_namespace__()
        along_x, along_y = (
            xp.ones((height, width - 1), dtype=xp.float32),
            xp.ones((height - 1, width), dtype=xp.float32),
        )
        if self.edges is not None:
            along_x, along_y = map(xp.sqrt, self.edges(at))
        factors = xp.stack([xp.pad(along_x, ((0, 0), (0, 1))), xp.pad(along_y, ((0, 1), (0, 0)))])
        return xp.concat([factors, factors])

    def _find_slopes(self, gradient: Array, edges: Array) -> Array:
        """Return the slopes that primal-dual steps find (Chambolle and Pock, 2011), starting from zero."""
        import jax

        xp = gradient.__array_namespace__()
        threshold = _find_threshold(self.penalty)
        # Divided by the sums of the moduli of the columns and rows of the operator from w to (edges w, E w).
        step, step_p, step_q = _STEP / (3 + 2 * _ROOT_HALF), 1 / _STEP, 1 / (4 * _ROOT_HALF * _STEP)

        def iteration(_: Array, variables: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            w, extrapolated, p, q = variables
            p = _shorten((p + step_p * edges * (gradient - extrapolated)) / (1 + step_p * threshold), 1.0)
            q = _shorten(q + step_q * _symmetrise(extrapolated), self.second)
            moved = w + step * (edges * p - _apply_adjoint_of_symmetrise(q))
            return moved, 2 * moved - w, p, q

        gradient, edges = jax.lax.stop_gradient((gradient, edges))
        zero = xp.zeros_like(gradient)
        start = zero, zero, zero, xp.concat([zero, zero[:2]])
        return jax.lax.fori_loop(0, xp.asarray(self.iterations, dtype=int), iteration, start)[0]

    def _find_slopes_in_core(self, u: Array, v: Array, edges: Array) -> Array:
        """Return the same slopes, found by the same steps in the native core."""
        squared_x, squared_y = (edges[:2] ** 2).astype(np.float32)
        threshold = _find_threshold(self.penalty)
        variation = _core.Variation(1.0, float(threshold), float(self.second), (squared_x, squared_y))
        return _core.slopes(u.astype(np.float32), v.astype(np.float32), variation, int(self.iterations))


def _find_threshold(penalty: Penalty) -> float:
    huber = huber_of(penalty)
    return 0.0 if huber is None else huber[1]


def _compute_gradient(d: Increment, at: Linearisation) -> Array:
    """Return the differences of the flow: of u along x and y, and of v, ``(4, H, W)``."""
    xp = d[0].__array_namespace__()
    # Differences are added, for speed, as in `Smoothness`.
    return xp.stack(
        [
            _differentiate(u, axis) + _differentiate(du, axis)
            for u, du in zip(at.flow, d[:2], strict=True)
            for axis in (1, 0)
        ]
    )


def _differentiate(plane: Array, axis: int) -> Array:
    """Return the differences to the next pixel along an axis, 0 where there is none."""
    xp = plane.__array_namespace__()
    return xp.pad(xp.diff(plane, axis=axis), [(0, int(axis == k)) for k in (0, 1)])


def _apply_adjoint_of_differentiate(plane: Array, axis: int) -> Array:
    """Return the transpose of `_differentiate`."""
    xp = plane.__array_namespace__()
    inside, zero = (plane[:-1], 0 * plane[:1]) if axis == 0 else (plane[:, :-1], 0 * plane[:, :1])
    return xp.concat([zero, inside], axis=axis) - xp.concat([inside, zero], axis=axis)


def _symmetrise(w: Array) -> Array:
    """Return E w: the derivatives along x, along y, and mixed times sqrt(2), of the slopes of u and of v."""
    xp = w.__array_namespace__()
    parts = []
    for along_x, along_y in ((w[0], w[1]), (w[2], w[3])):
        mixed = _ROOT_HALF * (_differentiate(along_x, 0) + _differentiate(along_y, 1))
        parts += [_differentiate(along_x, 1), _differentiate(along_y, 0), mixed]
    return xp.stack(parts)


def _apply_adjoint_of_symmetrise(q: Array) -> Array:
    """Return the transpose of `_symmetrise`."""
    xp = q.__array_namespace__()
    parts = []
    for xx, yy, xy in (q[:3], q[3:]):
        parts.append(_apply_adjoint_of_differentiate(xx, 1) + _ROOT_HALF * _apply_adjoint_of_differentiate(xy, 0))
        parts.append(_apply_adjoint_of_differentiate(yy, 0) + _ROOT_HALF * _apply_adjoint_of_differentiate(xy, 1))
    return xp.stack(parts)


def _shorten(planes: Array, length: Array) -> Array:
    """Return vectors, one component a plane, with those that are longer than a length cut to that length."""
    xp = planes.__array_namespace__()
    squared = (planes**2).sum(axis=0)
    longer = squared > length * length
    return planes * xp.where(longer, length / xp.sqrt(xp.where(longer, squared, 1.0)), 1.0)


def _continue(gradient: Array) -> Array:
    """Return differences that repeat the one before where there is no next pixel."""
    xp = gradient.__array_namespace__()
    _, height, width = gradient.shape
    planes = []
    for k, plane in enumerate(gradient):
        if k % 2 == 0 and width > 1:
            plane = xp.concat([plane[:, :-1], plane[:, -2:-1]], axis=1)
        elif k % 2 == 1 and height > 1:
            plane = xp.concat([plane[:-1], plane[-2:-1]])
        planes.append(plane)
    return xp.stack(planes)
