"""Check arguments as the other libraries take them."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from variflow.base import choices
from variflow.base.choices import check_number, check_whole
from variflow.base.errors import warn


def check_count(value: SupportsIndex, name: str, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    try:
        return check_whole(name, operator.index(value), least)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, wanted a whole number") from None


def check_flag(value: object, name: str) -> bool:
    """Return True or False; the other libraries also take 1 and 0."""
    return choices.check_flag(name, bool(value) if isinstance(value, int) and value in (0, 1) else value)


def take_factor(value: object, name: str) -> float:
    """Return the ratio of two levels; if it is beyond what is possible here, return the nearest one and warn."""
    factor = check_number(name, value, above=0, below=1)
    nearest = min(max(factor, 0.4), 0.98)
    if nearest != factor:
        warn(f"{name} is {factor:g}, beyond the ratios from 0.4 to 0.98 that are possible here: {nearest:g} is taken")
    return nearest
