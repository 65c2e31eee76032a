"""The minimum that a solver finds at one warp, and the base class of native solvers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.caching import cached_property
from variflow.base.fields import Declared
from variflow.energy.term import Energy
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.unknowns.unknowns import Values

if TYPE_CHECKING:
    from variflow.energy.autodiff.programs import Call

# An increment moves hardly any pixel if at most the share `_FEW` of them moves by more than `_STILL` pixels.
_FEW, _STILL = 0.05, 0.1


@dataclass(frozen=True, eq=False, repr=False)
class Minimum(Brief):
    """What a solver found at one warp.

    Attributes
    ----------
    start, flow : pair of (H, W) float32
        The flow so far, and the flow found.
    energies : callable
        ``energies()`` returns the energy at both. If the solver does not need them, they are computed only on this
        call.
    steps : (number of steps taken,) float32
        The energy at each step, if the solver computes it.
    exhausted : bool
        Whether the solver has a tolerance and used all its steps without meeting it.
    rose : str
        Why the energy rose, so that the increment was dropped; empty if it was not.
    finished : bool
        Whether the solver came to rest, as far as it can tell.
    failure : str
        Why `flow` is unusable; empty if it is not.
    state : optional
        What the solver takes over into the next warp of the same level.
    retrace : callable, optional
        ``retrace(count)`` returns the increment after so many steps, computed anew, if the solver takes steps.
    values : dict, optional
        What the flow found is made of, if other unknowns than the flow are sought.
    """

    start: tuple[Planes, Planes]
    flow: tuple[Planes, Planes]
    energies: Callable[[], tuple[float, float]] = field(repr=False)
    steps: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    exhausted: bool = False
    rose: str = ""
    finished: bool = True
    failure: str = ""
    state: object = field(default=None, repr=False)
    retrace: Callable[[int], tuple[Planes, Planes]] | None = field(default=None, repr=False)
    values: Values | None = None

    @cached_property
    def increment(self) -> tuple[Planes, Planes]:
        """What was added to the flow so far."""
        return self.flow[0] - self.start[0], self.flow[1] - self.start[1]

    @property
    def settled(self) -> bool:
        """Whether the solver came to rest and its increment moves hardly any pixel."""
        if self.failure or self.rose or not self.finished:
            return False
        return self.count_moved(_STILL) <= _FEW * self.flow[0].size

    def count_moved(self, pixels: float) -> int:
        """Return how many pixels the increment moves by more than so many pixels."""
        u0, v0, u, v = map(np.ascontiguousarray, (*self.start, *self.flow))
        return int(_core.count_moved(u0, v0, u, v, pixels))

    def copy(self) -> Minimum:
        """Return a copy with arrays of its own, into which a user may write."""
        start, flow = ((u.copy(), v.copy()) for u, v in (self.start, self.flow))
        return replace(self, start=start, flow=flow, steps=self.steps.copy(), state=None)

    def __getstate__(self) -> dict[str, object]:
        # The functions here hold the linearisation, and functions that cannot be pickled.
        return {**self.__dict__, "energies": partial(tuple, self.energies()), "state": None, "retrace": None}


class NativeSolver(Declared, ABC):
    """Base of the native solvers, which take an energy apart into terms that the core knows.

    One that `compiles` lists the calls of programs that a level takes; for others nothing is prepared.
    """

    compiles: ClassVar[bool] = False

    def takes(self, energy: Energy) -> bool:
        """Return whether this solver can minimise an energy whatever the frames are; False if it has to see them."""
        return False

    @abstractmethod
    def check(self, energy: Energy, at: LevelLinearisation) -> None:
        """Raise TypeError or ValueError if this solver cannot take the energy apart.

        It raises NotTakenApart, a ValueError, if the general minimiser may minimise the energy instead.
        """

    @abstractmethod
    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Return the minimum around the flow so far; `state` is that of the previous warp, if any serves this level."""

    def list_calls(self, energy: Energy, at: LevelLinearisation) -> list[Call]:
        """Return the calls of programs, compiled by JAX, that a level takes."""
        return []

    def carry(self, state: Any) -> Any:
        """Return what of the state of a level's last warp serves the next level, for its first warp."""
        return None

    def on_the_way(self) -> NativeSolver:
        """Return the solver of all warps but the very last, which need not come as close."""
        return self

    def at_the_end(self) -> NativeSolver:
        """Return the solver of the last warp of all, whose flow nothing comes after to mend."""
        return self


def may_stop(solver: object) -> bool:
    """Return whether a solver may stop before it has taken all steps."""
    return bool(getattr(solver, "rtol", 0.0) or getattr(solver, "atol", 0.0))
