"""Warn of a term of a sum that has no slope, as one that rounds: it moves nothing, and nobody would see it."""

from __future__ import annotations

import numpy as np

from variflow.base.errors import warn
from variflow.energy.advice import TO_COMPARE
from variflow.energy.autodiff.noise import find_parts_read, find_place, make_noise, remember, shrink
from variflow.energy.autodiff.tracing import name_of
from variflow.energy.term import Energy, is_of_the_library
from variflow.linearisation.linearisation import Linearisation
from variflow.solve.checking import Evaluation
from variflow.solve.taking_apart import flat

# The size of the small frames of noise.
_SMALL = (16, 16)


def warn_of_idle_terms(energy: Energy, at: Linearisation) -> None:
    """Warn of each term of a sum, written by a person, whose gradient is zero whatever the increment; `at` is plain."""
    terms = [term for term, factor in flat(energy, 1.0) if factor]
    for term in terms if len(terms) > 1 else ():
        if not is_of_the_library(term) and remember(_is_idle, term, at, "idle"):
            warn(
                f"{name_of(term)}, a term of the sum, moves nothing: its gradient is zero everywhere. "
                f"Does it round, or {TO_COMPARE}"
            )


def _is_idle(term: Energy, at: Linearisation) -> bool:
    """Return whether a term has a value but no slope, both in small frames of noise and in those at hand.

    Noise alone is not enough: pixels that a term picks may lie outside of small frames.
    """
    try:
        read = find_parts_read(term, at, lambda term, d, at: term(d, at))
        if find_place(read, at) is not None or _has_slope(shrink(term, at, _SMALL), make_noise(at, _SMALL)):
            return False
    except Exception:  # a person's code may refuse small frames in any way
        return False
    return not _has_slope(term, at)


def _has_slope(term: Energy, at: Linearisation) -> bool:
    """Return whether a term changes smoothly with increments of any size, or is 0 for all, as with a weight of 0."""
    rng = np.random.default_rng(0)
    shape = len(at.planes), *at.planes[0].shape
    wild = rng.choice((-1, 1), shape) * 10 ** rng.uniform(-3, 3, shape)
    draws = (rng.uniform(-0.1, 0.1, shape), rng.normal(size=shape), wild)
    seen = [Evaluation.at(term, tuple(draw.astype(np.float32)), at) for draw in draws]
    return any(one.moving for one in seen) or all(one.value == 0 for one in seen)
