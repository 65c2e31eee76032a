"""What both ways of taking Newton's steps have in common: when a step is good enough, and what is found in the end."""

from __future__ import annotations

from typing import Any, NamedTuple

# A step must lower the energy by the share `ENOUGH` of what its slope promises; else a shorter one is tried, at most
# `TRIALS` times.
ENOUGH, TRIALS = 1e-4, 12
# Below this share of the energy, the difference of two energies is the rounding of their sums. Then the slopes at both
# ends tell how much the energy fell (Hager and Zhang, 2005).
ROUNDING = 4e-6
# Each linear system is solved until its residual, in the preconditioner's norm, is this share of the first, in at most
# so many iterations.
INNER, ITERATIONS = 0.15, 20
# At rest, the step, or the preconditioned gradient, is also at most so many pixels long, in the mean square.
STILL = 0.1


class Found(NamedTuple):
    """What a general minimiser found.

    Attributes
    ----------
    increment : pair of (H, W) float32
    before, after : float
        The energy at the zero increment and at this one.
    steps : (number of steps taken,) float32
        The energy at each step.
    met : bool
        Whether it met a tolerance that tells of a minimum.
    state : optional
        What the next warp of the level takes over.
    """

    increment: tuple[Any, Any]
    before: float
    after: float
    steps: Any
    met: bool = False
    state: Any = None
