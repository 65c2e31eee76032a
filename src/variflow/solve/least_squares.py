"""Energies as sums of squares, for solvers of least squares: Gauss-Newton and Levenberg-Marquardt of optimistix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from variflow.base.types import Array
from variflow.energy.data import DataTerm, find_scales
from variflow.energy.flow_term import FlowTerm, find_residuals
from variflow.energy.penalties import Penalty, Quadratic
from variflow.energy.residuals import check_residuals
from variflow.energy.smoothness import Magnitude, Smoothness, find_differences
from variflow.energy.term import Energy, Increment, keeps
from variflow.linearisation.linearisation import Linearisation
from variflow.solve.of_values import EnergyOfValues
from variflow.solve.taking_apart import flat

# Below this squared residual, the value of a penalty is rounded; its weight is not.
_ROUNDED = 1e-10
# The root of less than this has no derivative in single precision.
_LEAST = 1e-30


def find_squares(energy: Energy, d: Any, at: Linearisation) -> tuple[Array, ...]:
    """Return planes whose squares add up to the energy, and which are smooth where the energy is.

    Raises
    ------
    TypeError
        If the energy holds what is no penalty of residuals.
    """
    if isinstance(energy, EnergyOfValues):
        d = energy.find_increment(d, at)
        energy = energy.energy
    return tuple(plane for term, factor in flat(energy, 1.0) for plane in _find_squares_of_term(term, factor, d, at))


def _find_squares_of_term(term: Energy, factor: float, d: Increment, at: Linearisation) -> list[Array]:
    if keeps(term, DataTerm, "__call__"):
        residuals: Sequence[Array] = check_residuals(term, d, at)
        if term.normalisation is not None:
            scales = find_scales(term, term.normalisation, at)
            residuals = [one / jnp.sqrt(scale) for one, scale in zip(residuals, scales, strict=True)]
        mean = [residual / jnp.sqrt(len(residuals)) for residual in residuals]
        return _weigh(mean, term.penalty, factor * term.weight * at.weights)
    if keeps(term, FlowTerm, "__call__"):
        flow = tuple(a + b for a, b in zip(at.planes, d, strict=True))
        residuals = find_residuals(term, flow, at)
        groups = [residuals] if term.per == "pixel" else [[residual] for residual in residuals]
        return [plane for group in groups for plane in _weigh(group, term.penalty, factor * term.weight)]
    if keeps(term, Magnitude, "__call__"):
        u, v = d[:2] if term.of == "increment" else (at.flow[0] + d[0], at.flow[1] + d[1])
        return _weigh([u, v], term.penalty, factor * term.weight)
    if keeps(term, Smoothness, "__call__"):
        return _find_squares_of_smoothness(term, factor * term.weight, d, at)
    name = getattr(term, "__name__", type(term).__name__)
    raise TypeError(
        f"energy holds {name}, of which residuals are not known, wanted data terms, Smoothness, Magnitude and terms of "
        "the flow for a solver of least squares"
    )


def _find_squares_of_smoothness(term: Smoothness, weight: Array, d: Increment, at: Linearisation) -> list[Array]:
    ux, uy, vx, vy = find_differences(term, d, at)
    weights_x, weights_y = (1.0, 1.0) if term.edges is None else term.edges(at)
    if term.per == "edge":
        along_x, along_y = (
            _weigh(pair, term.penalty, weight * own) for pair, own in (([ux, vx], weights_x), ([uy, vy], weights_y))
        )
        return along_x + along_y
    along_x = [jnp.pad(jnp.sqrt(weights_x) * plane, ((0, 0), (0, 1))) for plane in (ux, vx)]
    along_y = [jnp.pad(jnp.sqrt(weights_y) * plane, ((0, 1), (0, 0))) for plane in (uy, vy)]
    return _weigh(along_x + along_y, term.penalty, weight)


def _weigh(residuals: Sequence[Array], penalty: Penalty, weight: Array) -> list[Array]:
    """Return residuals scaled so that their squares add up to the weighed penalty of them together."""
    scale = jnp.sqrt(weight)
    if not keeps(penalty, Quadratic, "of_squared"):
        squared = sum(residual**2 for residual in residuals)
        rounded = squared < _ROUNDED
        safe = jnp.where(rounded, 1.0, squared)
        share = jnp.where(rounded, penalty.weight_of_squared(squared) / 2, penalty.of_squared(safe) / safe)
        scale = scale * jnp.sqrt(jnp.maximum(share, _LEAST))
    return [scale * residual for residual in residuals]


def measure_jacobian(energy: Energy, d: Increment, at: Linearisation) -> int:
    """Return how many bytes the derivatives of all squares by all unknowns take."""
    squares = jax.eval_shape(lambda d: find_squares(energy, d, at), d)
    rows, columns = (sum(math.prod(plane.shape) for plane in planes) for planes in (squares, d))
    size: int = 4 * rows * columns
    return size
