"""Kinds of numbers, told by the type of an array, and kinds of values for messages."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np

# NumPy's letters for bool, signed and unsigned integers, and floats.
_REAL, _INTEGER = "biuf", "iu"
# How names begin that take "an": not uint8, but ndarray.
_SPOKEN_WITH_A_VOWEL = ("a", "e", "i", "o", "nd")


def is_real(dtype: np.dtype[np.generic]) -> bool:
    """Return whether a type holds real numbers: bool, integers or floats.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.base.kinds import is_real
    >>> is_real(np.dtype(bool)), is_real(np.dtype(complex))
    (True, False)
    """
    return dtype.kind in _REAL


def is_number(dtype: np.dtype[np.generic]) -> bool:
    """Return whether a type holds integers or floats; bool is none."""
    return is_integer(dtype) or is_float(dtype)


def is_integer(dtype: np.dtype[np.generic]) -> TypeGuard[np.dtype[np.integer]]:
    """Return whether a type holds integers, signed or not; bool is none."""
    return dtype.kind in _INTEGER


def is_float(dtype: np.dtype[np.generic]) -> TypeGuard[np.dtype[np.floating]]:
    """Return whether a type holds floats, which can be NaN."""
    return dtype.kind == "f"


def name_kind(value: object) -> str:
    """Return what a value is, for a message.

    Examples
    --------
    >>> from variflow.base.kinds import name_kind
    >>> name_kind(3), name_kind("ab"), name_kind(None), name_kind(int)
    ('an int', 'a str', 'None', 'the class int')
    """
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"an {name}" if name.lower().startswith(_SPOKEN_WITH_A_VOWEL) else f"a {name}"


def look_up(value: object, name: str) -> tuple[Any, ...]:
    """Return an attribute that an object has, or an empty tuple, without asking a `__getattr__` of its class.

    That may answer any name, or raise its own kind of error, as that of an object of settings does.
    """
    try:
        return (type(value).__getattribute__(value, name),)
    except AttributeError:
        return ()


def is_like_array(value: object) -> TypeGuard[Any]:
    """Return whether NumPy can make an array of an object."""
    return bool(look_up(value, "__array__"))
