"""Match points of two frames, however far they have moved, and make a dense flow from matches."""

from variflow.matching.dense import densify
from variflow.matching.matches import Matches
from variflow.matching.matching import match

__all__ = ["Matches", "densify", "match"]


def __dir__() -> list[str]:
    return sorted(__all__)
