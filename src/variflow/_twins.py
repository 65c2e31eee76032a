"""The kernels of the native core once more in JAX: pure, differentiable, compilable.

They define what the native kernels compute, and serve wherever an energy has to be differentiated. Planes are float32,
``(C, H, W)`` or ``(H, W)``; a flow is the pair of planes ``(u, v)``, each ``(H, W)``, in pixels along x (columns) and y
(rows).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

__all__ = ["derivative", "warp"]


def warp(planes: ArrayLike, flow: tuple[ArrayLike, ArrayLike], interpolation: str = "bilinear") -> jax.Array:
    r"""Sample planes at displaced positions.

    .. math:: W(x, y) = I(x + u(x, y),\ y + v(x, y)),

    with coordinates clamped to the frame. Along each axis a coordinate is split into the pixel at or before it and a
    remainder :math:`t \in [0, 1]`; with the samples :math:`p_0, p_1, p_2, p_3` around that pixel :math:`p_1`,

    - bilinear: :math:`p_1 + t (p_2 - p_1)`;
    - bicubic (Catmull-Rom, that is [1]_ with :math:`a = -1/2`):
      :math:`p_1 + w_0 (p_0 - p_1) + w_2 (p_2 - p_1) + w_3 (p_3 - p_1)` with
      :math:`w_0 = t (t (2 - t) - 1) / 2`, :math:`w_2 = t (t (4 - 3 t) + 1) / 2`, :math:`w_3 = t^2 (t - 1) / 2`.

    It can be differentiated with respect to the planes and to the flow. The derivative with respect to the flow is that
    of the interpolant (at a kink of the bilinear one, its derivative to the right), and zero where the coordinate is
    clamped.

    Parameters
    ----------
    planes : array, (C, H, W) or (H, W)
        What to sample.
    flow : pair of arrays, each (H, W)
        Displacements ``(u, v)`` in pixels, of any size. Where one is NaN, the result is NaN.
    interpolation : {"bilinear", "bicubic"}
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
    if interpolation not in ("bilinear", "bicubic"):
        raise ValueError(f"`interpolation` must be 'bilinear' or 'bicubic', not {interpolation!r}")
    planes = _as_planes(planes)
    height, width = planes.shape[-2:]
    u, v = (jnp.asarray(displacement, jnp.float32) for displacement in flow)
    if u.shape != (height, width) or v.shape != (height, width):
        raise ValueError(f"`flow` must be two planes of shape {(height, width)}, not {u.shape} and {v.shape}")

    column, rest_x = _split(u, jnp.arange(width, dtype=jnp.int32)[None, :], width - 1)
    row, rest_y = _split(v, jnp.arange(height, dtype=jnp.int32)[:, None], height - 1)
    reach = range(-1, 3) if interpolation == "bicubic" else range(2)
    columns = [jnp.clip(column + offset, 0, width - 1) for offset in reach]
    row_starts = [jnp.clip(row + offset, 0, height - 1) * width for offset in reach]
    interpolate = _cubic if interpolation == "bicubic" else _linear

    def sample(plane: jax.Array) -> jax.Array:
        pixels = plane.reshape(-1)

        def along_y(column: jax.Array) -> jax.Array:
            samples = [pixels.at[start + column].get(mode="promise_in_bounds") for start in row_starts]
            return interpolate(samples, rest_y)

        return interpolate([along_y(column) for column in columns], rest_x)

    # One gather a plane and corner: of several planes at once, XLA transposes it many times more slowly.
    return sample(planes) if planes.ndim == 2 else jnp.stack([sample(plane) for plane in planes])


def derivative(planes: ArrayLike, axis: str) -> jax.Array:
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
    >>> bool(np.allclose(derivative(row, "x")[0, 2:5], [4, 6, 8]))
    True
    """
    if axis not in ("x", "y"):
        raise ValueError(f"`axis` must be 'x' or 'y', not {axis!r}")
    planes = _as_planes(planes)
    dimension = planes.ndim - (1 if axis == "x" else 2)
    size = planes.shape[dimension]
    padding = [(2, 2) if i == dimension else (0, 0) for i in range(planes.ndim)]
    padded = jnp.pad(planes, padding, mode="edge")

    def shifted(offset: int) -> jax.Array:
        return jax.lax.slice_in_dim(padded, 2 + offset, 2 + offset + size, axis=dimension)

    return (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) * (1 / 12)


def _as_planes(planes: ArrayLike) -> jax.Array:
    planes = jnp.asarray(planes, jnp.float32)
    if planes.ndim not in (2, 3) or 0 in planes.shape:
        raise ValueError(f"`planes` must have the shape (C, H, W) or (H, W), all at least 1, not {planes.shape}")
    return planes


def _split(displacement: jax.Array, position: jax.Array, last: int) -> tuple[jax.Array, jax.Array]:
    """Clamp a displacement to the frame; split it into the pixel it points at, rounded down, and the remainder."""
    low, high = (-position).astype(jnp.float32), (last - position).astype(jnp.float32)
    # Not jnp.clip: at the very border it would halve the derivative.
    inside = jnp.where(displacement < low, low, jnp.where(displacement > high, high, displacement))
    whole = jnp.floor(jnp.where(jnp.isnan(inside), 0.0, inside))
    return position + whole.astype(jnp.int32), inside - whole


def _linear(p: list[jax.Array], t: jax.Array) -> jax.Array:
    return p[0] + t * (p[1] - p[0])


def _cubic(p: list[jax.Array], t: jax.Array) -> jax.Array:
    w0 = 0.5 * t * (t * (2 - t) - 1)
    w2 = 0.5 * t * (t * (4 - 3 * t) + 1)
    w3 = 0.5 * t * t * (t - 1)
    return p[1] + w0 * (p[0] - p[1]) + w2 * (p[2] - p[1]) + w3 * (p[3] - p[1])
