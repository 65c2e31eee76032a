"""Motion that is given at the border of the frames, as at a wall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from variflow.base.choices import check_choice, check_number, keep
from variflow.base.types import Array
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

Side = Literal["left", "right", "top", "bottom"]

_SIDES: tuple[Side, ...] = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class BoundaryMotion(FlowTerm):
    """The flow in the outermost row or column of the frames is given; by default nothing moves there (no slip).

    The residuals are the differences of u and v from the given motion, zero elsewhere. For a boundary within the
    frames, as around an obstacle, take `PriorFlow` with NaN where the motion is free.

    Parameters
    ----------
    penalty : Penalty
        Of the difference in pixels.
    weight : float
        Factor of the term; a large one, such as 100, holds the motion.
    per : {"pixel", "residual"}
        Whether the differences of u and v are penalised jointly.
    motion : (float, float)
        ``(u, v)`` in pixels of the frames.
    sides : tuple of {"left", "right", "top", "bottom"}
        Where.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BoundaryMotion, BrightnessConstancy, Smoothness
    >>> pair = synthetic.translation((24, 24), shift=(1.2, -0.5))
    >>> wall = BoundaryMotion(weight=100.0, sides=("top",))
    >>> result = variflow.estimate(pair.frame0, pair.frame1, BrightnessConstancy() + 0.01 * Smoothness() + wall)
    >>> bool(abs(result.flow[0]).max() < 0.01)
    True
    """

    motion: tuple[float, float] = (0.0, 0.0)
    sides: tuple[Side, ...] = _SIDES

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not isinstance(self.motion, list | tuple) or len(self.motion) != 2:
            raise ValueError(f"motion of {name} is {self.motion!r}, wanted two numbers (u, v)")
        if isinstance(self.sides, str) or not self.sides:
            raise ValueError(f"sides of {name} is {self.sides!r}, wanted a tuple of some of {', '.join(_SIDES)}")
        keep(
            self,
            motion=tuple(check_number(f"motion of {name}", value) for value in self.motion),
            sides=tuple(check_choice(f"sides of {name}", side, _SIDES) for side in self.sides),
        )

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the differences from the given motion, zero within the frames."""
        xp, (height, width) = flow[0].__array_namespace__(), at.shape
        y, x = xp.arange(height)[:, None], xp.arange(width)[None]
        where = {"left": x == 0, "right": x == width - 1, "top": y == 0, "bottom": y == height - 1}
        held = sum(where[side] for side in self.sides) > 0
        known = (scale * value for scale, value in zip(at.scale, self.motion, strict=True))
        return [held * (plane - value) for plane, value in zip(flow[:2], known, strict=True)]

    def reversed(self, flow: Array) -> BoundaryMotion:
        """Return the term for the frames swapped, with the opposite motion."""
        u, v = self.motion
        return BoundaryMotion(self.penalty, self.weight, self.per, (-u, -v), self.sides)
