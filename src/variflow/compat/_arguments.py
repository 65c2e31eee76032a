"""Check arguments as the other libraries take them."""

from __future__ import annotations

import operator

from variflow.base.choices import check_whole
from variflow.base.types import ArrayLike


def check_count(value: ArrayLike, name: str, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    try:
        return check_whole(name, operator.index(value), least)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, wanted a whole number") from None
