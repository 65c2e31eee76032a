"""Find out what the residuals of terms of the flow depend on: without JAX where that is known, else by trying."""

from __future__ import annotations

from variflow.energy.flow_term import FlowTerm
from variflow.energy.structure import Structure, read_constant
from variflow.energy.taps import LocalResidual
from variflow.energy.term import keeps
from variflow.energy.terms.second_order import SecondOrderSmoothness
from variflow.linearisation.level import LevelLinearisation


def study(term: FlowTerm, at: LevelLinearisation) -> Structure:
    """Return the structure of a term; raise NotTakenApart if its residuals look too far."""
    if keeps(term, SecondOrderSmoothness, "residuals"):
        return read_constant(term, (3, 3))
    from variflow.energy.autodiff import stencils  # which imports JAX

    return stencils.study(term, at)


def find_taps(term: FlowTerm, at: LevelLinearisation, structure: Structure) -> list[LocalResidual]:
    """Return the residuals of a term around the flow so far."""
    if structure.constant and structure.homogeneous:
        return structure.place(at.planes[0].shape)
    from variflow.energy.autodiff import stencils  # which imports JAX

    return stencils.find_taps(term, at, structure)
