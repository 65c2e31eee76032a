"""Terms: the pieces an energy is made of.

A term is a callable ``term(d, at)`` that returns its share of the energy for the increment ``d = (u, v)``, a sum over
pixels. Terms add, with one another and with plain functions of the same signature, and scale: ``data + 0.1 * smooth``.
They work on NumPy and on JAX arrays. To JAX a term is a pytree whose numbers are arrays, so that a changed weight does
not recompile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, TypeVar

from variflow.choices import check_choice, check_constant
from variflow.energy.penalties import Penalty, Quadratic, check_penalty

if TYPE_CHECKING:
    from variflow.linearisation import Linearisation

Increment = tuple[Any, Any]
Energy = Callable[[Increment, "Linearisation"], Any]
Kind = TypeVar("Kind")


class NotTakenApart(ValueError):
    """No native solver can take the energy apart as it is written, though it may be differentiated as a whole."""


def keeps(value: Any, kind: type[Kind], *methods: str) -> TypeGuard[Kind]:
    """Return whether an object is of a class and these methods are still those of that class, not overridden."""
    return isinstance(value, kind) and all(getattr(type(value), name) is getattr(kind, name) for name in methods)


class Term(ABC):
    """Base of all terms: a callable of ``(d, at)`` that adds and scales.

    Arrays of the frames' size that it holds follow the pyramid: ``(H, W, 2)`` as a flow, in pixels of the level, others
    as pictures. A term that lies over the first frame or knows a direction has a method ``reversed(flow)``, which
    returns the term for the frames swapped, given the flow from the first to the second, ``(H, W, 2)``; without it
    there is no way back (`Result.backward`).
    """

    @abstractmethod
    def __call__(self, d: Increment, at: Linearisation) -> Any:
        """Return the term's energy, a scalar."""

    __array_ufunc__ = None  # a number of NumPy leaves its operators to the term

    def __add__(self, other: Energy) -> Sum:
        return Sum((*_parts(self), *_parts(other))) if callable(other) else NotImplemented

    def __radd__(self, other: Energy | float) -> Term:
        if isinstance(other, Real) and other == 0:  # where sum() begins
            return self
        return Sum((*_parts(other), *_parts(self))) if callable(other) else NotImplemented

    def __mul__(self, factor: float) -> Term:
        if not (isinstance(factor, Real) or getattr(factor, "shape", None) == ()):
            return NotImplemented
        if "weight" in vars(type(self)).get("__dataclass_fields__", ()):
            return replace(self, weight=self.weight * factor)  # type: ignore[type-var, attr-defined]
        return Sum((self,), factor)

    def __rmul__(self, factor: float) -> Term:
        return self.__mul__(factor)

    def __truediv__(self, divisor: float) -> Term:
        return self.__mul__(1 / divisor) if isinstance(divisor, Real) or hasattr(divisor, "shape") else NotImplemented

    def __neg__(self) -> Term:
        return self * -1.0


@dataclass(frozen=True)
class Sum(Term):
    """A weighted sum of terms and plain energy functions; made by ``+`` and ``*``."""

    terms: tuple[Energy, ...]
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_weight(self)
        for term in self.terms:
            if not callable(term) or isinstance(term, type):
                raise TypeError(f"terms of Sum holds {term!r}, wanted terms and functions energy(d, at) -> scalar")

    def __call__(self, d: Increment, at: Linearisation) -> Any:
        """Return the sum of the terms' energies."""
        return self.weight * sum(term(d, at) for term in self.terms)


