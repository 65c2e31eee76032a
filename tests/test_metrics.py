"""Every metric against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from variflow import metrics
from variflow.metrics import angular_error, endpoint_error, endpoint_error_map

fields = arrays.arrays(np.float32, (3, 4, 2), elements=st.floats(-200, 200, width=32))


def test_endpoint_error_by_hand():
    truth = np.zeros((2, 2, 2))
    flow = np.array([[[3, 4], [0, 0]], [[5, 12], [0, -2]]], np.float32)
    assert endpoint_error(flow, truth) == (5 + 0 + 13 + 2) / 4
    assert endpoint_error_map(flow, truth).tolist() == [[5, 0], [13, 2]]
    assert endpoint_error(flow, truth, valid=[[True, False], [False, True]]) == 3.5
    truth[0, 0, 1] = np.nan
    assert endpoint_error(flow, truth) == 5
    assert endpoint_error(flow, truth, valid=np.array([[1, 1], [0, 1]], np.uint8)) == 1


@pytest.mark.parametrize(
    ("flow", "truth", "degrees"),
    [
        ((1, 0), (0, 0), 45),
        ((0, 0), (0, -1), 45),
        ((1, 0), (0, 1), 60),
        ((1, 0), (-1, 0), 90),
        ((3, 4), (3, 4), 0),
        ((np.sqrt(3), 0), (0, 0), 60),
        ((1e-9, 0), (0, 0), np.degrees(1e-9)),
        ((1e6, 0), (-1e6, 0), 180 - np.degrees(2e-6)),
    ],
)
def test_angular_error_by_hand(flow, truth, degrees):
    assert angular_error([[flow]], [[truth]]) == pytest.approx(degrees, rel=1e-9, abs=0)


@settings(max_examples=50, deadline=None)
@given(flow=fields, truth=fields)
def test_errors_are_symmetric_and_vanish_exactly_for_equal_flows(flow, truth):
    assert endpoint_error(flow, flow) == 0
    assert angular_error(flow, flow) == 0
    assert endpoint_error(flow, truth) == endpoint_error(truth, flow)
    assert angular_error(flow, truth) == pytest.approx(angular_error(truth, flow), rel=1e-9, abs=1e-12)
    assert 0 <= angular_error(flow, truth) <= 180
    assert endpoint_error(flow, truth) == pytest.approx(endpoint_error_map(flow, truth).mean())


def test_an_unknown_estimate_is_an_error_only_where_it_counts():
    truth = np.zeros((2, 3, 2))
    flow = np.zeros((2, 3, 2))
    flow[0, :2, 0] = [np.nan, np.inf]
    for metric in (endpoint_error, angular_error):
        with pytest.raises(ValueError, match="flow is unknown at 2 of the 6 pixels"):
            metric(flow, truth)
        assert metric(flow, truth, valid=[[0, 0, 1], [1, 1, 1]]) == 0
    for error in (endpoint_error_map(flow, truth), metrics.angular_error_map(flow, truth)):
        assert error.tolist() == [[np.inf, np.inf, 0], [0, 0, 0]]
        assert metrics.robustness(error, 100) == pytest.approx(100 / 3)
        assert metrics.accuracy(error, 50) == 0
        assert metrics.accuracy(error, 75) == np.inf
    assert metrics.outliers(flow, truth) == pytest.approx(100 / 3)
    assert endpoint_error(metrics.complete(flow), truth) == 0
    truth[0, :2, 1] = np.nan
    assert np.isnan(endpoint_error_map(flow, truth)).tolist() == [[True, True, False], [False, False, False]]
    assert metrics.outliers(flow, truth) == 0
    assert endpoint_error(flow, truth) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ((np.zeros((2, 2)), np.zeros((2, 2))), ValueError, "flow"),
        ((np.zeros((2, 3, 2)), np.zeros((3, 2, 2))), ValueError, "flow"),
        ((np.zeros((2, 2, 2)), np.zeros((2, 2, 3))), ValueError, "truth"),
        ((np.zeros((2, 2, 2), complex), np.zeros((2, 2, 2))), TypeError, "flow"),
        ((np.zeros((2, 2, 2)), np.full((2, 2, 2), np.nan)), ValueError, "truth"),
        ((np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), np.ones((2, 2, 2), bool)), ValueError, "valid"),
        ((np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), np.ones((2, 2))), TypeError, "valid"),
        ((np.zeros((0, 2, 2)), np.zeros((0, 2, 2))), ValueError, "flow"),
    ],
)
def test_what_cannot_be_compared_is_named(arguments, error, name):
    for metric in (endpoint_error, angular_error):
        with pytest.raises(error, match=rf"^{name}\b"):
            metric(*arguments)


ZERO = np.zeros((3, 4, 2))


@pytest.mark.parametrize("wrong", [-1, np.nan, "3", None, [1, 2]])
@pytest.mark.parametrize(
    ("measure", "name"),
    [
        (lambda value: metrics.outliers(ZERO, ZERO, above=value), "above"),
        (lambda value: metrics.outliers(ZERO, ZERO, relative=value), "relative"),
        (lambda value: metrics.robustness([0.5, 1], value), "above"),
        (lambda value: metrics.near(np.ones((3, 4), bool), value), "distance"),
        (lambda value: metrics.motion_boundaries(ZERO, value), "jump"),
        (lambda value: metrics.speed_between(ZERO, value), "slowest"),
        (lambda value: metrics.speed_between(ZERO, 0, value), "fastest"),
    ],
)
def test_a_threshold_that_is_none_is_named(measure, name, wrong):
    with pytest.raises(ValueError, match=rf"^{name} is .*, wanted .* (of at least|above) 0$"):
        measure(wrong)


def test_a_mask_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"^mask has shape \(\), wanted \(H, W\)$"):
        metrics.near(True, 3)


def test_a_range_of_speeds_that_is_empty_is_refused():
    with pytest.raises(ValueError, match=r"^fastest is 0, wanted a speed in pixels per frame above 10$"):
        metrics.speed_between(ZERO, 10, 0)


def test_published_truth_has_no_error_against_itself(middlebury):
    truth = middlebury["Hydrangea"].flow
    assert endpoint_error(np.nan_to_num(truth), truth) == 0
    assert np.isnan(endpoint_error_map(truth, truth)).any()


def test_outliers_by_hand():
    """True speed 100 px: 5 % is 5 px. Errors 2, 4, 6 and 6 px; the last where the truth moves 200 px."""
    truth = np.zeros((1, 4, 2))
    truth[..., 0] = [100, 100, 100, 200]
    flow = truth + np.array([[[0, 2], [0, 4], [0, 6], [0, 6]]])
    assert metrics.outliers(flow, truth) == 25
    assert metrics.outliers(flow, truth, relative=0) == 75
    assert metrics.outliers(flow, truth, above=1, relative=0) == 100
    assert metrics.outliers(flow, truth, above=5, relative=0) == 50
    assert metrics.outliers(flow, truth, above=6, relative=0) == 0
    assert metrics.outliers(flow, truth, valid=[[False, True, True, False]]) == 50
    truth[0, 0] = np.nan
    assert metrics.outliers(flow, truth) == pytest.approx(100 / 3)
    with pytest.raises(ValueError, match=r"^truth has no pixel"):
        metrics.outliers(flow, np.full_like(truth, np.nan))


def test_robustness_and_accuracy_by_hand():
    error = np.array([[0.2, 0.5, 0.7], [1.0, 4.0, np.nan]])
    assert metrics.robustness(error, 0.5) == pytest.approx(60)
    assert metrics.robustness(error, 1.0) == pytest.approx(20)
    assert metrics.accuracy(error, 50) == 0.7
    assert metrics.accuracy(error, 20) == 0.2
    assert metrics.accuracy(error, 95) == metrics.accuracy(error, 100) == 4.0
    assert metrics.accuracy(error[:, :2], 50) == 0.5
    with pytest.raises(ValueError, match=r"^percent is"):
        metrics.accuracy(error, 0)
    for statistic in (metrics.robustness, metrics.accuracy):
        with pytest.raises(ValueError, match=r"^error is NaN"):
            statistic([np.nan], 50)


def test_ause_by_hand():
    """Errors 1, 2, 3, 6 of mean 3, compared with 0, 1, 2 and 3 of 4 pixels left out.

    By the errors the rest has means 3, 2, 1.5, 1; in the reverse order 3, 11/3, 4.5, 6; by the third uncertainty, which
    only swaps the two largest, 3, 3, 1.5, 1.
    """
    error = [6.0, 3.0, 2.0, 1.0]
    assert metrics.ause(error, [4, 3, 2, 1], steps=4) == 0
    assert metrics.ause(error, [1, 2, 3, 4], steps=4) == pytest.approx((5 / 3 + 3 + 5) / 4 / 3)
    assert metrics.ause(error, [3, 4, 2, 1], steps=4) == pytest.approx(1 / 4 / 3)
    assert metrics.ause([*error, np.nan], [3, 4, 2, 1, np.nan], steps=4) == pytest.approx(1 / 4 / 3)
    assert metrics.ause([0.0, 0.0], [1, 2]) == 0
    with pytest.raises(ValueError, match=r"^uncertainty has shape"):
        metrics.ause(error, [1, 2])
    with pytest.raises(ValueError, match="finite numbers"):
        metrics.ause(error, [1, 2, np.nan, 3])


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float64, 30, elements=st.floats(0, 100)), st.permutations(range(30)))
def test_no_order_is_better_than_that_of_the_errors(error, order):
    assert metrics.ause(error, error) == pytest.approx(0, abs=1e-12)
    assert metrics.ause(error, order) >= -1e-12


@pytest.mark.parametrize("size", [5e-324, 1e308])
def test_the_unit_of_the_errors_does_not_count(size):
    error = np.array([1.0, 0.0, 1.0, 0.0])
    assert metrics.ause(size * error, [0, 1, 2, 3]) == metrics.ause(error, [0, 1, 2, 3])


def test_speeds_by_hand():
    truth = np.array([[[6.0, 8.0], [0.0, 9.9], [40.0, 0.0], [np.nan, 1.0]]])
    assert metrics.speed_between(truth, 0, 10).tolist() == [[False, True, False, False]]
    assert metrics.speed_between(truth, 10, 40).tolist() == [[True, False, False, False]]
    assert metrics.speed_between(truth, 40).tolist() == [[False, False, True, False]]


def test_motion_boundaries_and_what_is_near_them_by_hand():
    truth = np.zeros((5, 7, 2))
    truth[:, 4:] = [0.8, 0.8]  # a jump of 1.13 px between columns 3 and 4
    edges = metrics.motion_boundaries(truth)
    assert np.flatnonzero(edges.all(axis=0)).tolist() == [3, 4]
    assert edges.sum() == 10
    assert not metrics.motion_boundaries(truth, jump=1.2).any()
    assert metrics.motion_boundaries(truth.transpose(1, 0, 2)).tolist() == edges.T.tolist()
    assert np.flatnonzero(metrics.near(edges, 2).any(axis=0)).tolist() == [1, 2, 3, 4, 5, 6]
    point = np.zeros((5, 5), bool)
    point[2, 2] = True
    assert metrics.near(point, 1.5).sum() == 9
    assert metrics.near(point, 1).sum() == 5
    assert not metrics.near(np.zeros((2, 2), bool)).any()
    truth[:, 4:] = np.nan
    assert not metrics.motion_boundaries(truth).any()


def test_complete_by_hand():
    """As the development kit of KITTI: the smaller end within a row, the nearest value at its ends, then by column."""
    gap = np.nan
    flow = np.zeros((3, 5, 2))
    flow[0] = gap
    flow[1, :, 0] = [gap, 4, gap, gap, 2]
    flow[1, :, 1] = [gap, -1, gap, gap, 5]
    flow[2, :, 0] = [1, gap, gap, gap, gap]
    filled = metrics.complete(flow)
    assert filled.dtype == np.float32
    assert filled[1, :, 0].tolist() == [4, 4, 2, 2, 2]
    assert filled[1, :, 1].tolist() == [-1, -1, -1, -1, 5]
    assert filled[0].tolist() == filled[1].tolist()
    assert filled[2, :, 0].tolist() == [1, 1, 1, 1, 1]
    known = np.ones((2, 3, 2), np.float32)
    assert metrics.complete(known).tolist() == known.tolist()
    with pytest.raises(ValueError, match=r"^flow is unknown everywhere"):
        metrics.complete(np.full((2, 2, 2), np.nan))


def test_interpolation_error_by_hand():
    """Differences 3, 4 and 0 and a missing pixel; the true gradients are 10, 10 and 10 from column to column."""
    truth = np.array([[0.0, 10.0, 20.0, np.nan]])
    made = np.array([[3.0, 14.0, 20.0, 7.0]])
    assert metrics.interpolation_error(made, truth) == pytest.approx(np.sqrt(25 / 3))
    ramp = np.tile([0.0, 10.0, 20.0], (2, 1))
    error = metrics.interpolation_error(ramp + np.array([3.0, 4.0, 0.0]), ramp, normalized=True)
    assert error == pytest.approx(np.sqrt(25 / 101 / 3))
    colors = np.zeros((1, 2, 3), np.uint8)
    assert metrics.interpolation_error(colors + np.uint8([2, 3, 6]), colors) == 7
    with pytest.raises(ValueError, match=r"^frame is missing"):
        metrics.interpolation_error([[np.nan]], [[1.0]])
    with pytest.raises(ValueError, match=r"^frame has shape"):
        metrics.interpolation_error(colors, truth)


def test_in_between_by_hand():
    """A bar moves by 2 px over a ground at rest: halfway it has moved by 1, and shows the ground that it uncovers.

    Where it comes from, the ground is seen in the second frame alone; where it goes, in the first alone.
    """
    frames = [np.full((6, 16), 50.0) for _ in range(3)]
    for frame, left in zip(frames, (4, 5, 6), strict=True):
        frame[:, left : left + 5] = 200.0
    flow = np.zeros((6, 16, 2))
    flow[:, 4:9, 0] = 2
    made = metrics.in_between(frames[0], frames[2], flow)
    np.testing.assert_allclose(made, frames[1], atol=1e-4)
    np.testing.assert_allclose(metrics.in_between(frames[0], frames[2], flow, time=0), frames[0], atol=1e-4)
    np.testing.assert_allclose(metrics.in_between(frames[0], frames[2], flow, time=1), frames[2], atol=1e-4)
    colors = metrics.in_between(np.dstack([frames[0]] * 3), np.dstack([frames[2]] * 3), flow)
    np.testing.assert_allclose(colors, np.dstack([made] * 3))
    wrong = [(flow[:3], 0.5, "flow"), (flow, 2, "time"), (np.full_like(flow, np.nan), 0.5, "flow")]
    for field, time, name in wrong:
        with pytest.raises(ValueError, match=rf"^{name}\b"):
            metrics.in_between(frames[0], frames[2], field, time)


def test_what_leaves_the_frame_is_taken_from_the_frame_that_still_shows_it():
    ramp = np.tile(np.arange(0.0, 80.0, 5.0), (6, 1))
    flow = np.zeros((6, 12, 2))
    flow[..., 0] = -4
    made = metrics.in_between(ramp[:, :12], ramp[:, 4:], flow)
    np.testing.assert_allclose(made[:, :10], ramp[:, 2:12], atol=1e-4)


def test_the_true_flow_interpolates_better_than_no_flow(middlebury, data):
    from variflow import datasets

    found = datasets.middlebury(data / "middlebury")
    sample = found[found.names.index("RubberWhale")]
    frames = sample.frame0, sample.frame1
    errors = [
        metrics.interpolation_error(metrics.in_between(*frames, flow), sample.between)
        for flow in (metrics.complete(sample.flow), np.zeros_like(sample.flow))
    ]
    assert errors[0] < 0.7 * errors[1]
