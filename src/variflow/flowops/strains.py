"""How much a flow stretches and shears what it moves: strain for small, finite and logarithmic measures."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from variflow.base.choices import check_choice
from variflow.base.types import ArrayLike
from variflow.flowops.gradients import jacobian
from variflow.flowops.planes import PlaneFit

StrainKind = Literal["small", "green-lagrange", "hencky"]
KINDS: tuple[str, ...] = get_args(StrainKind)


def strain(flow: ArrayLike | PlaneFit, kind: StrainKind = "small", window: int | None = None) -> NDArray[np.float32]:
    """Return the strain of a flow: how much it stretches and shears what it moves, in pixels per pixel.

    With ``F = I + jacobian``, which maps a small step in the first frame to the second, the kinds are

    - ``"small"``: ``(F + F.T) / 2 - I``, for small strains and rates. Its trace is the divergence. A rotation by the
      angle a adds ``cos(a) - 1`` to it, so a body that turns by 1 degree seems to shrink by 0.00015.
    - ``"green-lagrange"``: ``(F.T @ F - I) / 2``, half the change of squared lengths; rotation does not enter.
    - ``"hencky"``: ``log(F.T @ F) / 2``, the logarithm of the stretch, also called true strain; rotation does not
      enter, and strains of steps along the same axes add up.

    Parameters
    ----------
    flow : (H, W, 2) array or PlaneFit
        ``(u, v)`` in pixels, NaN where unknown; or what `fit_planes` found of it, which also tells the residual and
        where a window is not whole.
    kind : {"small", "green-lagrange", "hencky"}
        Which measure.
    window : int, optional
        The derivatives are the slopes of planes, fitted in a window of so many pixels, odd, from 3 to 1023
        (see `fit_planes`). By default they are differences between neighbours (see `jacobian`), exact and noisy.

    Returns
    -------
    (H, W, 2, 2) float32
        ``[[exx, exy], [exy, eyy]]`` along the axes of the first frame, y down; ``exy`` is half the shear angle. NaN
        where a derivative is unknown, and for ``"hencky"`` where the flow folds over, so that there is no stretch.

    Raises
    ------
    TypeError, ValueError
        If types, shapes or ranges do not fit, or a window is given for a PlaneFit, which has one.

    See Also
    --------
    fit_planes : The residual and flags of each point.

    References
    ----------
    H. Hencky, Über die Form des Elastizitätsgesetzes bei ideal elastischen Stoffen, Zeitschrift für technische
    Physik 9, 1928.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import flowops
    >>> y, x = np.mgrid[:4, :5]
    >>> flowops.strain(np.stack([0.5 * y, 0 * x], axis=2))[1, 1].tolist()
    [[0.0, 0.25], [0.25, 0.0]]
    >>> twice_as_wide = np.stack([x, 0 * y], axis=2)
    >>> [round(float(flowops.strain(twice_as_wide, kind)[1, 1, 0, 0]), 3) for kind in ("green-lagrange", "hencky")]
    [1.5, 0.693]

    With the residual of each point:

    >>> fit = flowops.fit_planes(twice_as_wide, window=3)
    >>> flowops.strain(fit)[1, 1].tolist(), float(fit.residual[1, 1])
    ([[1.0, 0.0], [0.0, 0.0]], 0.0)
    """
    check_choice("kind", kind, KINDS)
    slopes = jacobian(flow, window)
    if kind == "small":
        return (slopes + np.swapaxes(slopes, -1, -2)) / np.float32(2)
    exact = slopes.astype(np.float64)
    finite = _measure_green_lagrange(exact)
    return (finite if kind == "green-lagrange" else _measure_hencky(exact, finite)).astype(np.float32)


def _measure_green_lagrange(slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = slopes + np.swapaxes(slopes, -1, -2)
    return (linear + np.swapaxes(slopes, -1, -2) @ slopes) / 2


def _measure_hencky(slopes: NDArray[np.float64], finite: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the stretch: of its determinant, and of the ratio of its principal values.

    Both are exact for strains far below the rounding of 1.
    """
    (ux, uy), (vx, vy) = np.moveaxis(slopes, (-2, -1), (0, 1))
    dilation = ux + vy + (ux * vy - uy * vx)  # the determinant of F, minus 1
    dilation[~(dilation > -1)] = np.nan
    mean = 1 + finite[..., 0, 0] + finite[..., 1, 1]
    difference, shear = finite[..., 0, 0] - finite[..., 1, 1], 2 * finite[..., 0, 1]
    radius = np.hypot(difference, shear)
    ratio = np.minimum(radius / mean, np.nextafter(1, 0))
    scale = np.divide(np.arctanh(ratio), radius, out=1 / mean, where=radius > 0) / 2
    area = np.log1p(dilation) / 2
    out = np.empty_like(slopes)
    out[..., 0, 0], out[..., 1, 1] = area + scale * difference, area - scale * difference
    out[..., 0, 1] = out[..., 1, 0] = scale * shear
    out[np.isnan(area)] = np.nan
    return out
