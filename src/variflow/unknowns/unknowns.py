"""The base of all unknowns, and the checks of what they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from variflow.base.fields import Declared
from variflow.base.kinds import name_kind
from variflow.base.types import Array
from variflow.images.resampling import Planes, resample_flow

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

Values = dict[str, Any]

# The parts of a linearisation that do not depend on the flow, which is only made of the unknowns.
_SEEN = ("shape", "level", "scale", "frame0", "second", "guide", "noise")


class Unknowns(Declared, ABC):
    """Base of what an estimate seeks: values from which the flow is made.

    Unknowns of your own derive from this class, say where they start (`start`) and what flow they stand for
    (`flow_of`). Planes of the frames' size of which the flow is a local and linear function are found by the native
    solver `variflow.solve.local_system.LocalSystem`, all others by Newton's method in JAX.

    ``at`` is the level of the pyramid: ``at.shape`` is its height and width, and it has what does not depend on the
    flow, such as ``at.frame0`` and ``at.guide``. Arrays of the frames' size that the unknowns hold are brought to each
    level, as those of terms are.

    Examples
    --------
    The same displacement everywhere:

    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BrightnessConstancy
    >>> class Translation(variflow.unknowns.Unknowns):
    ...     def start(self, flow, at):
    ...         return {"shift": np.array([plane.mean() for plane in flow])}
    ...     def flow_of(self, values, at):
    ...         u, v = values["shift"]
    ...         return jnp.full(at.shape, u), jnp.full(at.shape, v)
    >>> pair = synthetic.translation((32, 40), shift=(1.25, -0.5))
    >>> model = variflow.Model(BrightnessConstancy(), unknowns=Translation(), coarsest=24)
    >>> result = variflow.estimate(pair.frame0, pair.frame1, model)
    >>> np.abs(result.unknowns["shift"] - (1.25, -0.5)).max() < 0.05
    np.True_
    """

    @abstractmethod
    def start(self, flow: tuple[Planes, Planes], at: Any) -> Values:
        """Return the values that stand for a flow ``(u, v)`` best: arrays by name."""

    @abstractmethod
    def flow_of(self, values: Values, at: Any) -> tuple[Array, ...]:
        """Return the flow ``(u, v)`` of some values, and any further planes that the energy sees, each ``at.shape``.

        It must be made of functions that JAX can differentiate.
        """

    def carry(self, values: Values, old: Any, new: Any) -> Values | None:
        """Return values at another size: `old` and `new` are the levels, as `at` is.

        None, the default, stands for those that start from the flow, resampled.
        """
        return None

    def replace_flow(self, values: Values, flow: tuple[Planes, Planes]) -> Values:
        """Return values whose flow is another one, as a filter made it; only where any flow is possible."""
        raise TypeError(f"{type(self).__name__} cannot stand for any flow, such as a filter returns")


def allows_any_flow(unknowns: Unknowns | None) -> bool:
    """Return whether a filter may change the flow."""
    return unknowns is None or type(unknowns).replace_flow is not Unknowns.replace_flow


class Place:
    """A level as unknowns see it: a linearisation without what depends on the flow."""

    def __init__(self, at: Linearisation) -> None:
        self._at = at

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the level."""
        height, width = self._at.frame0.shape[-2:]
        return height, width

    def __getattr__(self, name: str) -> Any:
        if name not in _SEEN:
            raise AttributeError(
                f"unknowns see no at.{name}, wanted what does not depend on the flow: at.{', at.'.join(_SEEN)}"
            )
        return getattr(self._at, name)


def start_values(unknowns: Unknowns, flow: tuple[Planes, Planes], at: Any) -> Values:
    """Return the values that stand for a flow, checked."""
    return check_values(unknowns, unknowns.start(flow, at), "start")


def carry_values(unknowns: Unknowns, values: Values, flow: tuple[Planes, Planes], old: Any, new: Any) -> Values:
    """Return values at another size, checked; `flow` is what they stand for."""
    carried = unknowns.carry(values, old, new)
    if carried is None:
        return start_values(unknowns, resample_flow(flow, new.shape), new)
    return check_values(unknowns, carried, "carry")


def check_values(unknowns: Unknowns, values: object, method: str) -> Values:
    """Return values as arrays of single precision; raise TypeError or ValueError if they are not numbers by name."""
    returned = f"{method} of {type(unknowns).__name__} returned"
    wanted = "wanted arrays by name, such as {'stream': plane}"
    if not isinstance(values, dict) or not values or not all(isinstance(name, str) for name in values):
        raise TypeError(f"{returned} {_describe(values)}, {wanted}")
    checked = {}
    for name, value in values.items():
        try:
            array = np.ascontiguousarray(value, np.float32).reshape(np.shape(value))
        except (TypeError, ValueError):
            raise TypeError(f"{returned} {_describe(value)} as {name!r}, {wanted}") from None
        if not np.isfinite(array).all():
            raise ValueError(f"{returned} values of {name!r} that are not finite, wanted finite numbers")
        checked[name] = array
    return checked


def make_planes(unknowns: Unknowns, values: Values, at: Any) -> tuple[Planes, ...]:
    """Return the flow of some values, and any further planes, as arrays of NumPy."""
    planes = find_planes(unknowns, values, at)
    return tuple(np.ascontiguousarray(plane, np.float32) for plane in planes)


def find_planes(unknowns: Unknowns, values: Values, at: Any) -> tuple[Array, ...]:
    """Return the flow of some values, and any further planes; raise TypeError or ValueError if they are not planes."""
    try:
        planes = unknowns.flow_of(values, at)
    except KeyError as fault:
        if not fault.args or fault.args[0] in values:
            raise
        raise ValueError(
            f"flow_of of {type(unknowns).__name__} reads {fault.args[0]!r}, wanted what start returns: "
            f"{', '.join(map(repr, values))}"
        ) from fault
    returned = f"flow_of of {type(unknowns).__name__} returned"
    height, width = at.shape
    wanted = f"wanted the planes (u, v), each {height} x {width}"
    if not isinstance(planes, tuple | list):
        raise TypeError(f"{returned} {_describe(planes)}, {wanted}")
    if len(planes) < 2:
        raise ValueError(f"{returned} {len(planes)} planes, {wanted}")
    for plane in planes:
        if getattr(plane, "shape", None) != (height, width):
            raise ValueError(f"{returned} {_describe(plane)} among its planes, {wanted}")
    return tuple(planes)


def _describe(value: object) -> str:
    if isinstance(value, dict) and not value:
        return "an empty dict"
    shape = getattr(value, "shape", None)
    return name_kind(value) if shape is None else f"an array of shape {tuple(shape)}"
