"""Penalties: what a residual costs.

A penalty is an even function rho(s) of a residual s with rho(0) = 0. Terms evaluate it at the squared residual, so that
residuals of several components (both differences of both flow components, all channels) are penalised jointly, and
so that its derivative is harmless at zero. All methods take and return NumPy or JAX arrays of any shape.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

import numpy as np

from variflow.base.choices import check_constant
from variflow.base.fields import Declared
from variflow.base.types import Array

# The weight of a norm is infinite at 0: where it is derived, squared residuals below this have the weight of this one.
_SMALLEST = 1e-12

# A residual or a difference that no frames have, in any unit that a person would take.
_NEVER_REACHED = 1e6


@dataclass(frozen=True)
class Penalty(Declared):
    """Base of all penalties.

    A penalty of your own derives from this class and defines `of_squared`, with functions that JAX can differentiate.
    Its weight follows from that, or is what a `weight_of_squared` of its own returns. It never falls as the residual
    grows.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from variflow.energy import Penalty
    >>> @dataclass(frozen=True)
    ... class Barron(Penalty):
    ...     shape: float = 1.0
    ...
    ...     def of_squared(self, squared):
    ...         distance = 2 - self.shape
    ...         return distance / self.shape * ((squared / distance + 1) ** (self.shape / 2) - 1)
    >>> round(float(Barron(1.0).value(3**0.5)), 6), round(float(Barron(1.0).weight(3**0.5)), 6)
    (1.0, 0.5)
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            check_constant(f"{field.name} of {type(self).__name__}", getattr(self, field.name), above=0)

    def value(self, s: Array) -> Array:
        """Return rho(s)."""
        s = _array(s)
        return self.of_squared(s * s)

    def derivative(self, s: Array) -> Array:
        """Return rho'(s)."""
        s = _array(s)
        return s * self.weight_of_squared(s * s)

    def weight(self, s: Array) -> Array:
        """Return rho'(s) / s, the weight of iteratively reweighted least squares, continued to s = 0."""
        s = _array(s)
        return self.weight_of_squared(s * s)

    def of_squared(self, squared: Array) -> Array:
        """Return rho(s) for s^2."""
        raise TypeError(f"{type(self).__name__} does not define of_squared")

    def weight_of_squared(self, squared: Array) -> Array:
        """Return rho'(s) / s for s^2; found with JAX from `of_squared` unless a class defines it."""
        weights = derived_weight(self, squared)
        return np.asarray(weights) if isinstance(squared, np.ndarray | np.generic) else weights

    def prox(self, value: Array, step: Array) -> Array:
        """Return the s that minimises ``rho(s) + (s - value)^2 / (2 step)``, where a penalty has a formula for it."""
        raise TypeError(f"{type(self).__name__} does not define prox")

    def as_huber(self) -> tuple[float, float] | None:
        """Return (factor, threshold) if rho is so many times Huber's penalty of that threshold (0 for L1), or None."""
        return None


def huber_of(penalty: Array) -> tuple[float, float] | None:
    """Return what `as_huber` says of a penalty, or None.

    Where a class overrides `of_squared` alone, the `as_huber` that it inherits is that of another penalty.
    """
    for owner in type(penalty).__mro__:
        if "as_huber" in vars(owner):
            huber: tuple[float, float] | None = penalty.as_huber()
            return huber if huber is None or not any(map(np.ndim, huber)) else None
        if "of_squared" in vars(owner):
            return None
    return None


def derived_weight(penalty: Array, squared: Array) -> Array:
    """Return rho'(s) / s for s^2: twice the derivative of a penalty's `of_squared`, a JAX array."""
    import jax
    import jax.numpy as jnp

    squared = jnp.maximum(squared, _SMALLEST)
    _, slope = jax.jvp(penalty.of_squared, (squared,), (jnp.ones_like(squared),))
    return 2 * slope


def defines_weight(kind: type[Any]) -> bool:
    """Return whether a class of penalties says what its weight is.

    Where one overrides `of_squared` alone, the `weight_of_squared` that it inherits is that of another penalty.
    """
    for owner in kind.__mro__:
        if "weight_of_squared" in vars(owner):
            return owner is not Penalty
        if "of_squared" in vars(owner):
            return False
    return False


