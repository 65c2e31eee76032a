"""Minimise an energy over values that the flow is made of, such as the six numbers of an affine motion.

Newton's method: the curvature is what `variflow.energy.autodiff.curvature` leaves of the second derivative. For a few
numbers it is a small matrix, whose eigenvalues are made positive. For many, conjugate gradients solve the system,
preconditioned with its diagonal. A step that does not lower the energy is shortened.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from variflow.energy.autodiff.curvature import with_safe_curvature
from variflow.energy.autodiff.parts import Parts
from variflow.energy.autodiff.programs import Call, apply_settings
from variflow.energy.autodiff.tracing import explain_faults
from variflow.energy.term import Energy
from variflow.images.resampling import Planes
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation
from variflow.solve import general
from variflow.solve.checking import explain_not_finite
from variflow.solve.descent import Found
from variflow.solve.minimum import Minimum
from variflow.solve.newton import TruncatedNewton
from variflow.solve.of_values import EnergyOfValues
from variflow.unknowns.unknowns import Place, Values, make_planes

# So many numbers have a matrix of their own.
_FEW = 64
# Eigenvalues of the scaled matrix count as at least this share of the largest.
_FLOOR = 1e-6
# Conjugate gradients end at this share of the first residual, or after so many iterations.
_INNER, _ITERATIONS = 0.1, 50
# The diagonal of a large matrix is found by so many products with random signs.
_PROBES = 8
# A step must lower the energy by this share of what its slope promises; else it is halved, at most so many times.
_ENOUGH, _TRIALS = 1e-4, 20
# Once a step promises less than the share `_ROUNDING` of the energy, nothing is left to gain. If no step lowers the
# energy, that is so below the share `_NOISE`.
_ROUNDING, _NOISE = 1e-6, 1e-4
# Nor may it change the flow by more than so many pixels, in the mean square.
_STILL = 0.05


@apply_settings()
def minimise(energy: Energy, solver: object, steps: int, at: LevelLinearisation, state: object = None) -> Minimum:
    """Minimise an energy over the values, around those so far, in at most `steps` steps of the solver.

    `state` is that of the previous warp of the level, if any.
    """
    assert at.values is not None
    plain, values = at.plain(), at.values
    composed = EnergyOfValues(energy, at.unknowns, values)
    minimiser = general.as_minimiser(solver)

    @apply_settings()
    def find(steps: int) -> Found:
        with explain_faults(energy, at.flow[0].shape):
            if isinstance(minimiser, TruncatedNewton):
                return _take_newton_steps(composed, minimiser.rtol, steps, at, state)
            from variflow.solve import minimisers

            return minimisers.iterate(composed, minimiser, steps, plain)

    def add(increment: Any) -> Values:
        return {name: value + np.asarray(increment[name]) for name, value in values.items()}

    def retrace(count: int) -> tuple[Planes, Planes]:
        u, v = make_planes(at.unknowns, add(find(count).increment), Place(at))[:2]
        return u - at.flow[0], v - at.flow[1]

    found = find(steps)
    before, after = found.before, found.after
    if not np.isfinite(before):
        zero = np.zeros((len(at.planes), *at.flow[0].shape), np.float32)
        raise ValueError(explain_not_finite(energy, tuple(zero), plain, "the zero increment", before))
    changed = add(found.increment)
    finite = np.isfinite(after) and all(np.isfinite(value).all() for value in changed.values())
    fault = "" if finite else f"the solver diverged (energy {after}): {general.suggest_remedy(solver)}"
    rose = finite and after > before + general.RISE * abs(before)
    kept = values if fault or rose else changed
    u, v = at.flow if kept is values else make_planes(at.unknowns, kept, Place(at))[:2]
    return Minimum(
        start=at.flow,
        flow=(u, v),
        energies=lambda: (before, after),
        steps=found.steps,
        exhausted=isinstance(minimiser, TruncatedNewton) and not found.met and found.steps.size == steps,
        rose=general.suggest_remedy(solver) if rose else "",
        finished=finite and (found.met or not isinstance(minimiser, TruncatedNewton)),
        failure=f"stopped because {fault}" if fault else "",
        values=kept,
        state=found.state,
        retrace=retrace,
    )


def _take_newton_steps(energy: EnergyOfValues, rtol: float, steps: int, at: LevelLinearisation, state: Any) -> Found:
    values, unravel = ravel_pytree(energy.values)
    parts = Parts.take_all(at)
    x = np.zeros(values.size, np.float32)
    look = _look_at_matrix if x.size <= _FEW else _look_at_products
    value, slope, step = look(energy, x, parts)
    before, first = value, slope if state is None else min(state, slope)
    met = -slope <= _ROUNDING * abs(value) and _is_still(energy, x, step, at)
    energies: list[float] = []
    while not met and len(energies) < steps and np.isfinite(value):
        length = 1.0
        for _ in range(_TRIALS):
            new_value, new_slope, new_step = look(energy, x + np.float32(length) * step, parts)
            if new_value < value and new_value <= value + _ENOUGH * length * slope:
                break
            length /= 2
        else:
            met = -slope <= _NOISE * abs(value)
            break
        x = x + np.float32(length) * step
        value, slope, step = new_value, new_slope, new_step
        energies.append(value)
        met = -slope <= max(rtol**2 * -first, _ROUNDING * abs(value)) and _is_still(energy, x, step, at)
    increment = jax.tree.map(np.asarray, unravel(jnp.asarray(x)))
    return Found(increment, before, value, np.asarray(energies, np.float32), met, first)


def _is_still(energy: EnergyOfValues, x: NDArray[np.float32], step: NDArray[np.float32], at: Linearisation) -> bool:
    """Return whether a step hardly changes the flow, in the mean square."""
    unravel = ravel_pytree(energy.values)[1]

    def find_flow(x: NDArray[np.float32]) -> NDArray[np.float32]:
        changes = jax.tree.map(np.asarray, unravel(jnp.asarray(x)))
        moved = {name: np.asarray(value) + changes[name] for name, value in energy.values.items()}
        return np.stack(make_planes(energy.unknowns, moved, Place(at))[:2])

    change = find_flow(x + step) - find_flow(x)
    return bool((change**2).sum(axis=0).mean() <= _STILL**2)


@apply_settings()
@apply_settings()
def list_calls(energy: Energy, at: LevelLinearisation) -> list[Call]:
    """Return the calls of programs that Newton's method takes at a level."""
    composed = EnergyOfValues(energy, at.unknowns, at.values or {})
    size = sum(np.size(value) for value in composed.values.values())
    return [_call(composed, np.zeros(size, np.float32), Parts.take_all(at))]


