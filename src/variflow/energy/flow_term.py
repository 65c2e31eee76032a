"""Terms of the flow alone that a person writes as residuals: any smoothness, physics, or knowledge of the motion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from variflow.base.choices import check_choice, check_takes
from variflow.base.kinds import name_kind
from variflow.base.types import Array
from variflow.energy.penalties import Penalty, Quadratic, check_penalty
from variflow.energy.residuals import check_list
from variflow.energy.term import Increment, Term, check_weight

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation


@dataclass(frozen=True)
class FlowTerm(Term):
    """Base of the terms of the flow: a penalty of residuals, each of which looks at the flow near one pixel.

    A term of your own derives from this class and defines `residuals`, with functions that JAX can differentiate. How
    far they look is found out. If they are linear in the flow, as differences are, and are the same everywhere but for
    weights, the native core minimises them (`variflow.solve.local_system.LocalSystem`).

    Parameters
    ----------
    penalty : Penalty
        Of the residuals.
    weight : float
        Factor of the term.
    per : {"pixel", "residual"}
        ``"pixel"`` penalises the residuals of one pixel jointly, by the root of the sum of their squares;
        ``"residual"`` penalises each on its own.

    Examples
    --------
    Second-order smoothness, for which affine flows cost nothing:

    >>> from variflow.energy import BrightnessConstancy, Charbonnier, FlowTerm
    >>> class Bending(FlowTerm):
    ...     def residuals(self, flow, at):
    ...         return [
    ...             second
    ...             for plane in flow
    ...             for second in (
    ...                 plane[1:-1, 2:] - 2 * plane[1:-1, 1:-1] + plane[1:-1, :-2],
    ...                 plane[2:, 1:-1] - 2 * plane[1:-1, 1:-1] + plane[:-2, 1:-1],
    ...             )
    ...         ]
    >>> energy = BrightnessConstancy(Charbonnier(0.01)) + 0.1 * Bending(Charbonnier(0.01))
    """

    penalty: Penalty = field(default_factory=Quadratic)
    weight: float = 1.0
    per: Literal["pixel", "residual"] = "pixel"

    def __post_init__(self) -> None:
        check_penalty(self)
        check_weight(self)
        check_choice("per", self.per, ("pixel", "residual"))
        check_takes(2, f"{type(self).__name__}.residuals", self.residuals, "residuals(self, flow, at)")

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the residuals of a flow ``(u, v)``: planes of any height and width up to that of the flow.

        Further planes of the model follow, as in ``u, v, gain = flow`` (see `variflow.unknowns`).
        """
        raise TypeError(f"{type(self).__name__} does not define residuals(flow, at)")

    def __call__(self, d: Increment, at: Linearisation) -> Array:
        """Return the penalised residuals, summed over pixels."""
        squared = [
            plane**2 for plane in find_residuals(self, tuple(a + b for a, b in zip(at.planes, d, strict=True)), at)
        ]
        rho = self.penalty.of_squared
        return self.weight * (
            rho(sum(squared)).sum() if self.per == "pixel" else sum(rho(one).sum() for one in squared)
        )


def find_residuals(term: FlowTerm, flow: Increment, at: Linearisation) -> list[Array]:
    """Return the residuals of a term; raise TypeError or ValueError, naming it, if they are not planes in a list."""
    planes = check_list(term, term.residuals(flow, at), "a list of planes")
    returned = f"residuals of {type(term).__name__} returned"
    height, width = flow[0].shape
    for plane in planes:
        shape = getattr(plane, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] > height or shape[1] > width:
            kind = f"a plane of shape {shape}" if shape is not None else name_kind(plane)
            raise ValueError(
                f"{returned} {kind} in its list for a flow of {height} x {width}, wanted planes of at most that size"
            )
    shapes = sorted({tuple(plane.shape) for plane in planes})
    if term.per == "pixel" and len(shapes) > 1:
        raise ValueError(
            f"{returned} planes of the shapes {', '.join(map(str, shapes))}, wanted one shape for residuals that are "
            "penalised jointly: crop or pad them, or set per='residual'"
        )
    return list(planes)
