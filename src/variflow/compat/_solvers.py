"""Solvers that stop and filter as those of other libraries do; they call the solvers of `variflow.solve`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from variflow import _core
from variflow.energy import L1, BrightnessConstancy, Energy, Huber, Smoothness
from variflow.filters import median
from variflow.images.resampling import Planes, average_boxes, smooth
from variflow.linearisation.level import LevelLinearisation, linearise
from variflow.models.published import GREY_LEVEL
from variflow.solve.lucas_kanade import LucasKanade
from variflow.solve.minimum import Minimum, NativeSolver
from variflow.solve.primal_dual import PrimalDual


def make_tv_l1_energy(data: float, tightness: float) -> Energy:
    """Return the TV-L1 energy whose flow is coupled to its data by a quadratic.

    Published solvers of TV-L1 let the data act on a copy of the flow, ``w``, and couple both by
    ``|flow - w|^2 / (2 tightness)``. The best ``w`` has a closed form, and what remains is Huber's penalty: for
    residuals in pixels it is quadratic, ``s^2 / (2 tightness)``, up to ``data * tightness``.
    """
    constancy = BrightnessConstancy(Huber(data * tightness), normalisation=GREY_LEVEL)
    return data * constancy + Smoothness(L1(), per="pixel")


@dataclass(frozen=True)
class Rounds(PrimalDual):
    """Primal-dual iterations in rounds, until a round hardly changes the flow.

    Parameters
    ----------
    iterations : int
        Iterations of one round.
    rounds : int
        The most rounds at each warp.
    still : float
        The root mean square change of the flow, in pixels, below which a round is the last; with 0 all rounds are
        taken.
    """

    rounds: int = 10
    still: float = 0.01

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Take the rounds, all around the same linearisation; the energies are those of the last one."""
        found = super().minimise(energy, at, state)
        for _ in range(self.rounds - 1):
            if _average_square(found.increment) < self.still**2:
                break
            found = super().minimise(energy, _move(at, found.flow), found.state)
        return replace(found, start=at.flow)


@dataclass(frozen=True)
class Warps(NativeSolver):
    """A solver that filters the flow at each warp, and stops at a level once a warp hardly changes the flow.

    Parameters
    ----------
    solver : NativeSolver
        What minimises the energy.
    still : float
        The root mean square change of the flow, in pixels, below which the level is done; with 0 all warps are taken.
    filtered : bool
        Whether a median of 3 x 3 pixels filters the flow at each warp.
    """

    solver: NativeSolver
    still: float = 0.0
    filtered: bool = False

    def check(self, energy: Energy, at: LevelLinearisation) -> None:
        """Raise TypeError or ValueError if the energy is not one that the solver can take apart."""
        self.solver.check(energy, at)

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Return the solver's flow, filtered; or the one so far, once it last changed little enough."""
        before = state if isinstance(state, Minimum) else None
        if before is not None and _average_square(before.increment) < self.still**2:
            return replace(before, start=at.flow, flow=at.flow, state=before)
        found = self.solver.minimise(energy, at, None if before is None else before.state)
        if self.filtered:
            found = replace(found, flow=median(found.flow, 3))
        return replace(found, state=found)


@dataclass(frozen=True)
class Windows(NativeSolver):
    """Lucas and Kanade in a uniform or a Gaussian window, where each window seeks its flow as a whole.

    Each window does not fit an increment of the flow at its centre, but one flow for all its pixels, linearised at each
    pixel around the flow so far there. This keeps warps with a uniform window from diverging (Le
    Besnerais and Champagnat, Dense optical flow by iterative local window registration, ICIP 2005).

    Parameters
    ----------
    radius : int
        The side of the window is ``2 radius + 1`` pixels.
    gaussian : bool
        A Gaussian of standard deviation ``(2 radius + 1) / 4``, in place of a uniform window.
    regularisation : float
        Curvature of the energy below which the data are not trusted, see `variflow.solve.lucas_kanade.LucasKanade`.
    """

    radius: int
    gaussian: bool
    regularisation: float = 0.01

    def check(self, energy: Energy, at: LevelLinearisation) -> None:
        """Raise TypeError or ValueError if the energy holds anything but data terms."""
        LucasKanade().check(energy, at)

    def minimise(self, energy: Energy, at: LevelLinearisation, state: Any = None) -> Minimum:
        """Fit each window."""
        return _WholeFlow(regularisation=self.regularisation, windows=self, flow=at.flow).minimise(energy, at)

    def average(self, planes: Planes) -> Planes:
        """Return the mean over the window around each pixel, the border replicated."""
        if self.gaussian:
            return smooth(planes, (2 * self.radius + 1) / 4)
        return average_boxes(planes, 2 * self.radius + 1)


@dataclass(frozen=True)
class _WholeFlow(LucasKanade):
    """What `Windows` does around one flow."""

    windows: Windows = field(kw_only=True)
    flow: tuple[Planes, Planes] = field(kw_only=True)

    def increment(self, tensor: Planes) -> tuple[Planes, Planes]:
        """Return what takes the flow to the one that fits the motion tensor best in each window."""
        a11, a12, a22, b1, b2 = tensor
        u, v = self.flow
        mean_u, mean_v = self.windows.average(np.stack(self.flow))
        # The tensor around zero flow, of which the mean makes sense; then around the mean flow of each window.
        around_zero = np.stack((a11, a12, a22, b1 - a11 * u - a12 * v, b2 - a12 * u - a22 * v))
        mean = self.windows.average(around_zero)
        mean[3] += mean[0] * mean_u + mean[1] * mean_v
        mean[4] += mean[1] * mean_u + mean[2] * mean_v
        du, dv = _core.lucas_kanade(mean, self.regularisation)
        return mean_u + du - u, mean_v + dv - v


def _move(at: LevelLinearisation, flow: tuple[Planes, Planes]) -> LevelLinearisation:
    """Return the same linearisation, seen from another flow."""
    du, dv = flow[0] - at.flow[0], flow[1] - at.flow[1]
    moved = linearise(at.pyramid_level, flow, derivative=at.derivative, interpolation=at.interpolation)
    difference = at.It + at.Ix * du + at.Iy * dv
    return moved.with_planes(Ix=at.Ix, Iy=at.Iy, It=difference, valid=at.valid, weights=at.weights)


def _average_square(increment: tuple[Planes, Planes]) -> float:
    du, dv = increment
    return float(np.mean(du * du + dv * dv))
