"""Go on in a video from the flow of the pair before, where the frames of the next pair prove it right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from variflow.base.brief import Brief
from variflow.frames.pyramid import Level, nearest
from variflow.images.resampling import Planes, box_sums, resample_flow
from variflow.images.warping import warp_planes
from variflow.linearisation.comparison import Comparison
from variflow.problem import Problem
from variflow.start.from_model import FromModel
from variflow.start.start import Initialiser, Start
from variflow.state import State

# An estimate begins afresh. At the level nearest to the first size, its flow and the carried one are compared, at the
# level nearest to the second; if the carried one is right, the estimate goes on from it at the third.
_JUDGED, _COMPARED, _GOES_ON = 1 / 8, 1 / 4, 1 / 2

# Flows are apart where they differ by so many pixels of the full size, unless the frames match so much better along the
# carried one: where they match equally well, as stripes do, the flow found afresh is that of the pair by itself. What
# the carried flow does not explain is where the frames match this badly, in pixels.
_APART, _BETTER, _UNEXPLAINED = 4.0, 0.8, 0.5
# Either may be in places, as where something is hidden, but fill no more than this part of a window of so many pixels,
# as a thing does that turns round. Found on scenes that pan, shake, turn, zoom and stop, and whose things turn back, by
# benchmarks/fit_carrying.py: these starts had no more error than those afresh.
_WINDOW, _FULL = 5, 0.9


@dataclass(frozen=True, eq=False, repr=False)
class FromPairBefore(Brief, Initialiser):
    """Starts as the model says, and goes on from the flow of the pair before once that is proved right.

    Attributes
    ----------
    planes : pair of (h, w) float32
        From the frame before to the first one of the pair, as ``(u, v)`` at about half the size.
    """

    planes: tuple[Planes, Planes]

    @classmethod
    def of(cls, state: State, levels: list[Level]) -> FromPairBefore:
        """Keep of where an estimate ended what the next may go on from."""
        return cls(state.resampled(levels[nearest(levels, _GOES_ON)].shape))

    def start(self, problem: Problem) -> Start:
        """Return the start that the model says: what was carried must prove itself first."""
        return FromModel().start(problem)

    def start_again(self, problem: Problem, index: int, flow: tuple[Planes, Planes]) -> Start | None:
        """Return where to go on in place of the flow found down to a level; None if the frames speak against it.

        They do where motion is not as it was, where another scene begins, and where that is not to be told.
        """
        levels = problem.levels
        if index != nearest(levels, _JUDGED):
            return None
        # One level more takes off what noise was carried.
        goes_on = max(nearest(levels, _GOES_ON), problem.model.finest + 1)
        compared = nearest(levels, _COMPARED)
        if not goes_on < compared < index:
            return None  # it would not save a level
        if np.array_equal(levels[index].frame0.planes, levels[index].frame1.planes):
            return None  # from zero, frames that are the same have exactly zero flow
        if not self._is_right(problem, levels[compared], flow):
            return None
        return Start(goes_on, self._flow_at(levels[goes_on]), matched=False)

    def _is_right(self, problem: Problem, level: Level, afresh: tuple[Planes, Planes]) -> bool:
        """Return whether the frames match along the carried flow as well as along one found afresh, all over."""
        carried, afresh = self._flow_at(level), resample_flow(afresh, level.shape)
        along, along_afresh = (Comparison.around(problem.linearise(level, flow)) for flow in (carried, afresh))
        both = along.compared & along_afresh.compared
        missed, missed_afresh = (np.minimum(each.mismatch, 1)[both].sum() for each in (along, along_afresh))
        if not both.any() or missed > missed_afresh:
            return False
        apart = np.hypot(carried[0] - afresh[0], carried[1] - afresh[1])
        wrong = apart > _APART * level.shape[1] / problem.levels[0].shape[1]
        wrong &= ~along.compared | (along.mismatch > _BETTER * along_afresh.mismatch)
        wrong |= along.compared & (along.mismatch > _UNEXPLAINED)
        return bool(box_sums(wrong[None].astype(np.float32), _WINDOW).max() <= _FULL * _WINDOW**2)

    def _flow_at(self, level: Level) -> tuple[Planes, Planes]:
        """Return the flow at a level, moved along itself: each pixel has the flow of where it came from."""
        u, v = resample_flow(self.planes, level.shape)
        u, v = warp_planes(np.stack((u, v)), (-u, -v), "bilinear")
        return u, v
