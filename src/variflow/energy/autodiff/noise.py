"""Try terms on small frames of noise, and remember what they tell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from variflow.base.kinds import is_float
from variflow.base.types import Array
from variflow.energy.autodiff.programs import find_or_make, is_array
from variflow.energy.levels import bring_to_level
from variflow.energy.term import Energy
from variflow.linearisation.linearisation import Linearisation

Answer = TypeVar("Answer")
Kind = TypeVar("Kind", bound=Energy)
At = TypeVar("At", bound=Linearisation)

_answers: dict[Hashable, Any] = {}
_MOST_ANSWERS = 256
# What moves values and computes none, by JAX's names.
_MOVES = {"broadcast_in_dim", "concatenate", "pad", "reshape", "slice"}


def make_noise(at: Linearisation, size: tuple[int, int], seed: int = 0) -> Linearisation:
    """Return a linearisation of small frames of noise, with the channels and the planes of another one."""
    rng = np.random.default_rng(seed)
    channels, guides = len(at.frame0), len(at.guide)
    frame0, frame1, second = rng.random((3, channels, *size), np.float32)
    grid = size[0] + _margin(at)[0], size[1] + _margin(at)[1]
    flow = tuple(rng.random((len(at.flow), *grid), np.float32))
    guide = _make_guide(rng, (guides, *size))
    further = tuple(rng.random((len(at.further), *grid), np.float32))
    valid, weights = np.ones(size, bool), np.ones(size, np.float32)
    scale = at.scale[0] * size[1] / at.shape[1], at.scale[1] * size[0] / at.shape[0]
    return Linearisation(
        frame0, frame1, second, flow, valid, weights, guide, at.derivative, 0.0, further, at.level, scale
    )


def _make_guide(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Return values of CIE Lab that change little from pixel to pixel, but for some pixels that have any value."""
    ramp = np.linspace(0, 95, shape[1], dtype=np.float32)[:, None] + 5 * rng.random(shape, np.float32)
    values = np.where(rng.random(shape, np.float32) < 0.2, 100 * rng.random(shape, np.float32), ramp)
    values[1:] = 2 * values[1:] - 100
    return values


def shrink(term: Kind, at: Linearisation, size: tuple[int, int]) -> Kind:
    """Return a term whose arrays have the size of small frames of noise."""
    shape = at.shape
    small = bring_to_level(term, (shape, size), 1)
    return cast("Kind", jax.tree.map(partial(_keep_variety, shape), small, term))


def _keep_variety(shape: tuple[int, int], small: Array, whole: Array) -> Array:
    """Return a small array that varies as the whole one does, also where that does so at a few pixels alone."""
    if small is whole or not is_array(whole) or _describe(small) == _describe(whole):
        return small
    array, front = np.asarray(whole), tuple(whole.shape[:2]) == shape
    pixels = (array if front else np.moveaxis(array, (-2, -1), (0, 1))).reshape(shape[0] * shape[1], -1)
    first = pixels[:, 0].astype(float)
    unknown = np.isnan(first)
    places = [np.argmin(np.where(unknown, np.inf, first)), np.argmax(np.where(unknown, -np.inf, first))]
    size = small.shape[:2] if front else small.shape[-2:]
    drawn = pixels[np.random.default_rng(0).choice([*places, *np.flatnonzero(unknown)[:1]], size)]
    if front:
        return drawn.reshape(small.shape)
    return np.moveaxis(drawn.reshape(*size, *array.shape[:-2]), (0, 1), (-2, -1))


def _describe(array: Array) -> tuple[bool, bool, bool]:
    """Return whether any values are unknown, whether any are known, and whether these differ."""
    values = np.asarray(array).ravel()
    unknown = np.isnan(values) if is_float(values.dtype) else np.zeros(values.shape, bool)
    known = values[~unknown]
    return bool(unknown.any()), bool(known.size), bool(known.size and known.min() != known.max())


def find_parts_read(
    term: Kind, at: Linearisation, size: tuple[int, int], evaluate: Callable[[Kind, Any, Linearisation], Any]
) -> frozenset[str]:
    """Return the names of the parts of a linearisation that a function ``evaluate(term, planes, at)`` reads."""

    def record() -> frozenset[str]:
        noise = make_noise(at, size)
        recorder: Any = _Recorder(noise)
        small = shrink(term, at, size)
        try:
            jax.eval_shape(lambda: evaluate(small, tuple(map(jnp.zeros_like, noise.planes)), recorder))
        except TypeError:  # a function under jax.jit takes nothing that records
            return _ALL_PARTS
        return frozenset(recorder.seen)

    # Programs take the values of arrays as inputs, so what they read does not depend on these.
    found: frozenset[str] = find_or_make(_answers, _MOST_ANSWERS, ("parts", size, *_describe_call(term, at)), record)
    return found


def looks_past(
    term: Kind, at: Linearisation, size: tuple[int, int], evaluate: Callable[[Kind, Any, Linearisation], Any]
) -> bool:
    """Return whether small frames leave a part of ``evaluate(term, planes, at)`` nothing: it looks farther."""
    noise, small = make_noise(at, size), shrink(term, at, size)
    return _computes_nothing(jax.make_jaxpr(lambda planes: evaluate(small, planes, noise))(noise.planes).jaxpr)


def _computes_nothing(traced: Any) -> bool:
    """Return whether a traced function computes with an array without values; padding by none only moves it."""
    for equation in traced.eqns:
        inner = equation.params.get("jaxpr")
        shapes = [getattr(name.aval, "shape", ()) for name in equation.outvars]
        if inner is not None:
            if _computes_nothing(getattr(inner, "jaxpr", inner)):
                return True
        elif equation.primitive.name not in _MOVES and any(0 in shape for shape in shapes):
            return True
    return False


def remember(function: Callable[[Kind, At], Answer], term: Kind, at: At, *about: Hashable) -> Answer:
    """Return what a function finds out about a term, and remember it for all frames of as many channels and planes."""
    arrays = [leaf for leaf in jax.tree.leaves(term) if is_array(leaf)]
    values = hashlib.blake2b(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest()
    subject = *about, values, *_describe_call(term, at)
    answer: Answer = find_or_make(_answers, _MOST_ANSWERS, subject, lambda: function(term, at))
    return answer


def _describe_call(term: Energy, at: Linearisation) -> tuple[object, ...]:
    return term, len(at.frame0), len(at.guide), at.derivative, len(at.planes), _margin(at)


def _margin(at: Linearisation) -> tuple[int, int]:
    """Return how many rows and columns more than the frames the planes have; unknowns of a flow may have some."""
    (height, width), (rows, columns) = at.planes[0].shape, at.frame0.shape[-2:]
    return height - rows, width - columns


def release() -> None:
    """Forget every answer."""
    _answers.clear()


def find_place(parts_read: frozenset[str], at: Linearisation) -> Hashable:
    """Return which level this is, if a term that reads these parts of a linearisation asks for it, else None."""
    return (at.level, at.scale, at.shape) if parts_read & {"level", "scale", "shape"} else None


_ALL_PARTS = frozenset((*vars(Linearisation), *Linearisation.__dataclass_fields__))


class _Recorder:
    """A linearisation that records which of its parts are read."""

    def __init__(self, at: Linearisation) -> None:
        self.at = at
        self.seen: set[str] = set()

    def __getattr__(self, name: str) -> Array:
        self.seen.update(("flow", "further") if name == "planes" else (name,))
        return Linearisation.mismatch.function(self) if name == "mismatch" else getattr(self.at, name)
