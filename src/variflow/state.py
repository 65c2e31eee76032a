"""Where an estimate stands after each warp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief, shorten
from variflow.base.caching import cached_property
from variflow.base.choices import check_whole
from variflow.frames.light import Light
from variflow.images.resampling import Planes, resample_flow
from variflow.linearisation.level import CopiedLinearisation
from variflow.linearisation.linearisation import Linearisation
from variflow.solve.minimum import Minimum
from variflow.unknowns.position import Position, name_unknowns
from variflow.unknowns.unknowns import Values

Flow = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class EnergyRecord(Brief):
    """The energy at one warp.

    Attributes
    ----------
    level : int
        Level of the pyramid; 0 is that of the frames.
    warp : int
        Which warp of the level, from 0.
    before, after : float
        The energy before and after minimising, around the same linearisation (and before the median filter).
    steps : (number of steps,) float32
        The energy at each step of the solver; empty for native solvers, which do not compute it.
    """

    level: int
    warp: int
    before: float
    after: float
    steps: NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class State:
    """Where an estimate stands after a warp.

    Its arrays are copies, so writing into them does not change the estimate.

    Attributes
    ----------
    level : int
        Level of the pyramid; 0 is that of the frames.
    warp : int
        Which warp of the level, from 0.
    failure : str
        Why the estimate ends here, unfinished; empty if all is well.
    instead : str
        Which solver is used in place of the model's, and why; empty if it is the model's.
    remarks : tuple of str
        What was wrong with the frames; warnings have said so.
    light : Light, optional
        How the light of the frames was found to differ so far.
    finest : int
        The level at which the estimate ends.
    """

    level: int
    warp: int
    _planes: tuple[Planes, Planes]
    _minimum: Minimum
    _at: Linearisation
    failure: str = ""
    instead: str = ""
    remarks: tuple[str, ...] = ()
    light: Light | None = None
    _values: Values | None = None
    finest: int = 0

    @property
    def knows_energy(self) -> bool:
        """Whether the solver computed the energy on its way, so that `energy` costs nothing."""
        return self._minimum.steps.size > 0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the level."""
        height, width = self._planes[0].shape
        return height, width

    @cached_property
    def planes(self) -> tuple[Planes, Planes]:
        """The flow ``(u, v)`` at this level, in its pixels; after the last warp of a level it has been filtered."""
        u, v = self._planes
        return u.copy(), v.copy()

    @cached_property
    def unknowns(self) -> Values:
        """What is sought at this level, arrays by name: the flow as ``u`` and ``v`` unless the model says otherwise."""
        return name_unknowns(self._planes, self._values)

    @property
    def position(self) -> Position:
        """Where the estimate stands: this is its own memory, to be read only."""
        return Position(self.level, self._planes, self._values)

    @cached_property
    def minimum(self) -> Minimum:
        """What the solver found."""
        return self._minimum.copy()

    @cached_property
    def at(self) -> Linearisation:
        """What this warp minimised around: ``at.frame1`` is the second frame warped by ``at.flow``, the flow before it.

        Its parts are computed when they are first read; they stay the same, also after later warps.
        """
        return CopiedLinearisation(self._at)

    @property
    def energy(self) -> EnergyRecord:
        """The energy before and after this warp, computed when it is first looked at."""
        return EnergyRecord(self.level, self.warp, *self._energies, self._minimum.steps.copy())

    @cached_property
    def _energies(self) -> tuple[float, float]:
        return self._minimum.energies()

    @property
    def largest_increment(self) -> float:
        """Length in pixels of the longest increment that the solver found in this warp."""
        du, dv = self._minimum.increment
        return float(np.sqrt(np.max(du * du + dv * dv)))

    @property
    def share_moved_far(self) -> float:
        """Which share of the pixels the increment of this warp moves by more than a pixel, from 0 to 1."""
        return self._minimum.count_moved(1.0) / self._planes[0].size

    @property
    def exhausted(self) -> bool:
        """Whether the solver has a tolerance and used all its steps without meeting it."""
        return self._minimum.exhausted

    @property
    def flow(self) -> Flow:
        """The flow so far, ``(H, W, 2)`` at this level's size and in its pixels."""
        return np.stack(self._planes, axis=-1)

    def flow_after(self, steps: int) -> Flow:
        """Return the flow after so many steps of the solver in this warp, ``(H, W, 2)``, before any filter.

        The solver runs so far once more.

        Parameters
        ----------
        steps : int
            From 0, the flow before this warp, to the number of steps taken, ``len(state.energy.steps)``.

        Raises
        ------
        ValueError
            If the solver takes no steps one by one, as native ones, or not so many.

        Examples
        --------
        >>> import optax
        >>> import variflow
        >>> from variflow.datasets import synthetic
        >>> from variflow.energy import BrightnessConstancy, Smoothness
        >>> pair = synthetic.translation((16, 16), shift=(1, 0))
        >>> descent = variflow.Model(BrightnessConstancy() + Smoothness(), solver=optax.sgd(0.1), steps=30, warps=1)
        >>> state = next(variflow.iterate(pair.frame0, pair.frame1, descent))
        >>> state.flow_after(10).shape
        (16, 16, 2)
        """
        retrace = self._minimum.retrace
        if retrace is None:
            raise ValueError(
                "this state knows no single steps, wanted one of a solver that takes them, such as an optimiser of "
                "optax, that was not pickled"
            )
        count = check_whole("steps", steps, 0, self._minimum.steps.size, "a number of steps that were taken,")
        start = self._minimum.start
        u, v = retrace(count) if count else (0.0, 0.0)
        return np.stack((start[0] + u, start[1] + v), axis=-1)

    @property
    def settled(self) -> bool:
        """Whether the solver came to rest in this warp, which moved hardly any pixel (see `Result.converged`)."""
        return not self.failure and self._minimum.settled

    def resample(self, shape: tuple[int, int]) -> tuple[Planes, Planes]:
        """Return the flow so far, ``(u, v)``, at a size.

        At its own size this is the estimate's own memory, to be read only.
        """
        return resample_flow(self._planes, shape)

    def at_full_size(self, shape: tuple[int, int]) -> Flow:
        """Return the flow so far, brought to the size of the frames, ``(H, W, 2)``."""
        u, v = self.resample(shape)
        return _core.interleave(u, v)

    def __repr__(self) -> str:
        height, width = self.shape
        failed = f", failed: {self.failure}" if self.failure else ""
        return shorten(f"<State of level {self.level}, warp {self.warp}: flow of {width} x {height}{failed}>")

    def __str__(self) -> str:
        height, width = self.shape
        count = self._minimum.steps.size
        steps = f" in {count} step{'s' if count > 1 else ''}" if count else ""
        return (
            f"level {self.level} ({width} x {height}) warp {self.warp}: energy {self.energy.before:.6g} -> "
            f"{self.energy.after:.6g}{steps}, largest increment {self.largest_increment:.3g} px"
        )
