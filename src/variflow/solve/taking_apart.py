"""Take an energy apart into what the native solvers work on: linearised data terms, and the smoothness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from variflow import _core
from variflow.base.brief import Brief
from variflow.base.types import Array
from variflow.energy.advice import TO_COMPARE, advise_on_not_finite
from variflow.energy.census import CensusConstancy
from variflow.energy.data import BrightnessConstancy, DataTerm, GradientConstancy, defines_residuals
from variflow.energy.edges import ImageEdges
from variflow.energy.flow_term import FlowTerm
from variflow.energy.generalised_variation import TotalGeneralisedVariation
from variflow.energy.penalties import Penalty
from variflow.energy.residuals import NotTakenApart
from variflow.energy.smoothness import Smoothness
from variflow.energy.term import Energy, Sum, Term, inherits, keeps
from variflow.images.resampling import Planes, stack
from variflow.linearisation.level import LevelLinearisation
from variflow.solve.native_penalties import native_penalty

# Something can be seen to move where the gradient is more than this; the frames' range is [0, 1].
_CONTRAST = 0.005

# The terms that the core linearises itself, what stays the same in them, and what of a linearisation they look at.
_CONSTANCIES: dict[type[DataTerm], _core.ConstancyKind] = {
    BrightnessConstancy: _core.ConstancyKind.BRIGHTNESS,
    GradientConstancy: _core.ConstancyKind.GRADIENT,
}
_LOOKED_AT: dict[type[DataTerm], tuple[str, ...]] = {
    BrightnessConstancy: ("It", "Ix", "Iy"),
    GradientConstancy: ("Ixx", "Ixy", "Iyy", "Ixt", "Iyt"),
}


@dataclass(frozen=True, eq=False, repr=False)
class Data(Brief):
    """A data term, linearised: ``jx du + jy dv + r``, planes ``(K, H, W)``, and how those are penalised.

    The derivatives by further planes follow jx and jy, if a term that a person wrote may depend on some.
    """

    residuals: tuple[Planes, ...]
    penalty: Penalty
    normalisation: float
    weight: float

    def native(self) -> _core.DataTerm:
        """Return the term for the core."""
        jx, jy, r = self.residuals
        return _core.DataTerm(jx, jy, r, native_penalty(self.penalty), self.normalisation, self.weight)


def data_and_smoothness(
    energy: Energy, *also: type[Term]
) -> tuple[list[tuple[DataTerm, float]], list[tuple[Any, float]]]:
    """Return the data terms and the smoothness terms of the flow, each with the factors of the sums around it.

    Smoothness is a `Smoothness`, and what is `also` named.

    Raises
    ------
    TypeError
        If the energy holds anything else.
    NotTakenApart
        If a person's class derived from one of these is more than the core knows.
    """
    data: list[tuple[DataTerm, float]] = []
    smooth: list[tuple[Any, float]] = []
    for term, factor in flat(energy, 1.0):
        kind: type[Term] = DataTerm
        if isinstance(term, DataTerm):
            data.append((term, factor))
        elif isinstance(term, Smoothness) and term.of == "flow":
            kind = Smoothness
            smooth.append((term, factor))
        elif isinstance(term, also):
            kind = next(kind for kind in also if isinstance(term, kind))
            smooth.append((term, factor))
        elif isinstance(term, FlowTerm):
            raise NotTakenApart(f"energy holds {term!r}, a term of the flow that looks at a neighbourhood")
        else:
            raise TypeError(f"energy holds {term!r}, wanted data terms and a Smoothness of the flow for this solver")
        if not keeps(term, kind, "__call__"):
            raise NotTakenApart(f"{type(term).__name__} has a __call__ of its own")
    if not data:
        raise TypeError("energy holds no data term, wanted at least one for this solver")
    return data, smooth


def is_pixelwise(term: DataTerm, at: LevelLinearisation) -> bool:
    """Return whether the residuals of a pixel depend on the increment of that pixel alone."""
    if not defines_residuals(type(term)):
        return True
    from variflow.energy.autodiff import jacobian

    return jacobian.find_dependence(term, at).pixelwise


def check_around(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> None:
    """Raise NotTakenApart if residuals that look at a neighbourhood are not those of a mean of its increments."""
    from variflow.energy.autodiff import jacobian

    if at.unknowns is not None:
        raise NotTakenApart("a data term looks at a neighbourhood, and the unknowns are not the flow")
    for term, _ in data:
        if defines_residuals(type(term)) and jacobian.find_dependence(term, at).on_differences:
            raise NotTakenApart(
                f"the residuals of {type(term).__name__} depend on differences of d between pixels; LocalSystem takes "
                "those of a FlowTerm alone"
            )


def check_data(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> None:
    """Raise NotTakenApart if a person's own residuals are not those of each pixel alone.

    ValueError if no residual at all depends on the increment, although the frames show something.
    """
    for term, _ in data:
        if not is_pixelwise(term, at):
            raise NotTakenApart(
                f"the residuals of {type(term).__name__} at a pixel depend on the increments of other pixels"
            )
    terms = [term for term, _ in data]
    if any(core_linearises(term) or keeps(term, CensusConstancy, "linearised") for term in terms):
        return
    if not (abs(at.Ix) + abs(at.Iy)).max(axis=0)[at.weights > 0].max(initial=0) > _CONTRAST:
        return
    if not any(plane.any() for part in linearised(data, at) for plane in part.residuals[:-1]):
        names = " and ".join(type(term).__name__ for term in terms)
        raise ValueError(f"no residual of {names} depends on d in these frames. Do they round, or {TO_COMPARE}")


def linearised(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> list[Data]:
    """Linearise data terms around the flow so far."""
    if not data:
        return []
    return [
        Data(residuals, term.penalty, _zeta(term, at), factor * term.weight)
        for (term, factor), residuals in zip(data, _residuals([term for term, _ in data], at), strict=True)
    ]


def _residuals(terms: list[DataTerm], at: LevelLinearisation) -> list[tuple[Planes, ...]]:
    kinds = set(map(_constancy, terms))
    if names := tuple(name for kind, names in _LOOKED_AT.items() for name in names if kind in kinds):
        at.compute(names)
    own = [term for term in terms if defines_residuals(type(term))]
    of_own: Iterator[tuple[Planes, ...]] = iter(())
    if own:
        from variflow.energy.autodiff import jacobian

        of_own = iter(jacobian.linearise_together(own, at))
    residuals = [
        next(of_own) if defines_residuals(type(term)) else _stack_triples(term.linearised(at)) for term in terms
    ]
    for term, planes in zip(terms, residuals, strict=True):
        if not keeps(term, CensusConstancy, "linearised") and not core_linearises(term):
            _check_finite(term, planes)
    return residuals


def _check_finite(term: DataTerm, planes: tuple[Planes, ...]) -> None:
    """Raise ValueError, naming the term, if its residuals or their derivatives (K, H, W) are not finite."""
    *derivatives, values = (~np.isfinite(part).all(axis=0) for part in planes)
    for what, wrong in (("residuals", values), ("derivatives of the residuals", np.logical_or.reduce(derivatives))):
        if wrong.any():
            height, width = wrong.shape
            raise ValueError(
                f"the {what} of {type(term).__name__} are not finite at {wrong.sum()} of {wrong.size} pixels "
                f"(frames of {height} x {width}): {advise_on_not_finite(term)}"
            )


def core_linearises(term: DataTerm) -> bool:
    """Return whether the core knows how to linearise a term."""
    return _constancy(term) is not None


def _constancy(term: DataTerm) -> type[DataTerm] | None:
    """Return which of the terms that the core linearises itself a term is, if it is one."""
    return _constancy_of(type(term))


@lru_cache(maxsize=256)
def _constancy_of(kind: type[DataTerm]) -> type[DataTerm] | None:
    return next((known for known in _CONSTANCIES if inherits(kind, known, ("residuals", "linearised"))), None)


def _zeta(term: DataTerm, at: LevelLinearisation) -> float:
    return 0.0 if term.normalisation is None else max(float(term.normalisation), at.noise)


def constancies(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> list[_core.Constancy]:
    """Return the terms that the core linearises itself, for the core."""
    return [
        _core.Constancy(_CONSTANCIES[known], native_penalty(term.penalty), _zeta(term, at), factor * term.weight)
        for term, factor in data
        if (known := _constancy(term)) is not None
    ]


def motion_tensor(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> Planes:
    """Return the data terms' part of the linear system, (5, H, W), with the penalties' weights at the flow so far."""
    direct = constancies(data, at)
    tensor = at.compute_constancy_tensor(direct) if direct else np.zeros((5, *at.flow[0].shape), np.float32)
    for term in linearised([part for part in data if not core_linearises(part[0])], at):
        _core.add_data(tensor, term.native(), at.weights)
    return tensor


def native_smoothness(smoothness: Smoothness, factor: float, at: LevelLinearisation) -> _core.Smoothness:
    """Return a smoothness for the core."""
    along_x, along_y = image_edges(smoothness, at)
    penalty, per_pixel = native_penalty(smoothness.penalty), smoothness.per == "pixel"
    return _core.Smoothness(along_x, along_y, per_pixel, penalty, factor * smoothness.weight)


def native_energies(
    data: list[tuple[DataTerm, float]],
    smooth: tuple[Smoothness, float] | None,
    at: LevelLinearisation,
    flow: tuple[Planes, Planes],
) -> tuple[float, float]:
    """Return the energy at the flow so far and at another; `smooth` is the smoothness and its factor, if any."""
    terms = [term.native() for term in linearised(data, at)]
    smoothness = None if smooth is None else native_smoothness(*smooth, at)

    def energy(flow: tuple[Planes, Planes]) -> float:
        du, dv = flow[0] - at.flow[0], flow[1] - at.flow[1]
        of_smoothness = 0.0 if smoothness is None else _core.smoothness_energy(*flow, smoothness)
        return of_smoothness + sum(_core.data_energy(term, at.weights, du, dv) for term in terms)

    return energy(at.flow), energy(flow)


def image_edges(
    smoothness: Smoothness | TotalGeneralisedVariation, at: LevelLinearisation
) -> tuple[Planes, Planes] | tuple[None, None]:
    """Return the weights of the edges to the right and below of each pixel, or None and None if all are 1."""
    edges = smoothness.edges
    if edges is None:
        return None, None
    if edges_stay(smoothness):
        along_x, along_y = at.pyramid_level.compute_image_edges(
            float(edges.contrast), float(edges.find_least(at.scale))
        )
        return along_x, along_y
    own_x, own_y = (np.asarray(plane, np.float32) for plane in edges(at))
    height, width = at.flow[0].shape
    for plane, shape in ((own_x, (height, width - 1)), (own_y, (height - 1, width))):
        if plane.shape != shape:
            raise ValueError(
                f"edges of {type(smoothness).__name__} returned weights of shape {plane.shape}, wanted {shape}"
            )
    return np.pad(own_x, ((0, 0), (0, 1))), np.pad(own_y, ((0, 1), (0, 0)))


def edges_stay(smoothness: Smoothness | TotalGeneralisedVariation) -> bool:
    """Return whether the weights of edges are the same at every warp of a level; a person's own may look anywhere."""
    return smoothness.edges is None or keeps(smoothness.edges, ImageEdges, "__call__")


def flat(energy: Energy, factor: float) -> list[tuple[Energy, float]]:
    """Return the terms of an energy, each with the factors of the sums around it."""
    if not keeps(energy, Sum, "__call__"):
        return [(energy, factor)]
    return [part for term in energy.terms for part in flat(term, factor * energy.weight)]


def _stack_triples(triples: list[tuple[Array, ...]]) -> tuple[Planes, ...]:
    return tuple(stack([np.asarray(plane, np.float32) for plane in planes]) for planes in zip(*triples, strict=True))
