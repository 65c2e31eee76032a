"""Structure and texture: what is fine in the frames keeps its brightness, whatever the light does at large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from variflow.base.choices import check_constant
from variflow.base.types import Array
from variflow.energy.data import DataTerm
from variflow.images.derivative import differentiate
from variflow.images.structure import find_structure
from variflow.images.warping import warp_planes

if TYPE_CHECKING:
    from variflow.linearisation.linearisation import Linearisation


@dataclass(frozen=True)
class StructureTexture(DataTerm):
    """The texture of a point keeps its brightness, so shadows and slow changes of light hardly matter.

    Each frame I is blended to ``B = I - share * S``. Its structure S is the image of least total variation nearby:
    large smooth surfaces and the edges between them. The residuals are those of brightness constancy of B,
    ``Bx du + By dv + Bt``, with the derivatives of the mean of both frames.

    The second frame is parted as it is, once a level, and its blend is then warped (bicubic). So the texture does not
    depend on the flow so far, nor on how it stretches the frame.

    Parameters
    ----------
    penalty : Penalty
        Of the residual in intensity, in frames with range [0, 1]. The channels are penalised jointly.
    weight : float
        Factor of the term.
    normalisation : float, optional
        See `DataTerm`; typically 1/255 to 4/255.
    share : float
        How much of the structure is taken away, from 0, which is brightness constancy, to 1.
    smoothing : float
        How much is texture: a disc of radius r pixels loses the contrast ``2 smoothing / r`` to it. Typically 0.01 to
        0.2. Larger leaves coarser texture in the blend, and more of the light. It is in pixels of each level.

    References
    ----------
    A. Wedel, T. Pock, C. Zach, H. Bischof and D. Cremers, An improved algorithm for TV-L1 optical flow, Statistical and
    Geometrical Approaches to Visual Motion Analysis, 2009.

    Examples
    --------
    >>> import numpy as np, variflow
    >>> from variflow.datasets import synthetic
    >>> from variflow.energy import Charbonnier, Smoothness, StructureTexture
    >>> pair = synthetic.translation((32, 32), shift=(1.2, -0.5))
    >>> shadow = np.linspace(0, 76, 32)
    >>> energy = StructureTexture(Charbonnier(0.01)) + 0.02 * Smoothness(Charbonnier(0.05))
    >>> result = variflow.estimate(pair.frame0, pair.frame1 - shadow[:, None], energy)
    >>> bool(abs(result.flow - pair.flow).mean() < 0.2)
    True
    """

    share: float = 0.95
    smoothing: float = 0.0625

    def __post_init__(self) -> None:
        super().__post_init__()
        check_constant("share of StructureTexture", self.share, least=0, most=1)
        check_constant("smoothing of StructureTexture", self.smoothing, above=0)

    def linearised(self, at: Linearisation) -> list[tuple[Array, Array, Array]]:
        """Return ``Bx du + By dv + Bt``, one residual a channel."""
        first, second = at.filter_frames(_blend, self.share, self.smoothing)
        warped = warp_planes(second, at.flow, "bicubic")
        mean = 0.5 * (first + warped)
        along_x, along_y = differentiate(mean, "x") * at.differentiable, differentiate(mean, "y") * at.differentiable
        return list(zip(along_x, along_y, (warped - first) * at.valid, strict=True))


def _blend(planes: Array, share: float, smoothing: float) -> Array:
    """Return planes without a share of their structure."""
    return planes - share * find_structure(planes, smoothing)