def _call(energy: EnergyOfValues, x: NDArray[np.float32], parts: Parts) -> Call:
    """Return the call of the program that looks at the energy at some values, with a matrix if these are few."""
    return Call(_evaluate_with_matrix if x.size <= _FEW else _evaluate_with_step, (energy, x, parts))


Look = tuple[float, float, NDArray[np.float32]]


def _look_at_matrix(energy: EnergyOfValues, x: NDArray[np.float32], parts: Parts) -> Look:
    """Return the energy, its slope along the step to the minimum of its quadratic model, and that step."""
    value, gradient, matrix = _call(energy, x, parts).run()
    gradient, matrix = np.asarray(gradient, np.float64), np.asarray(matrix, np.float64)
    if not (np.isfinite(gradient).all() and np.isfinite(matrix).all()):
        return float("nan"), 0.0, np.zeros_like(x)
    diagonal = np.abs(np.diag(matrix))
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1))
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2 / np.outer(scale, scale))
    sizes = np.maximum(np.abs(eigenvalues), _FLOOR * max(np.abs(eigenvalues).max(), 1e-30))
    step = -(vectors @ (vectors.T @ (gradient / scale) / sizes)) / scale
    return float(value), float(gradient @ step), step.astype(np.float32)


def _look_at_products(energy: EnergyOfValues, x: NDArray[np.float32], parts: Parts) -> Look:
    value, slope, step = _call(energy, x, parts).run()
    return float(value), float(slope), np.asarray(step)


def _make_function(energy: EnergyOfValues, parts: Parts) -> Any:
    at = parts.assemble()
    unravel = ravel_pytree(energy.values)[1]
    return with_safe_curvature(lambda x: jnp.asarray(energy(unravel(x), at), jnp.float32))


def _evaluate_with_matrix(energy: EnergyOfValues, x: Any, parts: Parts) -> tuple[Any, Any, Any]:
    (value, gradient), derivative = jax.linearize(jax.value_and_grad(_make_function(energy, parts)), x)
    return value, gradient, jax.lax.map(lambda row: derivative(row)[1], jnp.eye(x.size, dtype=x.dtype))


def _evaluate_with_step(energy: EnergyOfValues, x: Any, parts: Parts) -> tuple[Any, Any, Any]:
    (value, gradient), derivative = jax.linearize(jax.value_and_grad(_make_function(energy, parts)), x)
    signs = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], size=(_PROBES, x.size)), x.dtype)
    diagonal = jnp.abs(jax.lax.map(lambda row: row * derivative(row)[1], signs).mean(axis=0))
    diagonal = jnp.maximum(diagonal, 0.1 * diagonal.mean())
    diagonal = jnp.where(diagonal > 0, diagonal, 1)

    def goes_on(state: Any) -> Any:
        count, _, _, _, size, first, stopped = state
        return (count < _ITERATIONS) & (size > _INNER**2 * first) & ~stopped

    def iterate(state: Any) -> Any:
        count, step, residual, direction, size, first, _ = state
        product = derivative(direction)[1]
        curvature = direction @ product
        stopped = ~(curvature > 0)
        length = jnp.where(stopped, jnp.where(count == 0, 1.0, 0.0), size / jnp.where(stopped, 1.0, curvature))
        residual = residual - length * product
        after = residual @ (residual / diagonal)
        return (
            count + 1,
            step + length * direction,
            residual,
            residual / diagonal + after / size * direction,
            after,
            first,
            stopped,
        )

    start = -gradient / diagonal
    size = -gradient @ start
    state = (0, jnp.zeros_like(x), -gradient, start, size, size, size <= 0)
    step = jax.lax.while_loop(goes_on, iterate, state)[1]
    return value, gradient @ step, step
