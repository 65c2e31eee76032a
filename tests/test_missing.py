"""Missing pixels in a pattern: what is known at coarse levels is what is known of the frames."""

import numpy as np
import pytest

import variflow
from variflow.datasets import synthetic
from variflow.frames.checking import prepare
from variflow.frames.frame import Frame, fill_frame
from variflow.frames.pyramid import pyramid
from variflow.images.resampling import smooth

SHAPE, SHIFT = (96, 128), (1.7, -0.8)
ROWS, COLUMNS = np.indices(SHAPE)
PATTERNS = {
    "every second row": ROWS % 2 == 0,
    "every second column": COLUMNS % 2 == 1,
    "a checkerboard": (ROWS + COLUMNS) % 2 == 0,
    "one column in three": COLUMNS % 3 == 1,
    "one pixel in nine": (COLUMNS % 3 == 1) & (ROWS % 3 == 1),
    "half, at random": np.random.default_rng(0).random(SHAPE) < 0.5,
    "a tenth, at random": np.random.default_rng(0).random(SHAPE) < 0.1,
}
# The most that the mean error may be, in pixels.
MOST = {"one column in three": 0.3, "one pixel in nine": 0.25, "half, at random": 0.1, "a tenth, at random": 0.5}


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation(SHAPE, shift=SHIFT)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("of", ["first", "second", "both", "either"])
@pytest.mark.parametrize("model", ["fast", "balanced", "classic-nl", "lucas-kanade", "horn-schunck"])
def test_a_pattern_of_missing_pixels_costs_little(pair, pattern, of, model):
    known = PATTERNS[pattern]
    other = np.roll(known, 1, axis=(0 if pattern == "every second row" else 1))
    mask = {"first": (known, None), "second": (None, known), "both": (known, known), "either": (known, other)}[of]
    flow = variflow.estimate(pair.frame0, pair.frame1, model, mask=mask).flow
    error = np.hypot(*np.moveaxis(flow - SHIFT, 2, 0))[8:-8, 8:-8]
    assert error.mean() < MOST.get(pattern, 0.1)


@pytest.mark.parametrize("pattern", ["every second row", "every second column", "a checkerboard"])
@pytest.mark.parametrize("model", ["fast", "balanced", "accurate", "smooth", "brox", "horn-schunck"])
def test_flow_that_bends_is_found_between_missing_rows(pattern, model):
    """No target is usable at the full size, so nothing there may pull the flow to a plane."""
    x, y = COLUMNS / 20, ROWS / 15
    bent = np.stack([2 + np.sin(y), np.cos(x)], axis=2).astype(np.float32)
    second = smooth(np.random.default_rng(3).random((1, *SHAPE), np.float32), 2)[0]
    frames = [np.where(PATTERNS[pattern], frame, np.nan) for frame in (variflow.warp(second, bent, "spline"), second)]
    flow = variflow.estimate(*frames, model).flow
    assert np.hypot(*np.moveaxis(flow - bent, 2, 0))[8:-8, 8:-8].mean() < 0.15


def test_missing_values_are_as_masked_ones(pair):
    known = PATTERNS["every second row"]
    holed = np.where(known[:, :, None], pair.frame0.astype(float), np.nan)
    flow = variflow.estimate(holed, pair.frame1, "fast").flow
    np.testing.assert_allclose(
        flow, variflow.estimate(pair.frame0, pair.frame1, "fast", mask=(known, None)).flow, atol=1e-4
    )


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("factor", [0.5, 0.6, 0.75, 0.8])
def test_no_level_is_empty(pattern, factor):
    frame = np.random.default_rng(1).random(SHAPE)
    levels = pyramid(prepare(frame, frame, mask=PATTERNS[pattern]), factor=factor, coarsest=12)
    for level in levels[1:]:
        if level.shape[0] <= SHAPE[0] / 3:
            assert level.frame0.valid.mean() > 0.5
    assert levels[-1].frame0.valid.mean() > 0.95


@pytest.mark.parametrize("factor", [0.5, 0.75])
def test_the_rim_of_a_hole_is_missing_at_every_level(factor):
    frame = np.random.default_rng(1).random(SHAPE)
    known = np.ones(SHAPE, bool)
    known[32:64, 32:96] = False
    for level in pyramid(prepare(frame, frame, mask=known), factor=factor, coarsest=24):
        height, width = level.shape
        area = np.count_nonzero(~level.frame0.valid) / (height * width)
        assert abs(area - 1 / 6) < 0.05


@pytest.mark.parametrize(
    "pattern", ["every second row", "every second column", "a checkerboard", "one column in three"]
)
def test_filling_moves_nothing_to_one_side(pattern):
    slope = (ROWS + 2 * COLUMNS).astype(np.float32)[None]
    filled = fill_frame(slope, PATTERNS[pattern])
    assert abs((filled - slope)[0, 8:-8, 8:-8].mean()) < 0.05


def test_where_nothing_is_known_nothing_is_filled():
    planes = np.full((1, 5, 7), 3, np.float32)
    np.testing.assert_array_equal(fill_frame(planes, np.zeros((5, 7), bool)), planes)


def test_a_whole_frame_is_known_everywhere():
    assert (Frame.whole(np.zeros((1, 4, 5), np.float32)).known == 1).all()
