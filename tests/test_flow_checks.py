"""What the core says of flows and frames, and memory that it hands out, against NumPy."""

import numpy as np
import pytest

from variflow import _core

SIZES = [(1, 1), (3, 37), (300, 301)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_found(size, value):
    rng = np.random.default_rng(0)
    plane = (1e38 * rng.standard_normal(size)).clip(-3e38, 3e38).astype(np.float32)
    assert _core.are_finite(plane)
    for place in rng.integers(0, plane.size, 5):
        wrong = plane.copy()
        wrong.flat[place] = value
        assert not _core.are_finite(wrong)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("threads", [1, 2])
def test_pixels_that_moved_are_counted(size, threads):
    rng = np.random.default_rng(1)
    u0, v0, u, v = rng.standard_normal((4, *size)).astype(np.float32)
    u.flat[0] = np.nan  # of which nobody knows whether it moved
    with np.errstate(invalid="ignore"):
        expected = np.count_nonzero((u - u0) ** 2 + (v - v0) ** 2 > np.float32(0.7) ** 2)
    before = _core.get_threads()
    _core.set_threads(threads)
    try:
        assert _core.count_moved(u0, v0, u, v, 0.7) == expected
    finally:
        _core.set_threads(before)
    with pytest.raises(ValueError, match=r"v has shape .*, wanted"):
        _core.count_moved(u0, v0, u, np.zeros((size[0] + 1, size[1]), np.float32), 0.7)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_likeness_is_that_of_the_planes_about_their_means(size, channels):
    rng = np.random.default_rng(2)
    first, second = (0.4 + rng.standard_normal((2, channels, *size))).astype(np.float32)
    apart = [frame - frame.mean(axis=(1, 2), keepdims=True, dtype=np.float64) for frame in (first, second)]
    expected = [(a * b).sum() for a, b in ((apart[0], apart[0]), (apart[1], apart[1]), (apart[0], apart[1]))]
    np.testing.assert_allclose(_core.find_likeness(first, second), expected, rtol=1e-5, atol=1e-3)
    with pytest.raises(ValueError, match=r"second has shape .*, wanted"):
        _core.find_likeness(first, second[:, :, :0])


@pytest.mark.parametrize("size", [*SIZES, (5, 513), (5, 514)])
@pytest.mark.parametrize("channels", [1, 3])
def test_flat_pixels_of_some_rows_are_counted(size, channels):
    rng = np.random.default_rng(3)
    planes = rng.integers(0, 2, (channels, *size)).astype(np.float32) / 2
    rows = planes[:, ::4]
    flat = (np.abs(np.diff(rows, axis=2)) < 0.25).all(axis=0)
    assert _core.count_flat(planes, 4, 0.25) == np.count_nonzero(flat)
    with pytest.raises(ValueError, match="step"):
        _core.count_flat(planes, 0, 0.25)


def test_memory_is_handed_out_and_may_be_written():
    for count in (1, 1000, 10**6):
        memory = _core.allocate_bytes(count)
        memory[:] = 7
        other = _core.allocate_bytes(count)
        other[:] = 8
        assert memory.shape == (count,)
        assert (memory == 7).all()
