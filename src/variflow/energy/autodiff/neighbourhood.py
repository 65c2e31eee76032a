"""Data residuals that look at a neighbourhood, as a linear system of each pixel alone.

The slope of such a term is exact. Of its matrix ``J^T w J``, whose rows hold many pixels, the sum of each row stands on
the diagonal: it is exact where the increment is the same all over a neighbourhood, as smoothness makes it. That takes
two products with J and three with its transpose, whatever the size of the neighbourhood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from variflow.energy.advice import advise_on_not_finite
from variflow.energy.autodiff.programs import Call, apply_settings
from variflow.energy.autodiff.tracing import explain_faults
from variflow.energy.data import DataTerm, find_scales
from variflow.energy.penalties import defines_weight, derived_weight
from variflow.energy.residuals import check_residuals
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.images.resampling import Planes
    from variflow.linearisation.level import LevelLinearisation
    from variflow.linearisation.linearisation import Linearisation

# Each pixel has at least this share of the mean of the matrix' diagonal: where rows sum to nothing, steps stay short.
_LEAST = 0.01


@apply_settings()
def expand(term: DataTerm, at: LevelLinearisation) -> tuple[float, Planes, Planes]:
    """Return a term's energy, its part of the matrix, (3, H, W) for uu, uv and vv, and half its slope, (2, H, W)."""
    with explain_faults(term, at.shape):
        unknown, value, matrix, slope = Call(_expand, (term, at.plain())).run()
    if int(unknown):
        height, width = at.shape
        raise ValueError(
            f"the residuals of {type(term).__name__} or their derivatives are not finite at {int(unknown)} of "
            f"{height * width} pixels (frames of {height} x {width}): {advise_on_not_finite(term)}"
        )
    return float(value), np.asarray(matrix), np.asarray(slope)


@apply_settings()
def evaluate(term: DataTerm, d: tuple[Planes, Planes], at: LevelLinearisation) -> float:
    """Return a term's energy for an increment."""
    return float(Call(_evaluate, (term, d, at.plain())).run())


@apply_settings()
def list_calls(term: DataTerm, at: LevelLinearisation) -> list[Call]:
    """Return the calls of programs that a level takes."""
    plain, still = at.plain(), (np.zeros(at.shape, np.float32),) * 2
    return [Call(_expand, (term, plain)), Call(_evaluate, (term, still, plain))]


def _evaluate(term: DataTerm, d: Increment, at: Linearisation) -> Any:
    return term(d, at.evaluate_derivatives())


def _expand(term: DataTerm, at: Linearisation) -> tuple[Any, Any, Any, Any]:
    at = at.evaluate_derivatives()
    zero = jnp.zeros(at.shape, jnp.float32)
    one = jnp.ones_like(zero)
    values, push = jax.linearize(lambda u, v: _scaled(term, (u, v), at), zero, zero)
    pull = jax.linear_transpose(push, zero, zero)
    penalty, squared = term.penalty, sum(value**2 for value in values)
    weigh = penalty.weight_of_squared if defines_weight(type(penalty)) else lambda s: derived_weight(penalty, s)
    half = 0.5 * term.weight * at.weights * weigh(squared)

    def pull_back(planes: Any) -> Any:
        return pull(tuple(half * plane for plane in planes))

    slope = pull_back(values)
    (uu, vu), (uv, vv) = pull_back(push(one, zero)), pull_back(push(zero, one))
    matrix = _make_positive(uu, 0.5 * (uv + vu), vv)
    unknown = ~(jnp.isfinite(matrix).all(axis=0) & jnp.isfinite(slope[0]) & jnp.isfinite(slope[1]))
    value = term.weight * (at.weights * penalty.of_squared(squared)).sum()
    return unknown.sum(), value, matrix, jnp.stack(slope)


def _scaled(term: DataTerm, d: Increment, at: Linearisation) -> tuple[Any, ...]:
    """Return residuals whose sum of squares is penalised."""
    planes = check_residuals(term, d, at)
    if term.normalisation is not None:
        scales = find_scales(term, term.normalisation, at)
        planes = [plane / jnp.sqrt(scale) for plane, scale in zip(planes, scales, strict=True)]
    return tuple(jnp.asarray(plane, jnp.float32) * len(planes) ** -0.5 for plane in planes)


def _make_positive(uu: Any, uv: Any, vv: Any) -> Any:
    """Return matrices with the moduli of their eigenvalues, plus a share of the mean."""
    mean, difference = 0.5 * (uu + vv), 0.5 * (uu - vv)
    radius = jnp.sqrt(difference**2 + uv**2 + 1e-30)
    high, low = jnp.abs(mean + radius), jnp.abs(mean - radius)
    middle, factor = 0.5 * (high + low), 0.5 * (high - low) / radius
    middle = middle + _LEAST * middle.mean()
    return jnp.stack([middle + factor * difference, factor * uv, middle - factor * difference])
