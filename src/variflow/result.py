"""What an estimate yields: its state after each warp, and at the end its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.brief import Brief, one_line
from variflow.base.caching import cached_property
from variflow.base.errors import told_already
from variflow.images.resampling import Planes, resample_flow
from variflow.model import Model
from variflow.occlusion import Comparison, backwards, confidence, occluded
from variflow.solve.minimum import Minimum

Flow = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class EnergyRecord(Brief):
    """The energy at one warp.

    Attributes
    ----------
    level : int
        Level of the pyramid; 0 is the finest.
    warp : int
        Which warp of the level, from 0.
    before, after : float
        The energy before and after minimising, around the same linearisation (and before the median filter).
    steps : (number of steps,) float32
        The energy at each step of the solver.
    """

    level: int
    warp: int
    before: float
    after: float
    steps: NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class State:
    """Where an estimate stands after a warp.

    Its arrays are copies: what is written into them changes nothing in the estimate.

    Attributes
    ----------
    level : int
        Level of the pyramid; 0 is the finest.
    warp : int
        Which warp of the level, from 0.
    failure : str
        Why the estimate ends here, unfinished; empty if all is well.
    instead : str
        Why another solver than the model's is used, and which; empty if it is the model's.
    remarks : tuple of str
        What was wrong with the frames; warnings have said so.
    """

    level: int
    warp: int
    _planes: tuple[Planes, Planes]
    _minimum: Minimum
    failure: str = ""
    instead: str = ""
    remarks: tuple[str, ...] = ()

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
    def minimum(self) -> Minimum:
        """What the solver found."""
        return self._minimum.copied()

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
    def exhausted(self) -> bool:
        """Whether the solver has a tolerance and used all its steps without meeting it."""
        return self._minimum.exhausted

    @property
    def flow(self) -> Flow:
        """The flow so far, ``(H, W, 2)`` at this level's size and in its pixels."""
        return np.stack(self._planes, axis=-1)

    @property
    def settled(self) -> bool:
        """Whether the solver came to rest in this warp, which moved hardly any pixel (see `Result.converged`)."""
        return not self.failure and self._minimum.settled

    def resampled(self, shape: tuple[int, int]) -> tuple[Planes, Planes]:
        """Return the flow so far, ``(u, v)``, brought to another size; of its own size, to be looked at alone."""
        return resample_flow(self._planes, shape)

    def full_size(self, shape: tuple[int, int]) -> Flow:
        """Return the flow so far, brought to the size of the frames, ``(H, W, 2)``."""
        u, v = self.resampled(shape)
        return _core.interleave(u, v)

    def __repr__(self) -> str:
        height, width = self.shape
        failed = f", failed: {self.failure}" if self.failure else ""
        return one_line(f"<State of level {self.level}, warp {self.warp}: flow of {width} x {height}{failed}>")

    def __str__(self) -> str:
        height, width = self.shape
        steps = f" in {len(self.energy.steps)} steps" if self.energy.steps.size else ""
        return (
            f"level {self.level} ({width} x {height}) warp {self.warp}: energy {self.energy.before:.6g} -> "
            f"{self.energy.after:.6g}{steps}, largest increment {self.largest_increment:.3g} px"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """An estimated flow and how it came about.

    Attributes
    ----------
    flow : (H, W, 2) float32
        ``(u, v)`` in pixels from the first frame to the second, u to the right and v down; finite everywhere.
    reason : str
        Why the estimate ended, whether the solver met its tolerances, and if another than the model's was used, why.
    converged : bool
        Whether the last warp shows that more of them would hardly change the flow: it moved at most 5 % of the pixels
        by more than 0.1 pixel, before the filter; the solver came to rest; and the estimate was not stopped. A general
        solver has come to rest if the energy did not rise, does not fall further along the increment, and fell by less
        than a thousandth in the last half of its steps, or met its tolerance. A native solver takes a fixed number of
        sweeps, and only the increment tells. Models with few warps, made for speed, mostly end before: no fault.
    model : Model
        What computed it.
    """

    flow: Flow
    reason: str
    converged: bool
    model: Model
    _iterate: Callable[..., Iterator[State]]
    _inputs: dict[str, Any]
    _warps: int

    def __repr__(self) -> str:
        height, width = self.flow.shape[:2]
        speed = np.hypot(self.flow[..., 0], self.flow[..., 1])
        return one_line(
            f"<Result of {one_line(self.model.name, 30)}, {width} x {height}: median {np.median(speed):.3g} px, "
            f"largest {speed.max():.3g} px; {'converged' if self.converged else 'not converged'}; {self.reason}>"
        )

    def _repr_png_(self) -> bytes:
        """Return a picture of the flow, which a notebook shows."""
        from variflow.view.thumbnail import thumbnail

        return thumbnail(self.flow)

    @cached_property
    def energies(self) -> list[EnergyRecord]:
        """The energy at each warp, coarse to fine.

        A native solver does not need them: where nobody has looked at them on the way (with `verbose`), the estimate
        is made once more, with the same result, when they are first read.
        """
        with told_already():
            return [state.energy for state in islice(self._iterate(**self._inputs), self._warps)]

    @cached_property
    def backward(self) -> Flow:
        """The flow from the second frame to the first, ``(H, W, 2)``, finite everywhere.

        It is estimated when first read, from the inverse of the flow on, at somewhat under half the size, with a third
        of the warps. That takes about half the time of the flow itself.
        """
        with told_already():
            *_, state = self._iterate(**backwards(self._inputs, self.flow))
        return state.full_size(self.flow.shape[:2])

    @cached_property
    def occlusion(self) -> NDArray[np.bool_]:
        """Where a point of the first frame is not visible in the second, or lies outside it; ``(H, W)``.

        True where the backward flow does not lead back, the less the worse the frames match.
        """
        return occluded(self.flow, self.backward, self._comparison)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """How likely the flow is right within a pixel, ``(H, W)`` from 0 to 1.

        It falls with the distance by which points miss their start when they go forward and back, and is at most 1/2
        where the frames have nothing to compare.
        """
        return confidence(self.flow, self.backward, self._comparison)

    @cached_property
    def _comparison(self) -> Comparison:
        with told_already():
            return Comparison.of(self._inputs, self.flow)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the flow to a file, whose extension says in which format (see `variflow.write_flow`)."""
        from variflow.io import write_flow

        write_flow(path, self.flow)
