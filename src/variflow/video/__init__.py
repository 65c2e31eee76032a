"""The flow of a video: pair after pair, in order, every frame accounted for; and films, folders and arrays of it."""

from variflow.video.estimating import estimate_video
from variflow.video.fields import to_xarray
from variflow.video.following import flows
from variflow.video.pairing import PairFlow
from variflow.video.scaling import find_scale
from variflow.video.writing import write

__all__ = ["PairFlow", "estimate_video", "find_scale", "flows", "to_xarray", "write"]


def __dir__() -> list[str]:
    return sorted(__all__)
