"""Linearise residuals that a user wrote, with JAX."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from variflow.energy.advice import TO_COMPARE
from variflow.energy.autodiff.noise import (
    find_parts_read,
    find_place,
    find_size,
    make_noise,
    remember,
    shrink,
)
from variflow.energy.autodiff.parts import Parts
from variflow.energy.autodiff.programs import apply_settings, run
from variflow.energy.autodiff.tracing import explain_faults
from variflow.energy.residuals import check_residuals
from variflow.energy.term import Sum
from variflow.linearisation.level import LevelLinearisation
from variflow.linearisation.linearisation import Linearisation

if TYPE_CHECKING:
    from variflow.energy.residuals import HasResiduals
    from variflow.images.resampling import Planes

# The derivatives of a residual by each increment, along x and y first, and the residual itself: planes (H, W).
Linear = tuple[jax.Array, ...]

# The size of the small frames of noise on which terms are tried.
_SMALL = (16, 16)
# A residual looks at differences if an increment of noise changes it by more than so many times as much, squared, as it
# would if all increments around a pixel were that of the pixel. A mean changes by less.
_MUCH_MORE = 2.0


@apply_settings()
def linearise(term: HasResiduals, at: Linearisation) -> list[Linear]:
    """Return ``(jx, jy, r)`` of each residual of a data term at d = 0.

    At each pixel a residual depends on the increment of that pixel only. So two products of its Jacobian with constant
    tangents, one along u and one along v, give all of it. The derivatives by further planes follow those by u and v.
    """
    at = at.plain()
    return _differentiate(term, at.evaluate_derivatives(), at.valid.shape, len(at.planes))


@apply_settings()
def linearise_together(terms: Sequence[HasResiduals], at: LevelLinearisation) -> list[tuple[Planes, ...]]:
    """Return ``jx``, ``jy`` and ``r`` of several data terms at d = 0, as `linearise` does, each (residuals, H, W).

    The core computes only the parts that the terms read. One program, compiled for each kind of terms and size of
    frames, does the rest.
    """
    with explain_faults(Sum(tuple(terms)), _SMALL):
        seen = set().union(*(find_parts_read(term, at, check_residuals) for term in terms))
    parts, count = Parts.take(at, seen), len(at.planes)
    shape = parts.shape
    with explain_faults(Sum(tuple(terms)), shape):
        results = run(_linearise_terms, tuple(terms), parts, count)
    return [tuple(np.asarray(result).reshape(count + 1, -1, *shape)) for result in results]


class Dependence(NamedTuple):
    """Whether residuals depend on the increment of their pixel alone, on differences of those around, on any at all."""

    pixelwise: bool
    on_differences: bool
    on_any: bool


@apply_settings()
def find_dependence(term: HasResiduals, at: LevelLinearisation) -> Dependence:
    """Return how residuals depend on the increments of pixels; small frames of noise tell."""
    with explain_faults(term, _SMALL):
        # Traces the term as a whole, and so explains what cannot be traced.
        read = find_parts_read(term, at, check_residuals)
        size = find_size(term, at, _SMALL, check_residuals)
        try_on_noise = partial(_try_on_noise, size=size)
        found: Dependence = remember(try_on_noise, term, at, "dependence", find_place(read, at), size)
    if not found.on_any:
        name = type(term).__name__
        raise ValueError(f"the residuals of {name} do not depend on d. Do they round, or {TO_COMPARE}")
    return found


def _try_on_noise(term: HasResiduals, at: LevelLinearisation, size: tuple[int, int]) -> Dependence:
    """Return how the residuals depend on the increments in frames of noise.

    Values that are not finite are left out; they are refused when the real frames give some.
    """
    noise, term = make_noise(at, size), shrink(term, at, size)
    tangent = tuple(np.random.default_rng(0).normal(size=(len(noise.planes), *noise.valid.shape)).astype(np.float32))
    linear, along = run(_differentiate_along, term, noise, tangent)
    pixelwise, moves, found, alike = True, False, 0.0, 0.0
    for (*derivatives, _), change in zip(linear, along, strict=True):
        expected = np.asarray(sum(j * part for j, part in zip(derivatives, tangent, strict=True)))
        known = np.isfinite(expected) & np.isfinite(change)
        most = 1e-4 * float(np.abs(expected[known]).max(initial=0))
        pixelwise &= np.allclose(np.asarray(change)[known], expected[known], rtol=1e-3, atol=most)
        moves |= bool(np.any(change))
        found += float(np.square(np.asarray(change)[known], dtype=np.float64).sum())
        alike += float(np.square(expected[known], dtype=np.float64).sum())
    return Dependence(pixelwise, not pixelwise and found > _MUCH_MORE * alike, moves)


def _differentiate_along(
    term: HasResiduals, at: Linearisation, tangent: tuple[jax.Array, ...]
) -> tuple[list[Linear], list[jax.Array]]:
    at = at.evaluate_derivatives()
    zero = tuple(map(jnp.zeros_like, tangent))
    _, along = jax.jvp(lambda *d: list(check_residuals(term, d, at)), zero, tangent)
    return _differentiate(term, at, at.shape, len(tangent)), along


def _differentiate(term: HasResiduals, at: Linearisation, shape: tuple[int, int], count: int) -> list[Linear]:
    zero = jnp.zeros(shape, jnp.float32)
    one = jnp.ones_like(zero)
    values, product = jax.linearize(lambda *d: check_residuals(term, d, at), *[zero] * count)
    products = [product(*(one if other == unknown else zero for other in range(count))) for unknown in range(count)]
    return list(zip(*products, values, strict=True))


def _linearise_terms(terms: tuple[HasResiduals, ...], parts: Parts, count: int) -> list[jax.Array]:
    at = parts.assemble()
    # For each term, jx of all residuals comes first, then jy, then r.
    return [
        jnp.stack([plane for part in zip(*_differentiate(term, at, parts.shape, count), strict=True) for plane in part])
        for term in terms
    ]
