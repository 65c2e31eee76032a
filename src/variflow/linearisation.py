"""Linearise the frames around the flow so far: warp the second frame, take derivatives, see what is still inside."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from variflow import _core, flowops
from variflow.caching import cached_property
from variflow.pyramid import Level
from variflow.resampling import Planes

Derivative = Literal["average", "first", "second", "warped"]
DERIVATIVES: tuple[str, ...] = get_args(Derivative)

# The parts of a linearisation that the core computes from the frames, C planes each.
SHOWN = ("It", "Ix", "Iy", "Ixx", "Ixy", "Iyy", "Ixt", "Iyt")

# Both frames, what is warped, u, v, the weights, how to interpolate and whose derivatives to take.
_Compared = tuple[Planes, Planes, Planes, Planes, Planes, Planes | None, flowops.Interpolation, Derivative]

# Of the gradient? The penalty's number and its constants, the normalisation and the weight.
ConstancyTerm = tuple[bool, int, float, float, float, float]

# jx, jy and r, the penalty's number and its constants, the normalisation and the weight.
DataArguments = tuple[Planes, Planes, Planes, int, float, float, float, float]

# Weights of edges to the right and below, whether edges are joined at each pixel, the penalty as above, the weight.
SmoothnessArguments = tuple[Planes | None, Planes | None, bool, int, float, float, float]


class _Derived:
    """A property computed from the frames, and kept where that is safe.

    Arrays of NumPy are kept. A JAX value is not: it may belong to a trace (of a loop's body, say) that has ended when
    it is asked for again. `Linearisation.evaluated` keeps those of the trace that it is called in.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, at: Any, owner: type | None = None) -> Any:
        if at is None:
            return self
        value = at._part(self)
        if isinstance(value[0] if isinstance(value, tuple) else value, np.ndarray):
            at.__dict__[self.name] = value
        return value


