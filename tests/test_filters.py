"""Filters of the flow and the colours that guide them, against brute force in NumPy."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from variflow import _core, filters
from variflow.filters import Median, WeightedMedian
from variflow.images.color import to_lab

Array = NDArray[np.float32]
CORE: Any = _core  # for calls that a type checker refuses
SIZES = [(1, 1), (1, 7), (9, 1), (13, 31), (21, 38)]


def random_planes(channels: int, size: tuple[int, int], seed: int = 0, scale: float = 1.0) -> Array:
    return (scale * np.random.default_rng(seed).standard_normal((channels, *size))).astype(np.float32)


def uniform_planes(channels: int, size: tuple[int, int], low: float, high: float, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(low, high, (channels, *size)).astype(np.float32)


# Motion edges and visibility


def central_differences(plane: Array) -> tuple[Any, Any]:
    padded = np.pad(plane.astype(float), 1, mode="edge")
    return (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2, (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2


def windows(plane: Any, reach: int) -> Any:
    padded = np.pad(plane, reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("window", "dilation"), [(1, 0), (5, 1), (15, 5)])
def test_motion_edges(size: tuple[int, int], window: int, dilation: int) -> None:
    flow = random_planes(2, size)
    gradient = np.max([np.hypot(*central_differences(plane)) for plane in flow], axis=0)
    mean = windows(gradient, window // 2).mean(axis=(2, 3))
    strong = (gradient > 0.8) & (gradient > 1.3 * mean)
    expected = windows(strong, dilation).any(axis=(2, 3))
    np.testing.assert_array_equal(_core.motion_edges(flow, 0.8, 1.3, window, dilation)[0], expected)


def test_motion_edges_of_steps_but_not_of_ramps() -> None:
    x = np.broadcast_to(np.arange(64.0), (40, 64))
    step = np.where(x < 32, 0, 3)
    found = _core.motion_edges(np.stack([step, 0 * x]).astype(np.float32), 0.2, 3.0, 15, 2)[0]
    assert found[:, 29:35].all()
    assert not found[:, :29].any()
    assert not found[:, 35:].any()
    assert not _core.motion_edges(np.stack([0.5 * x, x]).astype(np.float32), 0.2, 3.0, 15, 2).any()


@pytest.mark.parametrize("size", SIZES)
def test_visibility(size: tuple[int, int]) -> None:
    flow, differences = random_planes(2, size), random_planes(3, size, seed=1, scale=0.05)
    mismatch = abs(random_planes(1, size, seed=2, scale=0.5))
    slopes = [central_differences(plane) for plane in flow]
    divergence = slopes[0][0] + slopes[1][1]
    steepness = np.max([np.hypot(*slope) for slope in slopes], axis=0)
    exponent = np.minimum(divergence, 0) ** 2 / (2 * 0.3**2) + steepness**2 / (2 * 0.8**2)
    exponent += (differences**2).mean(axis=0) / (2 * 0.04**2) + mismatch[0] ** 2 / (2 * 0.4**2)
    expected = np.maximum(np.exp(-exponent), 1e-4)
    found = _core.visibility(flow, differences, mismatch, (0.3, 0.8, 0.04, 0.4))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


# Smoothing away from motion edges


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("deviation", [0.4, 1.0, 2.5])
def test_flow_is_smoothed_where_nothing_is_marked(size: tuple[int, int], deviation: float) -> None:
    flow, marks = random_planes(2, size), (random_planes(1, size, seed=1) > 0.5).astype(np.float32)
    reach = int(np.ceil(3 * deviation))
    gaussian = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    weights = windows(1 - marks[0], reach) * gaussian[:, None] * gaussian
    out = _core.smooth_apart(flow, marks, deviation)
    free = marks[0] == 0
    for plane, smoothed in zip(flow, out, strict=True):
        means = (windows(plane, reach) * weights).sum(axis=(2, 3))[free] / weights.sum(axis=(2, 3))[free]
        np.testing.assert_allclose(smoothed[free], means, atol=2e-6)
        np.testing.assert_array_equal(smoothed[~free], plane[~free])


def test_smoothing_keeps_a_constant_flow_and_stops_at_motion_edges() -> None:
    marks = np.zeros((1, 20, 30), np.float32)
    marks[..., 12:18] = 1
    flow = np.where(np.arange(30) < 15, np.float32(1), np.float32(-2)) * np.ones((2, 20, 1), np.float32)
    np.testing.assert_allclose(_core.smooth_apart(flow, marks, 1.5), flow, rtol=1e-6)


# Weighted median


def brute_weighted_median(
    flow: Array, otherwise: Array, mask: Array, guide: Array, reliability: Array, window: int, step: int
) -> Array:
    (height, width), reach, out = flow.shape[1:], window // 2, otherwise.copy()
    rows = range(-reach, reach + 1, step)
    offsets = [(dy, dx) for i, dy in enumerate(rows) for dx in range(-reach + i % step, reach + 1, step)]
    dy, dx = np.array(offsets).T
    spatial = (dy**2 + dx**2) / (2 * 8.0**2)
    for y, x in np.argwhere(mask[0] != 0):
        around = np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)
        squares = [(plane[around] - plane[y, x]) ** 2 for plane in guide]
        color = squares[0] / (2 * 4.5**2) + sum(squares[1:]) / (2 * 3.5**2)
        weights = (np.exp(-np.minimum(spatial + color, 60)) * reliability[0][around]).ravel()
        for plane in range(2):
            values = flow[plane][around].ravel()
            order = np.argsort(values)
            below = np.cumsum(weights[order])
            out[plane, y, x] = values[order][np.searchsorted(below, below[-1] / 2)]
    return out


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("window", "step"), [(1, 1), (3, 2), (7, 1), (15, 2), (13, 3)])
def test_weighted_median(size: tuple[int, int], window: int, step: Any) -> None:
    flow, otherwise = random_planes(2, size, scale=3), random_planes(2, size, seed=1)
    mask = (random_planes(1, size, seed=2) > 0).astype(np.float32)
    guide, reliability = uniform_planes(3, size, 0, 10), uniform_planes(1, size, 0.01, 1)
    out = _core.weighted_median(flow, otherwise, mask, guide, reliability, window, step, 8.0, 3.5, 4.5)
    expected = brute_weighted_median(flow, otherwise, mask, guide, reliability, window, step)
    np.testing.assert_allclose(out, expected, atol=1 / 16)
    np.testing.assert_array_equal(out[:, mask[0] == 0], otherwise[:, mask[0] == 0])


def test_weighted_median_of_equal_or_of_unlike_neighbours() -> None:
    ones, size = np.ones((1, 20, 30), np.float32), (20, 30)
    constant = np.stack([np.full(size, 0.3, np.float32), np.full(size, -1e6, np.float32)])
    guide = random_planes(3, size, scale=10)
    out = _core.weighted_median(constant, 0 * constant, ones, guide, ones, 15, 2, 8.0, 3.5, 4.5)
    np.testing.assert_array_equal(out, constant)
    flow = random_planes(2, size)
    out = _core.weighted_median(flow, 0 * flow, ones, 1e6 * guide, 1e-4 * ones, 15, 2, 8.0, 3.5, 4.5)
    assert (out >= flow.min(axis=(1, 2), keepdims=True)).all()
    assert (out <= flow.max(axis=(1, 2), keepdims=True)).all()


def test_a_weighted_median_looks_farther_where_the_mask_is_2() -> None:
    size = (40, 50)
    flow, otherwise = random_planes(2, size, scale=3), random_planes(2, size, seed=1)
    guide, reliability = uniform_planes(3, size, 0, 10), uniform_planes(1, size, 0.01, 1)
    mask = np.random.default_rng(3).integers(0, 3, (1, *size)).astype(np.float32)
    near, far = (mask == mark for mark in (1, 2))
    deviations = 3.5, 4.5
    out = _core.weighted_median(flow, otherwise, mask, guide, reliability, 7, 2, 8.0, *deviations, 3)
    for marked, window, step, spatial in ((near, 7, 2, 8.0), (far, 21, 6, 24.0)):
        alone = _core.weighted_median(
            flow, otherwise, marked.astype(np.float32), guide, reliability, window, step, spatial, *deviations
        )
        np.testing.assert_allclose(out[:, marked[0]], alone[:, marked[0]], atol=1 / 16)
    np.testing.assert_array_equal(out[:, mask[0] == 0], otherwise[:, mask[0] == 0])


# Small things


def brute_mean(plane: Array, window: int) -> Array:
    padded = np.pad(plane.astype(np.float64), window // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (window, window)).mean(axis=(2, 3))


@pytest.mark.parametrize("size", SIZES)
def test_hidden_motion_edges_are_marked_2(size: tuple[int, int]) -> None:
    edges, visibility = (random_planes(1, size) > 0).astype(np.float32), uniform_planes(1, size, 0, 0.1)
    marks = _core.mark_hidden(edges, visibility, 5, 0.05)
    mean = brute_mean(visibility[0], 5)
    clear = np.abs(mean - 0.05) > 1e-6
    np.testing.assert_array_equal(marks[0][clear], (edges[0] * np.where(mean < 0.05, 2, 1))[clear])


@pytest.mark.parametrize("size", SIZES)
def test_the_flow_before_the_filter_is_kept_where_it_matches_better(size: tuple[int, int]) -> None:
    flow, filtered = random_planes(2, size), random_planes(2, size, seed=1)
    visibility, before, after = (
        uniform_planes(1, size, 0, 0.6),
        *(uniform_planes(1, size, 0, 4, seed=seed) for seed in (2, 3)),
    )
    kept = _core.keep_what_matches(flow, filtered, visibility, before, after, (0.7, 0.25, 1.15, 0.1, 3.0), 5)
    visible, were, are = (brute_mean(np.minimum(plane[0], 3), 5) for plane in (visibility, before, after))
    distance = np.hypot(*(filtered - flow).astype(np.float64))
    margins = distance - 0.7, visible - 0.25, are - (1.15 * were + 0.1)
    keep = np.logical_and.reduce([margin > 0 for margin in margins])
    clear = np.min(np.abs(margins), axis=0) > 1e-5
    np.testing.assert_array_equal(kept[:, clear], np.where(keep, flow, filtered)[:, clear])


def _see(guide: Array, mismatch: Array, **more: Any) -> Any:
    """Return what a filter looks at, at the size of the frames."""
    return SimpleNamespace(guide=guide, It=np.zeros_like(guide), mismatch=mismatch, scale=(1.0, 1.0), **more)


def scene() -> tuple[tuple[Array, Array], SimpleNamespace]:
    """A square that moves before a background, its motion estimated a little too wide."""
    inside, wide = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    inside[20:40, 30:55] = True
    wide[18:42, 28:57] = True
    u = np.where(wide, 4, 1).astype(np.float32)
    guide = np.where(inside, 60, 30).astype(np.float32)[None]
    return (u, -u), _see(guide, np.zeros_like(u), inside=inside)


def test_weighted_median_moves_motion_edges_to_image_edges() -> None:
    flow, at = scene()
    u, v = WeightedMedian()(flow, at)  # type: ignore[arg-type]
    np.testing.assert_allclose(u, np.where(at.inside, 4, 1), rtol=1e-6)
    np.testing.assert_array_equal(v, -u)
    plain = Median(5)(flow, None)
    assert np.count_nonzero(plain[0] != u) > 100


def test_weighted_median_is_a_median_where_there_is_no_edge() -> None:
    noise = random_planes(2, (40, 50), scale=0.02)
    nothing = np.zeros((1, 40, 50), np.float32)
    at = _see(random_planes(3, (40, 50)), nothing[0])
    expected = filters.median((noise[0], noise[1]), 3)
    np.testing.assert_array_equal(WeightedMedian(size=3, smoothing=0)((noise[0], noise[1]), at), expected)
    smoothed = ndimage.gaussian_filter(expected, (0, 1, 1), mode="nearest", truncate=3)
    np.testing.assert_allclose(WeightedMedian(size=3, smoothing=1)((noise[0], noise[1]), at), smoothed, atol=1e-6)


def test_weighted_median_reaches_farther_where_nothing_is_visible() -> None:
    """The flow of a wide strip is lost, which its mismatch shows; the ground around it looks alike."""
    u = np.where(abs(np.arange(120) - 60) < 14, np.float32(5), np.float32(1)) * np.ones((60, 1), np.float32)
    mismatch = np.where(u == 5, np.float32(9), np.float32(0))
    at = _see(np.zeros((1, *u.shape), np.float32), mismatch)
    near, far = (WeightedMedian(dilation=14, widening=times)((u, 0 * u), at)[0] for times in (1, 3))
    assert near[30, 60] == pytest.approx(5)
    np.testing.assert_allclose(far, 1, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("window", 14),
        ("window", 15.0),
        ("window", 1),
        ("step", 4),
        ("size", 4),
        ("lightness", 0.0),
        ("steepness", 0.0),
        ("smoothing", -1.0),
        ("hidden", -0.1),
        ("widening", 0),
        ("spatial", 0.0),
        ("color", float("nan")),
        ("edge", -0.1),
        ("ratio", float("inf")),
        ("dilation", -1),
        ("divergence", -1.0),
        ("difference", "small"),
        ("mismatch", 0.0),
        ("worse", 0.9),
    ],
)
def test_weighted_median_refuses(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        WeightedMedian(**{field: value})


def test_median_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match="size of Median is 7, wanted one of 3, 5"):
        Median(7)  # type: ignore[arg-type]


# Colour


def test_lab_of_every_color() -> None:
    levels = np.linspace(0, 1, 33)
    planes = np.stack(np.meshgrid(levels, levels, levels)).reshape(3, 33, -1)
    linear = np.where(planes <= 0.04045, planes / 12.92, ((planes + 0.055) / 1.055) ** 2.4)
    # The primaries and the white point of sRGB (IEC 61966-2-1).
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.einsum("ij,jhw->ihw", matrix / matrix.sum(axis=1, keepdims=True), linear)
    f = [np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29) for t in (x, y, z)]
    expected = [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]
    np.testing.assert_allclose(to_lab(planes.astype(np.float32)), expected, atol=0.05)


def test_lab_of_gray_and_of_many_channels() -> None:
    gray = np.linspace(-0.2, 1.2, 99, dtype=np.float32).reshape(1, 9, 11)
    lightness = to_lab(gray)
    assert (np.diff(lightness.ravel()) >= 0).all()
    assert lightness[0, 0, 0] == pytest.approx(0, abs=1e-3)
    assert lightness[0, -1, -1] == pytest.approx(100, abs=1e-3)
    colors = to_lab(np.repeat(gray, 3, axis=0))
    np.testing.assert_allclose(colors[0], lightness[0], atol=1e-3)
    np.testing.assert_allclose(colors[1:], 0, atol=1e-3)
    for channels in (2, 5):
        many = to_lab(np.repeat(gray, channels, axis=0))
        np.testing.assert_allclose(np.sqrt((many**2).sum(axis=0)), lightness[0], atol=1e-3)


# All kernels


FLOW = np.zeros((2, 6, 8), np.float32)
ONE = np.ones((1, 6, 8), np.float32)


def test_result_does_not_depend_on_the_number_of_threads() -> None:
    size = (75, 131)
    flow, guide = random_planes(2, size), uniform_planes(3, size, 0, 1)
    one = np.ones((1, *size), np.float32)
    kernels = [
        lambda: _core.motion_edges(flow, 0.5, 1.0, 15, 3),
        lambda: _core.visibility(flow, guide, guide[:1], (0.3, 0.8, 0.1, 0.4)),
        lambda: _core.smooth_apart(flow, (guide[:1] > 0.5).astype(np.float32), 1.0),
        lambda: _core.weighted_median(flow, flow, one, 10 * guide, guide[:1], 7, 2, 8.0, 3.5, 4.5),
        lambda: _core.weighted_median(flow, flow, 2 * one, 10 * guide, guide[:1], 7, 2, 8.0, 3.5, 4.5, 3),
        lambda: _core.mark_hidden(one, guide[:1], 7, 0.5),
        lambda: _core.keep_what_matches(
            flow, guide[:2], guide[:1], guide[1:2], guide[2:], (0.5, 0.4, 1.0, 0.0, 0.9), 5
        ),
        lambda: _core.lab(guide),
    ]
    threads = _core.get_threads()
    try:
        _core.set_threads(1)
        expected = [kernel() for kernel in kernels]
        for count in (2, 3):
            _core.set_threads(count)
            for kernel, result in zip(kernels, expected, strict=True):
                np.testing.assert_array_equal(kernel(), result)
    finally:
        _core.set_threads(threads)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CORE.motion_edges(ONE, 0.2, 3.0, 15, 5), ValueError, r"^flow .*\(1, 6, 8\)"),
        (lambda: CORE.motion_edges(FLOW, 0.2, 3.0, 14, 5), ValueError, "^window .*14"),
        (lambda: CORE.motion_edges(FLOW, 0.2, 3.0, 15, -1), ValueError, "^dilation .*-1"),
        (lambda: CORE.visibility(FLOW, ONE[:, :5], ONE, (1, 1, 1, 1)), ValueError, r"^differences .*\(1, 5, 8\)"),
        (lambda: CORE.visibility(FLOW, ONE, FLOW, (1, 1, 1, 1)), ValueError, r"^mismatch .*\(1, 6, 8\)"),
        (lambda: CORE.visibility(FLOW, ONE, ONE, (0.3, 0.8, 0.0, 0.1)), ValueError, "^deviations .* 0"),
        (lambda: CORE.visibility(FLOW, ONE, ONE, (0.3, 0.8, 0.1, np.nan)), ValueError, "^deviations .*nan"),
        (
            lambda: CORE.weighted_median(FLOW, FLOW, FLOW, ONE, ONE, 15, 2, 8.0, 3.5, 4.5),
            ValueError,
            r"^mask .*\(1, 6, 8\)",
        ),
        (lambda: CORE.weighted_median(FLOW, FLOW, ONE, ONE, ONE > 0, 15, 2, 8.0, 3.5, 4.5), TypeError, "^reliability "),
        (lambda: CORE.weighted_median(FLOW, FLOW, ONE, ONE, ONE, 15, 16, 8.0, 3.5, 4.5), ValueError, "^step .*16"),
        (lambda: CORE.weighted_median(FLOW, FLOW, ONE, ONE, ONE, 15, 2, 8.0, 0.0, 4.5), ValueError, "^color "),
        (lambda: CORE.weighted_median(FLOW, FLOW, ONE, ONE, ONE, 15, 2, 8.0, 3.5, 4.5, 0), ValueError, "^widening .*0"),
        (lambda: CORE.mark_hidden(FLOW, ONE, 5, 0.1), ValueError, r"^edges .*\(2, 6, 8\)"),
        (lambda: CORE.mark_hidden(ONE, FLOW, 5, 0.1), ValueError, r"^visibility .*\(2, 6, 8\)"),
        (lambda: CORE.mark_hidden(ONE, ONE, 4, 0.1), ValueError, "^window .*4"),
        (
            lambda: CORE.keep_what_matches(FLOW, ONE, ONE, ONE, ONE, (1, 1, 1, 1, 1), 5),
            ValueError,
            r"^filtered .*\(1, 6, 8\)",
        ),
        (
            lambda: CORE.keep_what_matches(FLOW, FLOW, ONE, ONE, FLOW, (1, 1, 1, 1, 1), 5),
            ValueError,
            r"^after .*\(2, 6, 8\)",
        ),
        (
            lambda: CORE.keep_what_matches(FLOW, FLOW, ONE, ONE, ONE, (1, 1, 1, 1, 1), 6),
            ValueError,
            "^window .*6",
        ),
        (lambda: CORE.smooth_apart(FLOW, FLOW, 1.0), ValueError, r"^marks .*\(1, 6, 8\)"),
        (lambda: CORE.smooth_apart(FLOW, ONE, 0.0), ValueError, "^deviation .* 0"),
        (lambda: CORE.smooth_apart(FLOW, ONE, 101.0), ValueError, "^deviation .*101"),
        (lambda: CORE.lab(ONE[0]), ValueError, r"^planes .*\(6, 8\)"),
    ],
)
def test_errors_name_the_argument(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