@dataclass(frozen=True)
class DataTerm(Term):
    """Base of the terms that compare the frames: a penalty of residuals, weighed by ``at.weights``.

    ``weight * sum over pixels of at.weights * penalty(sqrt(mean of squared residuals))``. A data term of your own
    derives from this class and defines `residuals`, or `linearised` where the residuals are linear.

    With a `normalisation` zeta each residual ``r`` with the Jacobian ``J`` is divided by
    ``sqrt(|J|^2 + zeta^2)``: it becomes the distance in pixels to the line of flows that explain it, so that strong
    edges do not outweigh fine texture (Zimmer, Bruhn and Weickert, Optic flow in harmony, IJCV 2011). Where
    ``at.noise`` is more than zeta, it takes its place: a gradient that may be noise says little.
    """

    penalty: Penalty = field(default_factory=Quadratic)
    weight: float = 1.0
    normalisation: float | None = None

    def __post_init__(self) -> None:
        check_penalty(self)
        check_weight(self)
        if self.normalisation is not None:
            check_constant(f"normalisation of {type(self).__name__}", self.normalisation, above=0)

    def residuals(self, d: Increment, at: Linearisation) -> list[Any]:
        """Return the residuals, planes ``(H, W)`` penalised jointly; each pixel's depends on its own d only."""
        u, v = d
        return [jx * u + jy * v + r for jx, jy, r in self.linearised(at)]

    def linearised(self, at: Linearisation) -> list[tuple[Any, Any, Any]]:
        """Return the residuals around d = 0 as triples of planes: ``(jx, jy, r)`` stands for ``jx du + jy dv + r``."""
        from variflow.energy.jacobian import linearise

        return linearise(self, at)

    def __call__(self, d: Increment, at: Linearisation) -> Any:
        """Return the penalised residuals, summed over pixels."""
        squared = [residual**2 for residual in residuals_of(self, d, at)]
        if self.normalisation is not None:
            import jax.numpy as jnp

            zeta = jnp.maximum(self.normalisation, at.noise)
            scales = [jx**2 + jy**2 + zeta**2 for jx, jy, _ in linearised(self, at)]
            squared = [one / scale for one, scale in zip(squared, scales, strict=True)]
        # A Python sum, not a stacked array: XLA fuses the one and not the other.
        return self.weight * (at.weights * self.penalty.of_squared(sum(squared) / len(squared))).sum()


def residuals_of(term: DataTerm, d: Increment, at: Linearisation) -> list[Any] | tuple[Any, ...]:
    """Return the residuals of a term; raise TypeError or ValueError, naming it, if they are not planes in a list."""
    planes: Any = term.residuals(d, at)
    returned = f"residuals of {type(term).__name__} returned"
    if hasattr(planes, "shape"):
        raise TypeError(f"{returned} an array of shape {tuple(planes.shape)}, wanted a list of planes (H, W)")
    if not isinstance(planes, list | tuple):
        raise TypeError(f"{returned} a {type(planes).__name__}, wanted a list of planes (H, W)")
    if not planes:
        raise ValueError(f"{returned} an empty list, wanted a list of planes (H, W)")
    height, width = d[0].shape
    for plane in planes:
        if getattr(plane, "shape", None) != (height, width):
            kind = f"a plane of shape {plane.shape}" if hasattr(plane, "shape") else f"a {type(plane).__name__}"
            raise ValueError(
                f"{returned} {kind} in its list for frames of {height} x {width}, wanted planes (H, W), one a channel"
            )
    return planes


def linearised(term: DataTerm, at: Linearisation) -> list[tuple[Any, Any, Any]]:
    """Return the residuals of a term around d = 0, as the term itself says, or as its residuals do."""
    return DataTerm.linearised(term, at) if written_as_residuals(type(term)) else term.linearised(at)


def written_as_residuals(cls: type[DataTerm]) -> bool:
    """Return whether a class says what its residuals are, and none above it how those are linear.

    Of a class derived from a built-in one, the residuals alone may be its own.
    """
    owner = next(owner for owner in cls.__mro__ if {"residuals", "linearised"} & vars(owner).keys())
    return owner is DataTerm or "linearised" not in vars(owner)


@dataclass(frozen=True)
class BrightnessConstancy(DataTerm):
    """A point keeps its brightness: ``Ix du + Iy dv + It = 0`` in every channel (Horn and Schunck, 1981).

    Parameters
    ----------
    penalty : Penalty
        Of the residual in intensity, where the frames' range is [0, 1]; the channels are penalised jointly, by the
        mean of their squares.
    weight : float
        Factor of the term.
    normalisation : float, optional
        See `DataTerm`; typically 1/255 to 4/255.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness
    >>> energy = BrightnessConstancy(Charbonnier(0.01)) + 0.05 * Smoothness(Charbonnier(0.01))
    """

    def linearised(self, at: Linearisation) -> list[tuple[Any, Any, Any]]:
        """Return ``Ix du + Iy dv + It``, one residual a channel."""
        return [(at.Ix[c], at.Iy[c], at.It[c]) for c in range(at.frame0.shape[0])]


