"""End-point and angular error against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

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
        with pytest.raises(ValueError, match="flow: unknown at 2 of the 6 pixels"):
            metric(flow, truth)
        assert metric(flow, truth, valid=[[0, 0, 1], [1, 1, 1]]) == 0
    assert np.isnan(endpoint_error_map(flow, truth)).tolist() == [[True, True, False], [False, False, False]]
    truth[0, :2, 1] = np.nan
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
        with pytest.raises(error, match=f"^{name}:"):
            metric(*arguments)


def test_published_truth_has_no_error_against_itself(middlebury):
    truth = middlebury["Hydrangea"].flow
    assert endpoint_error(np.nan_to_num(truth), truth) == 0
    assert np.isnan(endpoint_error_map(truth, truth)).any()
