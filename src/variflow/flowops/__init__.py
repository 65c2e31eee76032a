"""Using a flow: warp, compose, invert, convert it, check it, fill it, fit it, follow it, make frames between.

A flow is ``(H, W, 2)``, ``(u, v)`` in pixels, NaN where unknown. An unknown pixel affects only the pixels that are
computed from it.
"""

from typing import TYPE_CHECKING

from variflow.base.choices import refuse_names
from variflow.flowops.coarsening import coarsen
from variflow.flowops.composition import change_frame_rate, compose, consistency, invert, is_consistent
from variflow.flowops.evidence import correlation, precision
from variflow.flowops.filling import fill
from variflow.flowops.fitting import fit
from variflow.flowops.following import streamlines, track
from variflow.flowops.geometry import crop, flip, resize, rotate
from variflow.flowops.gradients import divergence, jacobian, vorticity
from variflow.flowops.interpolation import interpolate
from variflow.flowops.labelled import from_xarray, to_xarray
from variflow.flowops.layouts import (
    from_itk,
    from_opencv,
    from_pysteps,
    from_skimage,
    from_torch,
    from_torch_grid,
    to_itk,
    to_napari,
    to_opencv,
    to_pysteps,
    to_skimage,
    to_torch,
    to_torch_grid,
)
from variflow.flowops.matrices import from_matrix
from variflow.flowops.outliers import find_outliers
from variflow.flowops.planes import PlaneFit, fit_planes
from variflow.flowops.splatting import coverage, splat
from variflow.flowops.strains import strain
from variflow.flowops.validation import validate, validate_xarray
from variflow.images.warping import warp

__all__ = [
    "PlaneFit",
    "change_frame_rate",
    "coarsen",
    "compose",
    "consistency",
    "correlation",
    "coverage",
    "crop",
    "divergence",
    "fill",
    "find_outliers",
    "fit",
    "fit_planes",
    "flip",
    "from_itk",
    "from_matrix",
    "from_opencv",
    "from_pysteps",
    "from_skimage",
    "from_torch",
    "from_torch_grid",
    "from_xarray",
    "interpolate",
    "invert",
    "is_consistent",
    "jacobian",
    "precision",
    "resize",
    "rotate",
    "splat",
    "strain",
    "streamlines",
    "to_itk",
    "to_napari",
    "to_opencv",
    "to_pysteps",
    "to_skimage",
    "to_torch",
    "to_torch_grid",
    "to_xarray",
    "track",
    "validate",
    "validate_xarray",
    "vorticity",
    "warp",
]

if not TYPE_CHECKING:  # a type checker would take any name for an attribute
    __getattr__ = refuse_names(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
