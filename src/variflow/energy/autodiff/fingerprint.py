"""Tell whether an energy has changed, including the values that its functions take from outside.

A compiled program holds the values that a function found when it was traced: in globals, closures, default arguments
and attributes. A fingerprint holds them too, and arrays by their content. So a program is used again only if none of
these has changed. Equal functions that are made anew, as in a loop, share one fingerprint.
"""

from __future__ import annotations

import argparse
import dis
import functools
import hashlib
import sys
import threading
import types
import weakref
from array import array as row
from collections import UserList, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Set
from contextvars import ContextVar
from dataclasses import dataclass, field, is_dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np

from variflow.base.kinds import is_like_array, look_up
from variflow.base.types import Numbers

Answer = TypeVar("Answer")

# Code in these packages does not change, as far as an energy is concerned. Nor does the standard library.
# fmt: off
_LIBRARIES = frozenset((
    "IPython", "_pytest", "cv2", "einops", "equinox", "hypothesis", "imageio", "ipykernel", "jax", "jaxlib",
    "jaxtyping", "lineax", "matplotlib", "numpy", "optax", "optimistix", "pandas", "pluggy", "pytest", "scipy",
    "skimage", "sklearn", "tensorflow", "torch", "tqdm", "typing_extensions", "variflow", "xarray",
))
# fmt: on
# The modules whose names classes may bear that are made at run time.
_MAKERS = frozenset(("abc", "types"))
_PLAIN = frozenset((type(None), bool, int, str, bytes, complex, type(...), range, slice))
# Classes of the standard library whose instances hold a user's values.
_HOLDERS = (types.SimpleNamespace, argparse.Namespace, functools.partial, threading.local)
_ROWS = (list, tuple, deque, UserList, bytearray, row)
# Functions and attributes that find something by its name in a string.
_FINDERS = frozenset(("getattr", "globals", "vars", "__dict__"))
# Methods that are not called while an energy is computed; dataclasses write some of them.
# fmt: off
_NOT_CALLED = frozenset((
    "__init__", "__new__", "__post_init__", "__init_subclass__", "__repr__", "__eq__", "__hash__", "__lt__",
    "__le__", "__gt__", "__ge__", "__setattr__", "__delattr__", "__replace__", "__subclasshook__",
    "__class_getitem__", "__annotate_func__", "__annotate__",
))
# fmt: on
# Once more objects than this have been read, the others are told apart by identity.
_MOST = 2_000

# What is held: by which holder, and under which name.
_Place = tuple[Hashable, Hashable]

# What energies wrote to themselves while they were traced, by holder and name. A counter, say, is no part of an energy.
_excluded: set[_Place] = set()


@dataclass(frozen=True)
class _Same:
    """Equal only to another one with the very same object, which it keeps alive."""

    value: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


