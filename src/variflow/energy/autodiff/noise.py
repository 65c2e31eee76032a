"""Try terms on small frames of noise, and remember what they tell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from variflow.base.types import Array
from variflow.energy.autodiff.programs import find_or_make, is_array
from variflow.energy.levels import bring_to_level
from variflow.energy.term import Energy
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation

Answer = TypeVar("Answer")
Kind = TypeVar("Kind", bound=Energy)

_answers: dict[Hashable, Any] = {}
_MOST_ANSWERS = 256


def make_noise(at: LevelLinearisation, size: tuple[int, int], seed: int = 0) -> Linearisation:
    """Return a linearisation of small frames of noise, with the channels of another one."""
    rng = np.random.default_rng(seed)
    channels, guides = len(at.frame0), len(at.guide)
    frame0, frame1, second = rng.random((3, channels, *size), np.float32)
    flow = tuple(rng.random((2, *size), np.float32))
    return Linearisation(
        frame0, frame1, second, flow, np.ones(size, bool), np.ones(size, np.float32),
        rng.random((guides, *size), np.float32), at.derivative,
    )  # fmt: skip


def shrink(term: Kind, at: LevelLinearisation, size: tuple[int, int]) -> Kind:
    """Return a term whose arrays have the size of small frames of noise."""
    return cast("Kind", bring_to_level(term, (at.flow[0].shape, size), 1))


def find_parts_read(
    term: Kind, at: LevelLinearisation, size: tuple[int, int], evaluate: Callable[[Kind, Any, Linearisation], Any]
) -> frozenset[str]:
    """Return the names of the parts of a linearisation that a function ``evaluate(term, (u, v), at)`` reads."""

    def record(term: Kind, at: LevelLinearisation) -> frozenset[str]:
        recorder: Any = _Recorder(make_noise(at, size))
        small = shrink(term, at, size)
        zero = jnp.zeros(size, jnp.float32)
        jax.eval_shape(lambda: evaluate(small, (zero, zero), recorder))
        return frozenset(recorder.seen)

    return remember(record, term, at, "parts", size)


def remember(
    function: Callable[[Kind, LevelLinearisation], Answer], term: Kind, at: LevelLinearisation, *about: Hashable
) -> Answer:
    """Return what a function finds out about a term, and remember it for all frames of as many channels."""
    arrays = [leaf for leaf in jax.tree.leaves(term) if is_array(leaf)]
    values = hashlib.blake2b(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest()
    subject = *about, values, term, len(at.frame0), len(at.guide), at.derivative
    answer: Answer = find_or_make(_answers, _MOST_ANSWERS, subject, lambda: function(term, at))
    return answer


def release() -> None:
    """Forget every answer."""
    _answers.clear()


class _Recorder:
    """A linearisation that records which of its parts are read."""

    def __init__(self, at: Linearisation) -> None:
        self.at = at
        self.seen: set[str] = set()

    def __getattr__(self, name: str) -> Array:
        self.seen.add(name)
        return getattr(self.at, name)
