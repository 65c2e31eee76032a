"""Check the arguments and settings of the doors."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import Any


def count(value: Any, name: str, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, wanted a whole number") from None
    if whole < least:
        raise ValueError(f"{name} is {value!r}, wanted a whole number of at least {least}")
    return whole


def above_zero(value: Any, name: str) -> float:
    """Return a finite number above 0."""
    if not (isinstance(value, Real) and 0 < float(value) < math.inf):
        raise ValueError(f"{name} is {value!r}, wanted a number above 0")
    return float(value)


def at_least_zero(value: Any, name: str) -> float:
    """Return a finite number of at least 0."""
    if not (isinstance(value, Real) and 0 <= float(value) < math.inf):
        raise ValueError(f"{name} is {value!r}, wanted a number of at least 0")
    return float(value)