@dataclass
class Fingerprint:
    """What a value is, and all that it holds or that its functions read from outside.

    Attributes
    ----------
    top : hashable
        The value itself.
    held : dict
        What is held, by its holder and its name there; each entry of a mapping is separate.
    shapes : list of tuple
        The shapes of all arrays that were read.
    """

    top: Hashable = None
    held: dict[_Place, list[Hashable]] = field(default_factory=dict)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    _labels: dict[int, Hashable] = field(default_factory=dict)  # by the id of each object that was read
    _alive: list[object] = field(default_factory=list)
    _place: tuple[Hashable, Hashable, int] | None = None  # the holder, name and number of what is being read
    _count: int = 0  # how many objects were read there

    @property
    def key(self) -> Hashable:
        """Equal for two values if they cannot be told apart."""
        return self.top, tuple((*place, tuple(found)) for place, found in self.held.items() if place not in _excluded)

    def exclude_changes(self, after: Fingerprint) -> None:
        """Leave out of every fingerprint, from now on, what has changed between this one and a later one."""
        _excluded.update(
            place
            for place, found in after.held.items()
            if self.held.get(place, found) != found or (place not in self.held and self._is_new_entry(place))
        )

    def _is_new_entry(self, place: _Place) -> bool:
        """Return whether a new place is an entry of a mapping that existed before."""
        match place[0]:
            case type(), (holder, name, _):
                return (holder, name) in self.held
        return False

    def read(self, value: object) -> Hashable:
        """Return what a value is, or where it was read before."""
        kind = type(value)
        if kind in _PLAIN:
            return kind, str(value) if kind is slice else value
        if kind is float:
            return str(value)  # tells 0.0 from -0.0, and takes all NaN as equal
        if id(value) in self._labels:
            return "again", self._labels[id(value)]
        if len(self._labels) > _MOST:
            return _Same(value)
        # The label is the place where it was found first, not its number: otherwise all would seem changed if one thing
        # grew.
        self._labels[id(value)] = self._place, self._count
        self._count += 1
        self._alive.append(value)  # so that no other object gets its id meanwhile
        return self._describe(value, kind)

    def _describe(self, value: object, kind: type) -> Hashable:
        if isinstance(value, types.FunctionType):
            return self._read_function(value)
        if isinstance(value, types.MethodType):
            return "method", self.read(value.__func__), self.read(value.__self__)
        if isinstance(value, type):
            return self._read_class(value)
        if isinstance(value, types.ModuleType | Enum):
            return _Same(value)
        if isinstance(value, Mapping):
            place = kind, self._place
            for key, item in value.items():
                self._hold(place, key, item)
            return kind, *map(self.read, value)
        if isinstance(value, _ROWS):
            return kind, *map(self.read, value)
        if isinstance(value, ContextVar):
            return kind, self.read(value.get(None))
        if isinstance(value, weakref.ref):
            return kind, self.read(value())
        if isinstance(value, Set):
            return kind, frozenset(map(self.read, value))
        if is_like_array(value):
            try:
                array = self._read_array(np.asarray(value))
            except Exception:  # a tracer, or an array on a device: libraries raise many kinds
                return _Same(value)
            if kind is np.ndarray or (is_of_library(kind) and not isinstance(value, np.ndarray)):
                return array
            return array, self._read_object(value, kind)  # it may also hold a mask or a unit
        return self._read_object(value, kind)

    def _read_array(self, array: Numbers) -> Hashable:
        self.shapes.append(array.shape)
        if array.dtype.hasobject:
            return "array", array.shape, *map(self.read, array.ravel().tolist())
        content = hashlib.sha1(array.tobytes(), usedforsecurity=False).digest()
        return "array", array.shape, str(array.dtype), content

    def _read_function(self, function: types.FunctionType) -> Hashable:
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._hold(code, name, *read_cell(cell))
        self._hold(code, "(defaults)", function.__defaults__, function.__kwdefaults__, vars(function) or None)
        if not is_library(function.__module__):
            looked_up, imported, attributes = _find_names(code)
            found: list[object] = [sys.modules.get(name) for name in imported]
            for name in looked_up:
                if name in function.__globals__:
                    found.append(function.__globals__[name])
                    self._hold(code, name, found[-1])
            found += [value for cell in function.__closure__ or () for value in read_cell(cell)]
            for module in found:
                if isinstance(module, types.ModuleType):
                    self._read_module(module, attributes, set())
        return "function", code

    def _read_module(self, module: types.ModuleType, attributes: frozenset[str], seen: set[str]) -> None:
        """Read those attributes of a module that a function uses; skip the functions and classes of a library."""
        seen.add(module.__name__)
        for name in sorted(attributes & vars(module).keys()):
            value = vars(module)[name]
            if isinstance(value, types.ModuleType):
                if value.__name__ not in seen:
                    self._read_module(value, attributes, seen)
            elif not (callable(value) and is_library(module.__name__)):
                self._hold(module.__name__, name, value)

    def _read_class(self, cls: type) -> Hashable:
        for owner in cls.__mro__:
            if is_of_library(owner):
                continue
            for name, value in list(vars(owner).items()):
                dunder = name.startswith("__") and name.endswith("__")
                if name == "_abc_impl" or name in _NOT_CALLED or (dunder and not callable(value)):
                    continue
                self._hold(owner, name, *_unwrap(value))
        return _Same(cls)

    def _read_object(self, value: object, kind: type) -> Hashable:
        if isinstance(value, np.generic):
            return kind, value.tobytes()
        standard = kind.__module__.partition(".")[0] in sys.stdlib_module_names and is_of_library(kind)
        wrapped = look_up(value, "__wrapped__")
        if standard and not isinstance(value, _HOLDERS) and not wrapped:
            return _Same(value)
        inside = list_attributes(value)
        if isinstance(value, functools.partial):
            inside.update(func=value.func, args=value.args, keywords=value.keywords)
        if wrapped:
            inside["__wrapped__"] = wrapped[0]
        if not inside and is_of_library(kind) and not is_dataclass(value):  # it may hold what Python does not show
            return _Same(value)
        for name, part in list(inside.items()):
            self._hold(kind, name, part)
        return "object", self.read(kind), tuple(inside)

    def _hold(self, holder: Hashable, name: Hashable, *values: object) -> None:
        held = self.held.setdefault((holder, name), [])
        around, self._place, self._count = (self._place, self._count), (holder, name, len(held)), 0
        held.append(())  # keeps its place while its parts are read
        held[self._place[2]] = tuple(map(self.read, values))
        self._place, self._count = around


