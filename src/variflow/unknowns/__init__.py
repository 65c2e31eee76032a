"""What an estimate seeks besides the flow, or in its place: further planes, a stream function, a few numbers.

A model names it, as in ``Model(energy, unknowns=StreamFunction())``. `Unknowns` is the base of those of your own.
"""

from variflow.unknowns.control_points import ControlPoints
from variflow.unknowns.numbers import Affine, Homography
from variflow.unknowns.planes import FlowAndPlanes, OneComponent
from variflow.unknowns.stream_function import StreamFunction
from variflow.unknowns.unknowns import Unknowns

__all__ = ["Affine", "ControlPoints", "FlowAndPlanes", "Homography", "OneComponent", "StreamFunction", "Unknowns"]


def __dir__() -> list[str]:
    return sorted(__all__)
