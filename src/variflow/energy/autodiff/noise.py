"""Try terms on small frames of noise, and remember what they tell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from variflow.base.kinds import is_float
from variflow.base.types import Array
from variflow.energy.autodiff.programs import find_or_make, is_array
from variflow.energy.levels import bring_to_level
from variflow.energy.term import Energy
from variflow.linearisation.level import FROM_FRAMES
from variflow.linearisation.linearisation import Linearisation

Answer = TypeVar("Answer")
Kind = TypeVar("Kind", bound=Energy)
At = TypeVar("At", bound=Linearisation)
# A function of a term, planes and a linearisation.
Evaluate = Callable[[Kind, Any, Linearisation], Any]

_answers: dict[Hashable, Any] = {}
_MOST_ANSWERS = 256
# What moves values and computes none, by JAX's names.
_MOVES = {"broadcast_in_dim", "concatenate", "pad", "reshape", "slice"}
# The size of the small frames of noise that show what a function reads that takes known values alone.
_SMALL = (16, 16)
# The parameters of JAX's operations that say how these are done, and not how large the arrays are.
_WAYS = (
    *("axes", "axis", "dimension", "dimensions", "padding", "padding_config", "permutation", "strides"),
    *("window_dimensions", "window_strides", "window_dilation", "base_dilation"),
)
# Operations that leave something out if a number is 0.
_LEAVES_OUT = {"div", "mul", "select_n"}
# The parts of a linearisation that are inputs of a trace and fields.
_INPUTS = ("frame0", "frame1", "second", "flow", "valid", "weights", "guide", "noise", "further")


class Trace(NamedTuple):
    """What JAX finds when it traces a function.

    Attributes
    ----------
    read : set of str
        The parts of the linearisation that the function reads.
    form : hashable
        What it does, step by step; the same for two sizes of frames if it does the same. None if that is not known.
    """

    read: frozenset[str]
    form: Hashable


def make_noise(at: Linearisation, size: tuple[int, int], seed: int = 0) -> Linearisation:
    """Return a linearisation of small frames of noise, with the channels and the planes of another one."""
    rng = np.random.default_rng(seed)
    return _fill_with(lambda shape: rng.random(shape, np.float32), at, size, partial(_make_guide, rng))


def _make_zeros(shape: tuple[int, ...]) -> Array:
    """Return zeros that take no memory."""
    return np.broadcast_to(np.float32(0), shape)


def _fill_with(
    make: Callable[[tuple[int, ...]], Array],
    at: Linearisation,
    size: tuple[int, int],
    make_guide: Callable[[tuple[int, ...]], Array] | None = None,
) -> Linearisation:
    """Return a linearisation of frames of a size, with the channels and the planes of another one."""
    frame0, frame1, second = make((3, len(at.frame0), *size))
    grid = size[0] + _margin(at)[0], size[1] + _margin(at)[1]
    flow = tuple(make((len(at.flow), *grid)))
    guide = (make_guide or make)((len(at.guide), *size))
    further = tuple(make((len(at.further), *grid)))
    valid, weights = np.ones(size, bool), np.ones(size, np.float32)
    scale = at.scale[0] * size[1] / at.shape[1], at.scale[1] * size[0] / at.shape[0]
    return Linearisation(
        frame0, frame1, second, flow, valid, weights, guide, at.derivative, 0.0, further, at.level, scale
    )


def _make_guide(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
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


def find_parts_read(term: Kind, at: Linearisation, evaluate: Evaluate[Kind]) -> frozenset[str]:
    """Return the names of the parts that a function ``evaluate(term, planes, at)`` reads of this linearisation.

    It is traced for frames of this size at this level, because a function may branch on these.
    """
    return trace(term, at, evaluate).read


def is_alike_in(term: Kind, at: Linearisation, size: tuple[int, int], evaluate: Evaluate[Kind]) -> bool:
    """Return whether a function computes in frames of noise of a size what it does here, but for that size.

    If it does not, as where it branches on the size, such frames say nothing about it.
    """
    here = trace(term, at, evaluate)

    def record() -> Hashable:
        try:
            return _trace(shrink(term, at, size), _fill_with(_make_zeros, at, size), evaluate).form
        except Exception:  # a person's code may refuse small frames in any way
            return "refused"

    subject = "form", evaluate, size, find_place(here.read, at), *_describe_call(term, at)
    form: Hashable = find_or_make(_answers, _MOST_ANSWERS, subject, record)
    return form == here.form


def find_size(term: Kind, at: Linearisation, size: tuple[int, int], evaluate: Evaluate[Kind]) -> tuple[int, int]:
    """Return the size of frames of noise in which a function does what it does here: this one, or a larger one."""
    while size != at.shape and not is_alike_in(term, at, size, evaluate):
        size = min(2 * size[0], at.shape[0]), min(2 * size[1], at.shape[1])
    return size


def trace(term: Kind, at: Linearisation, evaluate: Evaluate[Kind]) -> Trace:
    """Trace a function ``evaluate(term, planes, at)`` at the level at hand, and remember what was found."""
    # Programs take the values of arrays as inputs, so what they read does not depend on these.
    subject = "trace", evaluate, at.level, at.scale, at.shape, *_describe_call(term, at)
    found: Trace = find_or_make(_answers, _MOST_ANSWERS, subject, lambda: _trace(term, at, evaluate))
    return found


def _trace(term: Kind, at: Linearisation, evaluate: Evaluate[Kind]) -> Trace:
    planes, inputs = _list_inputs(at)
    fixed: dict[str, Any] = {"level": at.level, "scale": at.scale, "derivative": at.derivative}
    seen: set[str] = set()

    def of_inputs(planes: Any, inputs: dict[str, Any]) -> Any:
        given = Linearisation(**{name: inputs[name] for name in _INPUTS}, **fixed).with_planes(**inputs, shape=at.shape)
        return evaluate(term, planes, cast("Any", _Recorder(given, seen)) if recorded else given)

    for recorded in (True, False):
        try:
            form = _describe_steps(jax.make_jaxpr(of_inputs)(planes, inputs))
            return Trace(frozenset(seen) if recorded else _ALL_PARTS, form)
        except TypeError:  # a function under jax.jit takes nothing that records
            continue
    return Trace(_find_parts_of_values(term, at, evaluate), None)


def _find_parts_of_values(term: Kind, at: Linearisation, evaluate: Evaluate[Kind]) -> frozenset[str]:
    """Return what a function reads that takes known values alone, as NumPy does."""
    seen: set[str] = set()
    noise = make_noise(at, _SMALL)
    recorder: Any = _Recorder(noise, seen)
    small = shrink(term, at, _SMALL)
    try:
        jax.eval_shape(lambda: evaluate(small, tuple(map(jnp.zeros_like, noise.planes)), recorder))
    except TypeError:
        return _ALL_PARTS
    return frozenset(seen)


def _list_inputs(at: Linearisation) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the forms of the planes, and of all parts of a linearisation that are arrays, by name."""
    channels, (height, width) = len(at.frame0), at.shape
    frames = ("frame0", "frame1", "second", *FROM_FRAMES)
    inputs: dict[str, Any] = {name: _array_of(channels, height, width) for name in frames}
    inputs["guide"] = _array_of(len(at.guide), height, width)
    inputs |= {"valid": _array_of(height, width, of=np.bool_), "weights": _array_of(height, width)}
    inputs["noise"] = _array_of()
    planes = tuple(_array_of(*plane.shape) for plane in at.planes)
    inputs["flow"], inputs["further"] = planes[:2], planes[2:]
    return planes, inputs


