"""A picture of a registration: the mean frame before and after, and how well each frame agrees with the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variflow.base.types import Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What is darker or brighter than all but this percentage of the mean before is shown black or white.
_CUT = 0.5


def draw_registration(
    before: Numbers, after: Numbers, correlations_before: Sequence[float], correlations_after: Sequence[float]
) -> Figure:
    """Draw the mean of the frames as given and as corrected, side by side, and the correlations below them.

    Parameters
    ----------
    before, after : (H, W) or (H, W, C) array
        The means, NaN where nothing is known. Three channels are red, green and blue; of others the mean is shown.
    correlations_before, correlations_after : sequence of float
        The correlation of each frame with the reference; NaN leaves a gap.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    pictures = [_make_plain(array) for array in (before, after)]
    shown = pictures[0][np.isfinite(pictures[0])]
    low, high = np.percentile(shown, (_CUT, 100 - _CUT)) if shown.size else (0.0, 1.0)
    aspect = min(max(before.shape[0] / before.shape[1], 0.3), 3.0)
    drawn = Figure(figsize=(9, 4.5 * aspect + 2.9), layout="constrained")
    grid = drawn.add_gridspec(2, 2, height_ratios=(4.5 * aspect, 2.2))
    for column, (title, picture) in enumerate(zip(("mean before", "mean after"), pictures, strict=True)):
        axes = drawn.add_subplot(grid[0, column])
        scaled = np.clip(np.nan_to_num((picture - low) / (high - low or 1.0)), 0, 1)
        axes.imshow(scaled, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set(title=title, xticks=[], yticks=[])
    axes = drawn.add_subplot(grid[1, :])
    axes.plot(correlations_before, ".-", color="0.6", label="before")
    axes.plot(correlations_after, ".-", color="#c8341c", label="after")
    axes.set(xlabel="frame", ylabel="correlation with the reference")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # no frame is between two
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return drawn


def _make_plain(picture: Numbers) -> NDArray[np.float64]:
    values = picture.astype(np.float64)
    return values if values.ndim == 2 or values.shape[2] == 3 else values.mean(axis=2)
