"""Minimise energies that are quadratic in the increment, or nearly so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix

__all__ = ["ConjugateGradient"]


def __dir__() -> list[str]:
    return sorted(__all__)


Y = TypeVar("Y")
Aux = TypeVar("Aux")
Function = Callable[[Y, object], tuple[jax.Array, Aux]]


class _State(eqx.Module, Generic[Y]):
    gradient: Y  # of the previous step; zero before the first
    direction: Y


class ConjugateGradient(optimistix.AbstractMinimiser[Y, Aux, _State[Y]]):
    """Nonlinear conjugate gradients with Newton's step along each direction.

    With the gradient ``g`` and the Hessian ``H`` at ``y``, the direction ``p = -g + beta p`` (Polak-Ribiere, beta at
    least 0) and the step ``-(g . p) / |p . H p| p``. On a quadratic energy this is the method of conjugate gradients,
    the fastest that needs only gradients. There is no line search, so nothing is decided by comparing energies, whose
    last digits are lost in a sum over a million pixels. So the result depends smoothly on the frames. If an energy is
    far from quadratic, it may rise; `newton.TruncatedNewton` is better there.

    Each step takes about as long as two gradients. The method does not stop early: it takes the number of steps given.

    References
    ----------
    M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, 1952;
    J. R. Shewchuk, An introduction to the conjugate gradient method without the agonizing pain, 1994, section 14.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.solve.conjugate_gradient import ConjugateGradient
    >>> model = Model(BrightnessConstancy() + 0.001 * Smoothness(), solver=ConjugateGradient(), steps=200)
    """

    rtol: float = 0.0
    atol: float = 0.0
    norm: Callable[[Y], jax.Array] = optimistix.max_norm

    def init(self, fn: Function[Y, Aux], y: Y, *_: object) -> _State[Y]:
        """Return the state before the first step."""
        zero = jax.tree.map(jnp.zeros_like, y)
        return _State(gradient=zero, direction=zero)

    def step(
        self, fn: Function[Y, Aux], y: Y, args: object, options: object, state: _State[Y], tags: object
    ) -> tuple[Y, _State[Y], Aux]:
        """Take one step; the auxiliary output is the one at `y`, before the step."""
        differentiate = jax.grad(lambda y: fn(y, args), has_aux=True)
        gradient, hessian_times, aux = jax.linearize(differentiate, y, has_aux=True)
        change = jax.tree.map(jnp.subtract, gradient, state.gradient)
        beta = jnp.maximum(_divide(_dot(gradient, change), _dot(state.gradient, state.gradient)), 0)
        direction = jax.tree.map(lambda p, g: beta * p - g, state.direction, gradient)
        length = _divide(-_dot(gradient, direction), jnp.abs(_dot(direction, hessian_times(direction))))
        y = jax.tree.map(lambda y, p: y + length * p, y, direction)
        return y, _State(gradient=gradient, direction=direction), aux

    def terminate(self, *_: object) -> tuple[jax.Array, Any]:
        """Never stop early."""
        return jnp.array(False), optimistix.RESULTS.successful

    def postprocess(self, fn: Function[Y, Aux], y: Y, aux: Aux, *_: object) -> tuple[Y, Aux, dict[str, object]]:
        """Return the minimiser as it is."""
        return y, aux, {}


def _dot(a: object, b: object) -> jax.Array:
    return jnp.asarray(sum((p * q).sum() for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)))


def _divide(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Divide; a denominator of 0 gives 0, so that the step vanishes where the gradient does."""
    nothing = denominator == 0
    return jnp.where(nothing, 0, numerator / jnp.where(nothing, 1, denominator))
