"""The epipolar line: in a rigid scene a point moves to somewhere on a line that the cameras tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from variflow.base.arrays import as_numbers
from variflow.base.choices import keep
from variflow.base.types import Array
from variflow.energy.flow_term import FlowTerm
from variflow.energy.term import Increment

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

# A direction of a line below this share of the largest is none: at the epipole all points lie on it.
_NOTHING = 1e-6


@dataclass(frozen=True, eq=False)
class EpipolarLine(FlowTerm):
    """The target of each pixel is near its epipolar line: ``(x + u, y + v, 1) F (x, y, 1)^T = 0``.

    The residual is the distance from the line in pixels, which is linear in the flow. A large weight makes a
    stereo problem of any pair of views of a rigid scene; with a robust penalty, things may move on their own.

    Parameters
    ----------
    penalty : Penalty
        Of the distance in pixels.
    weight : float
        Factor of the term.
    per : {"pixel", "residual"}
        Of no effect, because there is one residual.
    fundamental : (3, 3) array
        The fundamental matrix F, for pixels of the frames; the centre of the first pixel is (0, 0).

    References
    ----------
    R. Hartley and A. Zisserman, Multiple view geometry in computer vision, 2004, chapter 9.
    A. Wedel, T. Pock, J. Braun, U. Franke and D. Cremers, Duality TV-L1 flow with fundamental matrix prior, IVCNZ 2008.

    Examples
    --------
    In rectified views nothing moves along y:

    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import BrightnessConstancy, EpipolarLine, Smoothness
    >>> pair = synthetic.translation((24, 24), shift=(1.5, 0.0))
    >>> line = EpipolarLine(fundamental=[[0, 0, 0], [0, 0, -1], [0, 1, 0]])
    >>> result = variflow.estimate(pair.frame0, pair.frame1, BrightnessConstancy() + 0.01 * Smoothness() + line)
    >>> bool(abs(result.flow[..., 1]).max() < 0.01)
    True
    """

    fundamental: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        matrix = as_numbers(self.fundamental, "fundamental of EpipolarLine").astype(np.float64)
        if matrix.shape != (3, 3):
            raise ValueError(f"fundamental of EpipolarLine has shape {matrix.shape}, wanted (3, 3)")
        if not (np.isfinite(matrix).all() and matrix[:2].any()):
            raise ValueError("fundamental of EpipolarLine is not finite, or says nothing of any line")
        # Kept as rows: an array of three rows and columns could be taken for a picture of that size.
        keep(self, fundamental=tuple((matrix / np.abs(matrix).max()).astype(np.float32)))

    def residuals(self, flow: Increment, at: Linearisation) -> list[Array]:
        """Return the distances from the lines."""
        xp = flow[0].__array_namespace__()
        to_frames = _find_scaling(at.scale)
        matrix = to_frames.T @ xp.stack(self.fundamental) @ to_frames
        y, x = xp.arange(at.shape[0], dtype=xp.float32)[:, None], xp.arange(at.shape[1], dtype=xp.float32)[None]
        a, b, c = (row[0] * x + row[1] * y + row[2] for row in matrix)
        squared = a**2 + b**2
        length = xp.sqrt(xp.maximum(squared, _NOTHING**2 * squared.max()))
        return [(a * (x + flow[0]) + b * (y + flow[1]) + c) / length]

    def reversed(self, flow: Array) -> EpipolarLine:
        """Return the term for the frames swapped, whose matrix is the transpose."""
        return replace(self, fundamental=np.stack(self.fundamental).T)


def _find_scaling(scale: tuple[float, float]) -> Array:
    """Return the matrix that takes a point of a level (x, y, 1) to the frames."""
    along_x, along_y = scale
    return np.array(
        [[1 / along_x, 0, 0.5 / along_x - 0.5], [0, 1 / along_y, 0.5 / along_y - 0.5], [0, 0, 1]], np.float32
    )
