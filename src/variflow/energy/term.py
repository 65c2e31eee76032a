"""Terms: the pieces that an energy is made of.

A term is a callable ``term(d, at)``. It returns its share of the energy for the increment ``d = (u, v)``, a sum over
pixels. Terms add, with one another and with plain functions of the same signature, and scale: ``data + 0.1 * smooth``.
They work on NumPy and on JAX arrays. To JAX a term is a pytree whose numbers are arrays, so a changed weight does not
recompile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeGuard, TypeVar

from variflow.base.choices import check_constant, check_takes
from variflow.base.fields import Declared
from variflow.base.types import Array

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation


# The planes (u, v), and further ones of models that have some.
Increment = tuple[Array, ...]


Energy = Callable[[Increment, "Linearisation"], Array]


Kind = TypeVar("Kind")


def keeps(value: object, kind: type[Kind], *methods: str) -> TypeGuard[Kind]:
    """Return whether an object is of a class and does not override these methods of it."""
    kinds: tuple[Any, Any] = type(value), kind
    return inherits(*kinds, methods)


@lru_cache(maxsize=256)
def inherits(given: type, kind: type, methods: tuple[str, ...]) -> bool:
    """Return whether a class is another one, or derived from it, and does not override these methods of it."""
    return issubclass(given, kind) and all(getattr(given, name) is getattr(kind, name) for name in methods)


class Term(Declared, ABC):
    """Base of all terms: a callable of ``(d, at)`` that adds and scales.

    Arrays of the frames' size that it holds are resized to each level of the pyramid: ``(H, W, 2)`` as a flow, in
    pixels of the level, others as pictures. A term needs a method ``reversed(flow)`` if it holds such an array, or
    depends on the direction of the flow. The method returns the term for the frames swapped, given the flow from the
    first to the second, ``(H, W, 2)``. Without it there is no backward flow (`Result.backward`).
    """

    @abstractmethod
    def __call__(self, d: Increment, at: Linearisation) -> Array:
        """Return the term's energy, a scalar."""

    __array_ufunc__ = None  # so that NumPy numbers leave their operators to the term

    def __add__(self, other: Energy) -> Sum:
        return Sum((*_list_terms(self), *_list_terms(other))) if callable(other) else NotImplemented

    def __radd__(self, other: Energy | float) -> Term:
        if isinstance(other, Real) and other == 0:  # sum() begins with 0
            return self
        return Sum((*_list_terms(other), *_list_terms(self))) if callable(other) else NotImplemented

    def __sub__(self, other: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} has no -, wanted +, as in data + 0.1 * smooth")

    __rsub__ = __sub__

    def __mul__(self, factor: float) -> Term:
        if isinstance(factor, str):  # Python alone would say that it cannot multiply a sequence
            raise TypeError(f"{type(self).__name__} is multiplied by {factor!r}, wanted a number, as in 0.1 * smooth")
        if not (isinstance(factor, Real) or getattr(factor, "shape", None) == ()):
            return NotImplemented
        if "weight" in vars(type(self)).get("__dataclass_fields__", ()):
            return replace(self, weight=self.weight * factor)  # type: ignore[type-var, attr-defined]
        return Sum((self,), factor)

    def __rmul__(self, factor: float) -> Term:
        return self.__mul__(factor)

    def __truediv__(self, divisor: float) -> Term:
        return self.__mul__(1 / divisor) if isinstance(divisor, Real) or hasattr(divisor, "shape") else NotImplemented

    def __neg__(self) -> Term:
        return self * -1.0


@dataclass(frozen=True)
class Sum(Term):
    """A weighted sum of terms and plain energy functions; made by ``+`` and ``*``."""

    terms: tuple[Energy, ...]
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_weight(self)
        for term in self.terms:
            if not callable(term) or isinstance(term, type):
                raise TypeError(f"terms of Sum holds {term!r}, wanted terms and functions energy(d, at) -> scalar")
            if not keeps(term, Sum, "__call__"):
                name = getattr(term, "__name__", type(term).__name__)
                check_takes(2, f"{name}, a term of Sum,", term, "a function energy(d, at) -> scalar")

    def __call__(self, d: Increment, at: Linearisation) -> Array:
        """Return the sum of the terms' energies."""
        return self.weight * sum(term(d, at) for term in self.terms)


def is_of_the_library(part: object) -> bool:
    """Return whether a part of an energy, a term or a penalty, is an object of this package: no person wrote it."""
    return type(part).__module__.startswith("variflow.")


class _HasWeight(Protocol):
    @property
    def weight(self) -> float: ...


def check_weight(term: _HasWeight) -> None:
    """Raise ValueError, naming it, if the weight of a term is no number, or below 0: there may be no minimum then."""
    name = f"weight of {type(term).__name__}"
    if shape := getattr(term.weight, "shape", ()):
        raise ValueError(
            f"{name} is an array of shape {tuple(shape)}, wanted one number (for weights of pixels, weigh "
            "the residuals, or give estimate weights=)"
        )
    check_constant(name, term.weight, least=0)


def _list_terms(energy: Energy) -> tuple[Energy, ...]:
    """Return the terms of an unscaled sum, so that a + b + c is one sum of three."""
    return energy.terms if keeps(energy, Sum, "__call__") and energy.weight == 1.0 else (energy,)
