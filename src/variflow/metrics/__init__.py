"""How far a flow is from the truth.

- Of two flows: :func:`endpoint_error`, :func:`angular_error` and :func:`outliers` (Fl of KITTI, n-pixel outliers).
- Of a map or any part of it: :func:`robustness` (R-x) and :func:`accuracy` (A-x and the median) of Middlebury,
  :func:`ause` (whether a confidence knows where the errors are). ``endpoint_error_map(flow, truth)[mask]`` is a part.
- Parts of the frame, as masks: :func:`speed_between`, :func:`motion_boundaries`, :func:`near`.
- Of frames: :func:`in_between` makes one of a flow, :func:`interpolation_error` compares it with the true one.

Unknown truth (NaN) never counts. A pixel that the estimate leaves unknown although its truth is known is an error, not
a pixel to skip: skipping it would reward gaps. A mean over it does not exist, so that a mean raises; in a map it is
infinite, so that R-x and the outliers count it as worse than any threshold and A-x puts it last. KITTI, the one
benchmark that takes estimates with gaps, fills them before it compares: :func:`complete` fills them so.

References
----------
S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 92, 2011;
J. L. Barron, D. J. Fleet, S. S. Beauchemin, "Performance of Optical Flow Techniques", IJCV 12, 1994;
D. J. Butler et al., "A Naturalistic Open Source Movie for Optical Flow Evaluation", ECCV 2012;
M. Menze, A. Geiger, "Object Scene Flow for Autonomous Vehicles", CVPR 2015.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from variflow.base.choices import refuse_names
from variflow.metrics.flows import (
    angular_error,
    angular_error_map,
    complete,
    endpoint_error,
    endpoint_error_map,
    outliers,
)
from variflow.metrics.frames import in_between, interpolation_error
from variflow.metrics.regions import motion_boundaries, near, speed_between
from variflow.metrics.statistics import accuracy, ause, robustness

__all__ = [
    "accuracy",
    "angular_error",
    "angular_error_map",
    "ause",
    "complete",
    "endpoint_error",
    "endpoint_error_map",
    "in_between",
    "interpolation_error",
    "motion_boundaries",
    "near",
    "outliers",
    "robustness",
    "speed_between",
]

if not TYPE_CHECKING:  # a type checker would take any name for an attribute
    __getattr__ = refuse_names(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
