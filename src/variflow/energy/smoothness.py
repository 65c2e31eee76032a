"""Terms of the flow alone: how much neighbours differ, and how far pixels move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from variflow.base.choices import check_choice
from variflow.energy.penalties import Penalty, Quadratic, check_penalty

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation
from variflow.base.types import Array
from variflow.energy.edges import ImageEdges, check_edges, compute_differences
from variflow.energy.term import Increment, Term, check_weight


@dataclass(frozen=True)
class Magnitude(Term):
    """Displacements are small: ``weight * sum of penalty(sqrt(u^2 + v^2))``.

    Parameters
    ----------
    penalty : Penalty
        Of the length in pixels.
    weight : float
        Factor of the term.
    of : {"increment", "flow"}
        Whether displacements are those of this warp alone, or those of the whole flow.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.energy import Magnitude
    >>> float(Magnitude()((np.full((2, 2), 3.0), np.full((2, 2), 4.0)), at=None))
    100.0
    """

    penalty: Penalty = field(default_factory=Quadratic)
    weight: float = 1.0
    of: Literal["increment", "flow"] = "increment"

    def __post_init__(self) -> None:
        check_penalty(self)
        check_weight(self)
        check_choice("of", self.of, ("increment", "flow"))

    def __call__(self, d: Increment, at: Linearisation) -> Array:
        """Return the penalised lengths, summed over pixels."""
        u, v = d[:2] if self.of == "increment" else (at.flow[0] + d[0], at.flow[1] + d[1])
        return self.weight * self.penalty.of_squared(u**2 + v**2).sum()


@dataclass(frozen=True)
class Smoothness(Term):
    """Neighbours move alike: a penalty of the first differences of the flow.

    Parameters
    ----------
    penalty : Penalty
        Of the difference between neighbours in pixels (of displacement per pixel of distance).
    weight : float
        Factor of the term; larger is smoother.
    of : {"flow", "increment"}
        Whether differences are those of the whole flow, or those of the increment of this warp alone.
    per : {"edge", "pixel"}
        ``"edge"`` penalises each pair of neighbours, the differences of u and v jointly; ``"pixel"`` penalises
        ``sqrt(|grad u|^2 + |grad v|^2)`` at each pixel, by forward differences, which is isotropic.
    edges : ImageEdges, optional
        Weights that relax the term across image edges.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.energy import Smoothness
    >>> ramp = np.tile(np.arange(4.0), (3, 1))
    >>> float(Smoothness(of="increment")((ramp, 2 * ramp), at=None))
    45.0
    """

    penalty: Penalty = field(default_factory=Quadratic)
    weight: float = 1.0
    of: Literal["flow", "increment"] = "flow"
    per: Literal["edge", "pixel"] = "edge"
    edges: ImageEdges | None = None

    def __post_init__(self) -> None:
        check_penalty(self)
        check_weight(self)
        check_edges(self)
        check_choice("of", self.of, ("flow", "increment"))
        check_choice("per", self.per, ("edge", "pixel"))

    def __call__(self, d: Increment, at: Linearisation) -> Array:
        """Return the penalised differences, summed over edges or pixels."""
        ux, uy, vx, vy = find_differences(self, d, at)
        along_x, along_y = ux**2 + vx**2, uy**2 + vy**2
        weights_x, weights_y = self.edges(at) if self.edges is not None else (1.0, 1.0)
        rho = self.penalty.of_squared
        if self.per == "edge":
            return self.weight * ((weights_x * rho(along_x)).sum() + (weights_y * rho(along_y)).sum())
        xp = along_x.__array_namespace__()
        # The last column and row have no next neighbour, so no difference.
        squared = xp.pad(weights_x * along_x, ((0, 0), (0, 1))) + xp.pad(weights_y * along_y, ((0, 1), (0, 0)))
        return self.weight * rho(squared).sum()


def find_differences(term: Smoothness, d: Increment, at: Linearisation) -> tuple[Array, Array, Array, Array]:
    """Return the differences that a term penalises: of u along x and y, and of v along x and y."""
    (ux, uy), (vx, vy) = (compute_differences(plane) for plane in d[:2])
    if term.of == "flow":
        # Differences are added, because XLA compiles differences of sums to a program that is several times slower.
        (flow_ux, flow_uy), (flow_vx, flow_vy) = (compute_differences(plane) for plane in at.flow)
        ux, uy, vx, vy = ux + flow_ux, uy + flow_uy, vx + flow_vx, vy + flow_vy
    return ux, uy, vx, vy
