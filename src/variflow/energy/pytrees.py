"""Tell JAX how to look into linearisations, terms and penalties.

Their classes do not know JAX, so that a model can be named and a flow be computed natively without importing it.
Numbers become arrays, the inputs of a compiled program; strings, which choose, are part of the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import jax
import numpy as np

from variflow.energy.penalties import Penalty
from variflow.energy.terms import ImageEdges, Term
from variflow.linearisation import Linearisation

_registered: set[type[Any]] = set()


def register() -> None:
    """Register every such class that is known now, those that users derived included."""
    roots: tuple[type[Any], ...] = (Term, Penalty, ImageEdges)
    linearisation: list[type[Any]] = [Linearisation]  # what is derived from it becomes a plain one first
    for classes in (linearisation, *map(_with_subclasses, roots)):
        for cls in classes:
            if cls not in _registered and is_dataclass(cls):
                jax.tree_util.register_pytree_node(cls, _flatten, _unflatten(cls))
                _registered.add(cls)


def _with_subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _with_subclasses(subclass)


def _flatten(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    values = [(field.name, getattr(node, field.name)) for field in fields(node)]
    names = tuple(name for name, value in values if not isinstance(value, str))
    choices = tuple((name, value) for name, value in values if isinstance(value, str))
    return tuple(_leaf(value) for _, value in values if not isinstance(value, str)), (names, choices)


def _leaf(value: Any) -> Any:
    return np.asarray(value, np.float32) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _unflatten(cls: Any) -> Any:
    def unflatten(structure: tuple[Any, ...], values: tuple[Any, ...]) -> Any:
        names, choices = structure
        node = object.__new__(cls)  # no checks: JAX also puts tracers and placeholders in place of numbers
        for name, value in (*zip(names, values, strict=True), *choices):
            object.__setattr__(node, name, value)
        return node

    return unflatten
