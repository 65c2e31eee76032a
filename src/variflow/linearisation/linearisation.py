"""What an energy may look at: both frames around the flow so far, and their derivatives."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.base.arrays import is_jax
from variflow.base.types import Array
from variflow.images.derivative import differentiate

Derivative = Literal["average", "first", "second", "warped"]

DERIVATIVES: tuple[str, ...] = get_args(Derivative)


class Derived:
    """A property that is computed from the frames, and kept where that is safe.

    Arrays of NumPy are kept. A value of JAX is not: it may belong to a trace, of the body of a loop say, that has ended
    when the property is read again. `Linearisation.evaluate_derivatives` keeps the values of the trace in which it is
    called.
    """

    def __init__(self, function: Callable[[Any], Array]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, at: Linearisation | None, owner: type | None = None) -> Array:
        if at is None:
            return self
        value = at._compute_part(self)
        if not is_jax(value[0] if isinstance(value, tuple) else value):
            at._keep(**{self.name: value})
        return value


@dataclass(frozen=True, eq=False, repr=False)
class Linearisation:
    """What an energy may look at, at one level and for one flow so far.

    Inside an energy the arrays are JAX's; elsewhere they are NumPy's. Displacements are in pixels of this level.
    ``Ix``, ``Iy``, ``It`` and the second derivatives are zero where `valid` is False. In frames of at least 64 rows and
    columns all but ``It`` are zero at the outermost pixels, too: a derivative would see the border twice there and be
    half of what it is.

    Attributes
    ----------
    frame0, frame1 : (C, H, W) float32
        The first frame, and the second one warped by `flow`; intensities mostly in [0, 1].
    second : (C, H, W) float32
        The second frame as it is, for energies that warp it themselves with `variflow.warp`.
    flow : pair of (H, W) float32
        The flow so far, ``(u, v)``; an increment is added to it.
    valid : (H, W) bool
        True where the pixel is usable, and its target lies inside the second frame and is usable there.
    weights : (H, W) float32
        How much the data at each pixel count: the product of both frames' weights, and 0 where `valid` is False.
    guide : (C', H, W) float32
        The first frame with all its channels, in CIE Lab, for weights that follow image edges.
    derivative : str
        Which image the spatial derivatives are of: the ``"first"`` frame, the ``"second"`` as it is, the second
        ``"warped"``, or the ``"average"`` of the first and the warped.
    noise : float
        The standard deviation of the frames' noise at this level; 0 if it was not estimated.
    further : tuple of (H, W) float32
        The further planes so far, of models whose unknowns are more than the flow (see `variflow.unknowns`).
    level : int
        The number of the level; 0 is that of the frames.
    scale : (float, float)
        The width and the height of this level, each divided by that of the frames: a displacement ``(u, v)`` in pixels
        of the frames is ``(scale[0] * u, scale[1] * v)`` here.
    """

    frame0: Array
    frame1: Array
    second: Array
    flow: tuple[Array, Array]
    valid: Array
    weights: Array
    guide: Array
    derivative: Derivative = "average"
    noise: float = 0.0
    further: tuple[Array, ...] = ()
    level: int = 0
    scale: tuple[float, float] = (1.0, 1.0)

    @property
    def planes(self) -> tuple[Array, ...]:
        """All planes so far, in the order of the increments: the flow ``(u, v)`` and the further ones."""
        return *self.flow, *self.further

    def __repr__(self) -> str:
        channels, height, width = self.frame0.shape
        return f"<Linearisation of {width} x {height}, {channels} channel{'s' if channels > 1 else ''}>"

    def __reduce__(self) -> tuple[type[Linearisation], tuple[object, ...]]:
        # A plain linearisation is pickled, because a level holds functions that cannot be.
        return Linearisation, tuple(getattr(self, field.name) for field in fields(self))

    @Derived
    def shape(self) -> Array:
        """Height and width of this level."""
        return tuple(self.frame0.shape[-2:])

    @Derived
    def Ix(self) -> Array:
        """Derivative of the intensity along x, ``(C, H, W)``, per pixel."""
        return self._differentiated[0] * self.differentiable

    @Derived
    def Iy(self) -> Array:
        """Derivative of the intensity along y, ``(C, H, W)``, per pixel."""
        return self._differentiated[1] * self.differentiable

    @Derived
    def It(self) -> Array:
        """Temporal difference, warped second frame minus first, ``(C, H, W)``."""
        return (self.frame1 - self.frame0) * self.valid

    @Derived
    def Ixx(self) -> Array:
        """Second derivative along x, ``(C, H, W)``."""
        return self._twice_differentiated[0] * self.differentiable

    @Derived
    def Ixy(self) -> Array:
        """Mixed second derivative, ``(C, H, W)``."""
        return self._twice_differentiated[1] * self.differentiable

    @Derived
    def Iyy(self) -> Array:
        """Second derivative along y, ``(C, H, W)``."""
        return self._twice_differentiated[2] * self.differentiable

    @Derived
    def Ixt(self) -> Array:
        """Derivative along x of the temporal difference, ``(C, H, W)``."""
        return self._twice_differentiated[3] * self.differentiable

    @Derived
    def Iyt(self) -> Array:
        """Derivative along y of the temporal difference, ``(C, H, W)``."""
        return self._twice_differentiated[4] * self.differentiable

    @Derived
    def mismatch(self) -> Array:
        """How far, in pixels, the flow is from where the gradients of both frames agree, ``(H, W)``; from 0 up.

        It is the difference of the gradients, divided by how fast they change, at least 6 / 255 per pixel; both over
        all channels. It is 0 where the weights are 0.
        """
        xx, xy, yy, xt, yt = self._twice_differentiated
        change = (xt**2 + yt**2).sum(axis=0)
        slope = (xx**2 + 2 * xy**2 + yy**2).sum(axis=0)
        return (change / (slope + _core.mismatch_floor**2)) ** 0.5 * (self.weights > 0)

    def __getattr__(self, name: str) -> Array:
        """Raise an AttributeError that lists the parts that exist."""
        if hasattr(type(self), name):  # it exists, and raised an AttributeError of its own: raise that again
            return object.__getattribute__(self, name)
        parts = [field.name for field in fields(Linearisation) if field.name != "further"] + ["planes"]
        parts += [part for part, value in vars(Linearisation).items() if isinstance(value, Derived) and part[0] != "_"]
        close = difflib.get_close_matches(name, parts, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"at has no {name!r}, wanted one of {', '.join(map(repr, parts))}{hint}")

    def _compute_part(self, part: Derived) -> Array:
        """Compute a part."""
        return part.function(self)

    def compute_planes(self, names: tuple[str, ...]) -> Array:
        """Return parts that are derivatives of NumPy's frames, by their names: C planes of each, in one array."""
        return np.concatenate([getattr(self, name) for name in names])

    def filter_frames(self, function: Callable[..., Array], *settings: float) -> tuple[Array, Array]:
        """Return ``function(planes, *settings)`` of the first frame and of the second as it is, `second`.

        It is computed once a level where the frames are NumPy's, so a slow function is called as `function` and not
        in a lambda.
        """
        return function(self.frame0, *settings), function(self.second, *settings)

    def with_planes(self, **planes: Array) -> Self:
        """Return a copy with some parts, by name, replaced by given ones."""
        other = object.__new__(type(self))
        other._keep(**{**self.__dict__, **planes})
        return other

    def _keep(self, **parts: object) -> None:
        """Keep parts by name; every part that is computed on demand is stored here."""
        self.__dict__.update(parts)

    def plain(self) -> Linearisation:
        """Return a copy with every field computed, as JAX wants it."""
        return Linearisation(**{field.name: getattr(self, field.name) for field in fields(self)})

    def evaluate_derivatives(self) -> Linearisation:
        """Return a copy with every derivative computed now, for use inside a loop of this trace.

        Derivatives that the loop does not use cost nothing, because the compiler drops them.
        """
        plain = self.plain()
        derived = [name for name, attribute in vars(Linearisation).items() if isinstance(attribute, Derived)]
        return plain.with_planes(**{name: getattr(plain, name) for name in derived})

    @Derived
    def _differentiated(self) -> tuple[Array, Array]:
        """Derivatives along x and y, also where `valid` is False: second derivatives nearby need them."""
        if self.derivative == "average":
            image = 0.5 * (self.frame0 + self.frame1)
        else:
            image = {"first": self.frame0, "second": self.second, "warped": self.frame1}[self.derivative]
        return differentiate(image, "x"), differentiate(image, "y")

    @Derived
    def _twice_differentiated(self) -> tuple[Array, ...]:
        """Derivatives of derivatives, xx, xy and yy, and of the temporal difference, along x and y; everywhere."""
        along_x, along_y = self._differentiated
        difference = self.frame1 - self.frame0
        second = differentiate(along_x, "x"), differentiate(along_x, "y"), differentiate(along_y, "y")
        return *second, differentiate(difference, "x"), differentiate(difference, "y")

    @Derived
    def differentiable(self) -> Array:
        """Where derivatives are of use: where `valid` is True, but not at the outermost pixels."""
        return self.valid * _mark_inner(*self.shape)


@lru_cache(maxsize=32)
def _mark_inner(height: int, width: int) -> NDArray[np.float32]:
    """Return 0 at the outermost pixels, else 1; a frame of few rows or columns keeps the outermost of these."""
    inner = np.ones((height, width), np.float32)
    if height >= _core.fewest_inner:
        inner[[0, -1]] = 0
    if width >= _core.fewest_inner:
        inner[:, [0, -1]] = 0
    inner.flags.writeable = False
    return inner
