"""Damp what the data hardly determine, so that noise does not decide: a motion along stripes, a pixel on its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A step is damped by the share `_ALWAYS` of how strongly the data determine a motion that all pixels share. So no pixel
# with less than a three-hundredth of the usual gradients runs off, and others hardly notice. A shared motion is weak if
# it is determined less than `_WEAK` times as strongly as one across it, as along stripes. The weaker it is, the more it
# is damped, by up to the share `_DAMPED`: texture on stripes still shows the motion along them if its gradients are 3 %
# of those of the stripes.
_ALWAYS, _WEAK, _DAMPED = 1e-5, 1e-2, 1e-3


def find_damping(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what to add to the matrix of each pixel, (2, 2), given how strongly shared motions are determined, (2, 2).

    Examples
    --------
    >>> find_damping(np.diag([1.0, 0.0])).round(5).tolist()
    [[1e-05, 0.0], [0.0, 0.00101]]
    >>> find_damping(np.diag([1.0, 0.5])).round(5).tolist()
    [[1e-05, 0.0], [0.0, 1e-05]]
    """
    if not np.isfinite(curvature).all():
        return np.zeros((2, 2))
    values, vectors = np.linalg.eigh(curvature)
    strongest = max(float(values[-1]), 0.0)
    shares = _ALWAYS + _DAMPED * np.clip(1 - values / (_WEAK * strongest or 1), 0, 1)
    damping: NDArray[np.float64] = strongest * (vectors * shares) @ vectors.T
    return damping
