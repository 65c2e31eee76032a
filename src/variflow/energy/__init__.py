"""Energies: any function ``energy(d, at) -> scalar``, and the terms and penalties to build one from.

``d = (u, v)`` is the increment that is sought, and ``at`` is the `Linearisation` around the flow so far.
"""

from variflow.energy.census import CensusConstancy
from variflow.energy.correlation import CrossCorrelation
from variflow.energy.data import BrightnessConstancy, DataTerm, GradientConstancy
from variflow.energy.edges import ImageEdges
from variflow.energy.flow_term import FlowTerm
from variflow.energy.generalised_variation import TotalGeneralisedVariation
from variflow.energy.penalties import L1, Charbonnier, GeneralisedCharbonnier, Huber, Lorentzian, Penalty, Quadratic
from variflow.energy.redescending import GemanMcClure, Tukey, Welsch
from variflow.energy.smoothness import Magnitude, Smoothness
from variflow.energy.term import Energy, Sum, Term
from variflow.energy.terms.anisotropic import DirectionalSmoothness, NagelEnkelmann
from variflow.energy.terms.boundary import BoundaryMotion
from variflow.energy.terms.div_curl import Curl, Divergence
from variflow.energy.terms.epipolar import EpipolarLine
from variflow.energy.terms.non_local import NonLocalSmoothness
from variflow.energy.terms.prior_flow import PriorFlow
from variflow.energy.terms.rigidity import Rigidity
from variflow.energy.terms.second_order import SecondOrderSmoothness
from variflow.energy.terms.sparse_matches import SparseMatches
from variflow.energy.terms.structure_texture import StructureTexture

__all__ = [
    "L1",
    "BoundaryMotion",
    "BrightnessConstancy",
    "CensusConstancy",
    "Charbonnier",
    "CrossCorrelation",
    "Curl",
    "DataTerm",
    "DirectionalSmoothness",
    "Divergence",
    "Energy",
    "EpipolarLine",
    "FlowTerm",
    "GemanMcClure",
    "GeneralisedCharbonnier",
    "GradientConstancy",
    "Huber",
    "ImageEdges",
    "Lorentzian",
    "Magnitude",
    "NagelEnkelmann",
    "NonLocalSmoothness",
    "Penalty",
    "PriorFlow",
    "Quadratic",
    "Rigidity",
    "SecondOrderSmoothness",
    "Smoothness",
    "SparseMatches",
    "StructureTexture",
    "Sum",
    "Term",
    "TotalGeneralisedVariation",
    "Tukey",
    "Welsch",
]


def __dir__() -> list[str]:
    return sorted(__all__)
