"""Look an image up along a flow: backward warping, in the core or in JAX."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Literal, get_args

import numpy as np

from variflow import _core
from variflow.base.arrays import FLOWS, INTENSITIES, as_flow, as_pixels, as_single, is_jax, mark_where_any
from variflow.base.choices import check_choice
from variflow.base.kinds import is_float
from variflow.base.types import Array
from variflow.images.filling import LEAST_SHARE, SPLINE_FILLING
from variflow.images.resampling import Planes, smooth

Interpolation = Literal["bilinear", "bicubic", "spline"]
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
# No derivative says where the nearest pixel is, so models cannot use it.
Lookup = Interpolation | Literal["nearest"]


def warp(image: Array, flow: Array, interpolation: Lookup = "bicubic") -> Array:
    """Look an image up along a flow: ``warped(x, y) = image(x + u, y + v)``.

    With the flow from the first frame to the second, warping the *second* frame brings it back onto the first.
    Positions outside the image take the value at its border.

    Parameters
    ----------
    image : array
        ``(H, W)`` or ``(H, W, C)`` of any real type, NaN where missing; inside an energy, planes ``(C, H, W)``.
    flow : array or pair of arrays
        ``(H, W, 2)`` with ``(u, v)`` in pixels, u to the right and v down; inside an energy, the pair ``(u, v)`` of
        planes ``(H, W)``, and then the image is planes too. Where the flow is NaN, so is the result.
    interpolation : {"bicubic", "bilinear", "spline", "nearest"}
        Bicubic is the Catmull-Rom kernel (Keys 1981, a = -1/2); spline is the cubic B-spline through the pixels (Unser
        1999), mirrored at the border: more exact between pixels, and it overshoots more at edges. With each of them a
        pixel that is NaN or infinite spoils only what is interpolated from it. Nearest takes the nearest pixel as it
        is, for labels and masks; it has no derivative, so it is for arrays outside JAX.

    Returns
    -------
    array
        float32 in the layout of `image`; with "nearest" of its type too, and where the flow is NaN, integers are 0.
        With JAX arrays (or tracers) a JAX array, differentiable with respect to the image and to the flow.

    Raises
    ------
    ValueError
        If shapes do not match or the interpolation is unknown.

    Examples
    --------
    >>> import numpy as np, variflow
    >>> second = np.arange(12.0).reshape(3, 4)
    >>> flow = np.zeros((3, 4, 2)); flow[..., 0] = 1
    >>> variflow.warp(second, flow)[0]
    array([1., 2., 3., 3.], dtype=float32)
    """
    check_choice("interpolation", interpolation, (*INTERPOLATIONS, "nearest"))
    if interpolation == "nearest":
        return _take_nearest(image, flow)
    if isinstance(flow, tuple | list) and len(flow) == 2 and all(hasattr(plane, "shape") for plane in flow):
        return warp_planes(image, (flow[0], flow[1]), interpolation)
    return _warp_array(image, flow, interpolation)


def _take_nearest(image: Array, flow: Array) -> Array:
    """Return the pixels of ``(H, W[, C])`` that are nearest to the targets of a flow ``(H, W, 2)``."""
    if isinstance(flow, tuple) or is_jax(image) or is_jax(flow):
        raise ValueError("interpolation is 'nearest', which has no derivative, wanted another one for JAX and planes")
    flow = as_flow(flow)
    image = as_pixels(image, "image", flow.shape[:2])
    known = ~mark_where_any(np.isnan(flow))
    places = []
    for axis, size in enumerate(image.shape[:2]):
        along = np.arange(size).reshape(-1, 1) if axis == 0 else np.arange(size)
        target = along + np.where(known, flow[..., 1 - axis], 0).astype(np.float64)
        places.append(np.clip(np.floor(target + 0.5), 0, size - 1).astype(np.intp))
    taken = image[tuple(places)]
    taken[~known] = np.nan if is_float(image.dtype) else 0
    return taken


def warp_planes(planes: Array, flow: tuple[Array, Array], interpolation: Interpolation) -> Array:
    """Warp planes ``(C, H, W)`` along planes ``(u, v)``: in the core, or in JAX if any of them is a JAX array."""
    return warp_prepared(prepare(planes, interpolation), flow, interpolation)


def prepare(planes: Array, interpolation: Interpolation) -> Array:
    """Return what `warp_prepared` samples: for a spline its coefficients, which can be used for any number of flows."""
    if interpolation != "spline":
        return planes
    if not is_jax(planes):
        return _compute_spline_coefficients(as_single(planes, "planes", INTENSITIES))
    from variflow.images import in_jax

    return in_jax.compute_spline_coefficients(planes)


def warp_prepared(planes: Array, flow: tuple[Array, Array], interpolation: Interpolation) -> Array:
    """Warp what `prepare` returned."""
    with_jax = any(map(is_jax, (planes, *flow)))
    if not is_jax(planes):
        planes = as_single(planes, "planes", INTENSITIES)
    u, v = (plane if is_jax(plane) else as_single(plane, "flow", file=FLOWS) for plane in flow)
    if not with_jax:
        return _core.warp(planes, u, v, interpolation)
    from variflow.images import in_jax

    return in_jax.warp(planes, (u, v), interpolation)


def _compute_spline_coefficients(planes: Planes) -> Planes:
    """Return the coefficients of the spline through the finite samples; at the others they are NaN.

    So a pixel that is not finite reaches no further than the kernel, as with the other interpolations. To compute the
    coefficients it is replaced by a mean of the pixels around it.
    """
    known = np.isfinite(planes)
    if known.all():
        return _core.spline_coefficients(planes)
    samples = np.where(known, planes, np.float32(0))
    share = smooth(known.astype(np.float32), SPLINE_FILLING)
    means = samples.sum(axis=(1, 2), keepdims=True) / np.maximum(known.sum(axis=(1, 2), keepdims=True), 1)
    around = np.where(share > LEAST_SHARE, smooth(samples, SPLINE_FILLING) / np.maximum(share, LEAST_SHARE), means)
    coefficients = _core.spline_coefficients(np.where(known, planes, around).astype(np.float32))
    coefficients[~known] = np.nan
    return coefficients


def _warp_array(image: Array, flow: Array, interpolation: Interpolation) -> Array:
    """Warp ``(H, W[, C])`` along ``(H, W, 2)``."""
    xp: ModuleType = np
    if is_jax(image) or is_jax(flow):
        import jax.numpy as xp
    flow = flow if is_jax(flow) else as_flow(flow)
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f"flow has shape {flow.shape}, wanted (H, W, 2)")
    image = image if is_jax(image) else as_pixels(image, "image", flow.shape[:2])
    if image.ndim not in (2, 3) or image.shape[:2] != flow.shape[:2]:
        raise ValueError(f"image has shape {image.shape}, wanted (H, W) or (H, W, C) with (H, W) = {flow.shape[:2]}")
    planes = image[None] if image.ndim == 2 else xp.moveaxis(image, 2, 0)
    warp_these = partial(warp_planes, flow=(flow[..., 0], flow[..., 1]), interpolation=interpolation)
    planes = planes.astype(np.float32)
    missing = np.isnan(planes) if xp is np and interpolation != "spline" else None
    if missing is not None and missing.any():  # a missing pixel spoils only pixels that give it weight
        warped = warp_these(np.where(missing, np.float32(0), planes))
        warped[warp_these(missing.astype(np.float32)) != 0] = np.nan
    else:
        warped = warp_these(planes)
    return warped[0] if image.ndim == 2 else xp.moveaxis(warped, 0, 2)
