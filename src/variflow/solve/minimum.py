"""What a solver finds at one warp, and what a native solver is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow.energy.terms import Energy
from variflow.linearisation import Linearisation
from variflow.resampling import Planes


@dataclass(frozen=True)
class Minimum:
    """What a solver found at one warp.

    Attributes
    ----------
    increment : pair of (H, W) float32
    before, after : float
        The energy of the zero increment and of `increment`.
    steps : (number of steps taken,) float32
        The energy that the solver saw at each step, where it looks.
    exhausted : bool
        Whether the solver has a tolerance and used all its steps without meeting it.
    failure : str
        Why the increment is unusable; empty if it is not.
    state : optional
        What the solver can go on from at the next warp of the same level.
    """

    increment: tuple[Planes, Planes]
    before: float
    after: float
    steps: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    exhausted: bool = False
    failure: str = ""
    state: Any = None


class NativeSolver(ABC):
    """Base of the solvers in the native core, which take an energy apart in place of differentiating it."""

    @abstractmethod
    def check(self, energy: Energy, at: Linearisation) -> None:
        """Raise TypeError or ValueError if the energy is not one that this solver can take apart."""

    @abstractmethod
    def minimise(self, energy: Energy, at: Linearisation, state: Any = None) -> Minimum:
        """Return the increment from the flow so far; `state` is that of the previous warp of this level, if any."""
