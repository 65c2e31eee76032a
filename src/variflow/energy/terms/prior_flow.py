"""A flow that is known before, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from variflow import flowops
from variflow.base.arrays import as_flow, mark_unknown
from variflow.base.choices import check_constant, keep
from variflow.base.types import Array
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation


@dataclass(frozen=True, eq=False)
class PriorFlow(FlowTerm):
    """The flow is near one that is known: of a sensor, of a model, of the step before.

    The residuals of a pixel are the differences of u and v from the known flow, times the confidence. Unlike
    ``init=``, which only says where to begin, it counts to the end.

    Parameters
    ----------
    penalty : Penalty
        Of the difference in pixels.
    weight : float
        Factor of the term.
    per : {"pixel", "residual"}
        Whether the differences of u and v are penalised jointly.
    flow : (H, W, 2) array
        ``(u, v)`` in pixels of the frames; NaN where it is unknown.
    confidence : (H, W) array, optional
        How sure it is: at least 0, by default 1.

    Examples
    --------
    >>> import numpy as np
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BrightnessConstancy, PriorFlow, Smoothness
    >>> pair = synthetic.translation((24, 24), shift=(1.2, -0.5))
    >>> prior = PriorFlow(weight=0.01, flow=pair.flow)
    >>> energy = BrightnessConstancy() + 0.01 * Smoothness() + prior
    >>> result = variflow.estimate(pair.frame0, pair.frame1, energy)
    >>> bool(abs(result.flow - pair.flow).mean() < 0.05)
    True
    """

    flow: Any = None
    confidence: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        flow = mark_unknown(as_flow(self.flow, "flow of PriorFlow"))
        keep(self, flow=flow)
        if self.confidence is not None:
            keep(self, confidence=_check_confidence(self.confidence, flow.shape[:2]))

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the differences, 0 where the flow is unknown."""
        xp = self.flow.__array_namespace__()
        known = ~xp.isnan(self.flow[..., 0])
        strength = known if self.confidence is None else known * self.confidence
        return [
            strength * (plane - xp.where(known, self.flow[..., number], 0.0)) for number, plane in enumerate(flow[:2])
        ]

    def reversed(self, flow: Array) -> PriorFlow:
        """Return the term for the frames swapped: the known flow from where it leads to, and what is sure there."""
        back = flowops.splat(-self.flow, self.flow)
        if self.confidence is None:
            return replace(self, flow=back)
        confidence = np.nan_to_num(flowops.splat(self.confidence, self.flow))
        return replace(self, flow=back, confidence=confidence)


def _check_confidence(confidence: Array, shape: tuple[int, int]) -> Array:
    array = np.asarray(confidence, np.float32)
    if array.shape != shape:
        raise ValueError(f"confidence of PriorFlow has shape {array.shape}, wanted that of its flow, {shape}")
    check_constant("confidence of PriorFlow", array, least=0)
    return array
