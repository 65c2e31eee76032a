"""The kernels of the native core, in JAX: pure, differentiable, compilable.

They define what the native kernels compute, and are used wherever an energy has to be differentiated. Planes are
float32, ``(C, H, W)`` or ``(H, W)``; a flow is the pair of planes ``(u, v)``, each ``(H, W)``, in pixels along x
(columns) and y (rows).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from variflow.base.choices import check_choice
from variflow.images.filling import LEAST_SHARE, SPLINE_FILLING

__all__ = ["compute_spline_coefficients", "differentiate", "warp"]


def __dir__() -> list[str]:
    return sorted(__all__)


# The inverse of the B-spline's samples is sqrt(3) pole^|k|, negligible from here on.
_POLE = math.sqrt(3) - 2
_SPLINE_REACH = 16

# Whether warps are linear in their flow, as `linearise_warps` says.
_warps_are_linear: ContextVar[bool] = ContextVar("warps_are_linear", default=False)


def warp(planes: ArrayLike, flow: tuple[ArrayLike, ArrayLike], interpolation: str = "bilinear") -> jax.Array:
    r"""Sample planes at displaced positions.

    .. math:: W(x, y) = I(x + u(x, y),\ y + v(x, y)),

    with coordinates clamped to the frame. Along each axis a coordinate is split into the pixel at or before it and a
    remainder :math:`t \in [0, 1]`; with the samples :math:`p_0, p_1, p_2, p_3` around that pixel :math:`p_1`,

    - bilinear: :math:`p_1 + t (p_2 - p_1)`;
    - bicubic (Catmull-Rom, that is [1]_ with :math:`a = -1/2`):
      :math:`p_1 + w_0 (p_0 - p_1) + w_2 (p_2 - p_1) + w_3 (p_3 - p_1)` with
      :math:`w_0 = t (t (2 - t) - 1) / 2`, :math:`w_2 = t (t (4 - 3 t) + 1) / 2`, :math:`w_3 = t^2 (t - 1) / 2`;
    - spline: the same sum over the coefficients of a cubic B-spline, mirrored at the border, with
      :math:`w_0 = (1 - t)^3 / 6`, :math:`w_2 = (1 + 3 t (1 + t (1 - t))) / 6`, :math:`w_3 = t^3 / 6`.

    It can be differentiated with respect to the planes and to the flow. The derivative with respect to the flow is that
    of the interpolant (at a kink of the bilinear one, its derivative to the right), and zero where the coordinate is
    clamped.

    Parameters
    ----------
    planes : array, (C, H, W) or (H, W)
        What to sample; for ``"spline"``, its `compute_spline_coefficients`.
    flow : pair of arrays, each (H, W)
        Displacements ``(u, v)`` in pixels, of any size. Where one is NaN, the result is NaN.
    interpolation : {"bilinear", "bicubic", "spline"}
        The interpolant.

    Returns
    -------
    jax.Array
        The warped planes, float32, in the shape of ``planes``.

    Raises
    ------
    ValueError
        If the interpolation is unknown or a shape does not fit.

    References
    ----------
    .. [1] R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics,
       Speech, and Signal Processing 29(6), 1981.

    Examples
    --------
    >>> import numpy as np
    >>> row = np.array([[0, 10, 20, 30]], np.float32)
    >>> warp(row, (np.full((1, 4), 0.5, np.float32), np.zeros((1, 4), np.float32))).tolist()
    [[5.0, 15.0, 25.0, 30.0]]
    """
    kernels = {"bilinear": _linear, "bicubic": _bicubic, "spline": _spline}
    check_choice("interpolation", interpolation, kernels)
    planes = _as_planes(planes)
    height, width = planes.shape[-2:]
    u, v = (jnp.asarray(displacement, jnp.float32) for displacement in flow)
    if u.shape != (height, width) or v.shape != (height, width):
        raise ValueError(f"flow has planes of shape {u.shape} and {v.shape}, wanted two of shape {(height, width)}")

    if _warps_are_linear.get():
        return _warp_linearly(planes, (u, v), interpolation)
    column, rest_x = _split(u, jnp.arange(width, dtype=jnp.int32)[None, :], width - 1)
    row, rest_y = _split(v, jnp.arange(height, dtype=jnp.int32)[:, None], height - 1)
    reach = range(2) if interpolation == "bilinear" else range(-1, 3)
    inside = _mirror if interpolation == "spline" else _clamp
    columns = [inside(column + offset, width - 1) for offset in reach]
    row_starts = [inside(row + offset, height - 1) * width for offset in reach]
    interpolate = kernels[interpolation]

    def sample(plane: jax.Array) -> jax.Array:
        pixels = plane.reshape(-1)

        def along_y(column: jax.Array) -> jax.Array:
            samples = [pixels.at[start + column].get(mode="promise_in_bounds") for start in row_starts]
            return interpolate(samples, rest_y)

        return interpolate([along_y(column) for column in columns], rest_x)

    # One gather a plane and corner: of several planes at once, XLA transposes it many times more slowly.
    return sample(planes) if planes.ndim == 2 else jnp.stack([sample(plane) for plane in planes])


@contextmanager
def linearise_warps() -> Iterator[None]:
    """Let a warp be linear in its flow within this context, around the flow where it is evaluated.

    Its value and its first derivatives are the same; its second derivatives along the flow are 0.
    """
    token = _warps_are_linear.set(True)
    try:
        yield
    finally:
        _warps_are_linear.reset(token)


def _warp_linearly(planes: jax.Array, flow: tuple[jax.Array, jax.Array], interpolation: str) -> jax.Array:
    token = _warps_are_linear.set(False)
    try:
        still = jax.lax.stop_gradient(flow)
        zero, one = jnp.zeros_like(flow[0]), jnp.ones_like(flow[0])

        warped, along = jax.linearize(lambda u, v: warp(planes, (u, v), interpolation), *still)
    finally:
        _warps_are_linear.reset(token)
    along_x, along_y = along(one, zero), along(zero, one)
    linear: jax.Array = warped + along_x * (flow[0] - still[0]) + along_y * (flow[1] - still[1])
    return linear


def compute_spline_coefficients(planes: ArrayLike) -> jax.Array:
    r"""Coefficients of the cubic B-spline through the samples of each plane, mirrored at the first and last pixel.

    Along each axis :math:`(c_{k-1} + 4 c_k + c_{k+1}) / 6 = s_k` [1]_. The native kernel solves this by recursions;
    here it is a convolution with the inverse, :math:`c_k = \sqrt 3 \sum_n (\sqrt 3 - 2)^{|n|} s_{k+n}`. Where a sample
    is not finite the coefficient is NaN, and the others are as if it were like what surrounds it.

    Parameters
    ----------
    planes : array, (C, H, W) or (H, W)
        Samples.

    Returns
    -------
    jax.Array
        Coefficients, float32, in the shape of ``planes``.

    Raises
    ------
    ValueError
        If the shape does not fit.

    References
    ----------
    .. [1] M. Unser, A. Aldroubi and M. Eden, "B-spline signal processing: part II", IEEE Transactions on Signal
       Processing 41(2), 1993.

    Examples
    --------
    >>> import numpy as np
    >>> constant = compute_spline_coefficients(np.full((3, 4), 2, np.float32))
    >>> bool(np.allclose(constant, 2))
    True
    """
    planes = _as_planes(planes)
    known = jnp.isfinite(planes)
    whole = jax.lax.cond(known.all(), lambda: planes, lambda: _fill(planes, known))
    inverse = (math.sqrt(3) * _POLE ** np.abs(np.arange(-_SPLINE_REACH, _SPLINE_REACH + 1))).astype(np.float32)
    return jnp.where(known, _convolve(whole, inverse), jnp.nan)


def _fill(planes: jax.Array, known: jax.Array) -> jax.Array:
    """Replace unknown samples by the mean of the known ones around them, or of all."""
    reach = math.ceil(3 * SPLINE_FILLING)
    gaussian = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SPLINE_FILLING) ** 2)
    gaussian = (gaussian / gaussian.sum()).astype(np.float32)
    samples = jnp.where(known, planes, 0)
    share = _convolve(known.astype(jnp.float32), gaussian)
    count = jnp.maximum(known.sum(axis=(-2, -1), keepdims=True), 1)
    means = samples.sum(axis=(-2, -1), keepdims=True) / count
    around = _convolve(samples, gaussian) / jnp.maximum(share, LEAST_SHARE)
    return jnp.where(known, planes, jnp.where(share > LEAST_SHARE, around, means))


def _convolve(planes: jax.Array, kernel: NDArray[np.float32]) -> jax.Array:
    """Convolve planes along both axes, mirrored at the border."""
    height, width = planes.shape[-2:]
    reach = len(kernel) // 2
    images = planes.reshape(-1, 1, height, width)
    images = images[:, :, _reflect(height, reach)][..., _reflect(width, reach)]
    for along in (kernel[:, None], kernel[None, :]):
        images = jax.lax.conv(images, jnp.asarray(along[None, None]), (1, 1), "VALID", precision="highest")
    return images.reshape(planes.shape)


def differentiate(planes: ArrayLike, axis: str) -> jax.Array:
    r"""First derivative along one axis, borders replicated, exact for polynomials up to degree 4.

    .. math:: f'(x) = \frac{f(x-2) - 8 f(x-1) + 8 f(x+1) - f(x+2)}{12}

    Parameters
    ----------
    planes : array, (C, H, W) or (H, W)
        What to differentiate.
    axis : {"x", "y"}
        Along columns or rows.

    Returns
    -------
    jax.Array
        The derivative per pixel, float32, in the shape of ``planes``.

    Raises
    ------
    ValueError
        If the axis is unknown or a shape does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> row = np.arange(7, dtype=np.float32)[None] ** 2
    >>> bool(np.allclose(differentiate(row, "x")[0, 2:5], [4, 6, 8]))
    True
    """
    check_choice("axis", axis, ("x", "y"))
    planes = _as_planes(planes)
    dimension = planes.ndim - (1 if axis == "x" else 2)
    size = planes.shape[dimension]
    padding = [(2, 2) if i == dimension else (0, 0) for i in range(planes.ndim)]
    padded = jnp.pad(planes, padding, mode="edge")

    def shift(offset: int) -> jax.Array:
        return jax.lax.slice_in_dim(padded, 2 + offset, 2 + offset + size, axis=dimension)

    return (8 * (shift(1) - shift(-1)) - (shift(2) - shift(-2))) * (1 / 12)


def _as_planes(planes: ArrayLike) -> jax.Array:
    planes = jnp.asarray(planes, jnp.float32)
    if planes.ndim not in (2, 3) or 0 in planes.shape:
        raise ValueError(f"planes has shape {planes.shape}, wanted (C, H, W) or (H, W), all at least 1")
    return planes


def _split(displacement: jax.Array, position: jax.Array, last: int) -> tuple[jax.Array, jax.Array]:
    """Clamp a displacement to the frame; split it into the pixel it points at, rounded down, and the remainder."""
    low, high = (-position).astype(jnp.float32), (last - position).astype(jnp.float32)
    # Not jnp.clip, which would halve the derivative exactly at the border.
    inside = jnp.where(displacement < low, low, jnp.where(displacement > high, high, displacement))
    whole = jnp.floor(jnp.where(jnp.isnan(inside), 0.0, inside))
    return position + whole.astype(jnp.int32), inside - whole


def _linear(p: list[jax.Array], t: jax.Array) -> jax.Array:
    return p[0] + t * (p[1] - p[0])


def _bicubic(p: list[jax.Array], t: jax.Array) -> jax.Array:
    w0 = 0.5 * t * (t * (2 - t) - 1)
    w2 = 0.5 * t * (t * (4 - 3 * t) + 1)
    w3 = 0.5 * t * t * (t - 1)
    return _cubic(p, w0, w2, w3)


def _spline(p: list[jax.Array], t: jax.Array) -> jax.Array:
    s = 1 - t
    return _cubic(p, s * s * s * (1 / 6), (1 + 3 * t * (1 + t * s)) * (1 / 6), t * t * t * (1 / 6))


def _cubic(p: list[jax.Array], w0: jax.Array, w2: jax.Array, w3: jax.Array) -> jax.Array:
    return p[1] + w0 * (p[0] - p[1]) + w2 * (p[2] - p[1]) + w3 * (p[3] - p[1])


def _clamp(position: jax.Array, last: int) -> jax.Array:
    return jnp.clip(position, 0, last)


def _mirror(position: jax.Array, last: int) -> jax.Array:
    """Mirror positions at most two pixels outside a frame; of a single pixel, itself."""
    position = jnp.abs(position)
    return jnp.clip(jnp.abs(jnp.where(position > last, 2 * last - position, position)), 0, last)


def _reflect(size: int, reach: int) -> NDArray[np.intp]:
    """Positions from ``-reach`` to ``size - 1 + reach``, mirrored into the line as often as needed."""
    period = max(2 * size - 2, 1)
    position = np.arange(-reach, size + reach) % period
    return np.minimum(position, period - position)
