"""Minimise energies of norms by primal-dual iterations: TV-L1, Huber-L1, TGV-L1 and their kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from variflow import _core
from variflow.base.choices import check_whole, keep
from variflow.energy.generalised_variation import TotalGeneralisedVariation
from variflow.energy.penalties import Penalty, Quadratic, huber_of
from variflow.energy.smoothness import Smoothness
from variflow.energy.term import Energy
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.native_penalties import QUADRATIC, native_penalty
from variflow.solve.taking_apart import Data, check_data, data_and_smoothness, image_edges, linearised, native_energies

__all__ = ["PrimalDual"]


def __dir__() -> list[str]:
    return sorted(__all__)


@dataclass(frozen=True)
class PrimalDual(NativeSolver):
    """Primal-dual iterations for norms and Huber penalties: TV-L1, Huber-L1, TGV-L1 and their kin.

    For sums of data terms and one smoothness of the whole flow, a `Smoothness` per pixel or a
    `TotalGeneralisedVariation`. The penalties `L1`, `Huber` and `Quadratic` are minimised as they are, without
    smoothing their corners. Any other is reweighted: at each warp, least squares with the weights of the flow so far
    stand in for it.

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
            if huber_of(penalty) is None:
                native_penalty(penalty)
        check_data(data, at)

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Take the iterations from the flow so far and the dual variables of the previous warp."""
        terms, [(smoothness, factor)] = data_and_smoothness(energy, TotalGeneralisedVariation)
        residuals = [
            _residuals(part, at, float(term.normalisation or 0))
            for (term, _), part in zip(terms, linearised(terms, at), strict=True)
        ]
        variation = _variation(smoothness, factor, at)
        (u, v), state = _core.primal_dual(*at.flow, residuals, at.weights, variation, self.iterations, state)

        def energies() -> tuple[float, float]:
            if isinstance(smoothness, Smoothness):
                return native_energies(terms, (smoothness, factor), at, (u, v))
            before, after = native_energies(terms, None, at, (u, v))
            zero, increment = (np.zeros_like(u), np.zeros_like(v)), (u - at.flow[0], v - at.flow[1])
            return before + factor * float(smoothness(zero, at)), after + factor * float(smoothness(increment, at))

        # Dual variables are in units of the smoothness, which differ from warp to warp where it is reweighted.
        stays = huber_of(smoothness.penalty) is not None
        return Minimum(at.flow, (u, v), energies, state=state if stays else None)


def _residuals(term: Data, at: LevelLinearisation, normalisation: float) -> _core.Residuals:
    """Return a term as the solver wants it: with the norm in place of the root mean square.

    ``rho(|r| / sqrt(K))`` with the threshold t is ``rho(|r|) / sqrt(K)`` with the threshold ``t sqrt(K)``.
    """
    jx, jy, r = term.residuals
    root = float(np.sqrt(len(r)))
    huber, weights = huber_of(term.penalty), None
    if huber is None:
        still = np.zeros_like(at.weights)
        squares = _core.data_squares(_core.DataTerm(jx, jy, r, QUADRATIC, normalisation, 1.0), still, still)[0]
        weights = _core.half_weights(native_penalty(term.penalty), squares)[0] * at.weights
        huber = Quadratic().as_huber()
    factor, threshold = huber
    return _core.Residuals(r, jx, jy, term.weight * factor / root, threshold * root, normalisation, weights)


def _variation(
    smoothness: Smoothness | TotalGeneralisedVariation, factor: float, at: LevelLinearisation
) -> _core.Variation:
    """Return a smoothness as the solver wants it, which takes factors of squared differences from 0 to 1."""
    edges: tuple[Any, Any] = image_edges(smoothness, at)
    second = float(smoothness.second) if isinstance(smoothness, TotalGeneralisedVariation) else 0.0
    huber, largest = huber_of(smoothness.penalty), 1.0
    if huber is None:
        squares = _core.squared_differences(*at.flow, _core.Smoothness(*edges, True, QUADRATIC, 1.0))[0]
        weights = _core.half_weights(native_penalty(smoothness.penalty), squares)[0]
        largest = float(weights.max()) or 1.0
        weights = weights / np.float32(largest)
        edges = (weights, weights) if edges[0] is None else (edges[0] * weights, edges[1] * weights)
        huber = Quadratic().as_huber()
    scale, threshold = huber[0] * largest, huber[1]
    # The dual variables are rho' in units of this scale, which for L1 and Huber is its bound.
    reach = 1.0 if scale == 1.0 else (_steepest(smoothness.penalty) or 1.0) / scale
    weight = factor * smoothness.weight * scale
    return _core.Variation(weight, threshold, second, None if edges[0] is None else edges, reach)


def _steepest(penalty: Penalty) -> float:
    """Return the largest derivative rho'(s) for differences s of up to a pixel."""
    sizes = np.geomspace(1e-3, 1, 64, dtype=np.float32)[None]
    return float((2 * _core.half_weights(native_penalty(penalty), sizes**2)[0] * sizes).max())
