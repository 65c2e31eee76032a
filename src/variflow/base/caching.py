"""A property that is computed when first read, and then kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")

# The class itself: the function of this name takes as long again.
_Lock = type(threading.RLock())

# A lock for each property that is being computed now, by object and name. The locks are not kept in the objects, so
# that these can be pickled and do not wait for each other.
_computing: dict[tuple[int, str], threading.RLock] = {}

# A forked child has none of the threads that were computing: nobody would ever release their locks.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_computing.clear)


class cached_property(Generic[T]):
    """A property that is computed when first read, and kept in the object's ``__dict__``.

    If several threads read it at once, one computes the value and the others wait for it. Other objects and other
    properties do not wait. A child that is forked meanwhile computes the value itself. (In Python 3.11 the one of
    functools has one lock for all objects, and such a child would wait for it forever.)

    Examples
    --------
    >>> from variflow.base.caching import cached_property
    >>> class Square:
    ...     @cached_property
    ...     def area(self):
    ...         print("computed")
    ...         return 4
    >>> square = Square()
    >>> square.area + square.area
    computed
    8
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> Self | T:
        if instance is None:
            return self
        values, key = instance.__dict__, (id(instance), self.name)
        with _computing.setdefault(key, _Lock()):
            try:
                if self.name not in values:
                    values[self.name] = self.function(instance)
                value: T = values[self.name]
                return value
            finally:
                _computing.pop(key, None)
