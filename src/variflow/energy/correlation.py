"""Normalised cross-correlation: a patch looks the same up to a gain and an offset of the light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from variflow.base.choices import check_choice, check_constant
from variflow.base.types import Array
from variflow.energy.data import DataTerm
from variflow.images.derivative import differentiate

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation

_RADIUS = {"3x3": 1, "5x5": 2, "7x7": 3}


@dataclass(frozen=True)
class CrossCorrelation(DataTerm):
    """Patches of both frames correlate, whatever a gain and an offset do to each of them.

    The patch around a pixel is normalised: ``n = (I - mean) / sqrt(variance + noise^2)``. The residuals are the
    differences of n between the frames, one for each pixel of the patch, ``nx du + ny dv + nt``; the mean of their
    squares is ``2 (1 - correlation)`` where contrast exceeds noise. They are linearised for a patch that moves as a
    whole, with the derivatives of the mean of both frames.

    Parameters
    ----------
    penalty : Penalty
        Of the root mean square of the residuals, which is at most 2.
    weight : float
        Factor of the term.
    normalisation : float, optional
        See `DataTerm`.
    window : {"3x3", "5x5", "7x7"}
        The patch. A larger one tells more surfaces apart, blurs edges of the motion, and takes longer.
    noise : float
        Contrast below this is noise, in frames with range [0, 1]; typically 0.002 to 0.05.

    References
    ----------
    M. Werlberger, T. Pock and H. Bischof, Motion estimation with non-local total variation regularization, CVPR 2010.
    C. Vogel, S. Roth and K. Schindler, An evaluation of data costs for optical flow, GCPR 2013.

    Examples
    --------
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import Charbonnier, CrossCorrelation, Smoothness
    >>> pair = synthetic.translation((32, 32), shift=(1.2, -0.5))
    >>> energy = CrossCorrelation(Charbonnier(0.1), window="3x3") + 0.5 * Smoothness(Charbonnier(0.05))
    >>> result = variflow.estimate(pair.frame0, 0.5 * pair.frame1 + 0.2, energy)
    >>> bool(abs(result.flow - pair.flow).mean() < 0.1)
    True
    """

    window: Literal["3x3", "5x5", "7x7"] = "5x5"
    noise: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("window of CrossCorrelation", self.window, _RADIUS)
        check_constant("noise of CrossCorrelation", self.noise, above=0)

    def linearised(self, at: Linearisation) -> list[tuple[Array, Array, Array]]:
        """Return ``nx du + ny dv + nt``, one residual a channel and pixel of the patch."""
        triples: list[tuple[Array, Array, Array]] = []
        for plane0, plane1 in zip(at.frame0, at.frame1, strict=True):
            first, second = self._normalise(plane0), self._normalise(plane1)
            mean = 0.5 * (first + second)
            parts = differentiate(mean, "x"), differentiate(mean, "y"), second - first
            triples += zip(*(part * at.valid for part in parts), strict=True)
        return triples

    def _normalise(self, plane: Array) -> Array:
        """Return the normalised patches, (pixels of the patch, H, W)."""
        xp, radius = plane.__array_namespace__(), _RADIUS[self.window]
        height, width = plane.shape
        padded, reach = xp.pad(plane, radius, mode="edge"), range(2 * radius + 1)
        patches = xp.stack([padded[row : row + height, column : column + width] for row in reach for column in reach])
        patches = patches - patches.mean(axis=0)
        return patches / xp.sqrt((patches**2).mean(axis=0) + self.noise**2)
