"""Take an energy apart into what the native solvers work on: linearised data terms, and the smoothness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from variflow import _core
from variflow.brief import Brief
from variflow.energy.generalised_variation import TotalGeneralisedVariation
from variflow.energy.penalties import (
    L1,
    Charbonnier,
    GeneralisedCharbonnier,
    Huber,
    Lorentzian,
    Penalty,
    Quadratic,
)
from variflow.energy.terms import BrightnessConstancy, DataTerm, Energy, GradientConstancy, Smoothness, Sum, Term
from variflow.linearisation import ConstancyTerm, DataArguments, LevelLinearisation, SmoothnessArguments
from variflow.resampling import Planes, stacked

# The order in which the core numbers the penalties.
_PENALTIES: tuple[type[Penalty], ...] = (Quadratic, Charbonnier, GeneralisedCharbonnier, Huber, Lorentzian, L1)

# The terms that the core linearises itself, whether they compare gradients, and what of a linearisation they look at.
_FRAME_CONSTANCIES: dict[type[DataTerm], bool] = {BrightnessConstancy: False, GradientConstancy: True}
_LOOKED_AT: dict[type[DataTerm], tuple[str, ...]] = {
    BrightnessConstancy: ("It", "Ix", "Iy"),
    GradientConstancy: ("Ixx", "Ixy", "Iyy", "Ixt", "Iyt"),
}


@dataclass(frozen=True, eq=False, repr=False)
class Data(Brief):
    """A data term, linearised: ``jx du + jy dv + r``, planes ``(K, H, W)``, and what else the core knows of it."""

    residuals: tuple[Planes, Planes, Planes]
    penalty: tuple[int, float, float]
    normalisation: float
    weight: float

    @property
    def arguments(self) -> DataArguments:
        """The term as a step in the core asks for it, where the weights of pixels are the frames'."""
        return *self.residuals, *self._constants

    def add_to(self, tensor: Planes, weights: Planes) -> None:
        """Add the term's share of the linear system, in place."""
        jx, jy, r = self.residuals
        _core.add_data(tensor, jx, jy, r, weights, *self._constants)

    def energy(self, weights: Planes, increment: tuple[Planes, Planes]) -> float:
        """Return the term's energy for an increment."""
        du, dv = increment
        jx, jy, r = self.residuals
        return _core.data_energy(jx, jy, r, weights, du, dv, *self._constants)

    @property
    def _constants(self) -> tuple[int, float, float, float, float]:
        return *self.penalty, self.normalisation, self.weight


def data_and_smoothness(
    energy: Energy, *also: type[Term]
) -> tuple[list[tuple[DataTerm, float]], list[tuple[Any, float]]]:
    """Return the data terms and the smoothness terms of the flow, each with the factors of the sums around it.

    Smoothness is a `Smoothness`, and what is `also` named.

    Raises
    ------
    TypeError
        If the energy holds anything else.
    """
    data: list[tuple[DataTerm, float]] = []
    smooth: list[tuple[Any, float]] = []
    for term, factor in _flat(energy, 1.0):
        if isinstance(term, DataTerm) and type(term.penalty) in _PENALTIES:
            data.append((term, factor))
        elif isinstance(term, also) or (
            isinstance(term, Smoothness) and term.of == "flow" and type(term.penalty) in _PENALTIES
        ):
            smooth.append((term, factor))
        else:
            raise TypeError(f"energy holds {term!r}, wanted data terms and a Smoothness of the flow for this solver")
    if not data:
        raise TypeError("energy holds no data term, wanted at least one for this solver")
    return data, smooth


