"""Newton's method for energies that couple pixels far apart: JAX multiplies by the Hessian, which nobody sees."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from variflow.energy.autodiff.curvature import make_function
from variflow.energy.autodiff.programs import Call
from variflow.energy.term import Energy
from variflow.linearisation.linearisation import Linearisation
from variflow.solve import multilevel
from variflow.solve.descent import ENOUGH, INNER, ITERATIONS, ROUNDING, STILL, TRIALS, Found

Pair = tuple[Any, Any]

# A step that does not lower the energy is made shorter by this factor.
_SHORTER = 0.25
# A step that promises little promises at most this share of the energy, too: all steps of a power of an energy promise
# little beside the first.
_LITTLE = 0.05


class _Iterate(NamedTuple):
    """Where the method stands: the best increment so far, and the step from there that is tried next."""

    count: Any  # of increments evaluated
    increment: Pair
    energy: Any
    slope: Any  # of the energy along the step
    step: Pair
    length: Any  # the share of the step that is tried
    trials: Any  # how often the step was shortened
    reach: Any  # the longest step, in pixels, where the energy curves down
    first: Any  # what the first step at the first warp promised
    levels: Any  # the preconditioner
    energies: Any
    met: Any


def minimise(
    energy: Energy, rtol: float, steps: int, at: Linearisation, state: Any = None, until: int | None = None
) -> Found:
    """Minimise an energy from the zero increment.

    `state` is that of the level's previous warp, and `at` is plain. It may stop after fewer steps, `until`, by the same
    program.
    """
    last: _Iterate = prepare_call(energy, rtol, steps, at, state, until).run()
    energies = np.asarray(last.energies)[: int(last.count)]
    return Found(
        increment=(np.asarray(last.increment[0]), np.asarray(last.increment[1])),
        before=float(energies[0]),
        after=float(last.energy),
        steps=energies[1:],
        met=bool(last.met),
        state=(last.levels, last.first),
    )


def prepare_call(
    energy: Energy, rtol: float, steps: int, at: Linearisation, state: Any = None, until: int | None = None
) -> Call:
    """Return the call of the program that minimises an energy."""
    shape = at.valid.shape
    levels, first = (multilevel.make_zero(shape), np.zeros((), np.float32)) if state is None else state
    tolerance, fresh = np.asarray(rtol, np.float32), np.asarray(state is None)
    limit = np.asarray(steps if until is None else until, np.int32)
    return Call(_minimise, (energy, steps, limit, tolerance, fresh, levels, first, at))


def _minimise(
    energy: Energy, steps: int, limit: Any, rtol: Any, fresh: Any, levels: Any, first: Any, at: Linearisation
) -> _Iterate:
    function = make_function(energy, at.evaluate_derivatives())
    none, plane = jnp.zeros((), jnp.float32), jnp.zeros(at.valid.shape, jnp.float32)
    start = _Iterate(
        count=jnp.array(0),
        increment=(plane, plane),
        energy=none,
        slope=none,
        step=(plane, plane),
        length=none,
        trials=jnp.array(0),
        reach=none + 1,
        first=first,
        levels=levels,
        energies=jnp.zeros(steps + 1, jnp.float32),
        met=jnp.array(False),
    )

    def goes_on(at: _Iterate) -> Any:
        return (at.count <= limit) & ~at.met & (at.trials < TRIALS) & (at.energy > -jnp.inf)

    return jax.lax.while_loop(goes_on, partial(_advance, jax.value_and_grad(function), rtol, fresh, limit), start)


def _advance(differentiate: Any, rtol: Any, fresh: Any, limit: Any, best: _Iterate) -> _Iterate:
    """Evaluate the increment that is tried, and go on from there if it is better; else try a shorter step."""
    tried = _add(best.increment, best.length, best.step)
    (energy, gradient), derivative = jax.linearize(differentiate, tried)

    def multiply(planes: Pair) -> Pair:
        product: Pair = derivative(planes)[1]
        return product

    begins = best.count == 0
    fell = energy - best.energy
    promised = best.length * best.slope
    by_slopes = 0.5 * (promised + best.length * _dot(gradient, best.step))
    fell = jnp.where(jnp.abs(fell) <= ROUNDING * jnp.abs(energy), by_slopes, fell)
    better = begins | (fell <= ENOUGH * promised)

    make = partial(multilevel.make, multiply, gradient[0].shape)
    levels = jax.lax.cond(begins & fresh, make, lambda: best.levels)
    least = jnp.where(begins & fresh, 0.0, jnp.minimum(rtol**2 * best.first, _LITTLE * jnp.abs(energy)))
    step, first_promise, met, falls = _solve(multiply, gradient, levels, better & (best.count < limit), least)
    longest = jnp.sqrt((step[0] ** 2 + step[1] ** 2).max())
    length = jnp.where(falls, best.reach / jnp.where(longest > 0, longest, 1.0), 1.0)

    def choose(new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), new, old)

    energy = choose(energy, best.energy)
    return _Iterate(
        count=best.count + 1,
        increment=choose(tried, best.increment),
        energy=energy,
        slope=choose(_dot(gradient, step), best.slope),
        step=choose(step, best.step),
        length=choose(length, _SHORTER * best.length),
        trials=choose(0, best.trials + 1),
        reach=jnp.where(better & falls, 2 * best.reach, best.reach),
        first=jnp.where(begins & fresh, first_promise, best.first),
        levels=levels,
        energies=best.energies.at[best.count].set(energy),
        met=better & met,
    )


def _solve(multiply: Any, gradient: Pair, levels: Any, go: Any, least: Any) -> tuple[Pair, Any, Any, Any]:
    """Return a step, by conjugate gradients cut short.

    Also what its first iteration promises, whether that is little, at most `least`, and moves little, so that there is
    no step, and whether the step is the slope because the energy curves down along it.
    """
    zero = jnp.zeros_like(gradient[0])
    nowhere, no = (zero, zero), jnp.array(False)
    none = jnp.zeros((), jnp.float32)
    state = (jnp.array(-1), nowhere, (-gradient[0], -gradient[1]), nowhere, none + 1, none, none, no, no, no)

    def goes_on(state: Any) -> Any:
        count, _, _, _, size, first, _, met, stopped, _ = state
        more = (size > INNER**2 * first) & (count < ITERATIONS) & ~stopped & ~met
        return (go & more) | (count < 0)

    def iterate(state: Any) -> Any:
        count, step, residual, direction, size, first, promised, met, _, _ = state
        begins, is_first = count < 0, count == 0
        product = jax.lax.cond(begins, lambda planes: planes, multiply, direction)
        curvature = _dot(direction, product)
        stops = ~begins & ~(curvature > 0)
        length = jnp.where(stops, jnp.where(is_first, 1.0, 0.0), size / jnp.where(curvature > 0, curvature, 1.0))
        step = _add(step, length, direction)
        at_least = jnp.maximum(length, 1.0)
        promised = jnp.where(is_first, at_least * size, promised)
        still = at_least**2 * (direction[0] ** 2 + direction[1] ** 2).mean() <= STILL**2
        met = met | (is_first & ~stops & (promised <= least) & still)
        residual = _add(residual, -length, product)
        preconditioned = multilevel.apply(levels, residual)
        after = _dot(residual, preconditioned)
        direction = _add(preconditioned, after / size, direction)
        first = jnp.where(begins, after, first)
        met = met | (begins & (after <= 0))  # there is no slope
        return count + 1, step, residual, direction, after, first, promised, met, stops, stops & is_first

    _, step, _, _, _, _, promised, met, _, falls = jax.lax.while_loop(goes_on, iterate, state)
    return step, promised, met, falls


def _add(planes: Pair, factor: Any, others: Pair) -> Pair:
    return planes[0] + factor * others[0], planes[1] + factor * others[1]


def _dot(planes: Pair, others: Pair) -> Any:
    return (planes[0] * others[0] + planes[1] * others[1]).sum()
