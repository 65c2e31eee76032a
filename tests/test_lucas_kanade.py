"""Local least squares, and the census data term."""

from types import SimpleNamespace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from variflow import _core
from variflow.energy.census import CensusConstancy
from variflow.images.resampling import smooth
from variflow.solve.lucas_kanade import LucasKanade

Array = NDArray[np.float32]
CORE: Any = _core  # for calls that a type checker refuses
SIZES = [(1, 1), (1, 7), (5, 1), (13, 22), (75, 131)]


def random_tensor(size: tuple[int, int], residuals: int) -> Array:
    jx, jy, r = np.random.default_rng(0).standard_normal((3, residuals, *size))
    planes = (jx * jx, jx * jy, jy * jy, jx * r, jy * r)
    return np.stack([plane.mean(axis=0) for plane in planes]).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("residuals", [1, 3])
def test_increment_solves_the_normal_equations(size: tuple[int, int], residuals: int) -> None:
    tensor = random_tensor(size, residuals)
    a11, a12, a22, b1, b2 = tensor.astype(float)
    matrix = np.moveaxis(np.array([[a11 + 0.1, a12], [a12, a22 + 0.1]]), (0, 1), (-2, -1))
    expected = -np.linalg.solve(matrix, np.stack([b1, b2], axis=-1)[..., None])[..., 0]
    np.testing.assert_allclose(_core.lucas_kanade(tensor, 0.1), np.moveaxis(expected, -1, 0), rtol=1e-3, atol=1e-5)
    du, dv = LucasKanade(window=0, regularisation=0.1).increment(tensor)
    np.testing.assert_array_equal(np.stack([du, dv]), _core.lucas_kanade(tensor, 0.1))


def test_flat_regions_and_edges() -> None:
    tensor = np.zeros((5, 3, 4), np.float32)
    np.testing.assert_array_equal(_core.lucas_kanade(tensor, 1e-3), 0)
    tensor[0], tensor[1], tensor[2] = 9, 3, 1  # all gradients along (3, 1)
    tensor[3], tensor[4] = -30, -10
    du, dv = _core.lucas_kanade(tensor, 1e-6)
    np.testing.assert_allclose(du, 3, rtol=1e-3)
    np.testing.assert_allclose(dv, 1, rtol=1e-3)


def test_window_is_a_gaussian() -> None:
    tensor = random_tensor((40, 50), 1)
    du, dv = LucasKanade(window=3.0, regularisation=0.2).increment(tensor)
    np.testing.assert_array_equal(np.stack([du, dv]), _core.lucas_kanade(smooth(tensor, 3.0), 0.2))


def texture() -> NDArray[np.float64]:
    """A smooth texture with a range of 200 grey levels, wider than it is cut out of."""
    noise = np.random.default_rng(5).standard_normal((1, 90, 140)).astype(np.float32)
    plane = smooth(noise, 1.5)[0].astype(float)
    return (plane - plane.min()) / np.ptp(plane) * 200 + 5


def test_residuals_of_a_translation() -> None:
    """One step of the whole method finds a shift below a pixel."""
    image = smooth(texture()[None].astype(np.float32) / 255, 1.0)
    frame0, frame1 = image[:, :, 10:120], image[:, :, 9:119]
    jx, jy = (_core.derivative(np.ascontiguousarray(0.5 * (frame0 + frame1)), axis) for axis in ("x", "y"))
    r = frame1 - frame0
    tensor = np.concatenate([jx * jx, jx * jy, jy * jy, jx * r, jy * r])
    du, dv = LucasKanade(window=4, regularisation=1e-6).increment(tensor)
    inside = (slice(8, -8), slice(8, -8))
    assert abs(du[inside] - 1).mean() < 0.05
    assert abs(dv[inside]).mean() < 0.05