def _array_of(*shape: int, of: type = np.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, of)  # type: ignore[no-untyped-call]


def _describe_steps(traced: Any) -> Hashable:
    """Return what a traced function does step by step, whatever the size of its arrays."""
    jaxpr, constants = getattr(traced, "jaxpr", traced), getattr(traced, "consts", ())
    steps = []
    for equation in jaxpr.eqns:
        shapes = [getattr(name.aval, "shape", ()) for name in equation.invars]
        params = equation.params
        ways: tuple[object, ...] = tuple((name, str(params[name])) for name in _WAYS if name in params)
        if equation.primitive.name == "slice":
            ends = zip((params["start_indices"], params["limit_indices"]), (shapes[0], shapes[0]), strict=True)
            ways = tuple(_measure_from_ends(*one) for one in ends)
        numbers = [name for name in equation.invars if isinstance(name, Literal)]
        leaves_out = equation.primitive.name in _LEAVES_OUT and not all(np.any(number.val) for number in numbers)
        inner = [one for value in params.values() for one in (value if isinstance(value, tuple | list) else (value,))]
        deeper = tuple(_describe_steps(one) for one in inner if hasattr(one, "eqns"))
        steps.append((equation.primitive.name, ways, leaves_out, deeper))
    return tuple(steps), tuple(bool(np.any(constant)) for constant in constants)


def _measure_from_ends(indices: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return indices as they are counted from the nearer end of each axis."""
    pairs = zip(indices, shape, strict=True)
    return tuple(index if 2 * index <= length else index - length - 1 for index, length in pairs)


def looks_past(term: Kind, at: Linearisation, size: tuple[int, int], evaluate: Evaluate[Kind]) -> bool:
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

    def __init__(self, at: Linearisation, seen: set[str]) -> None:
        self.at = at
        self.seen = seen

    def __getattr__(self, name: str) -> Array:
        self.seen.update(("flow", "further") if name == "planes" else (name,))
        return Linearisation.mismatch.function(self) if name == "mismatch" else getattr(self.at, name)