@dataclass(frozen=True, eq=False, repr=False)
class Linearisation:
    """What an energy may look at, at one level and for one flow so far.

    Inside an energy the arrays are JAX's; elsewhere they are NumPy's. Displacements are in pixels of this level.
    ``Ix``, ``Iy``, ``It`` and the second derivatives are zero where `valid` is False.

    Attributes
    ----------
    frame0, frame1 : (C, H, W) float32
        The first frame, and the second one warped by `flow`; intensities mostly in [0, 1].
    second : (C, H, W) float32
        The second frame as it is, for energies that warp it themselves with `variflow.warp`.
    flow : pair of (H, W) float32
        The flow so far, ``(u, v)``; an increment is added to it.
    valid : (H, W) bool
        True where the pixel is usable, its target inside the second frame, and usable there.
    weights : (H, W) float32
        How much the data at each pixel count: the product of both frames' weights; 0 where not valid.
    guide : (C', H, W) float32
        The first frame, all its channels, in CIE Lab, for weights that follow image edges.
    derivative : str
        Where spatial derivatives are taken: of the ``"first"``, ``"second"`` or ``"warped"`` second frame, or of the
        ``"average"`` of the first and the warped.
    noise : float
        The standard deviation of the frames' noise at this level; 0 if it was not estimated.
    """

    frame0: Any
    frame1: Any
    second: Any
    flow: tuple[Any, Any]
    valid: Any
    weights: Any
    guide: Any
    derivative: Derivative = "average"
    noise: float = 0.0

    def __repr__(self) -> str:
        channels, height, width = self.frame0.shape
        return f"<Linearisation of {width} x {height}, {channels} channel{'s' if channels > 1 else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Always as a plain one: a level holds functions that cannot be pickled.
        return Linearisation, tuple(getattr(self, field.name) for field in fields(self))

    @_Derived
    def Ix(self) -> Any:
        """Derivative of the intensity along x, ``(C, H, W)``, per pixel."""
        return self._differentiated[0] * self.valid

    @_Derived
    def Iy(self) -> Any:
        """Derivative of the intensity along y, ``(C, H, W)``, per pixel."""
        return self._differentiated[1] * self.valid

    @_Derived
    def It(self) -> Any:
        """Temporal difference, warped second frame minus first, ``(C, H, W)``."""
        return (self.frame1 - self.frame0) * self.valid

    @_Derived
    def Ixx(self) -> Any:
        """Second derivative along x, ``(C, H, W)``."""
        return derivative(self._differentiated[0], "x") * self.valid

    @_Derived
    def Ixy(self) -> Any:
        """Mixed second derivative, ``(C, H, W)``."""
        return derivative(self._differentiated[0], "y") * self.valid

    @_Derived
    def Iyy(self) -> Any:
        """Second derivative along y, ``(C, H, W)``."""
        return derivative(self._differentiated[1], "y") * self.valid

    @_Derived
    def Ixt(self) -> Any:
        """Derivative along x of the temporal difference, ``(C, H, W)``."""
        return derivative(self.frame1 - self.frame0, "x") * self.valid

    @_Derived
    def Iyt(self) -> Any:
        """Derivative along y of the temporal difference, ``(C, H, W)``."""
        return derivative(self.frame1 - self.frame0, "y") * self.valid

    @_Derived
    def mismatch(self) -> Any:
        """How far, in pixels, the flow is from where the gradients of both frames agree, ``(H, W)``; from 0 up.

        The difference of the gradients over how fast they change, which counts as 6 / 255 per pixel at least, both over
        all channels. 0 where the weights are.
        """
        return mismatch_over(self, _core.mismatch_floor) * (self.weights > 0)

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError, naming the parts that there are."""
        if hasattr(type(self), name):  # it is there, and raised an AttributeError of its own: let it again
            return object.__getattribute__(self, name)
        parts = [field.name for field in fields(Linearisation)]
        parts += [part for part, value in vars(Linearisation).items() if isinstance(value, _Derived) and part[0] != "_"]
        close = difflib.get_close_matches(name, parts, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"at has no {name!r}, wanted one of {', '.join(map(repr, parts))}{hint}")

    def _part(self, part: _Derived) -> Any:
        """Compute a part."""
        return part.function(self)

    def plain(self) -> Linearisation:
        """Return a copy with every part computed, as JAX wants it."""
        return Linearisation(**{field.name: getattr(self, field.name) for field in fields(self)})

    def evaluated(self) -> Linearisation:
        """Return the same with every derivative computed here and now, for use inside a loop of this trace.

        What the loop does not use costs nothing: the compiler drops it.
        """
        copy = self.plain()
        for name, attribute in vars(Linearisation).items():
            if isinstance(attribute, _Derived):
                copy.__dict__[name] = getattr(copy, name)
        return copy

    @_Derived
    def _differentiated(self) -> tuple[Any, Any]:
        """Derivatives along x and y, also where not valid: what lies beside such a pixel needs them."""
        if self.derivative == "average":
            image = 0.5 * (self.frame0 + self.frame1)
        else:
            image = {"first": self.frame0, "second": self.second, "warped": self.frame1}[self.derivative]
        return derivative(image, "x"), derivative(image, "y")


def mismatch_over(at: Linearisation, floor: float) -> Any:
    """Return the difference of both frames' gradients over how fast they change, and at least `floor`.

    That is ``sqrt(sum |grad It|^2 / (sum |Hessian|^2 + floor^2))``, sums over channels: pixels, ``(H, W)``.
    """
    change = (at.Ixt**2 + at.Iyt**2).sum(axis=0)
    slope = (at.Ixx**2 + 2 * at.Ixy**2 + at.Iyy**2).sum(axis=0)
    return (change / (slope + floor**2)) ** 0.5


def derivative(planes: Any, axis: Literal["x", "y"]) -> Any:
    """Differentiate planes ``(C, H, W)`` along axis "x" or "y" with the mask [1, -8, 0, 8, -1] / 12, border replicated.

    NumPy arrays go through the core, JAX arrays through JAX.
    """
    if isinstance(planes, np.ndarray):
        return _core.derivative(np.ascontiguousarray(planes, np.float32), axis)
    from variflow import _twins

    return _twins.derivative(planes, axis)


class LevelLinearisation(Linearisation):
    """A linearisation of a level of the pyramid, whose parts are computed when they are first looked at.

    The core takes the terms that it knows straight from the frames, and filters look at little.
    """

    level: Level
    interpolation: flowops.Interpolation
    with_misfit: bool

    def __init__(
        self,
        level: Level,
        flow: tuple[Planes, Planes],
        derivative: Derivative,
        interpolation: flowops.Interpolation,
        with_misfit: bool,
    ) -> None:
        self.__dict__.update(
            level=level,
            with_misfit=with_misfit,
            frame0=level.frame0.planes,
            second=level.frame1.planes,
            flow=flow,
            derivative=derivative,
            interpolation=interpolation,
            noise=level.noise,
        )

    def lent(self) -> LentLinearisation:
        """Return the same for a function of a person's own, which may write into what it sees."""
        return LentLinearisation(self)

    def constancy_tensor(self, terms: list[ConstancyTerm]) -> Planes:
        """Return the motion tensor (5, H, W) of constancy terms, as the core knows them."""
        tensor, *misfit = _core.constancy_tensor(*self._compared, terms, self.with_misfit)
        self._note(*misfit)
        return tensor

    def robust_step(
        self,
        terms: list[ConstancyTerm],
        data: list[DataArguments],
        smoothness: SmoothnessArguments,
        sweeps: int,
        omega: float,
    ) -> tuple[Planes, Planes]:
        """Return the flow after a step of data terms and a smoothness, as the core knows them, in one pass."""
        (u, v), *misfit = _core.robust_step(*self._compared, terms, data, *smoothness, sweeps, omega, self.with_misfit)
        self._note(*misfit)
        return u, v

    def shown(self, names: tuple[str, ...]) -> Planes:
        """Return what the frames show along the flow, by the names of its parts: C planes of each, in one array."""
        valid = None if self.complete else self.valid.astype(np.float32)
        first, second, samples, u, v, _, interpolation, derivative = self._compared
        planes: Planes = _core.frame_planes(first, second, samples, u, v, valid, interpolation, derivative, names)
        return planes

    def keep(self, names: tuple[str, ...]) -> None:
        """Compute parts that will be looked at together, by their names."""
        planes = self.shown(names)
        self.__dict__.update(zip(names, planes.reshape(len(names), -1, *planes.shape[1:]), strict=True))

    def _part(self, part: _Derived) -> Any:
        if part.name == "mismatch":
            return _core.mismatch(*self._compared)[0]
        return self.shown((part.name,)) if part.name in SHOWN else super()._part(part)

    @property
    def _compared(self) -> _Compared:
        """What the core compares, and how."""
        weights = None if self.complete else self.weights
        return self.frame0, self.second, self.samples, *self.flow, weights, self.interpolation, self.derivative

    def _note(self, difference: Planes | None, mismatch: Planes | None) -> None:
        """Keep the temporal difference and the mismatch if they came with what the core returned."""
        if difference is not None and self.complete:
            self.__dict__["It"] = difference
        if mismatch is not None:
            self.__dict__["mismatch"] = mismatch[0]

    @property
    def samples(self) -> Planes:
        """What is interpolated where the second frame is warped, (C, H, W)."""
        return self.level.spline if self.interpolation == "spline" else self.second

    @property
    def complete(self) -> bool:
        """Whether every pixel of both frames is usable and counts 1."""
        return self.level.frame0.complete and self.level.frame1.complete

    @cached_property
    def frame1(self) -> Planes:
        """The second frame warped, (C, H, W)."""
        warped: Planes = flowops.warp_prepared(self.samples, self.flow, self.interpolation)
        if self.interpolation == "spline":  # which returns what does not move with rounding errors
            still = (self.flow[0] == 0) & (self.flow[1] == 0)
            np.copyto(warped, self.second, where=still)
        return warped

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Where the pixel is usable, its target inside the second frame, and usable there."""
        first, second = self.level.frame0, self.level.frame1
        valid = inside(self.flow)
        if not first.complete:
            valid &= first.valid
        if not second.complete:
            valid &= self._at_target(second.valid.astype(np.float32)) > 0.999
        return valid

    @cached_property
    def weights(self) -> Planes:
        """How much the data at each pixel count."""
        if self.complete:
            return _inside(self.flow)
        first, second = self.level.frame0, self.level.frame1
        weights = self.valid.astype(np.float32)
        if not first.complete:
            weights *= first.weights
        if not second.complete:
            weights *= self._at_target(second.weights)
        return weights

    @cached_property
    def guide(self) -> Planes:
        """The first frame in CIE Lab."""
        return self.level.guide

    def _at_target(self, plane: Planes) -> Planes:
        """Look a plane of the second frame up at the flow's target."""
        looked_up: Planes = flowops.warp_planes(plane[None], self.flow, "bilinear")[0]
        return looked_up


