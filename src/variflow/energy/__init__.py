"""Energies: any function ``energy(d, at) -> scalar``, and the terms and penalties to build one from.

``d = (u, v)`` is the increment that is sought, and ``at`` is the `Linearisation` around the flow so far.
"""

from variflow.energy.census import CensusConstancy
from variflow.energy.data import BrightnessConstancy, DataTerm, GradientConstancy
from variflow.energy.edges import ImageEdges
from variflow.energy.flow_term import FlowTerm
from variflow.energy.generalised_variation import TotalGeneralisedVariation
from variflow.energy.penalties import L1, Charbonnier, GeneralisedCharbonnier, Huber, Lorentzian, Penalty, Quadratic
from variflow.energy.redescending import GemanMcClure, Tukey, Welsch
from variflow.energy.smoothness import Magnitude, Smoothness
from variflow.energy.term import Energy, Sum, Term

__all__ = [
    "L1",
    "BrightnessConstancy",
    "CensusConstancy",
    "Charbonnier",
    "DataTerm",
    "Energy",
    "FlowTerm",
    "GemanMcClure",
    "GeneralisedCharbonnier",
    "GradientConstancy",
    "Huber",
    "ImageEdges",
    "Lorentzian",
    "Magnitude",
    "Penalty",
    "Quadratic",
    "Smoothness",
    "Sum",
    "Term",
    "TotalGeneralisedVariation",
    "Tukey",
    "Welsch",
]


def __dir__() -> list[str]:
    return sorted(__all__)
