"""Colour as the eye sees it: distances in CIE Lab are about as large as they look."""

from __future__ import annotations

from variflow import _core
from variflow.base.arrays import INTENSITIES, as_single
from variflow.images.resampling import Planes


def to_lab(planes: Planes) -> Planes:
    """Return CIE L*a*b* of planes in [0, 1]; the lightness L* is in [0, 100].

    Weights that follow image edges use it: 10 units separate surfaces, 1 unit is just visible.

    Parameters
    ----------
    planes : (C, H, W) float32
        Intensities, clamped to [0, 1]. Three planes are sRGB. Any other number C of planes has no colour: each plane
        becomes its lightness divided by ``sqrt(C)``, so that C equal planes give the distances of one gray plane.

    Returns
    -------
    (C, H, W) float32
        L*, a* and b* under the white point D65, within 0.02; or lightnesses.

    Raises
    ------
    ValueError
        If the planes do not have the shape (C, H, W), all at least 1.

    References
    ----------
    IEC 61966-2-1:1999 (sRGB); CIE 15:2004, Colorimetry.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.images.color import to_lab
    >>> red = np.array([1, 0, 0], np.float32).reshape(3, 1, 1)
    >>> to_lab(red).round().ravel().tolist()
    [53.0, 80.0, 67.0]
    >>> to_lab(np.ones((1, 1, 1), np.float32)).round().ravel().tolist()
    [100.0]
    """
    return _core.lab(as_single(planes, "planes", INTENSITIES))