class LentLinearisation(Linearisation):
    """A linearisation that shows copies, each made when it is first looked at."""

    def __init__(self, at: Linearisation) -> None:
        self.__dict__.update(_at=at, derivative=at.derivative, noise=at.noise)

    def __getattr__(self, name: str) -> Any:
        if name not in (field.name for field in fields(self)):
            return super().__getattr__(name)
        self.__dict__[name] = copied = _copied(getattr(self._at, name))
        return copied

    def _part(self, part: _Derived) -> Any:
        return _copied(getattr(self._at, part.name))


def _copied(arrays: Any) -> Any:
    return tuple(map(_copied, arrays)) if isinstance(arrays, tuple) else np.array(arrays)


def linearise(
    level: Level,
    flow: tuple[Planes, Planes],
    *,
    derivative: Derivative,
    interpolation: flowops.Interpolation,
    with_misfit: bool = False,
) -> LevelLinearisation:
    """Return what an energy may look at around the flow so far.

    `with_misfit` has a step bring ``It`` and ``mismatch`` along, in less time than they take afterwards.
    """
    return LevelLinearisation(level, flow, derivative, interpolation, with_misfit)


def inside(flow: tuple[Planes, Planes]) -> NDArray[np.bool_]:
    """Return where the target of a flow ``(u, v)`` lies within the frame, (H, W)."""
    within: NDArray[np.bool_] = _inside(flow) != 0
    return within


def _inside(flow: tuple[Planes, Planes]) -> Planes:
    u, v = map(np.ascontiguousarray, flow)
    plane: Planes = _core.inside(u, v)[0]
    return plane
