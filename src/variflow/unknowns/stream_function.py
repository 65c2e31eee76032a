"""A stream function, whose flow has no divergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from variflow.base.types import Array
from variflow.images.resampling import Planes, resample
from variflow.unknowns.unknowns import Unknowns, Values


@dataclass(frozen=True)
class StreamFunction(Unknowns):
    """A plane ``stream`` whose flow ``(d stream / dy, -d stream / dx)`` has no divergence, as that of a fluid.

    The divergence is 0 to rounding as `variflow.flowops.divergence` computes it, by central differences. The stream
    function is in squared pixels, up to a constant.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from variflow import models
    >>> from variflow.unknowns import StreamFunction
    >>> model = replace(models.brox(), unknowns=StreamFunction(), filter=None)
    """

    def start(self, flow: tuple[Planes, Planes], at: Any) -> Values:
        """Return the stream function whose flow is nearest to a given one, in the least squares."""
        u, v = (np.asarray(plane, np.float64) for plane in flow)
        if not (u.any() or v.any()):
            return {"stream": np.zeros(at.shape)}
        # Both differences are matrices, Dy stream = u and stream Dx^T = -v; the eigenvectors of Dy^T Dy and Dx^T Dx
        # decouple the normal equations.
        along_y, along_x = (_differentiate(np.eye(length), 0) for length in at.shape)
        (low_y, modes_y), (low_x, modes_x) = (np.linalg.eigh(matrix.T @ matrix) for matrix in (along_y, along_x))
        right = modes_y.T @ (along_y.T @ u - v @ along_x) @ modes_x
        sums = low_y[:, None] + low_x
        known = sums > 1e-9
        return {"stream": modes_y @ np.where(known, right / np.where(known, sums, 1), 0) @ modes_x.T}

    def flow_of(self, values: Values, at: Any) -> tuple[Array, ...]:
        """Return the flow along the lines where the stream function is constant."""
        stream = values["stream"]
        return _differentiate(stream, 0), -_differentiate(stream, 1)

    def carry(self, values: Values, old: Any, new: Any) -> Values:
        """Return the stream function resampled; it grows as displacement times length."""
        stream = np.asarray(values["stream"], np.float64)
        (y, x), (new_y, new_x) = _centre(old.shape), _centre(new.shape)
        along_y, along_x = new.shape[0] / old.shape[0], new.shape[1] / old.shape[1]
        # A plane is carried exactly, so that the flow at the border stays, too.
        slopes = [float((stream * axis).sum() / max((axis**2 + 0 * stream).sum(), 1e-9)) for axis in (y, x)]
        rest = (stream - slopes[0] * y - slopes[1] * x).astype(np.float32)
        smooth = resample(rest[None], new.shape, kernel="cubic")[0]
        carried = smooth + slopes[0] * new_y / along_y + slopes[1] * new_x / along_x
        return {"stream": along_y * along_x * carried}


def _centre(shape: tuple[int, int]) -> tuple[Planes, Planes]:
    """Return the coordinates y and x around the centre."""
    y, x = (np.arange(length) - (length - 1) / 2 for length in shape)
    return y[:, None], x[None]


def _differentiate(plane: Array, axis: int) -> Array:
    """Return central differences along an axis, one-sided at the border."""
    if plane.shape[axis] == 1:
        return 0 * plane
    xp = plane.__array_namespace__()
    first, last = (slice(None),) * axis, plane.shape[axis] - 1

    def part(start: int, stop: int) -> Array:
        return plane[(*first, slice(start, stop))]

    ends = part(1, 2) - part(0, 1), part(last, last + 1) - part(last - 1, last)
    return xp.concat([ends[0], 0.5 * (part(2, last + 1) - part(0, last - 1)), ends[1]], axis=axis)
