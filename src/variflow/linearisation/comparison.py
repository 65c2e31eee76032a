"""Compare the frames along a flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variflow.base.brief import Brief
from variflow.images.resampling import Planes, smooth
from variflow.linearisation.level import LevelLinearisation

# Gradients below one grey level of 256 may well be noise. The mismatch is smoothed over `_AROUND` pixels.
_NOISE, _AROUND = 1 / 255, 1.0
# A frame whose intensities vary by no more than this, of the range of both, is the same everywhere, but for rounding.
_SAME = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Brief):
    """How well a flow makes the frames match.

    Attributes
    ----------
    mismatch : (H, W) float32
        How far, in pixels, the flow is from where the gradients of both frames agree: their difference, divided by how
        fast they change, and averaged over the surroundings.
    compared : (H, W) bool
        False where there is nothing to compare: where a pixel or its target is missing, or the flow leaves the frame;
        everywhere if a frame is the same everywhere.
    """

    mismatch: Planes
    compared: NDArray[np.bool_]

    @classmethod
    def around(cls, at: LevelLinearisation) -> Comparison:
        """Compare the frames of a linearisation."""
        shown = all(np.ptp(planes, axis=(1, 2)).max() > _SAME for planes in (at.frame0, at.second))
        return cls(smooth(at.measure_mismatch(_NOISE)[None], _AROUND)[0], at.valid & shown)