@pytest.mark.parametrize(("field", "value"), [("window", -1), ("window", "wide"), ("regularisation", 0.0)])
def test_settings_are_checked(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        LucasKanade(**{field: value})


# Census


def frames(size: tuple[int, int], channels: int = 2) -> tuple[Array, Array]:
    first, second = np.random.default_rng(3).uniform(size=(2, channels, *size)).astype(np.float32)
    return first, second


@pytest.mark.parametrize("size", SIZES[:-1])
@pytest.mark.parametrize("window", ["3x3", "5x5"])
def test_native_and_plain_census_agree(size: tuple[int, int], window: Literal["3x3", "5x5"]) -> None:
    term = CensusConstancy(window=window, softness=0.7, noise=0.01)
    frame0, frame1 = frames(size)
    u, v = np.random.default_rng(4).standard_normal((2, *size)).astype(np.float32)
    jx, jy, r = _core.census(frame0, frame1, term.radius, term.softness, term.noise)

    def twin(frame0: Any, frame1: Any) -> Any:
        at: Any = SimpleNamespace(frame0=frame0, frame1=frame1, valid=True)
        return jnp.stack(term.residuals((u, v), at))

    compiled: Any = jax.jit(twin) if size == SIZES[3] else twin
    expected = np.asarray(compiled(jnp.asarray(frame0), jnp.asarray(frame1)))
    np.testing.assert_allclose(jx * u + jy * v + r, expected, atol=1e-5)


def test_census_by_hand() -> None:
    frame0, frame1 = frames((6, 7), channels=1)
    _, _, r = _core.census(frame0, frame1, 1, 0.5, 0.1)

    def sign(frame: Array) -> float:
        differences = frame[0, 2:5, 3:6] - frame[0, 3, 4]
        contrast = (differences**2).sum() / 8
        return float(differences[0, 2] / np.sqrt(differences[0, 2] ** 2 + 0.25 * contrast + 0.01))

    assert r[2, 3, 4] == pytest.approx(sign(frame1) - sign(frame0), abs=1e-6)


def test_census_ignores_gain_and_offset() -> None:
    frame0, frame1 = frames((20, 30))
    expected = _core.census(frame0, frame1, 1, 1.0, 1e-6)
    changed = _core.census(frame0, (1.2 * frame1 + 0.1).astype(np.float32), 1, 1.0, 1e-6)
    for one, other in zip(expected, changed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("window", ["3x3", "5x5"])
def test_census_finds_a_shift_under_another_light(window: Literal["3x3", "5x5"]) -> None:
    """2 px, and the second frame times 1.2 plus 25, all rounded to bytes."""
    term, image = CensusConstancy(window=window), texture()
    frame0, frame1 = image[:, 10:120], image[:, 8:118] * 1.2 + 25
    frame0, frame1 = (np.clip(np.rint(frame), 0, 255)[None].astype(np.float32) / 255 for frame in (frame0, frame1))
    frame0, frame1 = smooth(frame0, 0.7), smooth(frame1, 0.7)
    flow = np.zeros((2, *frame0.shape[1:]), np.float32)
    for _ in range(8):
        warped = _core.warp(frame1, flow[0].copy(), flow[1].copy(), "bicubic")
        jx, jy, r = _core.census(frame0, warped, term.radius, term.softness, term.noise)
        tensor = np.stack([(a * b).mean(axis=0) for a, b in ((jx, jx), (jx, jy), (jy, jy), (jx, r), (jy, r))])
        flow += np.stack(LucasKanade(window=5, regularisation=1e-4).increment(tensor))
    inside = (slice(10, -10), slice(10, -10))
    assert np.hypot(flow[0] - 2, flow[1])[inside].mean() < 0.05


def test_result_does_not_depend_on_the_number_of_threads() -> None:
    tensor, (frame0, frame1) = random_tensor((150, 211), 2), frames((150, 211), 1)
    threads = _core.get_threads()
    try:
        _core.set_threads(1)
        expected = [_core.lucas_kanade(tensor, 0.1), *_core.census(frame0, frame1, 2, 1.0, 0.01)]
        for count in (2, 3):
            _core.set_threads(count)
            for one, other in zip(
                [_core.lucas_kanade(tensor, 0.1), *_core.census(frame0, frame1, 2, 1.0, 0.01)], expected, strict=True
            ):
                np.testing.assert_array_equal(one, other)
    finally:
        _core.set_threads(threads)


TENSOR = np.zeros((5, 6, 8), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CORE.lucas_kanade(TENSOR[:4], 0.1), ValueError, r"^tensor .*\(4, 6, 8\)"),
        (lambda: CORE.lucas_kanade(TENSOR.astype(float), 0.1), TypeError, "^tensor .*float64"),
        (lambda: CORE.lucas_kanade(TENSOR, 0.0), ValueError, "^regularisation "),
        (lambda: CORE.census(TENSOR, TENSOR[:4], 1, 1.0, 0.01), ValueError, r"^frame1 .*\(4, 6, 8\)"),
        (lambda: CORE.census(TENSOR, TENSOR, 3, 1.0, 0.01), ValueError, "^radius .*3"),
        (lambda: CORE.census(TENSOR, TENSOR, 1, -1.0, 0.01), ValueError, "^softness "),
        (lambda: CORE.census(TENSOR, TENSOR, 1, 1.0, 0.0), ValueError, "^noise "),
        (lambda: CensusConstancy(window="7x7"), ValueError, "window.*'7x7'"),  # type: ignore[arg-type]
    ],
)
def test_errors_name_the_argument(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
