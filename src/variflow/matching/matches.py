"""Points of the first frame and where they are in the second."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import as_single
from variflow.base.brief import Brief
from variflow.base.errors import warn
from variflow.base.types import ArrayLike

# A displacement of more than this many times the larger side of the frames is unknown. The second number is the mark
# for an unknown displacement in .flo files.
_FARTHEST = 4

_UNKNOWN = np.float32(1666666752)


@dataclass(frozen=True, eq=False, repr=False)
class Matches(Brief):
    """Points of the first frame and where they are in the second.

    The points of `variflow.match` lie on a grid; those of other matchers may lie anywhere.

    Attributes
    ----------
    points : (N, 2) float32
        ``(x, y)`` in the first frame, in pixels; the centre of the first pixel is (0, 0).
    flow : (N, 2) float32
        ``(u, v)``, the displacement of each in pixels.
    confidence : (N,) float32
        From 0 to 1, the probability that the displacement is right within 3 pixels; by default 1.

    Raises
    ------
    TypeError, ValueError
        If an array is wrong; the message names it.

    Examples
    --------
    >>> from variflow.matching.matches import Matches
    >>> matches = Matches(points=[(10, 20), (30, 5)], flow=[(1.5, 0), (2, 0.5)])
    >>> len(matches), matches.confidence.tolist()
    (2, [1.0, 1.0])
    """

    points: NDArray[np.float32]
    flow: NDArray[np.float32]
    confidence: NDArray[np.float32] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        points = _check(self.points, "points")
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points has shape {points.shape}, wanted (N, 2): x and y of each")
        flow = _check(self.flow, "flow")
        if flow.shape != points.shape:
            raise ValueError(f"flow has shape {flow.shape}, wanted that of points, {points.shape}")
        confidence = np.ones(len(points)) if self.confidence is None else self.confidence
        confidence = _check(confidence, "confidence")
        if confidence.shape != points.shape[:1]:
            raise ValueError(f"confidence has shape {confidence.shape}, wanted one number for each point")
        if confidence.size and not 0 <= confidence.min() <= confidence.max() <= 1:
            raise ValueError(f"confidence is from {confidence.min()} to {confidence.max()}, wanted 0 to 1")
        for name, array in (("points", points), ("flow", flow), ("confidence", confidence)):
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.points)

    def move(self, x: float, y: float) -> Matches:
        """Return the matches with their points moved."""
        return replace(self, points=self.points + np.asarray((x, y), np.float32)) if x or y else self


def find_known_displacements(flow: NDArray[np.float32], shape: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """Return which displacements (..., 2) are known: finite, and not too large for frames of a size.

    It warns of those that are too large, except for the mark that flow files use for unknown.
    """
    most = _FARTHEST * max(shape)
    sizes = np.maximum(np.abs(flow[..., 0]), np.abs(flow[..., 1]))  # NaN if a component is NaN
    known: NDArray[np.bool_] = sizes <= most
    far = sizes[(sizes > most) & (sizes != _UNKNOWN) & np.isfinite(sizes)]
    if far.size:
        warn(
            f"the {name} has {far.size} displacements of more than {most} px, {_FARTHEST} times the larger side of the "
            f"frames (such as {far[0]:g}): taken as unknown"
        )
    return known


def _check(array: ArrayLike, name: str) -> NDArray[np.float32]:
    values = as_single(array, name).copy()
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite")
    return values