def check_penalty(term: Array) -> None:
    """Raise TypeError, naming it and the remedy, if the penalty of a term is none."""
    penalty, name = term.penalty, f"penalty of {type(term).__name__}"
    if isinstance(penalty, type) and issubclass(penalty, Penalty):
        raise TypeError(f"{name} is the class {penalty.__name__}, wanted one of its objects: {penalty.__name__}()")
    if hasattr(penalty, "of_squared") and getattr(type(penalty), "of_squared", None) is not Penalty.of_squared:
        if not isinstance(penalty, Penalty) or (unused := _find_unused(type(penalty))) is None:
            return
        raise TypeError(
            f"{name} is {type(penalty).__name__}, which overrides {unused}, and no energy asks for that, wanted one "
            f"that overrides {_ASKED_FOR[unused]}(s^2)"
        )
    if isinstance(penalty, Real):
        raise TypeError(f"{name} is {penalty!r}, wanted a penalty such as Charbonnier({penalty!r})")
    kind = getattr(penalty, "__name__", type(penalty).__name__)
    raise TypeError(
        f"{name} is {kind}, wanted a penalty such as Charbonnier(0.05); one of your own is a class derived from "
        "variflow.energy.Penalty that defines of_squared(s^2)"
    )


# What an energy asks for in place of the methods that a person reads.
_ASKED_FOR = {"value": "of_squared", "weight": "weight_of_squared", "derivative": "weight_of_squared"}


def _find_unused(kind: type[Penalty]) -> str | None:
    """Return a method that a class of penalties overrides to no effect: it leaves the one that it follows from."""

    def find_depth(name: str) -> int:
        return next(depth for depth, owner in enumerate(kind.__mro__) if name in vars(owner))

    return next((name for name, asked in _ASKED_FOR.items() if find_depth(name) < find_depth(asked)), None)


@dataclass(frozen=True)
class Quadratic(Penalty):
    """rho(s) = s^2: least squares, for Gaussian noise; outliers pull hard.

    Examples
    --------
    >>> float(Quadratic().value(3.0))
    9.0
    """

    def of_squared(self, squared: Array) -> Array:
        """Return s^2."""
        return squared

    def weight_of_squared(self, squared: Array) -> Array:
        """Return 2."""
        return 0 * squared + 2.0

    def prox(self, value: Array, step: Array) -> Array:
        """Return ``value / (1 + 2 step)``, which minimises ``s^2 + (s - value)^2 / (2 step)``."""
        return _array(value) / (1 + 2 * step)

    def as_huber(self) -> tuple[float, float]:
        """Return Huber's penalty of a threshold that no residual reaches."""
        return 2 * _NEVER_REACHED, _NEVER_REACHED


@dataclass(frozen=True)
class Charbonnier(Penalty):
    """rho(s) = sqrt(s^2 + epsilon^2) - epsilon: a differentiable absolute value (Charbonnier et al., ICIP 1994).

    Parameters
    ----------
    epsilon : float
        Where it turns from quadratic to linear, in the unit of the residual; typically 0.001 to 0.5. Larger is
        smoother and easier to minimise, smaller is more robust.

    Examples
    --------
    >>> float(Charbonnier(epsilon=3.0).value(4.0))
    2.0
    """

    epsilon: float = 0.001

    def of_squared(self, squared: Array) -> Array:
        """Return sqrt(s^2 + epsilon^2) - epsilon."""
        xp = (squared + self.epsilon).__array_namespace__()  # JAX may follow epsilon alone
        # Epsilon as a root rounded like the other one, so that rho(0) is exactly 0.
        epsilon = xp.asarray(self.epsilon**2, dtype=squared.dtype)
        return _sqrt(squared + epsilon) - _sqrt(epsilon)

    def weight_of_squared(self, squared: Array) -> Array:
        """Return 1 / sqrt(s^2 + epsilon^2)."""
        return 1.0 / _sqrt(squared + self.epsilon**2)


@dataclass(frozen=True)
class GeneralisedCharbonnier(Penalty):
    """rho(s) = (s^2 + epsilon^2)^exponent - epsilon^(2 exponent) (Sun, Roth and Black, CVPR 2010).

    Parameters
    ----------
    exponent : float
        0.5 is Charbonnier's, 1 quadratic, below 0.5 not convex; 0.45 is the published choice.
    epsilon : float
        Where it leaves the quadratic, in the unit of the residual; typically 0.001.

    Examples
    --------
    >>> float(GeneralisedCharbonnier(exponent=1.0, epsilon=0.5).value(3.0))
    9.0
    """

    exponent: float = 0.45
    epsilon: float = 0.001

    def of_squared(self, squared: Array) -> Array:
        """Return (s^2 + epsilon^2)^exponent - epsilon^(2 exponent)."""
        return (squared + self.epsilon**2) ** self.exponent - self.epsilon ** (2 * self.exponent)

    def weight_of_squared(self, squared: Array) -> Array:
        """Return 2 exponent (s^2 + epsilon^2)^(exponent - 1)."""
        return 2 * self.exponent * (squared + self.epsilon**2) ** (self.exponent - 1)


