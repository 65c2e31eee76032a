"""The residuals of a data term, checked."""

from __future__ import annotations

from typing import Protocol

from variflow.base.kinds import name_kind
from variflow.base.types import Array
from variflow.energy.term import Increment
from variflow.linearisation.linearisation import Linearisation


class HasResiduals(Protocol):
    """What `check_residuals` needs of a data term."""

    def __call__(self, d: Increment, at: Linearisation) -> Array:
        """Return the term's energy."""
        ...

    def residuals(self, d: Increment, at: Linearisation) -> list[Array]:
        """Return the residuals, planes ``(H, W)``."""
        ...


class NotTakenApart(ValueError):
    """No native solver can take the energy apart as it is written, but a general solver may minimise it."""


def check_residuals(term: HasResiduals, d: Increment, at: Linearisation) -> list[Array] | tuple[Array, ...]:
    """Return the residuals of a term; raise TypeError or ValueError, naming it, if they are not planes in a list."""
    planes = check_list(term, term.residuals(d, at), "a list of planes (H, W)")
    returned = f"residuals of {type(term).__name__} returned"
    height, width = d[0].shape
    for plane in planes:
        if getattr(plane, "shape", None) != (height, width):
            kind = f"a plane of shape {plane.shape}" if hasattr(plane, "shape") else name_kind(plane)
            raise ValueError(
                f"{returned} {kind} in its list for frames of {height} x {width}, wanted planes (H, W), one a channel"
            )
    return planes


def check_list(term: object, planes: Array, wanted: str) -> list[Array] | tuple[Array, ...]:
    """Return what the residuals of a term returned; raise TypeError or ValueError if it is no list of real planes."""
    returned = f"residuals of {type(term).__name__} returned"
    if hasattr(planes, "shape"):
        raise TypeError(f"{returned} an array of shape {tuple(planes.shape)}, wanted {wanted}")
    if not isinstance(planes, list | tuple):
        raise TypeError(f"{returned} {name_kind(planes)}, wanted {wanted}")
    if not planes:
        raise ValueError(f"{returned} an empty list, wanted {wanted}")
    for plane in planes:
        if getattr(getattr(plane, "dtype", None), "kind", "") == "c":
            raise TypeError(f"{returned} a plane of {plane.dtype} in its list, wanted real ones: its .real and .imag")
    return planes