@dataclass(frozen=True)
class GradientConstancy(DataTerm):
    """A point keeps its intensity gradient, so slow changes of light do not matter (Brox et al., ECCV 2004).

    ``Ixx du + Ixy dv + Ixt = 0`` and ``Ixy du + Iyy dv + Iyt = 0`` in every channel, penalised jointly.

    Parameters
    ----------
    penalty : Penalty
        Of the residual in intensity per pixel.
    weight : float
        Factor of the term.
    normalisation : float, optional
        See `DataTerm`; typically 1/255 to 4/255.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, GradientConstancy, Smoothness
    >>> energy = BrightnessConstancy() + 5.0 * GradientConstancy() + 0.001 * Smoothness()
    """

    def linearised(self, at: Linearisation) -> list[tuple[Any, Any, Any]]:
        """Return both residuals, two a channel."""
        channels = range(at.frame0.shape[0])
        along_x = [(at.Ixx[c], at.Ixy[c], at.Ixt[c]) for c in channels]
        along_y = [(at.Ixy[c], at.Iyy[c], at.Iyt[c]) for c in channels]
        return along_x + along_y


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
        The increment of this warp alone, or the whole flow.

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

    def __call__(self, d: Increment, at: Linearisation) -> Any:
        """Return the penalised lengths, summed over pixels."""
        u, v = d if self.of == "increment" else (at.flow[0] + d[0], at.flow[1] + d[1])
        return self.weight * self.penalty.of_squared(u**2 + v**2).sum()


@dataclass(frozen=True)
class ImageEdges:
    """Weights that let the flow break where the first frame does: ``exp(-|guide(p) - guide(q)| / contrast)``.

    The difference between two neighbouring pixels p and q is the root mean square over the guide's channels
    (Wedel et al., Structure- and motion-adaptive regularization, ICCV 2009, steer the penalty likewise).

    Parameters
    ----------
    contrast : float
        The difference in CIE Lab (the lightness is in [0, 100]) at which smoothness counts 1/e; typically 2 to 20.
        Larger follows fewer edges.

    Examples
    --------
    >>> from variflow.energy import Charbonnier, ImageEdges, Smoothness
    >>> smoothness = 0.05 * Smoothness(Charbonnier(0.01), edges=ImageEdges(contrast=5.0))
    """

    contrast: float = 5.0

    def __post_init__(self) -> None:
        check_constant("contrast of ImageEdges", self.contrast, above=0)

    def __call__(self, at: Linearisation) -> tuple[Any, Any]:
        """Return the weights of the horizontal ``(H, W - 1)`` and the vertical edges ``(H - 1, W)``."""
        xp = at.guide.__array_namespace__()
        along_x, along_y = _differences(at.guide)

        def weights(difference: Any) -> Any:
            return xp.exp(-xp.sqrt((difference * difference).mean(axis=0)) / self.contrast)

        return weights(along_x), weights(along_y)


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
        The whole flow, or the increment of this warp alone.
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

    def __call__(self, d: Increment, at: Linearisation) -> Any:
        """Return the penalised differences, summed over edges or pixels."""
        (ux, uy), (vx, vy) = (_differences(plane) for plane in d)
        if self.of == "flow":
            # Added as differences: XLA compiles the differences of sums to a program several times slower.
            (flow_ux, flow_uy), (flow_vx, flow_vy) = (_differences(plane) for plane in at.flow)
            ux, uy, vx, vy = ux + flow_ux, uy + flow_uy, vx + flow_vx, vy + flow_vy
        along_x, along_y = ux**2 + vx**2, uy**2 + vy**2
        weights_x, weights_y = self.edges(at) if self.edges is not None else (1.0, 1.0)
        rho = self.penalty.of_squared
        if self.per == "edge":
            return self.weight * ((weights_x * rho(along_x)).sum() + (weights_y * rho(along_y)).sum())
        xp = along_x.__array_namespace__()
        # No neighbour beyond the last column and row: no difference there.
        squared = xp.pad(weights_x * along_x, ((0, 0), (0, 1))) + xp.pad(weights_y * along_y, ((0, 1), (0, 0)))
        return self.weight * rho(squared).sum()


def check_weight(term: Any) -> None:
    """Raise ValueError, naming it, if the weight of a term is below 0, where the energy may have no minimum."""
    check_constant(f"weight of {type(term).__name__}", term.weight, least=0)


def check_edges(term: Any) -> None:
    """Raise TypeError, naming it, if what relaxes a term across image edges cannot do so."""
    edges = term.edges
    if edges is None or (callable(edges) and not isinstance(edges, type)):
        return
    remedy = f"ImageEdges(contrast={edges})" if isinstance(edges, Real) else "ImageEdges(contrast=5.0)"
    raise TypeError(f"edges of {type(term).__name__} is {edges!r}, wanted edges such as {remedy}, or None")


def _differences(planes: Any) -> tuple[Any, Any]:
    """Return the differences between neighbours along x and along y, of the last two axes."""
    return planes[..., :, 1:] - planes[..., :, :-1], planes[..., 1:, :] - planes[..., :-1, :]


def _parts(energy: Energy) -> tuple[Energy, ...]:
    """Return the terms of an unscaled sum, so that a + b + c is one sum of three."""
    return energy.terms if keeps(energy, Sum, "__call__") and energy.weight == 1.0 else (energy,)
