"""Start from matches, where motion is so large that they are needed."""

from __future__ import annotations

import numpy as np

from variflow.frames.pyramid import Level
from variflow.matching.dense import SPACING, _Dense, _dense, _dense_from
from variflow.matching.matches import Matches
from variflow.matching.search import placed, search
from variflow.start.start import _START_SCALE, Start

# Motion is large if matches are so rough at small levels, and so much at a quarter of the size; and if this part of all
# points match at all. Finer levels see smaller things, and are rougher by about this power of their size.
_MAYBE_LARGE, _LARGE, _ENOUGH = 0.03, 0.049, 0.2


_DETAIL = 0.4


def start(levels: list[Level]) -> Start | None:
    """Return where to start from if motion is so large that matches are needed, else None.

    The pyramid alone finds how far a thing moves relative to what surrounds it, as long as that is little beside its
    size. So matches at small sizes decide, and are followed to finer levels only if they differ much from what
    surrounds them.
    """
    shape = levels[0].shape
    decided = False
    for number, seeds in enumerate(search(levels, SPACING)):
        if number == 0:  # where all displacements are compared, the matches are rough
            continue
        if (seeds.confidence > 0.5).mean() < _ENOUGH:
            return None
        if not decided:
            size = seeds.shape[1] / shape[1]
            decided = size > 0.2
            if seeds.roughness() * (0.25 / size) ** _DETAIL < (_LARGE if decided else _MAYBE_LARGE):
                return None
    rows, columns = seeds.axes
    return _start(_dense(placed(seeds.found[0], seeds.confidence), rows, columns, levels), levels)


def start_from(matches: Matches, levels: list[Level]) -> Start:
    """Return where to start from, given matches."""
    return _start(_dense_from(matches, levels), levels)


def _start(dense: _Dense, levels: list[Level]) -> Start:
    widths = np.array([level.shape[1] for level in levels])
    index = int(np.argmin(np.abs(np.log(widths / (widths[0] * _START_SCALE)))))
    return Start(index, dense.at(levels[index].shape))
