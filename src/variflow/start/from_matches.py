"""Start from matches."""

from __future__ import annotations

from dataclasses import dataclass

from variflow.base.brief import Brief
from variflow.frames.pyramid import Level, find_nearest_level
from variflow.matching.dense import DenseFlow, make_dense_flow_from_matches
from variflow.matching.matches import Matches
from variflow.problem import Problem
from variflow.start.scene import SceneFlow
from variflow.start.start import MATCHES_SCALE, UNSEEN, Initialiser, Start


@dataclass(frozen=True, eq=False, repr=False)
class FromMatches(Brief, Initialiser):
    """Starts from matches, made dense at a quarter of the size.

    Attributes
    ----------
    matches : Matches
        Points of the first frame and where they are in the second.
    """

    matches: Matches

    def start(self, problem: Problem) -> Start:
        """Return the dense flow that the matches suggest."""
        matches = self.matches.move(-problem.images.cut.left, -problem.images.cut.top)
        return start_from_dense_flow(make_dense_flow_from_matches(matches, problem.levels), problem.levels)


def start_from_dense_flow(dense: DenseFlow, levels: list[Level]) -> Start:
    """Return a start from a dense flow of matches."""
    index = find_nearest_level(levels, MATCHES_SCALE)
    return Start(index, dense.resample(levels[index].shape), UNSEEN * MATCHES_SCALE, _find_scene(dense, levels))


def _find_scene(dense: DenseFlow, levels: list[Level]) -> SceneFlow | None:
    if dense.scene is None:
        return None
    level = next(level for level in levels if level.shape == (dense.rows.size, dense.columns.size))
    return SceneFlow(level.index, dense.resample(level.shape), dense.find_scene())
