"""Unknown planes of the frames' size: the flow with further planes, or one component of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from variflow.base.choices import check_choice, keep
from variflow.base.types import Array
from variflow.images.resampling import Planes, resample, resample_flow
from variflow.unknowns.unknowns import Unknowns, Values


@dataclass(frozen=True)
class FlowAndPlanes(Unknowns):
    """The flow and further planes, such as a brightness gain: an energy sees ``u, v, gain = d``.

    A residual of the energy says what a plane means, and a smoothness of it says how it varies; without one a plane is
    free at each pixel. ``at.planes`` are all planes so far, in the order of `d`. They start at 0, and their values are
    the same at every level.

    Parameters
    ----------
    names : str or tuple of str
        Of the further planes. `Result.unknowns` holds them by these names, beside ``u`` and ``v``.

    Examples
    --------
    The second frame is brighter here and darker there:

    >>> from variflow.energy import Charbonnier, DataTerm, FlowTerm, Smoothness
    >>> from variflow.models import Model
    >>> from variflow.unknowns import FlowAndPlanes
    >>> class BrightnessWithGain(DataTerm):
    ...     def residuals(self, d, at):
    ...         u, v, gain = d
    ...         return [at.Ix[0] * u + at.Iy[0] * v + at.It[0] - (at.planes[2] + gain) * at.frame0[0]]
    >>> class SmoothGain(FlowTerm):
    ...     def residuals(self, flow, at):
    ...         gain = flow[2]
    ...         return [gain[:-1, 1:] - gain[:-1, :-1], gain[1:, :-1] - gain[:-1, :-1]]
    >>> energy = BrightnessWithGain(Charbonnier(0.01)) + 0.05 * Smoothness(Charbonnier(0.01)) + 2.0 * SmoothGain()
    >>> model = Model(energy, unknowns=FlowAndPlanes("gain"))
    """

    names: str | tuple[str, ...]

    def __post_init__(self) -> None:
        names = (self.names,) if isinstance(self.names, str) else self.names
        ok = isinstance(names, tuple | list) and names and all(isinstance(n, str) and n.isidentifier() for n in names)
        if not ok or len({"u", "v", *names}) != len(names) + 2:
            raise ValueError(
                f"names of FlowAndPlanes is {self.names!r}, wanted the name of a plane other than u and v, or several "
                "in a tuple"
            )
        keep(self, names=tuple(names))

    def start(self, flow: tuple[Planes, Planes], at: Any) -> Values:
        """Return the flow, and planes of 0."""
        return {"u": flow[0], "v": flow[1], **{name: np.zeros(at.shape, np.float32) for name in self.names}}

    def flow_of(self, values: Values, at: Any) -> tuple[Array, ...]:
        """Return the planes as they are."""
        return values["u"], values["v"], *(values[name] for name in self.names)

    def carry(self, values: Values, old: Any, new: Any) -> Values:
        """Return the planes resampled."""
        u, v = resample_flow((values["u"], values["v"]), new.shape)
        further = np.stack([values[name] for name in self.names])
        return {"u": u, "v": v, **dict(zip(self.names, resample(further, new.shape, kernel="linear"), strict=True))}

    def replace_flow(self, values: Values, flow: tuple[Planes, Planes]) -> Values:
        """Return another flow with the same further planes."""
        return {**values, "u": flow[0], "v": flow[1]}


@dataclass(frozen=True)
class OneComponent(Unknowns):
    """One component of the flow alone, as in rectified stereo pairs; the other one is 0 everywhere.

    Parameters
    ----------
    component : {"u", "v"}
        The one that is sought.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from variflow import models
    >>> from variflow.unknowns import OneComponent
    >>> stereo = replace(models.brox(), unknowns=OneComponent("u"))
    """

    component: Literal["u", "v"] = "u"

    def __post_init__(self) -> None:
        check_choice("component of OneComponent", self.component, ("u", "v"))

    def start(self, flow: tuple[Planes, Planes], at: Any) -> Values:
        """Return the component of a flow."""
        return {self.component: flow["uv".index(self.component)]}

    def flow_of(self, values: Values, at: Any) -> tuple[Array, ...]:
        """Return the component, and 0 for the other."""
        plane = values[self.component]
        return (plane, 0 * plane) if self.component == "u" else (0 * plane, plane)

    def replace_flow(self, values: Values, flow: tuple[Planes, Planes]) -> Values:
        """Return the component of another flow."""
        return {self.component: flow["uv".index(self.component)]}
