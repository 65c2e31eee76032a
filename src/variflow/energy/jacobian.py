"""Linearise residuals that a person wrote, with JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from variflow.energy.pytrees import register
from variflow.energy.terms import NotPixelwise

if TYPE_CHECKING:
    from variflow.energy.terms import DataTerm
    from variflow.linearisation import Linearisation


def linearise(term: DataTerm, at: Linearisation) -> list[tuple[Any, Any, Any]]:
    """Return ``(jx, jy, r)`` of each residual of a data term at d = 0.

    A residual depends at each pixel on the increment of that pixel only, so two products of its Jacobian with constant
    tangents, one along u and one along v, hold all of it. One program is compiled for each kind of term and frame size.
    """
    register()
    triples: list[tuple[Any, Any, Any]] = _program(term, at.plain())
    return triples


def check_pixelwise(term: DataTerm, at: Linearisation) -> None:
    """Raise NotPixelwise if a residual depends on the increments of other pixels, as seen in a corner of `at`."""
    register()
    corner = jax.tree.map(lambda plane: plane[..., :16, :16], at.plain())
    rng = np.random.default_rng(0)
    tangent = tuple(rng.normal(size=corner.valid.shape).astype(np.float32) for _ in range(2))
    triples = linearise(term, corner)
    _, along = jax.jvp(lambda u, v: term.residuals((u, v), corner), tuple(map(jnp.zeros_like, tangent)), tangent)
    for (jx, jy, _), change in zip(triples, along, strict=True):
        expected = jx * tangent[0] + jy * tangent[1]
        if not np.allclose(change, expected, rtol=1e-3, atol=1e-4 * float(jnp.abs(expected).max())):
            name = type(term).__name__
            raise NotPixelwise(f"the residuals of {name} at a pixel depend on the increments of other pixels")


def _linearised(term: DataTerm, at: Linearisation) -> list[tuple[Any, Any, Any]]:
    at = at.evaluated()
    zero = jnp.zeros(at.valid.shape, jnp.float32)
    one = jnp.ones_like(zero)
    values, product = jax.linearize(lambda u, v: term.residuals((u, v), at), zero, zero)
    return list(zip(product(one, zero), product(zero, one), values, strict=True))


_program: Any = eqx.filter_jit(_linearised)
