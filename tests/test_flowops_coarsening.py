"""Squares of pixels: against NumPy square by square, with gaps, remainders and every kind of values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from variflow import flowops


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 2)),
        elements=st.one_of(st.just(np.float32(np.nan)), st.floats(-100, 100, width=32)),
    ),
    st.integers(1, 9),
    st.sampled_from(["mean", "median"]),
)
@settings(max_examples=60, deadline=None)
def test_each_square_gets_the_statistic_of_its_known_pixels(values, grid, statistic):
    height, width = values.shape[:2]
    grid = min(grid, height, width)
    made, count = flowops.coarsen(values, grid, statistic)
    assert made.shape == (height // grid, width // grid, values.shape[2])
    assert (made.dtype, count.dtype) == (np.float32, np.int32)
    for i, j in np.ndindex(*count.shape):
        square = values[i * grid : (i + 1) * grid, j * grid : (j + 1) * grid].reshape(grid**2, -1)
        known = square[np.isfinite(square).all(axis=1)]
        assert count[i, j] == len(known)
        if len(known):
            wanted = getattr(np, statistic)(known.astype(float), axis=0)
            np.testing.assert_allclose(made[i, j], wanted, rtol=1e-6, atol=1e-5)
        else:
            assert np.isnan(made[i, j]).all()


def test_what_is_left_over_belongs_to_none():
    values = np.zeros((7, 8))
    values[6], values[:, 6:] = np.inf, 1e9
    made, count = flowops.coarsen(values, 3)
    np.testing.assert_array_equal(made, np.zeros((2, 2)))
    np.testing.assert_array_equal(count, np.full((2, 2), 9))


def test_a_gap_is_felt_in_its_own_square_alone():
    flow = np.random.default_rng(0).normal(size=(12, 16, 2))
    holed = flow.copy()
    holed[5, 6] = np.nan, 1.0
    for statistic in ("mean", "median"):
        (whole, _), (made, count) = (flowops.coarsen(given, 4, statistic) for given in (flow, holed))
        assert count[1, 1] == 15
        assert np.isfinite(made).all()
        whole[1, 1] = made[1, 1]
        np.testing.assert_array_equal(made, whole)


def test_the_median_forgets_wild_values():
    flow = np.ones((4, 4, 2))
    flow[0, 0] = 1e6
    np.testing.assert_array_equal(flowops.coarsen(flow, 4, "median")[0], np.ones((1, 1, 2)))
    assert flowops.coarsen(flow, 4)[0].min() > 1e4


def test_a_grid_of_one_pixel_changes_nothing():
    values = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    for statistic in ("mean", "median"):
        np.testing.assert_array_equal(flowops.coarsen(values, 1, statistic)[0], values)


def test_wrong_arguments_are_named():
    for grid in (0, 1.5, 5, True):
        with pytest.raises(ValueError, match=rf"^grid is {grid}, wanted a whole number of pixels from 1 to 4"):
            flowops.coarsen(np.zeros((4, 6, 2)), grid)
    with pytest.raises(ValueError, match=r"^statistic is 'max', wanted one of 'mean', 'median'"):
        flowops.coarsen(np.zeros((4, 6)), 2, "max")
    for shape in ((4,), (0, 3), (2, 2, 2, 2)):
        with pytest.raises(ValueError, match=r"^values has shape .*, wanted \(H, W\) or \(H, W, C\)"):
            flowops.coarsen(np.zeros(shape), 1)
