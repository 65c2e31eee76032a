"""Frames: any dtype, range, layout; missing pixels; clear errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from variflow.frames.checking import prepare
from variflow.frames.intensity import find_robust_range
from variflow.images.filling import fill_missing


def image(shape=(20, 30), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def planes(frame0, frame1=None, **options):
    return [frame.planes for frame in prepare(frame0, frame0 if frame1 is None else frame1, **options)[:2]]


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: a.astype(np.uint16) * 257,
        lambda a: a.astype(np.int64) - 1000,
        lambda a: a / 255,
        lambda a: 3.7 * a + 11,
        lambda a: a.astype(np.float16),
        lambda a: a.astype(">f4"),
        lambda a: a.astype(np.longdouble),
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1][::-1],
        lambda a: a.tolist(),
    ],
)
def test_the_unit_and_layout_do_not_matter(convert):
    first, second = image(seed=0), image(seed=1)
    expected = planes(first, second)
    for got, wanted in zip(planes(convert(first), convert(second)), expected, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, wanted)


def test_small_frames_use_minimum_and_maximum():
    first, second = planes([[0.0, 5.0]], [[10.0, 2.0]])
    np.testing.assert_allclose(first, [[[0, 0.5]]], atol=1e-6)
    np.testing.assert_allclose(second, [[[1, 0.2]]], atol=1e-6)


def test_robust_range_ignores_few_outliers_and_clips_nothing():
    values = np.tile(np.linspace(0, 1, 1000), (10, 1))
    values[0, 0] = 1e3
    low, high = find_robust_range([values[..., None]] * 2, [np.ones(values.shape, bool)] * 2)
    assert (low, high) == (pytest.approx(0.001, abs=2e-3), pytest.approx(1.0, abs=2e-3))
    assert planes(values)[0].max() > 900


def test_a_lone_bright_pixel_on_black_is_still_seen():
    frame = np.zeros((100, 100))
    frame[50, 50] = 7.0
    assert planes(frame)[0].max() == 1.0


def test_intensity_range_is_explicit():
    np.testing.assert_allclose(planes([[0, 50], [100, 200]], intensity_range=(0, 100))[0], [[[0, 0.5], [1, 2]]])


def test_bool_and_constant_frames():
    assert set(np.unique(planes(np.eye(4, dtype=bool))[0])) == {0.0, 1.0}
    assert not planes(np.full((4, 4), 7))[0].any()


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 1000),
    share=st.floats(0, 0.95),
)
def test_missing_pixels_are_filled_within_the_range_of_the_valid(shape, seed, share):
    rng = np.random.default_rng(seed)
    values = rng.random((2, *shape)).astype(np.float32)
    valid = rng.random(shape) > share
    valid[rng.integers(shape[0]), rng.integers(shape[1])] = True
    filled = fill_missing(np.where(valid, values, np.nan), valid)
    np.testing.assert_array_equal(filled[:, valid], values[:, valid])
    for plane, original in zip(filled, values, strict=True):
        assert original[valid].min() - 1e-5 <= plane.min()
        assert plane.max() <= original[valid].max() + 1e-5


def fill_by_hand(planes, valid):
    """Average valid pixels over blocks of two by two until no block is empty, and interpolate between the averages."""
    if valid.all():
        return planes
    height, width = valid.shape
    rows, columns = -(-height // 2), -(-width // 2)
    coarse, known = np.zeros((len(planes), rows, columns)), np.zeros((rows, columns), bool)
    for y, x in np.ndindex(rows, columns):
        block = np.s_[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        known[y, x] = valid[block].any()
        if known[y, x]:
            coarse[:, y, x] = planes[(slice(None), *block)][:, valid[block]].mean(axis=1)
    coarse = fill_by_hand(coarse, known)
    y, x = ((np.arange(size) + 0.5) * (few / size) - 0.5 for size, few in ((height, rows), (width, columns)))
    places = np.meshgrid(y, x, indexing="ij")
    grown = np.stack([map_coordinates(plane, places, order=1, mode="nearest") for plane in coarse])
    return np.where(valid, planes, grown)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (13, 22), (64, 80), (101, 67)])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_missing_pixels_are_filled_as_by_hand(shape, share):
    rng = np.random.default_rng(0)
    planes, valid = rng.random((3, *shape)).astype(np.float32), rng.random(shape) < share
    valid.flat[-1] = True
    planes[:, ~valid] = np.nan
    np.testing.assert_allclose(fill_missing(planes, valid), fill_by_hand(planes.astype(float), valid), atol=2e-6)


def test_a_constant_surrounding_fills_a_hole_with_itself():
    values = np.full((1, 33, 47), 0.25, np.float32)
    valid = np.ones((33, 47), bool)
    valid[5:25, 10:30] = False
    values[:, ~valid] = np.nan
    np.testing.assert_allclose(fill_missing(values, valid), 0.25, rtol=1e-6)


def test_missing_and_masked_pixels_are_marked():
    frame = image().astype(float)
    frame[3, 4], frame[5, 6] = np.nan, np.inf
    mask = np.ones(frame.shape, bool)
    mask[7, 8] = False
    first, second, _ = prepare(frame, image(seed=1), mask=(mask, None), weights=(None, np.full(frame.shape, 2.0)))
    assert {tuple(where) for where in np.argwhere(~first.valid)} == {(3, 4), (5, 6), (7, 8)}
    assert np.isfinite(first.planes).all()
    assert second.valid.all()
    assert (first.weights == 1).all()
    assert (second.weights == 2).all()


def test_one_mask_is_for_both_frames_and_one_array_of_weights_for_the_first():
    frames = image(), image(seed=1)
    mask, weights = np.ones(frames[0].shape, bool), np.ones(frames[0].shape)
    mask[7, 8] = False
    weights[3, 4] = 0.5
    first, second, _ = prepare(*frames, mask=mask, weights=weights)
    np.testing.assert_array_equal(first.valid, mask)
    np.testing.assert_array_equal(second.valid, mask)
    np.testing.assert_array_equal(first.weights, weights)
    assert (second.weights == 1).all()
    for each, wanted in (((mask, None), (mask, True)), ([None, mask], (True, mask))):
        first, second, _ = prepare(*frames, mask=each)
        assert (first.valid == wanted[0]).all()
        assert (second.valid == wanted[1]).all()


def test_one_missing_channel_makes_the_pixel_missing():
    frame = np.random.default_rng(0).random((6, 7, 3))
    frame[2, 3, 1] = np.nan
    assert not prepare(frame, frame)[0].valid[2, 3]


class Tensor:
    """Something that is an array only by __array__."""

    def __array__(self, dtype=None, copy=None):
        return np.ones((3, 3))


class Capsule:
    """Something that is an array only by DLPack."""

    def __init__(self):
        self.array = np.ones((3, 3), np.float32)

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("frame", [Tensor(), Capsule()], ids=["__array__", "__dlpack__"])
def test_anything_that_is_an_array_works(frame):
    assert planes(frame)[0].shape == (1, 3, 3)


GOOD = np.zeros((4, 5))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"frame0": np.zeros((4, 5), complex)}, TypeError, "frame0 has dtype complex128, wanted real numbers"),
        ({"frame1": np.array([["a"]])}, TypeError, "frame1 has dtype <U1, wanted real numbers"),
        ({"frame0": [[1], [2, 3]]}, TypeError, "frame0 is a list that NumPy cannot read"),
        ({"frame0": np.zeros((0, 5))}, ValueError, r"frame0 is empty: its shape is \(0, 5\)"),
        ({"frame0": np.zeros(5)}, ValueError, r"frame0 has shape \(5,\), wanted \(H, W\)"),
        ({"frame1": np.zeros((4, 5, 17))}, ValueError, "at most 16 channels.*; volumes are not supported"),
        ({"frame1": np.zeros((4, 5, 6, 1))}, ValueError, "volumes are not supported"),
        ({"frame1": np.zeros((4, 6))}, ValueError, r"frame1 has shape \(4, 6\), wanted that of frame0, \(4, 5\)"),
        ({"frame1": np.full((4, 5), np.nan)}, ValueError, "frame1 has no usable pixel"),
        ({"mask": np.zeros((4, 5), bool)}, ValueError, "frame0 has no usable pixel"),
        ({"mask": np.ones((5, 4), bool)}, ValueError, r"mask has shape \(5, 4\), wanted \(4, 5\)"),
        ({"mask": np.ones((4, 5))}, TypeError, "mask has dtype float64, wanted bool"),
        ({"weights": np.full((4, 5), -1.0)}, ValueError, "weights has values that are negative"),
        ({"weights": np.full((4, 5), "a")}, TypeError, "weights has dtype"),
        ({"intensity_range": (1, 1)}, ValueError, "intensity_range is .* low < high"),
        ({"intensity_range": 3}, ValueError, "intensity_range is 3, wanted a pair"),
        (
            {"frame0": np.array([[1e308, -1e308]]), "frame1": np.zeros((1, 2))},
            ValueError,
            "hold intensities from",
        ),
    ],
)
def test_errors_name_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        prepare(**{"frame0": GOOD, "frame1": GOOD, **arguments})


def test_floats_that_were_integers_are_told_from_rounding_errors():
    rng = np.random.default_rng(4)
    levels = rng.integers(3, 250, (2, 40, 50, 3))
    expected = planes(levels[0].astype(np.uint8), levels[1].astype(np.uint8))
    for convert in (lambda a: a / 255, lambda a: 3.7 * a + 11, lambda a: a * 1e-7 - 5, lambda a: a * 257):
        for dtype in (np.float64, np.float32):
            found = planes(*(convert(level).astype(dtype) for level in levels))
            if dtype == np.float64 or convert(1) > -4:  # steps of 1e-7 about -5 are lost in single precision
                np.testing.assert_array_equal(found, expected)
    holed = levels.astype(float) / 255
    holed[0, 3, 4] = np.nan
    found = prepare(*holed)[0]
    assert not found.valid[3, 4]
    np.testing.assert_allclose(found.planes[:, found.valid], expected[0][:, found.valid], atol=0.02)
    real = rng.random((2, 40, 50))
    np.testing.assert_allclose(prepare(*real, intensity_range=(0, 1))[0].planes[0], real[0], atol=1e-6)
