"""Check arguments as the other libraries take them."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from variflow.base.choices import check_whole


def check_count(value: SupportsIndex, name: str, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    try:
        return check_whole(name, operator.index(value), least)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, wanted a whole number") from None
