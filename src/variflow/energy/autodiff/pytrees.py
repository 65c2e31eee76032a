"""Register linearisations, terms, penalties and unknowns as pytrees of JAX.

Their classes do not know JAX, so a model can be named, and a flow can be computed natively, without importing it.
Floats and arrays are the inputs of a compiled program. Whole numbers, truth values, strings and functions are part of
the program, because they choose or count. It makes no difference whether a class declares them as fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import TypeVar

import jax
import numpy as np

from variflow.energy.autodiff.fingerprint import list_attributes, take_fingerprint
from variflow.energy.edges import ImageEdges
from variflow.energy.penalties import Penalty
from variflow.energy.term import Term
from variflow.linearisation.linearisation import Linearisation
from variflow.matching.matches import Matches
from variflow.unknowns.unknowns import Unknowns

_registered: set[type] = set()
_PARTS = tuple(field.name for field in fields(Linearisation))
# Where a node keeps the names of its attributes that are inputs, once JAX has replaced these by its own objects.
_INPUTS = "_inputs"


Node = TypeVar("Node")


def register() -> None:
    """Register every such class that exists now, including those that users derived."""
    roots: tuple[type, ...] = (Term, Penalty, ImageEdges, Matches, Unknowns)
    linearisation: list[type] = [Linearisation]  # subclasses are turned into a plain one before
    for classes in (linearisation, *map(_with_subclasses, roots)):
        for cls in classes:
            if cls not in _registered:
                _registered.add(cls)
                jax.tree_util.register_pytree_node(cls, _flatten, _unflatten(cls))


def _with_subclasses(cls: type[object]) -> Iterator[type]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _with_subclasses(subclass)


class _Static:
    """The attributes that are part of a program, by name; equal if their fingerprints are."""

    def __init__(self, values: dict[str, object]) -> None:
        self.values = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and take_fingerprint(self.values).key == take_fingerprint(other.values).key

    def __hash__(self) -> int:
        return hash(take_fingerprint(self.values).key)


# The names of the inputs, and the rest.
_Structure = tuple[tuple[str, ...], _Static]


def _flatten(node: object) -> tuple[tuple[object, ...], _Structure]:
    values = list_attributes(node)
    names: tuple[str, ...] | None = values.pop(_INPUTS, None)
    if isinstance(node, Linearisation):  # drop parts that were computed from its fields
        values = {name: values[name] for name in _PARTS}
    if names is None:
        names = tuple(name for name, value in values.items() if not _is_static(value))
    inputs = tuple(_as_input(values.pop(name)) for name in names)
    return inputs, (names, _Static(values))


def _is_static(value: object) -> bool:
    if isinstance(value, int | str | bytes | np.integer | np.bool_):
        return True
    if isinstance(value, tuple) and all(isinstance(item, int | float) for item in value):
        return True
    try:
        leaves = jax.tree.leaves(value)
    except ValueError:  # the keys of a mapping cannot be sorted
        return True
    return callable(value) and len(leaves) == 1 and leaves[0] is value


def _as_input(value: object) -> object:
    if isinstance(value, float | np.floating):
        return np.asarray(value, np.float32)
    if isinstance(value, np.ndarray | jax.Array) and value.dtype == np.float64:
        return value.astype(np.float32)
    return value


def _unflatten(cls: type[Node]) -> Callable[[_Structure, Iterable[object]], Node]:
    def unflatten(structure: _Structure, inputs: Iterable[object]) -> Node:
        names, static = structure
        node = object.__new__(cls)  # no checks: JAX also puts tracers and placeholders in place of numbers
        for name, value in (*static.values.items(), *zip(names, inputs, strict=True), (_INPUTS, names)):
            object.__setattr__(node, name, value)
        return node

    return unflatten
