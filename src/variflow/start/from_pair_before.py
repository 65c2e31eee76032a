"""Continue a video from the flow of the pair before, if the frames of the next pair prove it right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from variflow.base.brief import Brief
from variflow.frames.pyramid import Level, find_nearest_level
from variflow.images.resampling import Planes, resample_flow, sum_boxes
from variflow.images.warping import warp_planes
from variflow.linearisation.comparison import Comparison
from variflow.problem import Problem
from variflow.start.from_model import FromModel
from variflow.start.start import Initialiser, Start
from variflow.state import State

# An estimate begins without the flow of the pair before. At the level nearest to the size `_JUDGED`, its flow and the
# carried one are compared, both at the size `_COMPARED`. If the carried flow is right, the estimate goes on from it at
# the size `_GOES_ON`.
_JUDGED, _COMPARED, _GOES_ON = 1 / 8, 1 / 4, 1 / 2

# The carried flow is wrong where both flows differ by more than `_APART` pixels of the full size, unless the mismatch
# along the carried one is below `_BETTER` times the other. Where the frames match equally well along both, as stripes
# do, the new flow is that of the pair by itself. The carried flow is wrong, too, where its mismatch is more than
# `_UNEXPLAINED` pixels.
_APART, _BETTER, _UNEXPLAINED = 4.0, 0.8, 0.5
# Some wrong pixels are allowed, as where something is hidden. But they may fill at most `_FULL` of any window of
# `_WINDOW` pixels, as a thing would that turns back. Found on scenes that pan, shake, turn, zoom and stop, and whose
# things turn back, by benchmarks/fit_carrying.py: these starts had no more error than new ones.
_WINDOW, _FULL = 5, 0.9


@dataclass(frozen=True, eq=False, repr=False)
class FromPairBefore(Brief, Initialiser):
    """Starts as the model says, and goes on from the flow of the pair before once it has proved right.

    Attributes
    ----------
    planes : pair of (h, w) float32
        The flow ``(u, v)`` of the pair before, at about half the size of the frames.
    """

    planes: tuple[Planes, Planes]

    @classmethod
    def of(cls, state: State, levels: list[Level]) -> FromPairBefore:
        """Keep the flow at the end of an estimate, for the estimate of the next pair."""
        return cls(state.resample(levels[find_nearest_level(levels, _GOES_ON)].shape))

    def start(self, problem: Problem) -> Start:
        """Return the start that the model says; the carried flow must prove itself first."""
        return FromModel().start(problem)

    def start_again(self, problem: Problem, index: int, flow: tuple[Planes, Planes]) -> Start | None:
        """Return the carried flow as a new start, or None if the frames do not prove it right.

        They do not where the motion has changed, where another scene begins, and where neither can be known.
        """
        levels = problem.levels
        if index != find_nearest_level(levels, _JUDGED):
            return None
        # At least one level is solved, which removes noise that was carried.
        goes_on = max(find_nearest_level(levels, _GOES_ON), problem.finest + 1)
        compared = find_nearest_level(levels, _COMPARED)
        if not goes_on < compared < index:
            return None  # it would not save a level
        if np.array_equal(levels[index].frame0.planes, levels[index].frame1.planes):
            return None  # equal frames have exactly zero flow if they start from zero
        if not self._is_right(problem, levels[compared], flow):
            return None
        return Start(goes_on, self._flow_at(levels[goes_on]))

    def _is_right(self, problem: Problem, level: Level, afresh: tuple[Planes, Planes]) -> bool:
        """Return whether the frames match along the carried flow as well as along a new one, everywhere."""
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
        return bool(sum_boxes(wrong[None].astype(np.float32), _WINDOW).max() <= _FULL * _WINDOW**2)

    def _flow_at(self, level: Level) -> tuple[Planes, Planes]:
        """Return the flow at a level, moved along itself: each pixel takes the flow at the place that it came from."""
        u, v = resample_flow(self.planes, level.shape)
        u, v = warp_planes(np.stack((u, v)), (-u, -v), "bilinear")
        return u, v
