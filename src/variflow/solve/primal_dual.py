"""Minimise energies of norms by primal-dual iterations: TV-L1, Huber-L1, TGV-L1 and their kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from variflow import _core
from variflow.base.choices import check_whole, keep
from variflow.energy.data import DataTerm
from variflow.energy.generalised_variation import TotalGeneralisedVariation
from variflow.energy.penalties import L1, Huber, Penalty
from variflow.energy.residuals import NotTakenApart
from variflow.energy.smoothness import Smoothness
from variflow.energy.term import Energy
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.native_penalties import known_penalty
from variflow.solve.taking_apart import (
    check_data,
    data_and_smoothness,
    image_edges,
    linearised,
    native_energies,
)

__all__ = ["PrimalDual"]


def __dir__() -> list[str]:
    return sorted(__all__)


@dataclass(frozen=True)
class PrimalDual(NativeSolver):
    """Primal-dual iterations for norms and Huber penalties: TV-L1, Huber-L1, TGV-L1 and their kin.

    For sums of data terms and one smoothness of the whole flow, a `Smoothness` per pixel or a
    `TotalGeneralisedVariation`, whose penalties are `L1` or `Huber`. They are minimised as they are, not reweighted,
    and without smoothing their corners.

    Parameters
    ----------
    iterations : int
        Iterations at each warp; typically 10 to 100. More come closer to the minimum and take longer.

    References
    ----------
    A. Chambolle, T. Pock, A first-order primal-dual algorithm for convex problems with applications to imaging, JMIV
    40, 2011; C. Zach, T. Pock, H. Bischof, A duality based approach for realtime TV-L1 optical flow, DAGM 2007;
    M. Werlberger et al., Anisotropic Huber-L1 optical flow, BMVC 2009; K. Bredies, K. Kunisch, T. Pock, Total
    generalized variation, SIAM J. Imaging Sciences 3, 2010.

    Examples
    --------
    >>> from variflow.energy import L1, BrightnessConstancy, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.solve.primal_dual import PrimalDual
    >>> model = Model(10 * BrightnessConstancy(L1()) + Smoothness(L1(), per="pixel"), solver=PrimalDual(30))
    """

    iterations: int = 30

    def __post_init__(self) -> None:
        keep(self, iterations=check_whole("iterations of PrimalDual", self.iterations, 1))

    def check(self, energy: Energy, at: LevelLinearisation) -> None:
        """Raise TypeError or ValueError if the energy is not one that this solver can take apart."""
        data, smooth = data_and_smoothness(energy, TotalGeneralisedVariation)
        if len(smooth) != 1 or (isinstance(smooth[0][0], Smoothness) and smooth[0][0].per != "pixel"):
            raise TypeError(
                "energy does not hold one Smoothness per pixel or TotalGeneralisedVariation, which PrimalDual wants"
            )
        for penalty in (*(term.penalty for term, _ in data), smooth[0][0].penalty):
            _threshold(penalty)
        check_data(data, at)

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Take the iterations from the flow so far and the dual variables of the previous warp."""
        terms, [(smoothness, factor)] = data_and_smoothness(energy, TotalGeneralisedVariation)
        data = linearised(terms, at)
        edges_x, edges_y = image_edges(smoothness, at)
        variation = _core.Variation(
            factor * smoothness.weight,
            _threshold(smoothness.penalty),
            second=float(smoothness.second) if isinstance(smoothness, TotalGeneralisedVariation) else 0.0,
            edges=None if edges_x is None or edges_y is None else (edges_x, edges_y),
        )
        residuals = [_residuals(term, part.residuals, part.weight) for (term, _), part in zip(terms, data, strict=True)]
        (u, v), state = _core.primal_dual(*at.flow, residuals, at.weights, variation, self.iterations, state)

        def energies() -> tuple[float, float]:
            if isinstance(smoothness, Smoothness):
                return native_energies(terms, (smoothness, factor), at, (u, v))
            before, after = native_energies(terms, None, at, (u, v))
            zero, increment = (np.zeros_like(u), np.zeros_like(v)), (u - at.flow[0], v - at.flow[1])
            return before + factor * float(smoothness(zero, at)), after + factor * float(smoothness(increment, at))

        return Minimum(at.flow, (u, v), energies, state=state)


def _residuals(term: DataTerm, planes: tuple[Planes, Planes, Planes], weight: float) -> _core.Residuals:
    """Return a term as the solver wants it: with the norm in place of the root mean square.

    ``rho(|r| / sqrt(K))`` with the threshold t is ``rho(|r|) / sqrt(K)`` with the threshold ``t sqrt(K)``.
    """
    jx, jy, r = planes
    root = float(np.sqrt(len(r)))
    return _core.Residuals(r, jx, jy, weight / root, _threshold(term.penalty) * root, float(term.normalisation or 0))


def _threshold(penalty: Penalty) -> float:
    kind = known_penalty(penalty)
    if kind is None:
        raise NotTakenApart(f"PrimalDual does not know the penalty {penalty!r}")
    if kind is Huber:
        return float(penalty.threshold)  # type: ignore[attr-defined]
    if kind is L1:
        return 0.0
    raise TypeError(f"energy holds the penalty {penalty!r}, wanted L1 or Huber for PrimalDual")
