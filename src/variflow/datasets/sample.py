"""One pair of frames with its true flow, as every data set yields it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from variflow.base.brief import Brief
from variflow.base.types import Numbers


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Brief):
    """A pair of frames and what is known about the motion between them.

    Parameters
    ----------
    name : str
        What the data set calls the pair.
    frame0, frame1 : array (H, W) or (H, W, C)
        The first and the second frame.
    flow : float32 (H, W, 2) or None
        True displacement (u, v) in pixels from the first frame to the second, NaN where unknown; None without truth.
    occlusion : bool (H, W) or None
        True where a point of the first frame cannot be seen in the second; None where the data set does not say.
    valid : bool (H, W) or None
        True where the truth is known and counts according to its authors; None if it counts wherever it is known.
    foreground : bool (H, W) or None
        True on objects that move by themselves; None where the data set does not say.
    between : array, shape of a frame, or None
        The true frame halfway between the two.
    """

    name: str
    frame0: Numbers
    frame1: Numbers
    flow: npt.NDArray[np.float32] | None = None
    occlusion: npt.NDArray[np.bool_] | None = None
    valid: npt.NDArray[np.bool_] | None = None
    foreground: npt.NDArray[np.bool_] | None = None
    between: Numbers | None = None
