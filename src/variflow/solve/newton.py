"""Minimise any energy by truncated Newton steps in JAX: the general minimiser unless a model names another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from variflow.base.choices import check_number, keep
from variflow.energy.autodiff.curvature import with_safe_curvature
from variflow.energy.autodiff.programs import run
from variflow.energy.term import Energy
from variflow.linearisation.linearisation import Linearisation
from variflow.solve import multilevel

__all__ = ["TruncatedNewton"]


def __dir__() -> list[str]:
    return sorted(__all__)


Pair = tuple[Any, Any]

# A step must lower the energy by the share `_ENOUGH` of what its slope promises; else it is made shorter by the factor
# `_SHORTER`, at most `_TRIALS` times.
_ENOUGH, _SHORTER, _TRIALS = 1e-4, 0.25, 12
# Below this share of the energy, the difference of two energies is the rounding of their sums. Then the slopes at both
# ends tell how much the energy fell (Hager and Zhang, 2005).
_ROUNDING = 4e-6
# Each linear system is solved until its residual, in the preconditioner's norm, is this share of the first, in at most
# so many iterations.
_INNER, _ITERATIONS = 0.15, 20
# The preconditioned gradient, in pixels, must also be at most so long, in the mean square.
_STILL = 0.1


@dataclass(frozen=True)
class TruncatedNewton:
    """Newton's method whose linear systems are solved roughly, for any energy that can be differentiated twice.

    Each step is that of conjugate gradients for the quadratic model of the energy, preconditioned on all scales. JAX
    multiplies by the Hessian. Where an elementary function is concave, as robust penalties are, its part of the second
    derivative is left out; what remains is iterative re-weighting. Where the energy curves down all the same, the step
    follows the slope, over at first one pixel. A step that does not lower the energy is shortened. Nothing depends on
    the unit of the energy.

    It stops when the gradient is small beside that at the first warp of the level, both in the norm of the
    preconditioner, which is about the square root of what the energy can still fall. Otherwise it takes the `steps` of
    the model.

    Parameters
    ----------
    rtol : float
        How small the gradient must get, relative to the first; typically 0.01 to 0.3. Smaller is slower, and more
        accurate if a level has only one warp or two.

    References
    ----------
    S. G. Nash, A survey of truncated-Newton methods, 2000; J. H. Bramble, J. E. Pasciak and J. Xu, Parallel multilevel
    preconditioners, 1990.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Lorentzian, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.solve.newton import TruncatedNewton
    >>> energy = BrightnessConstancy(Lorentzian(scale=0.03)) + 5.0 * Smoothness()
    >>> model = Model(energy, solver=TruncatedNewton(rtol=0.01), warps=2)
    """

    rtol: float = 0.3

    def __post_init__(self) -> None:
        keep(self, rtol=check_number("rtol", self.rtol, above=0, below=1))


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

    increment: Pair
    before: float
    after: float
    steps: Any
    met: bool = False
    state: Any = None


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
    first: Any  # squared norm of the gradient at the first warp
    levels: Any  # the preconditioner
    energies: Any
    met: Any


def minimise(
    energy: Energy, solver: TruncatedNewton, steps: int, at: Linearisation, state: Any = None, until: int | None = None
) -> Found:
    """Minimise an energy from the zero increment.

    `state` is that of the level's previous warp, and `at` is plain. It may stop after fewer steps, `until`, by the same
    program.
    """
    shape = at.valid.shape
    levels, first = (multilevel.make_zero(shape), np.zeros((), np.float32)) if state is None else state
    rtol, fresh = np.asarray(solver.rtol, np.float32), np.asarray(state is None)
    limit = np.asarray(steps if until is None else until, np.int32)
    last: _Iterate = run(_minimise, energy, steps, limit, rtol, fresh, levels, first, at)
    energies = np.asarray(last.energies)[: int(last.count)]
    return Found(
        increment=(np.asarray(last.increment[0]), np.asarray(last.increment[1])),
        before=float(energies[0]),
        after=float(last.energy),
        steps=energies[1:],
        met=bool(last.met),
        state=(last.levels, last.first),
    )


def check(energy: Energy, at: Linearisation) -> None:
    """Raise what JAX raises if an energy cannot be differentiated twice; `at` is plain."""
    zero = jnp.zeros(at.valid.shape, jnp.float32)

    def multiply(at: Linearisation, d: Pair) -> Any:
        return jax.jvp(jax.grad(_make_function(energy, at.evaluate_derivatives())), (d,), (d,))

    jax.eval_shape(multiply, at, (zero, zero))


def _make_function(energy: Energy, at: Linearisation) -> Any:
    return with_safe_curvature(lambda d: jnp.asarray(energy(d, at), jnp.float32))


def _minimise(
    energy: Energy, steps: int, limit: Any, rtol: Any, fresh: Any, levels: Any, first: Any, at: Linearisation
) -> _Iterate:
    function = _make_function(energy, at.evaluate_derivatives())
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
        return (at.count <= limit) & ~at.met & (at.trials < _TRIALS) & (at.energy > -jnp.inf)

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
    fell = jnp.where(jnp.abs(fell) <= _ROUNDING * jnp.abs(energy), by_slopes, fell)
    better = begins | (fell <= _ENOUGH * promised)

    make = partial(multilevel.make, multiply, gradient[0].shape)
    levels = jax.lax.cond(begins & fresh, make, lambda: best.levels)
    least = jnp.where(begins & fresh, 0.0, rtol**2 * best.first)
    step, size, met, falls = _solve(multiply, gradient, levels, better & (best.count < limit), least)
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
        first=jnp.where(begins & fresh, size, best.first),
        levels=levels,
        energies=best.energies.at[best.count].set(energy),
        met=better & met,
    )


def _solve(multiply: Any, gradient: Pair, levels: Any, go: Any, least: Any) -> tuple[Pair, Any, Any, Any]:
    """Return a step, by conjugate gradients cut short.

    Also the squared norm of the gradient in the preconditioner, whether it is small: at most `least`, so that there is
    no step, and whether the step is the slope because the energy curves down along it.
    """
    zero = jnp.zeros_like(gradient[0])
    nowhere, no = (zero, zero), jnp.array(False)
    none = jnp.zeros((), jnp.float32)
    state = (jnp.array(-1), nowhere, (-gradient[0], -gradient[1]), nowhere, none + 1, none, no, no, no)

    def goes_on(state: Any) -> Any:
        count, _, _, _, size, first, met, stopped, _ = state
        more = (size > _INNER**2 * first) & (count < _ITERATIONS) & ~stopped & ~met
        return (go & more) | (count < 0)

    def iterate(state: Any) -> Any:
        count, step, residual, direction, size, first, met, _, _ = state
        begins = count < 0
        product = jax.lax.cond(begins, lambda planes: planes, multiply, direction)
        curvature = _dot(direction, product)
        stops = ~begins & ~(curvature > 0)
        length = jnp.where(stops, jnp.where(count == 0, 1.0, 0.0), size / jnp.where(curvature > 0, curvature, 1.0))
        step = _add(step, length, direction)
        residual = _add(residual, -length, product)
        preconditioned = multilevel.apply(levels, residual)
        after = _dot(residual, preconditioned)
        direction = _add(preconditioned, after / size, direction)
        first = jnp.where(begins, after, first)
        still = (preconditioned[0] ** 2 + preconditioned[1] ** 2).mean() <= _STILL**2
        met = jnp.where(begins, (after <= least) & still, met)
        return count + 1, step, residual, direction, after, first, met, stops, stops & (count == 0)

    _, step, _, _, _, first, met, _, falls = jax.lax.while_loop(goes_on, iterate, state)
    return step, first, met, falls


def _add(planes: Pair, factor: Any, others: Pair) -> Pair:
    return planes[0] + factor * others[0], planes[1] + factor * others[1]


def _dot(planes: Pair, others: Pair) -> Any:
    return (planes[0] * others[0] + planes[1] * others[1]).sum()
