"""What the residuals of a term of the flow depend on, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from variflow.energy.flow_term import FlowTerm
from variflow.energy.taps import LocalResidual, Tap
from variflow.images.resampling import Planes


@dataclass(frozen=True)
class Structure:
    """What the residuals of a term depend on, as small frames tell.

    Attributes
    ----------
    taps : list of list of Tap
        For each residual, what it depends on; the factors are those of one pixel if they are not the same everywhere.
    smaller : list of (rows, columns)
        By how much the plane of each residual is smaller than those of the unknowns.
    constant, linear, homogeneous : bool
        Whether the factors are the same everywhere; whether residuals are linear in the unknowns; whether the unknowns
        0 have the residual 0.
    alike : list of int, optional
        If the factors are the same everywhere but for a weight of each pixel, for each residual the first one that has
        the same weights.
    stays, anywhere : bool
        Whether coefficients are the same at each warp of a level; whether all this is the same at all levels.
    by_numpy : bool
        Whether residuals are linear, and computed with NumPy.
    """

    taps: list[list[Tap]]
    smaller: list[tuple[int, int]]
    constant: bool
    alike: list[int] | None
    linear: bool
    homogeneous: bool
    stays: bool
    anywhere: bool
    by_numpy: bool

    @property
    def reach(self) -> tuple[int, int, int, int]:
        """The lowest and highest offset along y, and along x."""
        y, x = zip(*(tap.offset for taps in self.taps for tap in taps), strict=True)
        return min(y), max(y), min(x), max(x)

    @cached_property
    def ignores_shifts(self) -> bool:
        """Whether no residual changes if all pixels of an unknown change by the same, as those of differences do."""
        if not (self.constant and self.linear):
            return False
        for taps in self.taps:
            for unknown in {tap.unknown for tap in taps}:
                factors = [tap.factor for tap in taps if tap.unknown == unknown]
                if abs(math.fsum(factors)) > 1e-5 * math.fsum(map(abs, factors)):
                    return False
        return True

    @cached_property
    def patterns(self) -> tuple[Planes, list[Planes]]:
        """A periodic pattern of each unknown, and what the taps of each residual make of it: nowhere nearly nothing."""
        low_y, high_y, low_x, high_x = self.reach
        period = 2 * (high_y - low_y) + 1, 2 * (high_x - low_x) + 1
        unknowns = 1 + max(tap.unknown for taps in self.taps for tap in taps)
        drawn = np.random.default_rng(0).uniform(-1, 1, (unknowns, 200, *period)).astype(np.float32)
        responses = [
            sum(
                (tap.factor * np.roll(drawn[tap.unknown], (-tap.offset[0], -tap.offset[1]), (-2, -1)) for tap in taps),
                np.zeros(drawn.shape[1:], np.float32),
            )
            for taps in self.taps
        ]
        least = np.min(
            [np.abs(one).min(axis=(-2, -1)) for one, taps in zip(responses, self.taps, strict=True) if taps], axis=0
        )
        best = int(np.argmax(least))
        return drawn[:, best], [one[best] for one in responses]

    @property
    def smallest(self) -> tuple[int, int]:
        """How many rows and columns the unknowns must have more than, for a residual to exist."""
        rows, columns = zip(*self.smaller, strict=True)
        return max(rows), max(columns)

    def place(self, shape: tuple[int, ...]) -> list[LocalResidual]:
        """Return the residuals in frames of a shape, as the taps alone make them; none in frames too small for them."""
        height, width = shape
        if height <= self.smallest[0] or width <= self.smallest[1]:
            return []
        return [
            LocalResidual(taps, None, False, (height - rows, width - columns))
            for taps, (rows, columns) in zip(self.taps, self.smaller, strict=True)
        ]


def read_constant(term: FlowTerm, window: tuple[int, int]) -> Structure:
    """Return the structure of a term whose residuals NumPy computes from the flow alone, the same at every pixel.

    In frames of the size of the `window` each residual has one value, which a flow of one impulse makes a factor.
    """
    taps: list[list[Tap]] = []
    for unknown, y, x in product(range(2), range(window[0]), range(window[1])):
        impulse = np.zeros((2, *window), np.float32)
        impulse[unknown, y, x] = 1
        found: Any = term.residuals(tuple(impulse), None)  # type: ignore[arg-type]
        taps = taps or [[] for _ in found]
        for of_one, value in zip(taps, found, strict=True):
            if factor := float(value.item()):
                of_one.append(Tap(unknown, (y, x), factor))
    smaller = [(window[0] - 1, window[1] - 1)] * len(taps)
    return Structure(
        taps,
        smaller,
        constant=True,
        alike=None,
        linear=True,
        homogeneous=True,
        stays=True,
        anywhere=True,
        by_numpy=True,
    )
