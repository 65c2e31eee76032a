"""Advice in messages about an energy or a term that has no derivative, or does not depend on the frames."""

from dataclasses import FrozenInstanceError

import numpy as np

from variflow.base.kinds import is_float
from variflow.energy.levels import list_arrays

_NOT_FINITE = (
    "usually a root, a norm, an angle or a logarithm of 0, a division by 0 or an exponential that overflows, also in "
    "the branch that jnp.where does not take: write jnp.sqrt(x + 1e-6) in place of jnp.sqrt(x), "
    "1 / (x + 1e-6) in place of 1 / x"
)
ASKS = (
    "asks whether values are true, as if, while, and, or, not, min and max do: use jnp.where, jnp.minimum or "
    "jnp.maximum"
)
TO_COMPARE = (
    "take at.frame1 as if it depended on d? It compares the frames with at.Ix * u + at.Iy * v + at.It, or with "
    "variflow.warp(at.second, (at.flow[0] + u, at.flow[1] + v))"
)


def advise_on_arguments(fault: Exception) -> str:
    """Return what an energy is given, if that it takes this for something else may be its fault; else an empty text."""
    text = str(fault)
    if isinstance(fault, FrozenInstanceError):
        return "what at holds stays as it is: give what you compute from it a name of its own"
    if "Linearisation" in text or "'tuple'" in text:
        return "an energy is called as energy(d, at), where d is the pair (u, v) of planes (H, W)"
    return ""


def advise_on_not_finite(energy: object) -> str:
    """Return what to do where an energy or a term is not finite: what it holds may not be, or a function is not."""
    for name, array in list_arrays(energy):
        values = np.asarray(array)
        if is_float(values.dtype) and not np.isfinite(values).all():
            return f"{name} holds NaN or infinity; put 0 where it is unknown, and multiply the residuals there by 0"
    return _NOT_FINITE
