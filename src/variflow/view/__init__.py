"""Pictures of flows: colours, arrows, errors.

The colours are plain NumPy; matplotlib is imported by the functions that draw. They return a figure of their own, and
never touch pyplot.

References
----------
S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 92, 2011 (the colour wheel).
"""

from variflow.view.colors import color, error_map, wheel
from variflow.view.figures import arrows, figure, save, warping

__all__ = ["arrows", "color", "error_map", "figure", "save", "warping", "wheel"]


def __dir__() -> list[str]:
    return sorted(__all__)
