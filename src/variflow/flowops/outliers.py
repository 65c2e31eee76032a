"""Find vectors that do not fit those around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variflow.base.choices import check_choice, check_number, check_whole
from variflow.base.types import ArrayLike
from variflow.flowops.fields import Flow, check_flow

# So many neighbours must be known, as at the corner of a frame.
_LEAST_KNOWN = 3
# So many vectors are compared with their neighbours at a time, to bound the memory.
_AT_ONCE = 50_000


def find_outliers(
    flow: ArrayLike, *, window: int = 3, step: int = 1, threshold: float = 2.0, epsilon: float = 0.1
) -> NDArray[np.bool_]:
    """Find the vectors that do not fit those around them: the normalised median test.

    The difference of a vector to the median of its neighbours is divided by the median of their own differences to it,
    plus `epsilon`. Where this is more than the threshold, the vector is an outlier. So what counts as one adapts to
    how much the flow varies there.

    Parameters
    ----------
    flow : (H, W, 2) array
        ``(u, v)`` in pixels, NaN where unknown.
    window : {3, 5}
        The neighbours are those of a window of 3 x 3 or 5 x 5 vectors.
    step : int
        The distance of neighbours. On a grid of windows it is 1. In a dense flow, vectors are wrong in patches, whose
        neighbours agree with them: the step should be about as wide as a patch, such as 4.
    threshold : float
        Typically 2, from 1 to 5. Higher finds fewer.
    epsilon : float
        The noise of a flow that is good, in pixels; typically 0.1. Higher finds fewer where the flow is smooth.

    Returns
    -------
    (H, W) bool
        False where the flow is unknown, or less than three neighbours are known.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit.

    See Also
    --------
    validate : Replaces them, and looks at the frames.

    Notes
    -----
    Beyond the border the flow goes on with the slope that it has before it. The neighbours there would otherwise lie on
    one side, and wherever the flow has a slope, they would be far from the vector.

    References
    ----------
    J. Westerweel and F. Scarano, Universal outlier detection for PIV data, Experiments in Fluids 39, 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> y, x = np.mgrid[:8, :9]
    >>> flow = np.stack([0.2 * x, 0.1 * y], axis=2)
    >>> flow[3, 4] += 2
    >>> np.argwhere(flowops.find_outliers(flow)).tolist()
    [[3, 4]]
    """
    field = check_flow(flow)
    reach = check_choice("window", window, (3, 5)) // 2
    step = check_whole("step", step, 1)
    threshold = check_number("threshold", threshold, above=0)
    epsilon = check_number("epsilon", epsilon, above=0)
    height, width = field.shape[:2]
    margin = reach * step
    padded = np.pad(field, ((margin, margin), (margin, margin), (0, 0)), "reflect", reflect_type="odd")
    shifts = [
        (margin + step * row, margin + step * column)
        for row in range(-reach, reach + 1)
        for column in range(-reach, reach + 1)
        if row or column
    ]
    outliers = np.zeros((height, width), bool)
    rows = max(1, _AT_ONCE // width)
    for top in range(0, height, rows):
        part = slice(top, min(top + rows, height))
        square = np.zeros((part.stop - top, width), np.float32)
        for component in range(2):
            plane = padded[..., component]
            around = np.stack([plane[part.start + y : part.stop + y, x : x + width] for y, x in shifts], axis=-1)
            square += _normalise(field[part, :, component], around, epsilon) ** 2
        outliers[part] = square > threshold**2  # False where NaN
    return outliers


def _normalise(values: Flow, around: Flow, epsilon: float) -> Flow:
    """Return how far values are from the median of those around them, in units of how far these are from it."""
    middle = _find_median(around)
    spread = _find_median(np.abs(around - middle[..., None]))
    ratio: Flow = np.abs(values - middle) / (spread + np.float32(epsilon))
    return ratio


def _find_median(around: Flow) -> Flow:
    """Return the medians of what is known along the last axis, NaN where that is too little."""
    ordered = np.sort(around, axis=-1)  # NaN comes last
    if not np.isnan(ordered[..., -1]).any():
        half = around.shape[-1] // 2
        whole: Flow = (ordered[..., half - 1] + ordered[..., half]) / np.float32(2)
        return whole
    known = around.shape[-1] - np.isnan(ordered).sum(axis=-1)[..., None]
    low, high = (
        np.take_along_axis(ordered, np.maximum(place, 0), axis=-1)
        for place in ((known - 1) // 2, np.minimum(known // 2, around.shape[-1] - 1))
    )
    median = (low + high)[..., 0] / np.float32(2)
    median[known[..., 0] < _LEAST_KNOWN] = np.nan
    return median
