"""Warping with cubic splines."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

import variflow
from variflow import _core
from variflow.images import in_jax as _twins
from variflow.images.warping import warp_planes

Array = NDArray[np.float32]
# Compiled whole: operation by operation they would be compiled many times.
twin_coefficients = jax.jit(_twins.compute_spline_coefficients)
twin_warp = jax.jit(_twins.warp, static_argnames="interpolation")
SIZES = [(1, 1), (1, 2), (2, 3), (1, 9), (7, 1), (5, 18), (33, 47)]


def random_planes(channels: int, size: tuple[int, int], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((channels, *size)).astype(np.float32)


def spline_matrix(size: int) -> NDArray[np.float64]:
    """Samples from coefficients: (1, 4, 1) / 6, mirrored at both ends."""
    matrix = np.zeros((size, size))
    for k in range(size):
        for offset, weight in ((-1, 1), (0, 4), (1, 1)):
            position = abs(k + offset) if size > 1 else 0
            matrix[k, min(position, 2 * (size - 1) - position)] += weight / 6
    return matrix


@pytest.mark.parametrize("size", SIZES)
def test_coefficients_solve_the_linear_system(size: tuple[int, int]) -> None:
    planes = random_planes(2, size)
    inverse_y, inverse_x = (np.linalg.inv(spline_matrix(length)) for length in size)
    coefficients = _core.spline_coefficients(planes)
    np.testing.assert_allclose(coefficients, inverse_y @ planes.astype(float) @ inverse_x.T, atol=1e-5)
    np.testing.assert_allclose(twin_coefficients(planes), coefficients, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_warp_matches_the_textbook(size: tuple[int, int]) -> None:
    """The sum over all B-splines of the mirrored plane, in double precision."""
    height, width = size
    coefficients = random_planes(2, size)
    u, v = np.random.default_rng(1).uniform(-6, 6, (2, *size)).astype(np.float32)

    def samples(position: Any, length: int) -> NDArray[np.float64]:
        """How much each coefficient counts at each position."""
        matrix = np.zeros((*position.shape, length))
        for k in range(-2, length + 2):
            s = np.abs(position - k)
            kernel = np.where(s < 1, (4 - 6 * s**2 + 3 * s**3) / 6, np.where(s < 2, (2 - s) ** 3 / 6, 0))
            period = max(2 * length - 2, 1)
            matrix[..., min(k % period, period - k % period)] += kernel
        return matrix

    of_x = samples(np.clip(np.arange(width) + u.astype(float), 0, width - 1), width)
    of_y = samples(np.clip(np.arange(height)[:, None] + v.astype(float), 0, height - 1), height)
    expected = np.einsum("yxj,yxi,cji->cyx", of_y, of_x, coefficients)
    warped = _core.warp(coefficients, u, v, "spline")
    np.testing.assert_allclose(warped, expected, atol=1e-5)
    if size in [(1, 2), (7, 1), (33, 47)]:
        np.testing.assert_allclose(twin_warp(coefficients, (u, v), "spline"), warped, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_zero_flow_and_constants(size: tuple[int, int]) -> None:
    planes, zero = random_planes(2, size), np.zeros(size, np.float32)
    np.testing.assert_allclose(warp_planes(planes, (zero, zero), "spline"), planes, atol=3e-6)
    constant, (u, v) = np.full((1, *size), 0.7, np.float32), random_planes(2, size, seed=1)
    np.testing.assert_allclose(warp_planes(constant, (u, v), "spline"), constant, atol=3e-7)


@pytest.mark.parametrize("size", [(5, 7), (40, 300)])
def test_the_second_frame_is_what_it_is_where_nothing_moves(size: tuple[int, int]) -> None:
    planes, (u, v) = random_planes(2, size), 3 * random_planes(2, size, seed=1)
    still = random_planes(1, size, seed=2)[0] > 0.5
    u[still] = v[still] = 0
    samples = _core.spline_coefficients(planes)
    pair = _core.FramePair(planes, planes, samples, u, v, None, "spline", "average")
    expected = np.where(still, planes, _core.warp(samples, u, v, "spline"))
    np.testing.assert_array_equal(_core.warp_second(pair), expected)


def test_more_exact_than_bicubic_between_pixels() -> None:
    x = np.arange(64.0)
    flow = np.zeros((64, 64, 2))
    flow[..., 0] = 0.4
    error = {}
    for interpolation in ("bicubic", "spline"):
        image = np.broadcast_to(np.sin(x), (64, 64))
        warped = variflow.warp(image, flow, interpolation)
        error[interpolation] = abs(warped - np.sin(x + 0.4))[:, 8:-8].max()
    assert error["spline"] < 0.3 * error["bicubic"]


def test_nan_displacement_gives_nan_there_only() -> None:
    planes, u = random_planes(1, (6, 7)), np.zeros((6, 7), np.float32)
    u[2, 3] = np.nan
    warped = warp_planes(planes, (u, np.zeros_like(u)), "spline")
    np.testing.assert_array_equal(np.isnan(warped[0]), np.isnan(u))


def test_both_engines_and_layouts_agree() -> None:
    image = np.moveaxis(random_planes(3, (12, 15)), 0, 2)
    flow = np.random.default_rng(2).uniform(-3, 3, (12, 15, 2)).astype(np.float32)
    native = variflow.warp(image, flow, "spline")
    assert native.shape == image.shape
    twin = jax.jit(variflow.warp, static_argnums=2)(jnp.asarray(image), jnp.asarray(flow), "spline")
    np.testing.assert_allclose(twin, native, atol=1e-5)


def test_twin_differentiates() -> None:
    planes, (u, v) = random_planes(1, (8, 9)), 0.4 * random_planes(2, (8, 9), seed=1)

    @jax.jit
    def mean(planes: Any, u: Any) -> Any:
        return warp_planes(planes, (u, jnp.asarray(v)), "spline").mean()

    of_planes, of_u = jax.grad(mean, argnums=(0, 1))(jnp.asarray(planes), jnp.asarray(u))
    direction, change = random_planes(1, (8, 9), seed=2), 1e-2 * random_planes(1, (8, 9), seed=3)[0]
    slope = (mean(planes + direction, jnp.asarray(u)) - mean(planes - direction, jnp.asarray(u))) / 2
    assert float(slope) == pytest.approx(float((of_planes * direction).sum()), abs=1e-5)
    inside = slice(2, -2)  # away from the border, where coordinates are clamped
    change = np.pad(change[inside, inside], 2)
    slope = (mean(planes, jnp.asarray(u + change)) - mean(planes, jnp.asarray(u - change))) / 2
    assert float(slope) == pytest.approx(float((of_u * change).sum()), abs=2e-5)


def test_result_does_not_depend_on_the_number_of_threads() -> None:
    planes, (u, v) = random_planes(3, (150, 211)), random_planes(2, (150, 211), seed=1)
    threads = _core.get_threads()
    try:
        _core.set_threads(1)
        coefficients = _core.spline_coefficients(planes)
        warped = _core.warp(coefficients, u, v, "spline")
        for count in (2, 3):
            _core.set_threads(count)
            np.testing.assert_array_equal(_core.spline_coefficients(planes), coefficients)
            np.testing.assert_array_equal(_core.warp(coefficients, u, v, "spline"), warped)
    finally:
        _core.set_threads(threads)


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match=r"^planes .*\(6, 7\)"):
        _core.spline_coefficients(np.zeros((6, 7), np.float32))
    with pytest.raises(ValueError, match=r"^planes has shape"):
        _twins.compute_spline_coefficients(np.zeros(7, np.float32))
