"""The flow of frames larger than memory: coarse levels on the whole frames, fine levels tile by tile."""

from variflow.tiling.estimating import TiledFlow, estimate_tiled

__all__ = ["TiledFlow", "estimate_tiled"]


def __dir__() -> list[str]:
    return sorted(__all__)
