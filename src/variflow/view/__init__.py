"""Pictures of flows: colours, arrows, fields, errors.

The colours need no matplotlib. The functions that draw import matplotlib; each returns its own figure and never uses
pyplot.

References
----------
S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 92, 2011 (the colour wheel).
"""

from typing import TYPE_CHECKING

from variflow.base.choices import refuse_names
from variflow.view.colors import color, error_map, wheel
from variflow.view.falling import energies
from variflow.view.figures import figure, warping
from variflow.view.overlay import arrows
from variflow.view.saving import save
from variflow.view.scalars import scalar

__all__ = ["arrows", "color", "energies", "error_map", "figure", "save", "scalar", "warping", "wheel"]

if not TYPE_CHECKING:  # a type checker would take any name for an attribute
    __getattr__ = refuse_names(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