def take_fingerprint(value: object) -> Fingerprint:
    """Return the fingerprint of an energy, or of anything.

    Examples
    --------
    >>> def energy(d, at, weights={"smooth": 0.1}):
    ...     return weights["smooth"]
    >>> before = take_fingerprint(energy).key
    >>> take_fingerprint(energy).key == before
    True
    >>> energy.__defaults__[0]["smooth"] = 0.2
    >>> take_fingerprint(energy).key == before
    False
    """
    found = Fingerprint()
    found.top = found.read(value)
    return found


def find_or_make_by_fingerprint(
    store: dict[Hashable, Answer], most: int, value: object, make: Callable[[], Answer], *about: Hashable
) -> Answer:
    """Return what was made for a value that has not changed since, and for what else it is about, or make it now.

    The store keeps the `most` entries that were used last, in the order of their last use.
    """
    before = take_fingerprint(value)
    key = (*about, before.key)
    made = store.pop(key, None)
    if made is None:
        made = make()
        after = take_fingerprint(value)
        if after.key != before.key:  # such as by a counter of calls
            before.exclude_changes(after)
            key = (*about, take_fingerprint(value).key)
    store[key] = made
    for oldest in list(store)[:-most]:
        store.pop(oldest, None)
    return made


def list_attributes(value: object) -> dict[str, Any]:
    """Return all that an object holds, by name."""
    kind: type = type(value)
    slots = {name: held for name in _list_slots(kind) for held in look_up(value, name)}
    return {**slots, **next(iter(look_up(value, "__dict__")), {})}


@functools.lru_cache(maxsize=4096)
def is_library(module: str | None) -> bool:
    """Return whether a module belongs to this package, to one of `_LIBRARIES`, or to the standard library."""
    root = (module or "").partition(".")[0]
    return root in _LIBRARIES or (root in sys.stdlib_module_names and root != "__main__")


def is_of_library(cls: type) -> bool:
    """Return whether a class is one of a library.

    One that is made by a call of type or make_dataclass may bear the name of abc or types, which do not hold it.
    """
    module = cls.__module__
    made = module in _MAKERS and getattr(sys.modules[module], cls.__name__, None) is not cls
    return is_library(module) and not made


def read_cell(cell: types.CellType) -> tuple[object, ...]:
    """Return the value in a cell of a closure, or an empty tuple."""
    try:
        return (cell.cell_contents,)
    except ValueError:  # empty so far
        return ()


def _unwrap(attribute: object) -> tuple[object, ...]:
    """Return the functions inside an attribute of a class, such as a property, or the attribute itself."""
    if isinstance(attribute, property):
        return attribute.fget, attribute.fset
    if isinstance(attribute, functools.cached_property):
        return (attribute.func,)
    return (attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute,)


@functools.lru_cache(maxsize=256)
def _list_slots(kind: type) -> tuple[str, ...]:
    """Return the names of a class's slots and of those of the classes above."""
    found = [vars(cls).get("__slots__", ()) for cls in kind.__mro__]
    names = [name for slots in found for name in ((slots,) if isinstance(slots, str) else slots)]
    return tuple(name for name in names if not name.startswith("__"))


@functools.lru_cache(maxsize=4096)
def _find_names(code: types.CodeType) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    """Return the globals that code looks up, the modules that it imports, and the attributes that it asks for."""
    looked_up, imported, attributes = dict[str, None](), dict[str, None](), set[str]()
    for instruction in dis.get_instructions(code):
        match instruction.opname:
            case "LOAD_GLOBAL" | "LOAD_NAME":
                looked_up[instruction.argval] = None
            case "IMPORT_NAME":
                imported[instruction.argval] = None
            case "LOAD_ATTR" | "LOAD_METHOD" | "IMPORT_FROM":
                attributes.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _find_names(constant)
            looked_up.update(dict.fromkeys(inner[0]))
            imported.update(dict.fromkeys(inner[1]))
            attributes |= inner[2]
    if _FINDERS & (looked_up.keys() | attributes):
        names = [name for constant in code.co_consts for name in _find_strings(constant)]
        looked_up.update(dict.fromkeys(names))
        attributes.update(names)
    return tuple(looked_up), tuple(imported), frozenset(attributes)


def _find_strings(constant: object) -> Iterator[str]:
    """Return the strings that a constant is or holds."""
    if isinstance(constant, str):
        yield constant
    elif isinstance(constant, tuple | frozenset):
        for part in constant:
            yield from _find_strings(part)
