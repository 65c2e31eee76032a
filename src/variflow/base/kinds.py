"""Kinds of numbers, told by the type of an array."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

# NumPy's letters for bool, signed and unsigned integers, and floats.
_REAL, _INTEGER = "biuf", "iu"


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