@dataclass(frozen=True)
class Huber(Penalty):
    """rho(s) = s^2 / (2 threshold) up to the threshold, then abs(s) - threshold / 2 (Huber, 1964).

    Parameters
    ----------
    threshold : float
        Where it turns from quadratic to linear, in the unit of the residual; towards 0 it becomes the L1 norm.

    Examples
    --------
    >>> float(Huber(threshold=2.0).value(1.0)), float(Huber(threshold=2.0).value(5.0))
    (0.25, 4.0)
    """

    threshold: float = 0.01

    def of_squared(self, squared: Array) -> Array:
        """Return s^2 / (2 threshold) or abs(s) - threshold / 2."""
        beyond = squared > self.threshold**2
        xp = beyond.__array_namespace__()
        # The root is taken only where it is used: its derivative at zero would be infinite.
        size = _sqrt(xp.where(beyond, squared, self.threshold**2))
        return xp.where(beyond, size - 0.5 * self.threshold, squared / (2 * self.threshold))

    def weight_of_squared(self, squared: Array) -> Array:
        """Return 1 / max(abs(s), threshold)."""
        xp = squared.__array_namespace__()
        return 1.0 / _sqrt(xp.maximum(squared, xp.asarray(self.threshold**2, dtype=squared.dtype)))

    def prox(self, value: Array, step: Array) -> Array:
        """Return ``value (1 - step / max(abs(value), threshold + step))``.

        It minimises ``rho(s) + (s - value)^2 / (2 step)``: in the quadratic part ``value threshold / (threshold +
        step)``, beyond it `value`, nearer to 0 by `step`.
        """
        value = _array(value)
        xp = value.__array_namespace__()
        return value * (1 - step / xp.maximum(abs(value), self.threshold + step))

    def as_huber(self) -> tuple[float, float]:
        """Return itself."""
        return 1.0, self.threshold


@dataclass(frozen=True)
class Lorentzian(Penalty):
    """rho(s) = log(1 + s^2 / (2 scale^2)): outliers cost almost nothing more (Black and Anandan, CVIU 1996).

    Not convex: it wants a good start.

    Parameters
    ----------
    scale : float
        Residuals beyond ``sqrt(2) * scale`` pull less and less; in the unit of the residual.

    Examples
    --------
    >>> round(float(Lorentzian(scale=1.0).value(2.0)), 6) == round(float(np.log(3.0)), 6)
    True
    """

    scale: float = 0.03

    def of_squared(self, squared: Array) -> Array:
        """Return log(1 + s^2 / (2 scale^2))."""
        part = squared / (2 * self.scale**2)
        return part.__array_namespace__().log1p(part)

    def weight_of_squared(self, squared: Array) -> Array:
        """Return 2 / (2 scale^2 + s^2)."""
        return 2.0 / (2 * self.scale**2 + squared)


@dataclass(frozen=True)
class L1(Penalty):
    """rho(s) = abs(s), with the derivative 0 at 0.

    Parameters
    ----------
    smallest : float
        The weight rho'(s) / s is infinite at 0: residuals smaller than this get the weight of this one. The value
        does not depend on it.

    Examples
    --------
    >>> float(L1().value(-3.0))
    3.0
    """

    smallest: float = 1e-6

    def of_squared(self, squared: Array) -> Array:
        """Return abs(s)."""
        xp = squared.__array_namespace__()
        zero = squared == 0
        return xp.where(zero, 0.0 * squared, _sqrt(xp.where(zero, 1.0 + squared, squared)))

    def weight_of_squared(self, squared: Array) -> Array:
        """Return 1 / max(abs(s), smallest)."""
        xp = squared.__array_namespace__()
        return 1.0 / _sqrt(xp.maximum(squared, xp.asarray(self.smallest**2, dtype=squared.dtype)))

    def prox(self, value: Array, step: Array) -> Array:
        """Return ``sign(value) max(abs(value) - step, 0)``, which minimises ``abs(s) + (s - value)^2 / (2 step)``."""
        value = _array(value)
        xp = value.__array_namespace__()
        return xp.sign(value) * xp.maximum(abs(value) - step, 0.0)

    def as_huber(self) -> tuple[float, float]:
        """Return the limit of Huber's penalty for a threshold of 0."""
        return 1.0, 0.0


def _array(s: Array) -> Array:
    return s if hasattr(s, "__array_namespace__") else np.asarray(s, dtype=float)


def _sqrt(squared: Array) -> Array:
    # Not a power of 0.5, which JAX compiles to a logarithm and an exponential: many times slower.
    return squared.__array_namespace__().sqrt(squared)
