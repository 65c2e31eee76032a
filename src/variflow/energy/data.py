"""Data terms: they compare both frames along the flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from variflow.base.choices import check_constant, check_takes
from variflow.energy.penalties import Penalty, Quadratic, check_penalty

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation
from variflow.base.types import Array
from variflow.energy.residuals import check_residuals
from variflow.energy.term import Increment, Term, check_weight


@dataclass(frozen=True)
class DataTerm(Term):
    """Base of the terms that compare the frames: a penalty of residuals, weighed by ``at.weights``.

    ``weight * sum over pixels of at.weights * penalty(sqrt(mean of squared residuals))``. A data term of your own
    derives from this class. It defines `residuals`, or `linearised` if the residuals are linear.

    With a `normalisation` zeta, each residual ``r`` with the Jacobian ``J`` is divided by ``sqrt(|J|^2 + zeta^2)``. It
    becomes the distance in pixels to the line of flows that explain it, so that strong edges do not outweigh fine
    texture (Zimmer, Bruhn and Weickert, Optic flow in harmony, IJCV 2011). ``at.noise`` replaces zeta where it is
    larger, because a gradient that may be noise tells little.
    """

    penalty: Penalty = field(default_factory=Quadratic)
    weight: float = 1.0
    normalisation: float | None = None

    def __post_init__(self) -> None:
        check_penalty(self)
        check_weight(self)
        check_takes(2, f"{type(self).__name__}.residuals", self.residuals, "residuals(self, d, at)")
        check_takes(1, f"{type(self).__name__}.linearised", self.linearised, "linearised(self, at)")
        if self.normalisation is not None:
            check_constant(f"normalisation of {type(self).__name__}", self.normalisation, above=0)

    def residuals(self, d: Increment, at: Linearisation) -> list[Array]:
        """Return the residuals, planes ``(H, W)`` penalised jointly; each pixel depends on its own d only.

        The increments of further planes of the model follow, as in ``u, v, gain = d`` (see `variflow.unknowns`).
        """
        if type(self).linearised is DataTerm.linearised:
            raise TypeError(
                f"{type(self).__name__} defines neither residuals(d, at) nor linearised(at), wanted one of them"
            )
        u, v = d[:2]
        return [jx * u + jy * v + r for jx, jy, r in self.linearised(at)]

    def linearised(self, at: Linearisation) -> list[tuple[Array, ...]]:
        """Return the residuals around d = 0 as triples of planes: ``(jx, jy, r)`` stands for ``jx du + jy dv + r``."""
        from variflow.energy.autodiff.jacobian import linearise

        return linearise(self, at)  # raises an error if no residuals are defined

    def __call__(self, d: Increment, at: Linearisation) -> Array:
        """Return the penalised residuals, summed over pixels."""
        squared = [residual**2 for residual in check_residuals(self, d, at)]
        if self.normalisation is not None:
            scales = find_scales(self, self.normalisation, at)
            squared = [one / scale for one, scale in zip(squared, scales, strict=True)]
        # A Python sum, because XLA fuses it, and does not fuse the sum of a stacked array.
        return self.weight * (at.weights * self.penalty.of_squared(sum(squared) / len(squared))).sum()


def find_scales(term: DataTerm, normalisation: float, at: Linearisation) -> list[Array]:
    """Return what divides the squared residuals of a term with a normalisation."""
    import jax.numpy as jnp

    zeta = jnp.maximum(normalisation, at.noise)
    return [jx**2 + jy**2 + zeta**2 for jx, jy, *_ in linearised(term, at)]


def linearised(term: DataTerm, at: Linearisation) -> list[tuple[Array, ...]]:
    """Return the residuals of a term around d = 0: its own `linearised`, or the derivative of its `residuals`."""
    return DataTerm.linearised(term, at) if defines_residuals(type(term)) else term.linearised(at)


def defines_residuals(cls: type[DataTerm]) -> bool:
    """Return whether the residuals of a class must be differentiated, because no `linearised` belongs to them.

    That is so if the first class in the order of inheritance that defines either of the two defines `residuals`
    alone. A class derived from a built-in term may do so.
    """
    owner = next(owner for owner in cls.__mro__ if {"residuals", "linearised"} & vars(owner).keys())
    return owner is DataTerm or "linearised" not in vars(owner)


@dataclass(frozen=True)
class BrightnessConstancy(DataTerm):
    """A point keeps its brightness: ``Ix du + Iy dv + It = 0`` in every channel (Horn and Schunck, 1981).

    Parameters
    ----------
    penalty : Penalty
        Of the residual in intensity, in frames with range [0, 1]. The channels are penalised jointly, by the mean of
        their squares.
    weight : float
        Factor of the term.
    normalisation : float, optional
        See `DataTerm`; typically 1/255 to 4/255.

    Examples
    --------
    >>> from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness
    >>> energy = BrightnessConstancy(Charbonnier(0.01)) + 0.05 * Smoothness(Charbonnier(0.01))
    """

    def linearised(self, at: Linearisation) -> list[tuple[Array, Array, Array]]:
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

    def linearised(self, at: Linearisation) -> list[tuple[Array, Array, Array]]:
        """Return both residuals, two a channel."""
        channels = range(at.frame0.shape[0])
        along_x = [(at.Ixx[c], at.Ixy[c], at.Ixt[c]) for c in channels]
        along_y = [(at.Ixy[c], at.Iyy[c], at.Iyt[c]) for c in channels]
        return along_x + along_y
