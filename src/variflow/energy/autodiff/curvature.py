"""The curvature of an energy that a minimiser can trust: what concave functions take from it is left out.

The second derivative of ``rho(r(d)^2)`` is ``rho' (r^2)'' + rho'' ((r^2)')^2``. Where ``rho`` is concave, as those of
robust penalties are, the second part is negative, and Newton's method may climb. What remains without it are the
weighted least squares of iterative re-weighting, whose every step lowers the energy. A plain function does not say what
its residuals and penalties are. But JAX traces it to a list of elementary functions, and each of them leaves out its
own concave part. A warp of the second frame is linear in the flow, as in the method of Gauss and Newton. Values and
gradients stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from variflow.energy.term import Energy
from variflow.images.in_jax import linearise_warps
from variflow.linearisation.linearisation import Linearisation

# Elementary functions of one array, element by element, that are concave somewhere.
_BENT = {
    *("log", "log1p", "sqrt", "rsqrt", "cbrt", "exp", "exp2", "expm1", "logistic", "tanh", "sinh", "cosh"),
    *("atan", "asinh", "acosh", "atanh", "erf", "erfc", "erf_inv", "lgamma", "sin", "cos", "tan"),
}
# Elementary functions that stretch an array along an axis of length 1.
_STRETCHING = {"add", "sub", "mul", "div", "max", "min", "pow"}
# A sum over at most this many planes is written out: that of XLA takes ten times as long on a CPU.
_FEW_PLANES = 16
# The absolute value is curved as iterative re-weighting has it, by 1 / abs(x); x counts at least as this share of the
# largest, or of 1 where all are 0, as differences of a flow of zeros are: it must not break up there.
_KINK = 1e-3

Function = Callable[..., Any]


def make_function(energy: Energy, at: Linearisation) -> Function:
    """Return an energy as a function of the increment alone, whose second derivative is safe."""
    return with_safe_curvature(lambda d: jnp.asarray(energy(d, at), jnp.float32))


def with_safe_curvature(function: Function) -> Function:
    """Return a function of an increment with the same value and gradient, whose second derivative is safe."""

    def safe(d: Any) -> Any:
        with linearise_warps():
            traced = jax.make_jaxpr(function)(d)
        leaves = jax.tree.leaves(d)
        return _evaluate(traced, leaves, [True] * len(leaves))[0][0]

    return safe


def _evaluate(traced: Any, inputs: Sequence[Any], moving: Sequence[bool]) -> list[tuple[Any, bool]]:
    """Evaluate a traced function; return its results, each with whether it depends on the increment."""
    known = {name: (value, False) for name, value in zip(traced.jaxpr.constvars, traced.consts, strict=True)}
    known |= dict(zip(traced.jaxpr.invars, zip(inputs, moving, strict=True), strict=True))

    def look_up(name: Any) -> tuple[Any, bool]:
        return (name.val, False) if isinstance(name, core.Literal) else known[name]

    for equation in traced.jaxpr.eqns:
        found = [look_up(name) for name in equation.invars]
        values, moves = [value for value, _ in found], [moved for _, moved in found]
        if equation.primitive.name == "jit":
            results = _evaluate(equation.params["jaxpr"], values, moves)
        else:
            results = [(value, any(moves)) for value in _apply(equation, values, moves)]
        known |= dict(zip(equation.outvars, results, strict=True))
    return [look_up(name) for name in traced.jaxpr.outvars]


def _apply(equation: Any, values: list[Any], moves: list[bool]) -> Sequence[Any]:
    """Apply an elementary function."""
    name = equation.primitive.name
    shape = getattr(equation.outvars[0].aval, "shape", ())
    if name in _STRETCHING:
        values = [_stretch(value, shape) if moved else value for value, moved in zip(values, moves, strict=True)]
    apply = partial(equation.primitive.bind, **equation.params)
    # Of complex numbers, as the transforms of Fourier have them, nothing is left out.
    if any(moves) and all(jnp.isrealobj(value) for value in values):
        if name == "abs":
            return [_absolute(values[0])]
        if name in _BENT:
            return [_without_concave_part(apply)(values[0])]
        if name in ("pow", "div") and not all(moves):
            which = moves.index(True)
            return [_without_concave_part(partial(_apply_to, apply, values, which))(values[which])]
        if name == "div" and jnp.shape(values[0]) == jnp.shape(values[1]):
            return [_quotient(*values)]
        if name == "broadcast_in_dim" and _repeats_planes(equation):
            return [_written_out(apply)(values[0])]
    results = equation.primitive.bind(*values, **equation.primitive.get_bind_params(equation.params))
    return results if equation.primitive.multiple_results else [results]


def _apply_to(apply: Function, values: list[Any], which: int, value: Any) -> Any:
    return apply(*values[:which], value, *values[which + 1 :])


def _without_concave_part(function: Function) -> Function:
    """Return an element by element function whose slope does not fall, as far as a second derivative sees."""

    def pull_back(x: Any, weight: Any) -> Any:
        return jax.vjp(function, x)[1](weight)[0]

    @jax.custom_jvp
    def slope(x: Any, weight: Any) -> Any:
        return pull_back(x, weight)

    @slope.defjvp
    def _(at: Any, change: Any) -> Any:
        value, curvature = jax.jvp(lambda x: pull_back(x, at[1]), at[:1], (jnp.ones_like(at[0]),))
        return value, jnp.maximum(curvature, 0) * change[0] + pull_back(at[0], change[1])

    safe: Function = jax.custom_vjp(function)
    safe.defvjp(lambda x: (function(x), x), lambda x, weight: (slope(x, weight),))  # type: ignore[attr-defined]
    return safe


@jax.custom_jvp
def _slope_of_absolute(x: Any, weight: Any) -> Any:
    return weight * jnp.sign(x)


@_slope_of_absolute.defjvp
def _(at: Any, change: Any) -> Any:
    size = jnp.abs(at[0])
    largest = size.max()
    curvature = jnp.maximum(at[1], 0) / jnp.maximum(size, _KINK * jnp.where(largest > 0, largest, 1))
    return _slope_of_absolute(*at), curvature * change[0] + change[1] * jnp.sign(at[0])


@jax.custom_vjp
def _absolute(x: Any) -> Any:
    return jnp.abs(x)


_absolute.defvjp(lambda x: (jnp.abs(x), x), lambda x, weight: (_slope_of_absolute(x, weight),))


@jax.custom_jvp
def _slope_of_quotient(x: Any, y: Any, weight: Any) -> Any:
    return weight / y, -weight * x / y**2


@_slope_of_quotient.defjvp
def _(at: Any, change: Any) -> Any:
    x, y, weight = at
    # The second derivative is ((0, across), (across, along)); of its two eigenvalues one is positive.
    across, along = -weight / y**2, 2 * weight * x / y**3
    positive = along / 2 + jnp.sqrt((along / 2) ** 2 + across**2)
    squared = across**2 + positive**2
    rise = positive * (across * change[0] + positive * change[1]) / jnp.where(squared > 0, squared, 1)
    of_weight = change[2] / y, -change[2] * x / y**2
    return _slope_of_quotient(*at), (across * rise + of_weight[0], positive * rise + of_weight[1])


@jax.custom_vjp
def _quotient(x: Any, y: Any) -> Any:
    return x / y


_quotient.defvjp(lambda x, y: (x / y, (x, y)), lambda kept, weight: _slope_of_quotient(*kept, weight))


def _stretch(value: Any, shape: tuple[int, ...]) -> Any:
    """Return planes repeated along the first axis, if this has length 1 and should be longer."""
    if jnp.ndim(value) == len(shape) > 1 and value.shape[0] == 1 < shape[0] <= _FEW_PLANES:
        return _written_out(partial(_repeat, shape[0]))(value)
    return value


def _repeat(count: int, value: Any) -> Any:
    return jnp.broadcast_to(value, (count, *value.shape[1:]))


def _repeats_planes(equation: Any) -> bool:
    """Return whether an array becomes several planes of it, along a new first axis."""
    before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    return len(before) > 1 and before == after[1:] and 1 < after[0] <= _FEW_PLANES


def _written_out(repeat: Function) -> Function:
    """Return a function that repeats planes, whose derivative adds them one by one."""

    def add(shape: tuple[int, ...], planes: Any) -> tuple[Any]:
        total = sum(planes[index] for index in range(planes.shape[0]))
        return (jnp.reshape(total, shape),)

    safe: Function = jax.custom_vjp(repeat)
    safe.defvjp(lambda x: (repeat(x), x), lambda x, planes: add(x.shape, planes))  # type: ignore[attr-defined]
    return safe
