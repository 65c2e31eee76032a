"""A few numbers for the motion of the whole frame: affine motion, and that of a plane in space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow.base.types import Array
from variflow.images.resampling import Planes
from variflow.unknowns.unknowns import Unknowns, Values

# A flow is fitted at about so many pixels along each axis at most.
_FITTED = 64


@dataclass(frozen=True)
class Affine(Unknowns):
    """An affine motion, six numbers: ``u = u[0] + u[1] x + u[2] y``, and likewise v.

    x and y are pixels from the centre of the frame, to the right and down. So ``u[0]`` and ``v[0]`` are the
    displacement of the centre, and the others are derivatives of the flow.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from variflow import models
    >>> from variflow.unknowns import Affine
    >>> model = replace(models.brox(), unknowns=Affine(), filter=None)
    """

    def start(self, flow: tuple[Planes, Planes], at: Any) -> Values:
        """Return the affine motion nearest to a flow, in the least squares."""
        y, x, (u, v) = _choose_pixels(flow)
        rows = np.stack([np.ones_like(x), x, y], axis=1)
        return {name: np.linalg.lstsq(rows, plane, rcond=None)[0] for name, plane in (("u", u), ("v", v))}

    def flow_of(self, values: Values, at: Any) -> tuple[Array, ...]:
        """Return the flow."""
        y, x = find_coordinates(at.shape)
        u, v = (values[name][0] + values[name][1] * x + values[name][2] * y for name in ("u", "v"))
        return u, v

    def carry(self, values: Values, old: Any, new: Any) -> Values:
        """Return the numbers in the pixels of another size."""
        along_y, along_x = new.shape[0] / old.shape[0], new.shape[1] / old.shape[1]
        units = np.array([1, 1 / along_x, 1 / along_y])
        return {"u": along_x * units * values["u"], "v": along_y * units * values["v"]}


@dataclass(frozen=True)
class Homography(Unknowns):
    """The motion of a plane in space, or of any scene seen by a camera that only turns: eight numbers.

    ``rows`` (2, 3) and ``last`` (2,) hold how much the homography ``[rows, (last, 1)]`` differs from the identity. It
    maps pixels of the first frame to those of the second, both counted from the centre of the frame. `matrix` returns
    it for pixels counted from the first one, as other software has it.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from variflow import models
    >>> from variflow.unknowns import Homography
    >>> model = replace(models.brox(), unknowns=Homography(), filter=None)
    """

    def start(self, flow: tuple[Planes, Planes], at: Any) -> Values:
        """Return the homography nearest to a flow, in the least squares of its linear equations."""
        y, x, (u, v) = _choose_pixels(flow)
        if not (u.any() or v.any()):
            return {"rows": np.zeros((2, 3)), "last": np.zeros(2)}
        size = max(at.shape)
        one, none = np.ones_like(x), np.zeros_like(x)
        to_x, to_y = x + u, y + v
        equations = [
            np.stack([x / size, y / size, one, none, none, none, -x * to_x / size, -y * to_x / size], axis=1),
            np.stack([none, none, none, x / size, y / size, one, -x * to_y / size, -y * to_y / size], axis=1),
        ]
        found = np.linalg.lstsq(np.concatenate(equations), np.concatenate([to_x, to_y]), rcond=None)[0]
        found = found / np.array([size, size, 1, size, size, 1, size, size])
        return {"rows": found[:6].reshape(2, 3) - np.eye(3)[:2], "last": found[6:]}

    def flow_of(self, values: Values, at: Any) -> tuple[Array, ...]:
        """Return the flow."""
        y, x = find_coordinates(at.shape)
        rows, last = values["rows"], values["last"]
        depth = 1 + last[0] * x + last[1] * y
        du, dv = (row[0] * x + row[1] * y + row[2] for row in rows)
        # (x + du) / depth - x, without the difference of large numbers
        return (du - x * (depth - 1)) / depth, (dv - y * (depth - 1)) / depth

    def carry(self, values: Values, old: Any, new: Any) -> Values:
        """Return the numbers in the pixels of another size."""
        along_y, along_x = new.shape[0] / old.shape[0], new.shape[1] / old.shape[1]
        scales = np.array([along_x, along_y, 1])
        return {"rows": scales[:2, None] * values["rows"] / scales, "last": values["last"] / scales[:2]}

    def matrix(self, values: Values, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return the homography (3, 3) of frames of a height and width, for pixels counted from the first one.

        Examples
        --------
        >>> import numpy as np
        >>> from variflow.unknowns import Homography
        >>> values = {"rows": np.array([[0, 0, 2.0], [0, 0, 0]]), "last": np.zeros(2)}
        >>> Homography().matrix(values, (24, 32)).tolist()
        [[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        """
        around_centre = np.eye(3)
        around_centre[:2] += values["rows"]
        around_centre[2, :2] = values["last"]
        to_centre = np.eye(3)
        to_centre[:2, 2] = -(shape[1] - 1) / 2, -(shape[0] - 1) / 2
        whole = np.linalg.inv(to_centre) @ around_centre @ to_centre
        return np.asarray(whole / whole[2, 2])


def find_coordinates(shape: tuple[int, int]) -> tuple[Planes, Planes]:
    """Return the pixels' coordinates y (H, 1) and x (1, W) from the centre of a frame."""
    y, x = (np.arange(length, dtype=np.float32) - np.float32((length - 1) / 2) for length in shape)
    return y[:, None], x[None]


def _choose_pixels(flow: tuple[Planes, Planes]) -> tuple[Array, Array, list[Array]]:
    """Return the coordinates y and x of pixels that lie evenly over the frame, and the flow there."""
    shape = flow[0].shape
    rows, columns = (np.unique(np.linspace(0, length - 1, _FITTED).round().astype(int)) for length in shape)
    y, x = (axis.astype(np.float64) for axis in np.broadcast_arrays(*find_coordinates((shape[0], shape[1]))))
    y, x, *planes = (np.asarray(p, np.float64)[np.ix_(rows, columns)].ravel() for p in (y, x, *flow))
    return y, x, planes
