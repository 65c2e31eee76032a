"""The dense flow objects of OpenCV, computed by variflow.

Change ``import cv2`` to ``import variflow.compat.opencv as cv2`` in what computes a flow; OpenCV itself need not be
installed. Names, arguments and results are those of OpenCV, with the flow as float32 ``(H, W, 2)``. A setting that
means something here has an effect. One that steers only the inner workings of OpenCV is kept, and a `VariflowWarning`
says that it changes nothing. One that would change what is minimised, and cannot, raises NotImplementedError.
"""

from typing import TYPE_CHECKING, NoReturn

from variflow.compat.opencv import optflow
from variflow.compat.opencv.dis import (
    DISOPTICAL_FLOW_PRESET_FAST,
    DISOPTICAL_FLOW_PRESET_MEDIUM,
    DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    DISOpticalFlow,
    DISOpticalFlow_create,
    DISOpticalFlow_PRESET_FAST,
    DISOpticalFlow_PRESET_MEDIUM,
    DISOpticalFlow_PRESET_ULTRAFAST,
)
from variflow.compat.opencv.elsewhere import explain_missing
from variflow.compat.opencv.farneback import (
    OPTFLOW_FARNEBACK_GAUSSIAN,
    OPTFLOW_USE_INITIAL_FLOW,
    FarnebackOpticalFlow,
    FarnebackOpticalFlow_create,
    calcOpticalFlowFarneback,
)
from variflow.compat.opencv.files import readOpticalFlow, writeOpticalFlow
from variflow.compat.opencv.refinement import VariationalRefinement, VariationalRefinement_create
from variflow.compat.opencv.tvl1 import DualTVL1OpticalFlow, DualTVL1OpticalFlow_create, createOptFlow_DualTVL1

__all__ = [
    "DISOPTICAL_FLOW_PRESET_FAST",
    "DISOPTICAL_FLOW_PRESET_MEDIUM",
    "DISOPTICAL_FLOW_PRESET_ULTRAFAST",
    "OPTFLOW_FARNEBACK_GAUSSIAN",
    "OPTFLOW_USE_INITIAL_FLOW",
    "DISOpticalFlow",
    "DISOpticalFlow_PRESET_FAST",
    "DISOpticalFlow_PRESET_MEDIUM",
    "DISOpticalFlow_PRESET_ULTRAFAST",
    "DISOpticalFlow_create",
    "DualTVL1OpticalFlow",
    "DualTVL1OpticalFlow_create",
    "FarnebackOpticalFlow",
    "FarnebackOpticalFlow_create",
    "VariationalRefinement",
    "VariationalRefinement_create",
    "calcOpticalFlowFarneback",
    "createOptFlow_DualTVL1",
    "error",
    "optflow",
    "readOpticalFlow",
    "writeOpticalFlow",
]

# What is raised here in place of ``cv2.error``, for ``except cv2.error:``.
error = (OSError, TypeError, ValueError)


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # or type checkers would take every name for one that is here

    def __getattr__(name: str) -> NoReturn:
        raise explain_missing(__name__, name, __all__)
