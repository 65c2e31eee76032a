"""The native solver of robust energies: reweight, assemble the linear system, relax it.

One fixed point of iteratively reweighted least squares a warp: the weights of all penalties are those at the flow so
far. What the core sees is the linear system alone, whoever wrote the residuals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from variflow.base.choices import check_number, check_whole, keep
from variflow.energy.term import Energy
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.taking_apart import (
    check_data,
    constancies,
    core_linearises,
    data_and_smoothness,
    edges_stay,
    linearised,
    native_energies,
    native_smoothness,
)

__all__ = ["Relaxation"]


def __dir__() -> list[str]:
    return sorted(__all__)


@dataclass(frozen=True)
class Relaxation(NativeSolver):
    """Successive over-relaxation of the system of one robust step, in the native core.

    For sums of data terms and one smoothness of the whole flow.

    Parameters
    ----------
    sweeps : int
        Sweeps of the relaxation at each warp; typically 5 to 50. More come closer to the minimum and take longer.
    omega : float
        Over-relaxation, above 0 and below 2; typically 1.8 to 1.95.

    References
    ----------
    T. Brox, A. Bruhn, N. Papenberg and J. Weickert, High accuracy optical flow estimation based on a theory for
    warping, ECCV 2004; D. M. Young, Iterative solution of large linear systems, 1971.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.solve.relaxation import Relaxation
    >>> model = Model(BrightnessConstancy(Charbonnier(0.01)) + 0.02 * Smoothness(Charbonnier(0.01)), Relaxation(20))
    """

    sweeps: int = 20
    omega: float = 1.9

    def __post_init__(self) -> None:
        keep(
            self,
            sweeps=check_whole("sweeps of Relaxation", self.sweeps, 1),
            omega=check_number("omega of Relaxation", self.omega, above=0, below=2),
        )

    def check(self, energy: Energy, at: LevelLinearisation) -> None:
        """Raise TypeError or ValueError if the energy is not one that this solver can take apart."""
        data, smooth = data_and_smoothness(energy)
        if len(smooth) != 1:
            raise TypeError(f"energy holds {len(smooth)} terms of smoothness, wanted one for Relaxation")
        check_data(data, at)

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Take one robust step from the flow so far."""
        data, direct, others, smooth, stays = state = state or self._taken_apart(energy, at)
        terms = [term.native for term in linearised(others, at)]
        flow = at.robust_step(direct, terms, smooth, self.sweeps, self.omega)
        return Minimum(at.flow, flow, lambda: native_energies(data, smooth, at, flow), state=state if stays else None)

    def _taken_apart(self, energy: Energy, at: LevelLinearisation) -> tuple[Any, Any, Any, Any, bool]:
        """Return the data terms, those that the core linearises, the others, and the smoothness, and if it stays."""
        data, [(smoothness, factor)] = data_and_smoothness(energy)
        others = [part for part in data if not core_linearises(part[0])]
        smooth = native_smoothness(smoothness, factor, at)
        return data, constancies(data, at), others, smooth, edges_stay(smoothness)