def check_data(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> None:
    """Raise NotPixelwise if a person's own residuals are not those of each pixel alone."""
    for term, _ in data:
        if _written_for_jax(term):
            from variflow.energy.jacobian import check_pixelwise

            check_pixelwise(term, at)


def linearised(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> list[Data]:
    """Linearise data terms around the flow so far."""
    return [
        Data(residuals, numbered(term.penalty), _zeta(term, at), factor * term.weight)
        for (term, factor), residuals in zip(data, _residuals([term for term, _ in data], at), strict=True)
    ]


def _residuals(terms: list[DataTerm], at: LevelLinearisation) -> list[tuple[Planes, Planes, Planes]]:
    if names := tuple(name for kind, names in _LOOKED_AT.items() for name in names if kind in map(type, terms)):
        at.keep(names)
    own = [term for term in terms if _written_for_jax(term)]
    if not own:
        return [_stacked(term.linearised(at)) for term in terms]
    from variflow.energy import jacobian

    of_own = iter(jacobian.stacked(own, at))
    return [next(of_own) if _written_for_jax(term) else _stacked(term.linearised(at)) for term in terms]


def _written_for_jax(term: DataTerm) -> bool:
    return type(term).linearised is DataTerm.linearised


def core_linearises(term: DataTerm) -> bool:
    """Return whether the core knows how to linearise a term."""
    return type(term) in _FRAME_CONSTANCIES


def _zeta(term: DataTerm, at: LevelLinearisation) -> float:
    return 0.0 if term.normalisation is None else max(float(term.normalisation), at.noise)


def constancies(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> list[ConstancyTerm]:
    """Return the terms that the core linearises itself, as it knows them."""
    return [
        (_FRAME_CONSTANCIES[type(term)], *numbered(term.penalty), _zeta(term, at), factor * term.weight)
        for term, factor in data
        if core_linearises(term)
    ]


def motion_tensor(data: list[tuple[DataTerm, float]], at: LevelLinearisation) -> Planes:
    """Return the data terms' part of the linear system, (5, H, W), with the penalties' weights at the flow so far."""
    direct = constancies(data, at)
    tensor = at.constancy_tensor(direct) if direct else np.zeros((5, *at.flow[0].shape), np.float32)
    rest = [part for part in data if not core_linearises(part[0])]
    for term in linearised(rest, at):
        term.add_to(tensor, at.weights)
    return tensor


def smoothness_arguments(smoothness: Smoothness, factor: float, at: LevelLinearisation) -> SmoothnessArguments:
    """Return what the core's functions of a smoothness term ask for behind the flow."""
    return (
        *image_edges(smoothness, at),
        smoothness.per == "pixel",
        *numbered(smoothness.penalty),
        factor * smoothness.weight,
    )


def native_energies(
    data: list[tuple[DataTerm, float]],
    smooth: SmoothnessArguments | None,
    at: LevelLinearisation,
    flow: tuple[Planes, Planes],
) -> tuple[float, float]:
    """Return the energy at the flow so far and at another; `smooth` is of `smoothness_arguments`, or None."""
    terms = linearised(data, at)

    def energy(flow: tuple[Planes, Planes]) -> float:
        increment = flow[0] - at.flow[0], flow[1] - at.flow[1]
        of_smoothness = _core.smoothness_energy(flow[0], flow[1], *smooth) if smooth is not None else 0.0
        return of_smoothness + sum(term.energy(at.weights, increment) for term in terms)

    return energy(at.flow), energy(flow)


def numbered(penalty: Penalty) -> tuple[int, float, float]:
    """Return a penalty as the core knows it: its number and two constants."""
    first, second, *_ = [*map(float, vars(penalty).values()), 0.0, 0.0]
    return _PENALTIES.index(type(penalty)), first, second


def image_edges(
    smoothness: Smoothness | TotalGeneralisedVariation, at: LevelLinearisation
) -> tuple[Planes, Planes] | tuple[None, None]:
    """Return the weights of the edges to the right and below of each pixel, or None and None if all are 1."""
    if smoothness.edges is None:
        return None, None
    along_x, along_y = at.level.image_edges(float(smoothness.edges.contrast))
    return along_x, along_y


def _flat(energy: Energy, factor: float) -> Iterator[tuple[Any, float]]:
    if isinstance(energy, Sum):
        for term in energy.terms:
            yield from _flat(term, factor * energy.weight)
    else:
        yield energy, factor


def _stacked(triples: list[tuple[Any, Any, Any]]) -> tuple[Planes, Planes, Planes]:
    jx, jy, r = (stacked([np.asarray(plane, np.float32) for plane in planes]) for planes in zip(*triples, strict=True))
    return jx, jy, r
