"""Tell from the frames of a level and the flow so far whether the light differs, and by how much."""

from __future__ import annotations

import math

import numpy as np

from variflow import _core
from variflow.frames.light import FEWEST, GAINS
from variflow.linearisation.linearisation import Linearisation

# A smaller change than this is left as it is, where the frames' range is [0, 1].
_NOTICED = 4 / 255

# A gain and an offset must leave at most this share of the differences. Where the motion is still unknown, or the light
# changes from place to place, they leave more, and the flow was no better for them.
_UNEXPLAINED = 0.25

# What lies this close to the end of a channel's values may be saturated, where the frames' range is [0, 1].
_MARGIN = 3 / 255

# About as many pixels are enough to judge whether the light differs, and so many rounds of fitting.
_PIXELS, _ROUNDS = 3_000, 3


def light_differs(at: Linearisation) -> bool:
    """Return whether a gain and an offset explain most of the difference of the frames around the flow so far."""
    change, before, after = light_change(at)
    return change > _NOTICED and after < _UNEXPLAINED * before


def light_change(at: Linearisation, gains: tuple[float, float] = GAINS) -> tuple[float, float, float]:
    """Return by how much a gain and an offset change intensities, and the mean difference before and after that."""
    usable = at.valid.astype(np.float32)[None]
    every = math.ceil(math.sqrt(usable.size / _PIXELS))
    return _core.light_change(at.frame0, at.frame1, usable, every, _MARGIN, FEWEST, _ROUNDS, *gains)
