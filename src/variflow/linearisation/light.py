"""Match the light while an estimate goes from coarse to fine.

Whether the light differs is judged on the frames of a level and the flow that the level starts with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from variflow import _core

if TYPE_CHECKING:
    from variflow.frames.pyramid import Level
    from variflow.linearisation.linearisation import Linearisation
from variflow.frames.light import _FEWEST, _GAINS, _ROUNDS_TO_JUDGE, _TO_JUDGE, Light, Planes, measure_light

# A smaller change than this is left as it is, where the frames' range is [0, 1].
_NOTICED = 4 / 255


# A gain and an offset must leave at most this share of the differences. Where the motion is still unknown, or the light
# changes from place to place, they leave more, and the flow was no better for them.
_UNEXPLAINED = 0.25


# The same in a level, whose pixels are averages.
_MARGIN_IN_LEVEL = 3 / 255


# Levels with more pixels than this keep the light that was found.
_LARGEST_LEVEL = 20_000


class LightMatching:
    """Watches the light while an estimate goes from coarse to fine, and rebuilds the levels where it differs.

    Parameters
    ----------
    images : two (H, W, C) arrays
        The frames as they came.
    valids : two (H, W) bool arrays
        Where their pixels are usable; None where all are.
    rebuild : callable
        ``rebuild(light)`` returns the levels of the frames as that light shows them.
    linearise : callable
        ``linearise(level, flow)`` returns what the frames of a level show around a flow.

    Attributes
    ----------
    light : Light or None
        What was found so far.
    remarks : list of str
        Empty: what is matched needs no word.
    """

    def __init__(
        self,
        images: Sequence[NDArray[Any]],
        valids: Sequence[NDArray[np.bool_] | None],
        rebuild: Callable[[Light], list[Level]],
        linearise: Callable[[Level, tuple[Planes, Planes]], Linearisation],
    ) -> None:
        self.light: Light | None = None
        self.remarks: list[str] = []
        self._images, self._valids, self._rebuild, self._linearise = images, valids, rebuild, linearise

    def matched(self, levels: list[Level], index: int, flow: tuple[Planes, Planes], *, begins: bool) -> list[Level]:
        """Return the levels for going on at one of them with this flow: as they are, or in matched light.

        The light is looked at where the estimate `begins` and on small levels, until it is found to differ; then it is
        measured, and once more with the better flow of the largest of the small levels.
        """
        small = math.prod(levels[index].shape) <= _LARGEST_LEVEL
        largest = index == 0 or math.prod(levels[index - 1].shape) > _LARGEST_LEVEL
        if self.light is None and not ((small or begins) and light_differs(self._linearise(levels[index], flow))):
            return levels
        if self.light is not None and not (small and largest):
            return levels
        self.light = measure_light(self._images, self._valids, flow)
        return self._rebuild(self.light)


def light_differs(at: Linearisation) -> bool:
    """Return whether a gain and an offset explain most of the difference of the frames around the flow so far."""
    change, before, after = light_change(at)
    return change > _NOTICED and after < _UNEXPLAINED * before


def light_change(at: Linearisation) -> tuple[float, float, float]:
    """Return by how much a gain and an offset change intensities, and the mean difference before and after that."""
    usable = at.valid.astype(np.float32)[None]
    every = math.ceil(math.sqrt(usable.size / _TO_JUDGE))
    return _core.light_change(at.frame0, at.frame1, usable, every, _MARGIN_IN_LEVEL, _FEWEST, _ROUNDS_TO_JUDGE, *_GAINS)
