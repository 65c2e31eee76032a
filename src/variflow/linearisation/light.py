"""Measure whether and by how much the light differs, from the frames of a level and the flow so far."""

from __future__ import annotations

import math

import numpy as np

from variflow import _core
from variflow.frames.light import FEWEST, GAINS
from variflow.linearisation.linearisation import Linearisation

# A smaller change than this is not corrected, in frames with range [0, 1].
_NOTICED = 4 / 255

# A gain and an offset must leave at most this share of the differences. They leave more where the motion is still
# unknown, or where the light changes from place to place; the flow was no better with them then. Noise stays, too: with
# a quarter, some frames of a bleaching, noisy tissue were not matched (benchmarks/microscopy.py).
_UNEXPLAINED = 0.3

# Values this close to an end of a channel's range may be saturated, in frames with range [0, 1].
_MARGIN = 3 / 255

# If the median difference is larger than this, in frames with range [0, 1], one frame is brighter all over. Motion that
# is still unknown hardly moves the median: in the public data sets in steady light it is at most 1.3 / 255.
_ALL_OVER = 1.5 / 255

# About `_PIXELS` pixels and `_ROUNDS` rounds of fitting are enough to judge whether the light differs.
_PIXELS, _ROUNDS = 3_000, 3


def light_differs(at: Linearisation) -> bool:
    """Return whether a gain and an offset explain most of the difference of the frames around the flow so far."""
    change, before, after = measure_light_change(at)
    return change > _NOTICED and after < _UNEXPLAINED * before


def is_brighter(at: Linearisation) -> bool:
    """Return whether most of one frame is a little brighter than the other around the flow so far."""
    every = _choose_step(at)
    usable = at.valid[::every, ::every]
    if np.count_nonzero(usable) < FEWEST:
        return False
    difference = (at.frame0[:, ::every, ::every] - at.frame1[:, ::every, ::every])[:, usable]
    return bool((np.abs(np.median(difference, axis=1)) > _ALL_OVER).any())


def measure_light_change(at: Linearisation, gains: tuple[float, float] = GAINS) -> tuple[float, float, float]:
    """Return how much a gain and an offset change intensities, and the mean difference before and after."""
    usable = at.valid.astype(np.float32)[None]
    every = _choose_step(at)
    return _core.light_change(at.frame0, at.frame1, usable, every, _MARGIN, FEWEST, _ROUNDS, *gains)


def _choose_step(at: Linearisation) -> int:
    return math.ceil(math.sqrt(at.valid.size / _PIXELS))
