"""An energy as a function of the values that the flow is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from variflow.base.types import Array
from variflow.energy.term import Energy, Increment, Term
from variflow.linearisation.linearisation import Linearisation
from variflow.unknowns.unknowns import Place, Unknowns, Values, find_planes


@dataclass(frozen=True, eq=False)
class EnergyOfValues(Term):
    """An energy of the increments of values, by their names, around the values so far."""

    energy: Energy
    unknowns: Unknowns
    values: Values

    @property
    def __name__(self) -> str:
        return str(getattr(self.energy, "__name__", type(self.energy).__name__))

    def __call__(self, d: Any, at: Linearisation) -> Array:
        """Return the energy."""
        return self.energy(self.find_increment(d, at), at)

    def find_increment(self, d: Any, at: Linearisation) -> Increment:
        """Return by how much the planes that the energy sees change."""
        place = Place(at)
        before = find_planes(self.unknowns, self.values, place)
        after = find_planes(self.unknowns, {name: value + d[name] for name, value in self.values.items()}, place)
        return tuple(new - old for new, old in zip(after, before, strict=True))


def make_zero(energy: Energy, at: Linearisation) -> Any:
    """Return the zero increment: planes or, where an energy is one of values, those."""
    return jax.tree.map(jnp.zeros_like, energy.values if isinstance(energy, EnergyOfValues) else at.planes)
