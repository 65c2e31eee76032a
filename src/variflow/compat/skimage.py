"""The optical flow functions of scikit-image, computed by variflow.

Change ``from skimage.registration import optical_flow_tvl1`` to ``from variflow.compat.skimage import
optical_flow_tvl1``; scikit-image itself need not be installed. Arguments and results are those of
`skimage.registration`: the flow is ``(2, M, N)`` with the displacement along rows first. Images of three and more
dimensions raise NotImplementedError.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from variflow import models
from variflow.base.arrays import INTENSITIES, as_image, check_same_shape, read
from variflow.base.choices import check_number
from variflow.base.kinds import is_integer
from variflow.base.types import ArrayLike, Numbers
from variflow.compat._arguments import check_count, check_flag
from variflow.compat._solvers import Warps, Windows, make_tv_l1_energy
from variflow.driver import estimate
from variflow.flowops import to_skimage
from variflow.model import Model
from variflow.solve.primal_dual import PrimalDual

__all__ = ["optical_flow_ilk", "optical_flow_tvl1"]


def __dir__() -> list[str]:
    return sorted(__all__)


# The attachment that weighs the data as `models.tv_l1` does by default.
_ATTACHMENT = 15.0


def optical_flow_tvl1(
    reference_image: ArrayLike,
    moving_image: ArrayLike,
    *,
    attachment: float = 15,
    tightness: float = 0.3,
    num_warp: int = 5,
    num_iter: int = 10,
    tol: float = 1e-4,
    prefilter: bool = False,
    dtype: DTypeLike = np.float32,
) -> Numbers:
    """Estimate the flow from one gray image to another by TV-L1, called as `skimage.registration.optical_flow_tvl1`.

    Parameters
    ----------
    reference_image, moving_image : (M, N) array
        Any real type; as there, integers are divided by the largest number of their type.
    attachment : float
        Weight of the data, above 0; smaller is smoother. Residuals here are distances in pixels, so the weight acts
        alike on strong and weak texture. The default, 15, is a weight of 1 in `variflow.models.tv_l1`.
    tightness : float
        How loosely the flow is coupled to the data, above 0; at 0 they would be the same. The coupling amounts to a
        quadratic penalty of residuals, ``s^2 / (2 tightness)``, up to ``attachment / 15 * tightness`` pixels.
    num_warp : int
        Warps at each level of the pyramid; with 0 the flow is zero.
    num_iter : int
        Iterations at each warp; with 0 the flow is zero. Each counts as two of
        `variflow.solve.primal_dual.PrimalDual`, because an iteration there has two steps of the smoothness.
    tol : float
        At least 0: a level is done when the mean squared change of the flow in a warp is below it.
    prefilter : bool
        Whether a median of 3 x 3 pixels filters the flow at each warp.
    dtype : dtype
        Type of the result, float32 or float64; the computation is in float32.

    Returns
    -------
    (2, M, N) array of `dtype`
        Displacements along rows and along columns: ``reference(r, c) = moving(r + flow[0], c + flow[1])``.

    Raises
    ------
    NotImplementedError
        For images that are not ``(M, N)``: a third axis is space, as there, and volumes are not supported yet.
    TypeError, ValueError
        If an argument is not valid, naming it.

    References
    ----------
    C. Zach, T. Pock and H. Bischof, A duality based approach for realtime TV-L1 optical flow, DAGM 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.compat.skimage import optical_flow_tvl1
    >>> y, x = np.mgrid[:48, :64]
    >>> reference, moving = (np.sin(0.4 * (x - shift)) + np.sin(0.3 * y) for shift in (0, 1))
    >>> v, u = optical_flow_tvl1(reference, moving)
    >>> bool(abs(u[8:-8, 8:-8] - 1).mean() < 0.1), bool(abs(v[8:-8, 8:-8]).mean() < 0.1)
    (True, True)
    """
    data = check_number("attachment", attachment, above=0) / _ATTACHMENT
    energy = make_tv_l1_energy(data, check_number("tightness", tightness, above=0))
    iterations, warps = check_count(num_iter, "num_iter", least=0), check_count(num_warp, "num_warp", least=0)
    solver = PrimalDual(iterations=2 * max(iterations, 1))
    model = Model(
        energy,
        solver=Warps(
            solver, still=check_number("tol", tol, least=0) ** 0.5, filtered=check_flag(prefilter, "prefilter")
        ),
        warps=max(warps, 1),
        light="matched",
        name="skimage-tvl1",
    )
    return _estimate(reference_image, moving_image, model if warps and iterations else None, dtype)


def optical_flow_ilk(
    reference_image: ArrayLike,
    moving_image: ArrayLike,
    *,
    radius: int = 7,
    num_warp: int = 10,
    gaussian: bool = False,
    prefilter: bool = False,
    dtype: DTypeLike = np.float32,
) -> Numbers:
    """Estimate the flow from one gray image to another in windows, called as `skimage.registration.optical_flow_ilk`.

    Parameters
    ----------
    reference_image, moving_image : (M, N) array
        Any real type; as there, integers are divided by the largest number of their type.
    radius : int
        The window around each pixel has a side of ``2 radius + 1`` pixels; at least 0.
    num_warp : int
        Warps at each level of the pyramid; with 0 the flow is zero.
    gaussian : bool
        A Gaussian window of standard deviation ``(2 radius + 1) / 4`` in place of a uniform one, as there.
    prefilter : bool
        Whether a median of 3 x 3 pixels filters the flow at each warp.
    dtype : dtype
        Type of the result, float32 or float64; the computation is in float32.

    Returns
    -------
    (2, M, N) array of `dtype`
        Displacements along rows and along columns: ``reference(r, c) = moving(r + flow[0], c + flow[1])``.

    Raises
    ------
    NotImplementedError
        For images that are not ``(M, N)``: a third axis is space, as there, and volumes are not supported yet.
    TypeError, ValueError
        If an argument is not valid, naming it.

    Notes
    -----
    The windows fit the data terms of `variflow.models.lucas_kanade`: brightness and its gradient, with robust
    penalties. scikit-image fits the squared difference of brightness alone.

    References
    ----------
    G. Le Besnerais and F. Champagnat, Dense optical flow by iterative local window registration, ICIP 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow.compat.skimage import optical_flow_ilk
    >>> image = np.random.default_rng(0).random((48, 64))
    >>> flow = optical_flow_ilk(image, np.roll(image, 1, axis=0), radius=5)
    >>> flow.shape, bool(abs(flow[0, 8:-8, 8:-8] - 1).mean() < 0.1)
    ((2, 48, 64), True)
    """
    warps = check_count(num_warp, "num_warp", least=0)
    windows = Windows(check_count(radius, "radius", least=0), check_flag(gaussian, "gaussian"))
    model = Model(
        models.lucas_kanade().energy,
        solver=Warps(windows, filtered=check_flag(prefilter, "prefilter")),
        warps=max(warps, 1),
        light="matched",
        name="skimage-ilk",
    )
    return _estimate(reference_image, moving_image, model if warps else None, dtype)


def _estimate(reference_image: ArrayLike, moving_image: ArrayLike, model: Model | None, dtype: DTypeLike) -> Numbers:
    """Return the flow of a model; without one, as there without warps, it is zero."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype is {dtype!r}, wanted float32 or float64")
    reference, moving = _as_gray(reference_image, "reference_image"), _as_gray(moving_image, "moving_image")
    check_same_shape("moving_image", moving.shape, "reference_image", reference.shape)
    frames = as_image(reference, "reference_image"), as_image(moving, "moving_image")
    if model is None:
        return np.zeros((2, *reference.shape), dtype)
    return to_skimage(estimate(*frames, model).flow).astype(dtype, copy=False)


def _as_gray(image: ArrayLike, name: str) -> Numbers:
    """Return an image, integers divided by the largest number of their type, so that two types fit together."""
    array, known = read(image, name, INTENSITIES)
    if array.ndim != 2:
        raise NotImplementedError(
            f"{name} has shape {array.shape}, wanted (M, N): a third axis is space here, as in scikit-image, and "
            "volumes are not supported yet; colour goes to variflow.estimate"
        )
    scaled = array / np.iinfo(array.dtype).max if is_integer(array.dtype) else array
    return scaled if known is None else np.where(known, scaled, np.nan)
