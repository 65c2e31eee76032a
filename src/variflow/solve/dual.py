"""The native solver of energies of norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from variflow import _core
from variflow.energy.penalties import L1, Huber, Penalty
from variflow.energy.terms import DataTerm, Energy
from variflow.linearisation import Linearisation
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.parts import check_data, data_and_smoothness, image_edges, linearised, numbered
from variflow.solve.primal_dual import Residuals, Variation, minimise


@dataclass(frozen=True)
class PrimalDual(NativeSolver):
    """Primal-dual iterations for norms and Huber penalties: TV-L1, Huber-L1 and their kin.

    For sums of data terms and one smoothness of the whole flow per pixel, whose penalties are `L1` or `Huber`. They are
    minimised as they are, not reweighted, and without smoothing their corners.

    Parameters
    ----------
    iterations : int
        Iterations at each warp; typically 10 to 100. More come closer to the minimum and take longer.

    References
    ----------
    A. Chambolle and T. Pock, A first-order primal-dual algorithm for convex problems with applications to imaging,
    JMIV 40, 2011.

    Examples
    --------
    >>> from variflow.energy import L1, BrightnessConstancy, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.solve.dual import PrimalDual
    >>> model = Model(10 * BrightnessConstancy(L1()) + Smoothness(L1(), per="pixel"), solver=PrimalDual(30))
    """

    iterations: int = 30

    def __post_init__(self) -> None:
        if not isinstance(self.iterations, int) or self.iterations < 1:
            raise ValueError(f"iterations is {self.iterations!r}, wanted a whole number of at least 1")

    def check(self, energy: Energy, at: Linearisation) -> None:
        """Raise TypeError or ValueError if the energy is not one that this solver can take apart."""
        data, smooth = data_and_smoothness(energy)
        if len(smooth) != 1 or smooth[0][0].per != "pixel":
            raise TypeError("energy does not hold one Smoothness per pixel, which PrimalDual wants")
        for penalty in (*(term.penalty for term, _ in data), smooth[0][0].penalty):
            _threshold(penalty)
        check_data(data, at)

    def minimise(self, energy: Energy, at: Linearisation, state: Any = None) -> Minimum:
        """Take the iterations from the flow so far and the dual variables of the previous warp."""
        terms, [(smoothness, factor)] = data_and_smoothness(energy)
        data = linearised(terms, at)
        edges = image_edges(smoothness, at)
        weight = factor * smoothness.weight
        variation = Variation(
            weight, _threshold(smoothness.penalty), edges=None if edges[0] is None else (edges[0], edges[1])
        )
        residuals = [_residuals(term, part.residuals, part.weight) for (term, _), part in zip(terms, data, strict=True)]
        (u, v), state = minimise(residuals, at.weights, variation, at.flow, self.iterations, state)
        increment = u - at.flow[0], v - at.flow[1]
        zero = np.zeros_like(u), np.zeros_like(v)
        smooth = (*edges, True, *numbered(smoothness.penalty), weight)
        before = _core.smoothness_energy(*at.flow, *smooth) + sum(part.energy(at.weights, zero) for part in data)
        after = _core.smoothness_energy(u, v, *smooth) + sum(part.energy(at.weights, increment) for part in data)
        return Minimum(increment=increment, before=before, after=after, state=state)


def _residuals(term: DataTerm, planes: tuple[Any, Any, Any], weight: float) -> Residuals:
    """Return a term as the solver wants it: normalised, and with the norm in place of the root mean square.

    ``rho(|r| / sqrt(K))`` with the threshold t is ``rho(|r|) / sqrt(K)`` with the threshold ``t sqrt(K)``.
    """
    jx, jy, r = planes
    if term.normalisation is not None:
        scale = 1 / np.sqrt(jx * jx + jy * jy + np.float32(term.normalisation**2))
        jx, jy, r = jx * scale, jy * scale, r * scale
    root = float(np.sqrt(len(r)))
    return Residuals(r, jx, jy, factor=weight / root, threshold=_threshold(term.penalty) * root)


def _threshold(penalty: Penalty) -> float:
    if isinstance(penalty, Huber):
        return float(penalty.threshold)
    if isinstance(penalty, L1):
        return 0.0
    raise TypeError(f"energy holds the penalty {penalty!r}, wanted L1 or Huber for PrimalDual")
