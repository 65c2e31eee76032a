"""Settings that are one of a few values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Raise ValueError, naming the setting, if its value is none of those that there are."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, wanted one of {', '.join(map(repr, choices))}")
