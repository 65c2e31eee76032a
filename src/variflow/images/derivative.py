"""Differentiate planes along an axis, in the core or in JAX."""

from __future__ import annotations

from typing import Literal

import numpy as np

from variflow import _core
from variflow.base.arrays import is_jax
from variflow.base.types import Array


def differentiate(planes: Array, axis: Literal["x", "y"]) -> Array:
    """Differentiate planes ``(C, H, W)`` along axis "x" or "y" with the mask [1, -8, 0, 8, -1] / 12, border replicated.

    NumPy arrays go through the core, JAX arrays through JAX.
    """
    if not is_jax(planes):
        return _core.derivative(np.ascontiguousarray(planes, np.float32), axis)
    from variflow.images import in_jax

    return in_jax.differentiate(planes, axis)
