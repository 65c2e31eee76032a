"""Damp what the data hardly determine, so that noise does not decide: a motion along stripes, a pixel on its own."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.images.resampling import Planes
from variflow.solve.determined import Pixels

# A step is damped by the share `_ALWAYS` of how strongly the data determine a motion that all pixels share. So no pixel
# with less than a three-hundredth of the usual gradients runs off, and others hardly notice. A shared motion is weak if
# it is determined less than `_WEAK` times as strongly as one across it, as along stripes. The weaker it is, the more it
# is damped, by up to the share `_DAMPED`: texture on stripes still shows the motion along them if its gradients are 3 %
# of those of the stripes.
_ALWAYS, _WEAK, _DAMPED = 1e-5, 1e-2, 1e-3
# A pixel that no term of the flow looks at moves only if its gradients are about as strong as usual: its matrix is
# damped by this share of the mean of all.
_ALONE = 0.1


def find_damping(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what to add to the matrix of each pixel, (2, 2), given how strongly shared motions are determined, (2, 2).

    A single unknown, (1, 1), is damped likewise.

    Examples
    --------
    >>> find_damping(np.diag([1.0, 0.0])).round(5).tolist()
    [[1e-05, 0.0], [0.0, 0.00101]]
    >>> find_damping(np.diag([1.0, 0.5])).round(5).tolist()
    [[1e-05, 0.0], [0.0, 1e-05]]
    """
    if not np.isfinite(curvature).all():
        return np.zeros_like(curvature)
    if len(curvature) == 1:
        return np.full((1, 1), _ALWAYS * max(curvature.item(), 0.0))
    (uu, uv), (_, vv) = curvature.tolist()
    radius = math.hypot(0.5 * (uu - vv), uv)
    strongest, weakest = max(0.5 * (uu + vv) + radius, 0.0), 0.5 * (uu + vv) - radius
    damping: NDArray[np.float64] = _ALWAYS * strongest * np.eye(2)
    if weakest < _WEAK * strongest:
        along_weakest = (strongest * np.eye(2) - curvature) / (strongest - weakest)
        damping += _DAMPED * (strongest - max(weakest, 0.0) / _WEAK) * along_weakest
    return damping


def damp_tensor(tensor: Planes, alone: Pixels | None) -> list[float]:
    """Return what to add to the matrix of each pixel of a motion tensor (5, H, W): that for uu, uv and vv.

    Pixels that are alone, where no term of the flow looks, are damped in the tensor itself.
    """
    uu, uv, vv = _core.measure_tensor(tensor)
    if alone is not None:
        for plane in tensor[0], tensor[2]:
            plane[alone] += _ALONE * max(uu, vv)
    (of_uu, of_uv), (_, of_vv) = find_damping(np.array([[uu, uv], [uv, vv]])).tolist()
    return [of_uu, of_uv, of_vv]
