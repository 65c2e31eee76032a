"""The residuals of a term of the flow, and how they change: by NumPy if that is enough, else by programs of JAX.

How linear residuals change along a tangent is seen from their values there. A term that computes with NumPy alone needs
no program for that, and so nothing has to be compiled.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from variflow.energy.autodiff.programs import run
from variflow.energy.flow_term import FlowTerm, find_residuals

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

Reach = tuple[int, int, int, int]


class ByNumPy:
    """Of linear residuals that a term computes with NumPy; those of a homogeneous one are 0 for planes of zeros.

    Planes (H, W), one for each unknown, go in.
    """

    def __init__(self, term: FlowTerm, at: Linearisation, *, homogeneous: bool = False) -> None:
        self.term, self.at, self.homogeneous = term, at, homogeneous

    def evaluate(self, planes: Any) -> tuple[Any, ...]:
        """Return the residuals."""
        with np.errstate(all="ignore"):
            return tuple(np.asarray(plane, np.float32) for plane in find_residuals(self.term, planes, self.at))

    def differentiate(self, planes: Any, tangent: Any, wanted: tuple[int, ...] | None = None) -> tuple[Any, ...]:
        """Return the changes of residuals along a tangent; of all, or of those of the wanted numbers."""
        along = self.evaluate(tuple(tangent))
        if not self.homogeneous:
            still = self.evaluate(tuple(map(np.zeros_like, planes)))
            along = tuple(one - other for one, other in zip(along, still, strict=True))
        return along if wanted is None else tuple(along[number] for number in wanted)

    def probe(self, planes: Any, reach: Reach) -> tuple[Any, ...]:
        """Return the changes along coloured patterns, (unknowns, colours along y, along x, h, w) for each residual."""
        height, width = planes[0].shape
        period_y, period_x = _find_periods(reach)
        rows, columns = np.arange(height)[:, None] % period_y, np.arange(width)[None] % period_x
        nothing = np.zeros((height, width), np.float32)
        changes = []
        for unknown, y, x in product(range(len(planes)), range(period_y), range(period_x)):
            pattern = ((rows == y) & (columns == x)).astype(np.float32)
            tangent = [pattern if number == unknown else nothing for number in range(len(planes))]
            changes.append(self.differentiate(planes, tangent))
        return tuple(
            np.stack(one).reshape(len(planes), period_y, period_x, *one[0].shape) for one in zip(*changes, strict=True)
        )


class ByPrograms:
    """Of any residuals that JAX can differentiate."""

    def __init__(self, term: FlowTerm, at: Linearisation) -> None:
        self.term, self.at = term, at.plain()

    def evaluate(self, planes: Any) -> tuple[Any, ...]:
        """Return the residuals."""
        return run(_evaluate, self.term, self.at, planes)

    def differentiate(self, planes: Any, tangent: Any, wanted: tuple[int, ...] | None = None) -> tuple[Any, ...]:
        """Return the changes of residuals along a tangent; of all, or of those of the wanted numbers."""
        return run(_differentiate, self.term, self.at, planes, tuple(tangent), wanted)

    def probe(self, planes: Any, reach: Reach) -> tuple[Any, ...]:
        """Return the changes along coloured patterns, (unknowns, colours along y, along x, h, w) for each residual."""
        return run(_probe, self.term, self.at, planes, reach)


Changes = ByNumPy | ByPrograms


def computes_with_numpy(term: FlowTerm, at: Linearisation) -> bool:
    """Return whether a term computes residuals without JAX, tried on small frames of noise."""
    try:
        # JAX may not even take an array of NumPy: it would compile each of the functions that a term calls.
        with jax.transfer_guard("disallow_explicit"), np.errstate(all="ignore"):
            planes = find_residuals(term, tuple(map(np.array, at.planes)), at)
    except Exception:
        return False
    # JAX refuses masked arrays; as plain ones they would lose their masks.
    return all(isinstance(plane, np.ndarray) and not isinstance(plane, np.ma.MaskedArray) for plane in planes)


def _find_periods(reach: Reach) -> tuple[int, int]:
    """Return the fewest colours along y and x of which each residual sees each once at most."""
    return reach[1] - reach[0] + 1, reach[3] - reach[2] + 1


def _evaluate(term: FlowTerm, at: Linearisation, planes: Any) -> tuple[Any, ...]:
    return tuple(jnp.asarray(plane, jnp.float32) for plane in find_residuals(term, planes, at))


def _differentiate(
    term: FlowTerm, at: Linearisation, planes: Any, tangent: Any, wanted: tuple[int, ...] | None
) -> tuple[Any, ...]:
    along: tuple[Any, ...] = jax.jvp(lambda *planes: _evaluate(term, at, planes), planes, tangent)[1]
    return along if wanted is None else tuple(along[number] for number in wanted)


def _probe(term: FlowTerm, at: Linearisation, planes: Any, reach: Reach) -> tuple[Any, ...]:
    at = at.evaluate_derivatives()
    height, width = planes[0].shape
    period_y, period_x = _find_periods(reach)
    _, along = jax.linearize(lambda *planes: _evaluate(term, at, planes), *planes)
    rows, columns = jnp.arange(height)[:, None] % period_y, jnp.arange(width)[None] % period_x

    def color(number: Any) -> Any:
        unknown, rest = number // (period_y * period_x), number % (period_y * period_x)
        pattern = ((rows == rest // period_x) & (columns == rest % period_x)).astype(jnp.float32)
        return along(*(pattern * (unknown == k) for k in range(len(planes))))

    changes = jax.lax.map(color, jnp.arange(len(planes) * period_y * period_x))
    return tuple(plane.reshape(len(planes), period_y, period_x, *plane.shape[1:]) for plane in changes)
