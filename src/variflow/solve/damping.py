"""Damp what the data hardly determine, so that noise does not decide: a motion along stripes, a pixel on its own."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from variflow import _core
from variflow.energy.structure import Structure
from variflow.images.resampling import Planes
from variflow.solve.determined import Pixels

# A step is damped by the share `_ALWAYS` of how strongly the data determine a motion that all pixels share. So no pixel
# with less than a three-hundredth of the usual gradients runs off, and others hardly notice. A shared motion is weak if
# it is determined less than `_WEAK` times as strongly as one across it, as along stripes. The weaker it is, the more it
# is damped, by up to the share `_DAMPED`: texture on stripes still shows the motion along them if its gradients are 3 %
# of those of the stripes.
_ALWAYS, _WEAK, _DAMPED = 1e-5, 1e-2, 1e-3
# One determined less than `_FAINT` times as strongly is damped by up to the share `_HELD`: the solve itself makes what
# determines it, where u changes along stripes.
_FAINT, _HELD = 1e-4, 0.1
# A step moves a weak shared motion by at most so many pixels.
_FARTHEST = 0.5
# A pixel that no term of the flow looks at moves only if its gradients are about as strong as usual: its matrix is
# damped by this share of the mean of all.
_ALONE = 0.1


def find_damping(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what to add to the matrix of each pixel, (2, 2), given how strongly shared motions are determined, (2, 2).

    A single unknown, (1, 1), is damped likewise.

    Examples
    --------
    >>> find_damping(np.diag([1.0, 0.0])).round(5).tolist()
    [[1e-05, 0.0], [0.0, 0.10101]]
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
    if strongest > 0 and weakest < _WEAK * strongest:
        along_weakest = (strongest * np.eye(2) - curvature) / (strongest - weakest)
        ratio = max(weakest, 0.0) / strongest
        held = _DAMPED * (1 - ratio / _WEAK) + _HELD * max(1 - ratio / _FAINT, 0.0)
        damping += held * strongest * along_weakest
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


def settle_shared_motion(
    tensor: Planes, damping: list[float], start: Planes, found: Planes, structures: list[Structure | None]
) -> Planes:
    """Return the flow found, (2, 1, H, W), shifted as a whole in the direction in which shared motions are weak.

    It is shifted to the least energy, as far as a step may move. The solve does not find that: beside a smoothness,
    single precision loses what determines a weak shared motion. Terms of the flow must not change with such shifts.

    Parameters
    ----------
    tensor : (5, H, W) float32
        The motion tensor around the start.
    damping : list of float
        What was added to it; see `damp_tensor`.
    start, found : (2, 1, H, W) float32
        The flow before and after the step.
    structures : list of Structure or None
        Those of the terms of the flow, None for `Smoothness`.
    """
    of_uu, of_uv, of_vv = damping
    mean, radius = 0.5 * (of_uu + of_vv), math.hypot(0.5 * (of_uu - of_vv), of_uv)
    # Only where the shared motion is weak, one direction is damped more than twice as much as the other.
    if mean >= 3 * radius or not all(one is None or one.ignores_shifts for one in structures):
        return found
    damped, directions = np.linalg.eigh([[of_uu, of_uv], [of_uv, of_vv]])
    weak = directions[:, 1]
    u, v = (found - start)[:, 0]
    uu, uv, vv = (float(plane.mean(dtype=np.float64)) for plane in tensor[:3])
    slope = [
        float((tensor[0] * u + tensor[1] * v + tensor[3]).mean(dtype=np.float64)),
        float((tensor[1] * u + tensor[2] * v + tensor[4]).mean(dtype=np.float64)),
    ]
    moved = float(weak @ [part.mean(dtype=np.float64) for part in (u, v)])
    curvature = float(weak @ np.array([[uu, uv], [uv, vv]]) @ weak) + damped[1]
    best = moved - (float(weak @ slope) + damped[1] * moved) / curvature
    shift = (min(max(best, -_FARTHEST), _FARTHEST) - moved) * weak
    shifted: Planes = found + shift.astype(np.float32)[:, None, None, None]
    return shifted
