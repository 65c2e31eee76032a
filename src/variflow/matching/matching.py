"""Match two frames: find points whose surroundings look alike, however far they have moved.

Descriptors of oriented gradients are compared from coarse to fine. The coarsest level compares all displacements. Finer
levels try the displacements of neighbours, and random steps around them. Both directions are searched. A match counts
if it returns to where it began, is distinct from the pixels beside it, and agrees with its neighbours.
"""

from __future__ import annotations

import numpy as np

from variflow.base.choices import check_whole
from variflow.base.types import ArrayLike
from variflow.calling import explain_calls
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.matching.dense import SPACING
from variflow.matching.matches import Matches
from variflow.matching.search import COARSEST, GridMatches, search


@explain_calls
def match(
    frame0: ArrayLike,
    frame1: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    intensity_range: tuple[float, float] | None = None,
    spacing: int = SPACING,
) -> Matches:
    """Find where points of the first frame are in the second, however far they have moved.

    Parameters
    ----------
    frame0, frame1 : array
        As for `variflow.estimate`. Missing pixels match nothing.
    mask : (H, W) bool array or a pair of them, optional
        True where a pixel is usable. One mask is for both frames; a pair has one for each frame, or None.
    intensity_range : (low, high), optional
        The intensities that become 0 and 1; see `variflow.estimate`.
    spacing : int
        Distance between the points that are matched, in columns and rows; at least 1, typically 2 to 8. A smaller
        spacing finds smaller things and takes longer.

    Returns
    -------
    Matches
        The matches that return to where they began when the second frame is matched with the first. They are typically
        within half a pixel of the truth. Frames of more than a million pixels are matched at a smaller size, and less
        precisely.

    References
    ----------
    E. Tola, V. Lepetit and P. Fua, DAISY: an efficient dense descriptor applied to wide-baseline stereo, PAMI 32, 2010.
    Y. Hu, R. Song and Y. Li, Efficient coarse-to-fine PatchMatch for large displacement optical flow, CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> pair = synthetic.translation((60, 80), shift=(9, -4))
    >>> matches = variflow.match(pair.frame0, pair.frame1)
    >>> np.median(matches.flow, axis=0).tolist()
    [9.0, -4.0]
    """
    spacing = check_whole("spacing", spacing, 1, 4096, "a whole number of pixels")
    levels = pyramid(prepare(frame0, frame1, mask, None, intensity_range), factor=0.5, coarsest=COARSEST)
    *_, grid = search(levels, spacing)
    return _collect_matches(grid, levels[0].shape)


def _collect_matches(grid: GridMatches, shape: tuple[int, int]) -> Matches:
    """Return the matches of the first frame, in pixels of its full size."""
    known = grid.confidence[0] > 0
    rows, columns = np.nonzero(known)
    scale = np.array([shape[1] / grid.shape[1], shape[0] / grid.shape[0]], np.float32)
    y, x = (axis.positions for axis in grid.axes)
    points = np.stack([x[columns], y[rows]], axis=1).astype(np.float32)
    flow = grid.found[0][:2, known].T * scale
    return Matches((points + np.float32(0.5)) * scale - np.float32(0.5), flow, grid.confidence[0, known])
