"""The native kernels against exact cases, brute force in NumPy, and their twins in JAX."""

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from variflow import _core
from variflow.images.resampling import stack

Array = NDArray[np.float32]
Task = Callable[[], Array]
Interpolation = Literal["bilinear", "bicubic"]

SIZES = [(1, 1), (1, 7), (5, 1), (2, 2), (3, 4), (33, 47)]
INTERPOLATIONS: list[Interpolation] = ["bilinear", "bicubic"]
CPUINFO = Path("/proc/cpuinfo")


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    threads = _core.get_threads()
    yield
    _core.set_threads(threads)


def random_planes(channels: int, size: tuple[int, int], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((channels, *size)).astype(np.float32)


def random_flow(size: tuple[int, int], reach: float, seed: int = 1) -> tuple[Array, Array]:
    u, v = np.random.default_rng(seed).uniform(-reach, reach, (2, *size)).astype(np.float32)
    return u, v


def constant_flow(size: tuple[int, int], u: float, v: float) -> tuple[Array, Array]:
    return np.full(size, u, np.float32), np.full(size, v, np.float32)


# Warp


def reference_warp(planes: Array, u: Array, v: Array, interpolation: Interpolation) -> NDArray[np.float64]:
    """Sum of samples times kernel weights, in double precision: the textbook form of both interpolants."""
    height, width = u.shape
    x = np.clip(np.arange(width) + u.astype(float), 0, width - 1)
    y = np.clip(np.arange(height)[:, None] + v.astype(float), 0, height - 1)

    def kernel(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        s = np.abs(distance)
        if interpolation == "bilinear":
            return np.asarray(np.maximum(1 - s, 0))
        near = 1.5 * s**3 - 2.5 * s**2 + 1
        far = -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2
        return np.where(s <= 1, near, np.where(s < 2, far, 0.0))

    out: NDArray[np.float64] = np.zeros(planes.shape)
    for row in range(-2, 4):
        for column in range(-2, 4):
            i, j = np.floor(x).astype(int) + column, np.floor(y).astype(int) + row
            samples = planes[:, np.clip(j, 0, height - 1), np.clip(i, 0, width - 1)]
            out += kernel(x - i) * kernel(y - j) * samples
    return out


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_warp_zero_flow_is_exact(size: tuple[int, int], interpolation: Interpolation) -> None:
    planes = random_planes(3, size)
    np.testing.assert_array_equal(_core.warp(planes, *constant_flow(size, 0, 0), interpolation), planes)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("shift", [(1, 0), (-3, 2), (0, -5), (100, -100)])
def test_warp_integer_shift_is_exact(shift: tuple[int, int], interpolation: Interpolation) -> None:
    planes = random_planes(2, (33, 47))
    y, x = np.indices((33, 47))
    expected = planes[:, np.clip(y + shift[1], 0, 32), np.clip(x + shift[0], 0, 46)]
    np.testing.assert_array_equal(_core.warp(planes, *constant_flow((33, 47), *shift), interpolation), expected)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_warp_keeps_a_constant_image(interpolation: Interpolation) -> None:
    planes = np.full((1, 33, 47), 0.1, np.float32)
    np.testing.assert_array_equal(_core.warp(planes, *random_flow((33, 47), 20), interpolation), planes)


def test_warp_by_hand() -> None:
    planes = np.array([[[0, 10, 20, 60], [0, 10, 20, 60]]], np.float32)
    u, v = constant_flow((2, 4), 0.5, 0.25)
    np.testing.assert_allclose(_core.warp(planes, u, v, "bilinear")[0, 0], [5, 15, 40, 60])
    # Catmull-Rom halfway between the middle two of four samples: (-a + 9 b + 9 c - d) / 16.
    expected = [(-0 + 0 + 90 - 20) / 16, (-0 + 90 + 180 - 60) / 16, (-10 + 180 + 540 - 60) / 16, 60]
    np.testing.assert_allclose(_core.warp(planes, u, v, "bicubic")[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("reach", [0.6, 5, 60])
def test_warp_matches_reference_and_twin(size: tuple[int, int], interpolation: Interpolation, reach: float) -> None:
    import jax

    from variflow.images import in_jax as _twins

    planes, (u, v) = random_planes(2, size), random_flow(size, reach)
    native = _core.warp(planes, u, v, interpolation)
    np.testing.assert_allclose(native, reference_warp(planes, u, v, interpolation), atol=1e-5)
    twin = jax.jit(_twins.warp, static_argnames="interpolation")
    np.testing.assert_allclose(native, twin(planes, (u, v), interpolation=interpolation), atol=2e-6)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_warp_does_not_depend_on_the_flow_of_other_pixels(interpolation: Interpolation) -> None:
    """Pixels that move alike are warped many at once, and come out as one by one."""
    planes, size = random_planes(2, (40, 300)), (40, 300)
    u, v = (np.full(size, value, np.float32) for value in (1.3, -2.7))
    u += np.linspace(0, 0.3, size[1], dtype=np.float32)
    alike = _core.warp(planes, u, v, interpolation)
    for every in (1, 3, 7, 16):
        others = np.zeros(size, bool)
        others[:, ::every] = every > 1
        alone = _core.warp(planes, np.where(others, u + 5, u), v, interpolation)
        np.testing.assert_array_equal(alone[:, ~others], alike[:, ~others])


def test_warp_of_wide_rows() -> None:
    """Rows longer than a block of the kernel, and precision far from the origin."""
    planes, (u, v) = random_planes(1, (3, 5000)), random_flow((3, 5000), 3)
    for interpolation in INTERPOLATIONS:
        native = _core.warp(planes, u, v, interpolation)
        np.testing.assert_allclose(native, reference_warp(planes, u, v, interpolation), atol=1e-5)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_warp_with_missing_and_huge_displacements(interpolation: Interpolation) -> None:
    import jax

    from variflow.images import in_jax as _twins

    planes, (u, v) = random_planes(2, (9, 11)), random_flow((9, 11), 2)
    u[0, 0], v[1, 1], u[2, 2], v[2, 2] = np.nan, np.nan, np.nan, np.nan
    u[3, 3], v[3, 3] = np.inf, -np.inf
    u[4, 4], v[4, 4] = -3e38, 3e38
    u[5, 5], v[5, 5] = 2.0**31, -(2.0**63)
    out = _core.warp(planes, u, v, interpolation)
    missing = np.zeros((9, 11), bool)
    missing[[0, 1, 2], [0, 1, 2]] = True
    np.testing.assert_array_equal(np.isnan(out), np.broadcast_to(missing, out.shape))
    np.testing.assert_array_equal(out[:, 3, 3], planes[:, 0, 10])
    np.testing.assert_array_equal(out[:, 4, 4], planes[:, 8, 0])
    np.testing.assert_array_equal(out[:, 5, 5], planes[:, 0, 10])
    twin = jax.jit(_twins.warp, static_argnames="interpolation")
    np.testing.assert_allclose(twin(planes, (u, v), interpolation=interpolation), out, atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    reach=st.sampled_from([0.0, 1e-7, 0.5, 3.0, 1e6]),
    seed=st.integers(0, 1000),
)
def test_bilinear_warp_stays_between_the_extremes(size: tuple[int, int], reach: float, seed: int) -> None:
    planes, (u, v) = random_planes(1, size, seed), random_flow(size, reach, seed + 1)
    out = _core.warp(planes, u, v, "bilinear")
    assert planes.min() - 1e-6 <= out.min()
    assert out.max() <= planes.max() + 1e-6


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_gradient_of_the_warp_twin(interpolation: Interpolation) -> None:
    """Against central differences: with respect to the planes, and the flow where no sample lies on a kink."""
    import jax
    import jax.numpy as jnp

    from variflow.images import in_jax as _twins

    size = (5, 7)
    planes, weights = random_planes(2, size), random_planes(2, size, seed=5)
    u, v = (np.floor(d) + np.clip(d - np.floor(d), 0.1, 0.9) for d in random_flow(size, 3))

    @jax.jit
    def value(planes: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
        return jnp.sum(weights * _twins.warp(planes, (u, v), interpolation))

    arguments = [planes, u.astype(np.float32), v.astype(np.float32)]
    gradients = jax.grad(value, argnums=(0, 1, 2))(*arguments)
    step = 2.0**-6
    for position, gradient in enumerate(gradients):
        for index in np.ndindex(arguments[position].shape):
            ahead, behind = list(arguments), list(arguments)
            ahead[position], behind[position] = arguments[position].copy(), arguments[position].copy()
            ahead[position][index] += step
            behind[position][index] -= step
            difference = (value(*ahead) - value(*behind)) / (2 * step)
            np.testing.assert_allclose(gradient[index], difference, atol=1e-2)


def test_warp_twin_of_a_single_plane() -> None:
    from variflow.images import in_jax as _twins

    planes, flow = random_planes(2, (3, 4)), random_flow((3, 4), 2)
    np.testing.assert_array_equal(_twins.warp(planes[0], flow), _twins.warp(planes, flow)[0])


def test_gradient_of_the_warp_twin_at_the_border() -> None:
    """Zero where the coordinate is clamped; at the border itself that of the interpolant."""
    import jax

    from variflow.images import in_jax as _twins

    planes = np.array([[0, 1, 4, 9]], np.float32)
    zero = np.zeros((1, 4), np.float32)

    def slope(u: Array) -> Array:
        gradient = jax.grad(lambda u: _twins.warp(planes, (u, zero)).sum())(u)
        return np.asarray(gradient)

    np.testing.assert_array_equal(slope(zero), [[1, 3, 5, 0]])
    np.testing.assert_array_equal(slope(zero - 10), 0)
    np.testing.assert_array_equal(slope(zero + 10), 0)


# Derivative


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", ["x", "y"])
def test_derivative_matches_reference_and_twin(size: tuple[int, int], axis: Literal["x", "y"]) -> None:
    import jax

    from variflow.images import in_jax as _twins

    planes = random_planes(3, size)
    along_rows = planes.astype(float) if axis == "x" else planes.astype(float).swapaxes(1, 2)
    padded = np.pad(along_rows, ((0, 0), (0, 0), (2, 2)), mode="edge")
    n = along_rows.shape[2]
    mask = [1 / 12, -8 / 12, 0, 8 / 12, -1 / 12]
    expected = np.stack([weight * padded[:, :, k : k + n] for k, weight in enumerate(mask)]).sum(axis=0)
    expected = expected if axis == "x" else expected.swapaxes(1, 2)
    native = _core.derivative(planes, axis)
    np.testing.assert_allclose(native, expected, atol=1e-6)
    twin = jax.jit(_twins.differentiate, static_argnames="axis")
    np.testing.assert_allclose(native, twin(planes, axis=axis), atol=1e-6)
    np.testing.assert_allclose(native[1], twin(planes[1], axis=axis), atol=1e-6)


@pytest.mark.parametrize("degree", range(5))
def test_derivative_is_exact_for_polynomials(degree: int) -> None:
    x = np.linspace(-1, 1, 17)
    polynomial = np.polynomial.Polynomial(np.arange(1.0, degree + 2))
    rows = np.broadcast_to(polynomial(x), (1, 6, 17)).astype(np.float32)
    expected = np.broadcast_to(polynomial.deriv()(x) * (x[1] - x[0]), (1, 6, 17))
    along_x = _core.derivative(rows.copy(), "x")
    along_y = _core.derivative(rows.swapaxes(1, 2).copy(), "y")
    np.testing.assert_allclose(along_x[:, :, 2:-2], expected[:, :, 2:-2], atol=2e-6)
    np.testing.assert_allclose(along_y.swapaxes(1, 2), along_x, atol=1e-6)


def test_derivative_of_a_constant_is_zero() -> None:
    planes = np.full((1, 8, 9), 0.3, np.float32)
    assert not _core.derivative(planes, "x").any()
    assert not _core.derivative(planes, "y").any()


# Resample


def tap_matrix(first: NDArray[np.int32], weights: Array, size: int) -> NDArray[np.float64]:
    matrix = np.zeros((len(first), size))
    for output, (start, row) in enumerate(zip(first.tolist(), weights, strict=True)):
        for tap, weight in enumerate(row):
            matrix[output, min(max(start + tap, 0), size - 1)] += weight
    return matrix


def check_resample(planes: Array, y: tuple[NDArray[np.int32], Array], x: tuple[NDArray[np.int32], Array]) -> None:
    expected = tap_matrix(*y, planes.shape[1]) @ planes.astype(float) @ tap_matrix(*x, planes.shape[2]).T
    np.testing.assert_allclose(_core.resample(planes, *y, *x), expected, atol=1e-5)


def smoothing(size: int, taps: int) -> tuple[NDArray[np.int32], Array]:
    weights = np.hanning(taps + 2)[1:-1]
    row = (weights / weights.sum()).astype(np.float32)
    return np.arange(size, dtype=np.int32) - taps // 2, np.tile(row, (size, 1))


def scattered(size: int, outputs: int, taps: int, seed: int) -> tuple[NDArray[np.int32], Array]:
    generator = np.random.default_rng(seed)
    first = generator.integers(-2 * taps, size + taps, outputs).astype(np.int32)
    return first, generator.normal(scale=1 / taps, size=(outputs, taps)).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("taps", [1, 2, 5, 8, 9, 10, 12, 13, 21])
def test_resample_smooths(size: tuple[int, int], taps: int) -> None:
    check_resample(random_planes(2, size), smoothing(size[0], taps), smoothing(size[1], taps))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("outputs", [(1, 1), (3, 9), (70, 20)])
@pytest.mark.parametrize("taps", [1, 4, 7])
def test_resample_matches_the_matrix_product(size: tuple[int, int], outputs: tuple[int, int], taps: int) -> None:
    y, x = scattered(size[0], outputs[0], taps, seed=2), scattered(size[1], outputs[1], taps + 1, seed=3)
    check_resample(random_planes(2, size), y, x)


def test_resample_far_outside_the_frame() -> None:
    first = np.array([-(2**31), -100, 2, 100, 2**31 - 1], np.int32)
    weights = np.full((5, 3), 1 / 3, np.float32)
    check_resample(random_planes(1, (6, 7)), (first, weights), (first, weights))


def test_resample_with_one_tap_selects() -> None:
    planes = random_planes(2, (6, 8))
    rows, columns = np.array([5, 0, 3], np.int32), np.array([7, 7, 1, 0], np.int32)
    out = _core.resample(planes, rows, np.ones((3, 1), np.float32), columns, np.ones((4, 1), np.float32))
    np.testing.assert_array_equal(out, planes[:, rows][:, :, columns])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("outputs", [(1, 1), (24, 60), (70, 20)])
def test_a_flow_is_resampled_as_two_planes_or_in_pairs(size: tuple[int, int], outputs: tuple[int, int]) -> None:
    u, v = random_planes(2, size)
    y, x = scattered(size[0], outputs[0], 2, seed=4), scattered(size[1], outputs[1], 2, seed=5)
    factors = np.float32(1.5), np.float32(0.7)
    expected = [
        _core.resample(plane[None], y[0], factor * y[1], *x)[0] for plane, factor in zip((u, v), factors, strict=True)
    ]
    np.testing.assert_array_equal(_core.resample_flow(u, v, *y, *x, *factors, in_pairs=False), expected)
    np.testing.assert_array_equal(_core.resample_flow(u, v, *y, *x, *factors, in_pairs=True), np.stack(expected, -1))


@pytest.mark.parametrize("length", [1, 7, 40, 41])
def test_a_flow_of_twice_the_size_is_resampled_in_pairs(length: int) -> None:
    u, v = random_planes(2, (5, length))
    first = np.arange(2 * length, dtype=np.int32) // 2 + np.tile(np.int32([-1, 0]), length)
    x = first, np.tile(np.float32([[0.25, 0.75], [0.75, 0.25]]), (length, 1))
    y = np.arange(5, dtype=np.int32), np.ones((5, 1), np.float32)
    expected = np.stack([_core.resample(plane[None], *y, *x)[0] for plane in (u, v)], axis=-1)
    np.testing.assert_array_equal(_core.resample_flow(u, v, *y, *x, 1.0, 1.0, in_pairs=True), expected)


# Median


@pytest.mark.parametrize("size", [*SIZES, (4, 65), (64, 3)])
@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("values", ["continuous", "few", "infinite"])
def test_median_matches_brute_force(size: tuple[int, int], window: Literal[3, 5], values: str) -> None:
    planes = random_planes(2, size)
    if values == "few":
        planes = np.round(planes)
    if values == "infinite":
        planes[planes > 1] = np.inf
        planes[planes < -1] = -np.inf
    reach = window // 2
    padded = np.pad(planes, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(1, 2))
    expected = np.sort(windows.reshape(*planes.shape, -1), axis=-1)[..., window * window // 2]
    np.testing.assert_array_equal(_core.median(planes, window), expected)


def test_median_of_every_pattern_of_zeros_and_ones() -> None:
    """A selection of minima and maxima that is right for all zeros and ones is right for all values."""
    patterns = np.arange(512)[:, None] >> np.arange(9) & 1
    planes = patterns.reshape(512, 3, 3).astype(np.float32)
    np.testing.assert_array_equal(_core.median(planes, 3)[:, 1, 1], np.median(patterns, axis=1))
    bits = np.random.default_rng(0).permuted(np.tile(np.arange(25), (20_000, 1)), axis=1)
    for ones in (11, 12, 13, 14):
        planes = (bits < ones).reshape(-1, 5, 5).astype(np.float32)
        np.testing.assert_array_equal(_core.median(planes, 5)[:, 2, 2], ones > 12)


# Planes of one array


def test_neighbouring_planes_are_stacked_without_a_copy() -> None:
    whole = random_planes(4, (5, 6))
    u, v = whole[1:3]
    assert np.shares_memory(stack((u, v)), whole)
    for planes in [(v, u), (u, u), (whole[0], v), (u, v[::-1]), (u[:, ::-1], v), (u, v.copy()), (whole[3], u)]:
        found = stack(planes)
        assert not np.shares_memory(found, whole)
        np.testing.assert_array_equal(found, np.stack(planes))
    np.testing.assert_array_equal(stack((u,)), u[None])
    every_other = whole[::2]
    np.testing.assert_array_equal(stack(tuple(every_other)), every_other)


# All kernels


def kernels(size: tuple[int, int] = (150, 211)) -> dict[str, Task]:
    planes, (u, v) = random_planes(2, size), random_flow(size, 10)
    y, x = scattered(size[0], 120, 5, seed=2), scattered(size[1], 300, 4, seed=3)
    smooth = (*smoothing(size[0], 7), *smoothing(size[1], 7))
    return {
        "bilinear": lambda: _core.warp(planes, u, v, "bilinear"),
        "bicubic": lambda: _core.warp(planes, u, v, "bicubic"),
        "derivative x": lambda: _core.derivative(planes, "x"),
        "derivative y": lambda: _core.derivative(planes, "y"),
        "resample": lambda: _core.resample(planes, *y, *x),
        "smooth": lambda: _core.resample(planes, *smooth),
        "missing": lambda: _core.fill_missing(planes, (u > 1).astype(np.uint8)),
        "median 3": lambda: _core.median(planes, 3),
        "median 5": lambda: _core.median(planes, 5),
    }


@pytest.mark.parametrize("name", kernels((1, 1)))
def test_result_does_not_depend_on_the_number_of_threads(name: str) -> None:
    kernel = kernels()[name]
    _core.set_threads(1)
    expected = kernel()
    for threads in (2, 3, 8, 1):
        _core.set_threads(threads)
        assert _core.get_threads() == threads
        for _ in range(5):
            np.testing.assert_array_equal(kernel(), expected)


def test_use_from_several_python_threads() -> None:
    tasks = kernels()
    expected = {name: task() for name, task in tasks.items()}
    failures: list[str] = []

    def work(seed: int) -> None:
        order = np.random.default_rng(seed).permutation([*tasks] * 8)
        for count, name in enumerate(order):
            if count % 16 == 0:
                _core.set_threads(1 + (count + seed) % 3)
            if not np.array_equal(tasks[name](), expected[name]):
                failures.append(name)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def in_child(results: "multiprocessing.Queue[bool]", expected: dict[str, Array]) -> None:
    tasks = kernels()
    results.put(all(np.array_equal(tasks[name](), expected[name]) for name in tasks))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_child_computes() -> None:
    _core.set_threads(3)
    expected = {name: task() for name, task in kernels().items()}
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        results = context.Queue()
        child = context.Process(target=in_child, args=(results, expected))
        with warnings.catch_warnings():
            # Python 3.12 and JAX both warn of forks with threads, which is the point here.
            warnings.simplefilter("ignore")
            child.start()
        assert results.get(timeout=10)
        child.join(timeout=10)
        assert child.exitcode == 0
    np.testing.assert_array_equal(kernels()["bicubic"](), expected["bicubic"])


def run_python(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env={**os.environ, **environment}
    )


@pytest.mark.skipif(
    find_spec("variflow._core_v1") is None or not CPUINFO.exists(), reason="one module is for all processors"
)
def test_the_core_is_that_for_this_processor() -> None:
    flags = set(CPUINFO.read_text().partition("\nflags")[2].partition("\n")[0].split())
    v3 = flags >= {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}
    v4 = v3 and flags >= {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    assert _core.__name__ == f"variflow._core_v{4 if v4 else 3 if v3 else 1}"


def test_environment_variable_sets_the_threads() -> None:
    result = run_python("from variflow import _core; print(_core.get_threads())", VARIFLOW_THREADS="1")
    assert (result.stdout.strip(), result.stderr) == ("1", "")


@pytest.mark.parametrize("text", ["many", "0", "-2", "1.5"])
def test_bad_environment_variable_warns(text: str) -> None:
    result = run_python("from variflow import _core; print(_core.get_threads())", VARIFLOW_THREADS=text)
    assert int(result.stdout) >= 1
    assert "VARIFLOW_THREADS" in result.stderr
    assert f"'{text}'" in result.stderr


def test_exit_is_quiet_and_jax_stays_unloaded() -> None:
    code = """
import sys, threading
import numpy as np
from variflow import _core
_core.set_threads(4)
planes = np.ones((1, 500, 500), np.float32)
threading.Thread(target=lambda: [_core.median(planes, 5) for _ in range(50)], daemon=True).start()
_core.median(planes, 5)
assert "jax" not in sys.modules
"""
    result = run_python(code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_outputs_are_aligned_and_new() -> None:
    for name, kernel in kernels((5, 7)).items():
        out = kernel()
        assert out.dtype == np.float32, name
        assert out.flags.c_contiguous, name
        assert out.flags.writeable, name
        assert out.ctypes.data % 64 == 0, name


def test_read_only_and_jax_inputs() -> None:
    import jax.numpy as jnp

    planes = random_planes(1, (6, 7))
    expected = _core.derivative(planes, "x")
    np.testing.assert_array_equal(CORE.derivative(jnp.asarray(planes), "x"), expected)
    planes.flags.writeable = False
    np.testing.assert_array_equal(_core.derivative(planes, "x"), expected)


CORE: Any = _core  # for calls that a type checker refuses
PLANES = np.zeros((2, 6, 8), np.float32)
FLOW = np.zeros((6, 8), np.float32)
FIRST = np.zeros(3, np.int32)
WEIGHTS = np.ones((3, 2), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CORE.warp(PLANES[0], FLOW, FLOW, "bilinear"), ValueError, r"^planes .*\(6, 8\)"),
        (
            lambda: CORE.warp(PLANES, FLOW.astype(float), FLOW, "bilinear"),
            TypeError,
            "u has dtype float64, wanted .*float32",
        ),
        (lambda: CORE.warp(PLANES, FLOW, FLOW[:5], "bilinear"), ValueError, r"v has shape \(5, 8\), wanted \(6, 8\)"),
        (lambda: CORE.warp(PLANES, FLOW, FLOW, "cubic"), ValueError, "interpolation is 'cubic', wanted"),
        (lambda: CORE.derivative(PLANES, "z"), ValueError, "^axis .*'z'"),
        (lambda: CORE.derivative(PLANES[:, :, ::2], "x"), ValueError, "^planes .*contiguous"),
        (lambda: CORE.derivative(PLANES[:, :0], "x"), ValueError, r"^planes .*\(2, 0, 8\)"),
        (lambda: CORE.derivative(None, "x"), TypeError, "planes is a NoneType, wanted"),
        (lambda: CORE.derivative([[[1.0]]], "x"), TypeError, "planes is a list, wanted"),
        (lambda: CORE.median(PLANES, 4), ValueError, "^size .*4"),
        (lambda: CORE.fill_missing(PLANES, FLOW.astype(np.uint8)), ValueError, "^valid is 0 everywhere"),
        (lambda: CORE.fill_missing(PLANES, FLOW), TypeError, "^valid has dtype float32, wanted .*uint8"),
        (
            lambda: CORE.resample(PLANES, FIRST, WEIGHTS, FIRST, WEIGHTS[:2]),
            ValueError,
            r"weights_x has shape \(2, .*wanted \(3",
        ),
        (
            lambda: CORE.resample(PLANES, FIRST, WEIGHTS[:1], FIRST, WEIGHTS),
            ValueError,
            r"weights_y has shape \(1, .*wanted \(3",
        ),
        (lambda: CORE.resample(PLANES, FIRST.astype(np.int64), WEIGHTS, FIRST, WEIGHTS), TypeError, "^first_y .*int32"),
        (lambda: CORE.resample(PLANES, FIRST, WEIGHTS, FIRST, WEIGHTS[:, :0]), ValueError, r"^weights_x .*\(3, 0\)"),
        (lambda: CORE.set_threads(0), ValueError, "^n .*0"),
        (lambda: CORE.set_threads(10**6), ValueError, "^n .*1000000"),
    ],
)
def test_errors_name_the_argument(call: Task, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_twin_errors_name_the_argument() -> None:
    from variflow.images import in_jax as _twins

    with pytest.raises(ValueError, match=r"^interpolation is 'cubic'"):
        _twins.warp(PLANES, (FLOW, FLOW), "cubic")
    with pytest.raises(ValueError, match=r"^flow has .*\(6, 8\).*\(5, 8\)"):
        _twins.warp(PLANES, (FLOW, FLOW[:5]))
    with pytest.raises(ValueError, match=r"^axis is 'z'"):
        _twins.differentiate(PLANES, "z")
    with pytest.raises(ValueError, match=r"^planes has shape"):
        _twins.differentiate(PLANES[0, 0], "x")
