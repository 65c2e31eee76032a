"""The native solver of robust energies: reweight, assemble the linear system, relax it.

One fixed point of iteratively reweighted least squares a warp: the weights of all penalties are those at the flow so
far. What the core sees is the linear system alone, whoever wrote the residuals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from variflow import _core
from variflow.base.choices import check_number, check_whole, keep
from variflow.energy.data import DataTerm
from variflow.energy.residuals import NotTakenApart
from variflow.energy.term import Energy
from variflow.frames.pyramid import Level
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.native_penalties import native_penalty
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


# Where less of the pixels is known, nearly all data lie beside missing pixels. What was filled in there is not right,
# and the nearer to the solution, the farther it moves the flow.
_KNOWN = 0.6
# Sweeps of each cycle on the finest grid.
_SWEEPS_OF_CYCLE = 2
# Where neighbours along x differ by less than `_EVEN`, in frames with range [0, 1], is flat ground. One in so many rows
# tells how much there is.
_EVEN, _ROWS = 1e-3, 4


class _Parts:
    """An energy taken apart: its terms with their factors, and what the core is given for them at a level."""

    def __init__(self, energy: Energy) -> None:
        self.energy = energy
        self.data, [(smoothness, factor)] = data_and_smoothness(energy)
        self.smoothness = smoothness, factor
        self.others = [part for part in self.data if not core_linearises(part[0])]
        self.stay = edges_stay(smoothness)  # for all warps of a level
        self.constancies: list[_core.Constancy] = []
        self.native_smoothness: _core.Smoothness | None = None
        self._level: Level | None = None

    def bring(self, at: LevelLinearisation) -> _core.Smoothness:
        """Make what the core is given at this level, unless that is known, and return the smoothness."""
        if self.native_smoothness is None or self._level is not at.pyramid_level:
            if at.noise or not self.constancies:
                self.constancies = constancies(self.data, at)
            if self.native_smoothness is None or self.smoothness[0].edges is not None:
                self.native_smoothness = native_smoothness(*self.smoothness, at)
            self._level = at.pyramid_level
        return self.native_smoothness


@dataclass(frozen=True)
class Relaxation(NativeSolver):
    """Successive over-relaxation of the system of one robust step, in the native core.

    For sums of data terms and one smoothness of the whole flow, with any penalties: what a penalty of your own weighs
    is found from its `of_squared`.

    Parameters
    ----------
    sweeps : int
        Sweeps of the relaxation at each warp; typically 5 to 50. More come closer to the minimum and take longer.
    omega : float
        Over-relaxation, above 0 and below 2; typically 1.8 to 1.95.
    cycles : int
        Multigrid cycles at the last warp of all, in place of its `sweeps`; typically 0 to 3. Sweeps carry the motion of
        outlines a few pixels into flat ground, cycles all over it. With 0 that warp is as all others, and so it is
        where four tenths of the pixels are missing.
    flat : float
        The share of the first frame that must be flat for the cycles, from 0, always, to 1.

    References
    ----------
    T. Brox, A. Bruhn, N. Papenberg and J. Weickert, High accuracy optical flow estimation based on a theory for
    warping, ECCV 2004; D. M. Young, Iterative solution of large linear systems, 1971; D. Braess, Towards algebraic
    multigrid for elliptic problems of second order, Computing 55, 1995.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.solve.relaxation import Relaxation
    >>> model = Model(BrightnessConstancy(Charbonnier(0.01)) + 0.02 * Smoothness(Charbonnier(0.01)), Relaxation(20))
    """

    sweeps: int = 20
    omega: float = 1.9
    cycles: int = 0
    flat: float = 0.0

    def __post_init__(self) -> None:
        keep(
            self,
            sweeps=check_whole("sweeps of Relaxation", self.sweeps, 1),
            omega=check_number("omega of Relaxation", self.omega, above=0, below=2),
            cycles=check_whole("cycles of Relaxation", self.cycles, 0),
            flat=check_number("flat of Relaxation", self.flat, least=0, most=1),
        )

    def takes(self, energy: Energy) -> bool:
        """Return whether the core knows all terms of an energy."""
        try:
            data = _check_terms(energy)
        except (TypeError, NotTakenApart):
            return False
        return all(core_linearises(term) for term, _ in data)

    def check(self, energy: Energy, at: LevelLinearisation) -> None:
        """Raise TypeError or ValueError if the energy is not one that this solver can take apart."""
        check_data(_check_terms(energy), at)

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Take one robust step from the flow so far."""
        parts = state if state and state.energy is energy else _Parts(energy)
        flow = self._solve(parts, at)
        return Minimum(
            at.flow,
            flow,
            lambda: native_energies(parts.data, parts.smoothness, at, flow),
            state=parts if parts.stay else None,
        )

    def carry(self, state: Any) -> Any:
        """Return the energy taken apart: most of it is the same at all levels."""
        return state

    def at_the_end(self) -> Relaxation:
        """Return the solver of the last warp of all."""
        return _to_cycles(self) if self.cycles else self

    def _solve(self, parts: _Parts, at: LevelLinearisation) -> tuple[Planes, Planes]:
        return _step(parts, at, self.sweeps, self.omega)


class _InCycles(Relaxation):
    """Multigrid cycles for the same system, each with two sweeps on the finest grid."""

    def _solve(self, parts: _Parts, at: LevelLinearisation) -> tuple[Planes, Planes]:
        known = at.complete or at.valid.mean() >= _KNOWN
        if not (known and (self.flat == 0 or _measure_flat_ground(at) >= self.flat)):
            return super()._solve(parts, at)
        return _step(parts, at, _SWEEPS_OF_CYCLE, 1.0, self.cycles)


@lru_cache(maxsize=16)
def _to_cycles(solver: Relaxation) -> _InCycles:
    return _InCycles(solver.sweeps, solver.omega, solver.cycles, solver.flat)


def _check_terms(energy: Energy) -> list[tuple[DataTerm, float]]:
    """Return the data terms of an energy, with their factors, if there is one smoothness beside them."""
    data, smooth = data_and_smoothness(energy)
    if len(smooth) != 1:
        raise TypeError(f"energy holds {len(smooth)} terms of smoothness, wanted one for Relaxation")
    for penalty in (*(term.penalty for term, _ in data), smooth[0][0].penalty):
        native_penalty(penalty)
    return data


def _step(parts: _Parts, at: LevelLinearisation, sweeps: int, omega: float, cycles: int = 0) -> tuple[Planes, Planes]:
    terms = [term.native() for term in linearised(parts.others, at)]
    smoothness = parts.bring(at)
    return at.robust_step(parts.constancies, terms, smoothness, sweeps, omega, cycles)


def _measure_flat_ground(at: LevelLinearisation) -> float:
    """Return the share of the first frame that is flat; 0 if it is one column."""
    _, height, width = at.frame0.shape
    looked_at = math.ceil(height / _ROWS) * (width - 1)
    share: float = _core.count_flat(at.frame0, _ROWS, _EVEN) / max(looked_at, 1)
    return share
