"""Nothing finite gives a NaN: frames, weights and starts of any values."""

import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import variflow
from variflow import flowops
from variflow.datasets import synthetic
from variflow.matching.matches import Matches

SHAPE = (11, 14)
MODELS = ["fast", "balanced", "accurate", "brox", "tv-l1", "horn-schunck", "lucas-kanade"]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False)
FILLS = st.sampled_from([0, 1, 0.5, 1e20, -3.4e38, 1e-300, 5e-324, 1e5, -9999])


@given(
    frames=st.one_of(
        arrays(np.float64, (2, *SHAPE), elements=NUMBERS),
        arrays(np.float32, (2, *SHAPE), elements=SINGLES),
        arrays(np.float64, (2, *SHAPE), elements=FILLS),
        arrays(np.int64, (2, *SHAPE)),
    ),
    weights=st.none() | arrays(np.float64, SHAPE, elements=st.floats(0, 1e6)),
    init=st.none() | arrays(np.float32, (*SHAPE, 2), elements=SINGLES),
    model=st.sampled_from(MODELS),
)
@settings(max_examples=150, deadline=None)
def test_nothing_finite_gives_a_nan(frames: Any, weights: Any, init: Any, model: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", variflow.VariflowWarning)
        try:
            flow = variflow.estimate(*frames, model, weights=weights, init=init).flow
        except ValueError as error:
            if "wanted a usable range" in str(error) or "init has no known pixel" in str(error):
                return
            raise
    assert np.isfinite(flow).all()


@pytest.fixture(scope="module")
def pair() -> Any:
    return synthetic.translation((40, 60), shift=(1.5, -0.5))


@pytest.mark.parametrize("most", [1e30, 1e7, 3e38, 1e300])
def test_a_weight_beyond_any_use_is_refused(pair: Any, most: float) -> None:
    weights = np.ones((40, 60))
    weights[3, 4] = most
    for value in (weights, (None, weights)):
        with pytest.raises(ValueError, match=r"weights has values up to .*, wanted at most 1e\+06"):
            variflow.estimate(pair.frame0, pair.frame1, "fast", weights=value)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weight", [0.0, 1e-300, 1e-40, 1e-20, 1e6])
def test_weights_of_any_size_give_a_flow(pair: Any, model: str, weight: float) -> None:
    counts = weight >= 1e-6
    says_so = nullcontext() if counts else pytest.warns(variflow.VariflowWarning, match="the frames do not count")
    with says_so:
        flow = variflow.estimate(pair.frame0, pair.frame1, model, weights=np.full((40, 60), weight)).flow
    assert np.isfinite(flow).all()
    if weight == 0:
        assert not flow.any()


@pytest.mark.parametrize("huge", [1e30, -1e30, 3e38, 1e5, -9999])
@pytest.mark.parametrize("model", ["fast", "accurate", "tv-l1"])
def test_a_displacement_of_many_frames_is_unknown(pair: Any, model: str, huge: float) -> None:
    init = np.full((40, 60, 2), (1.5, -0.5), np.float32)
    unknown = init.copy()
    init[5:20, 8:30, 0], unknown[5:20, 8:30] = huge, np.nan
    with pytest.warns(variflow.VariflowWarning, match="the flow of init has 330 displacements of more than 240 px"):
        flow = variflow.estimate(pair.frame0, pair.frame1, model, init=init).flow
    np.testing.assert_array_equal(flow, variflow.estimate(pair.frame0, pair.frame1, model, init=unknown).flow)


def test_what_flow_files_have_for_unknown_is_so_without_a_word(pair: Any) -> None:
    init = np.full((40, 60, 2), 1666666752, np.float32)
    init[:, :30] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        variflow.estimate(pair.frame0, pair.frame1, "fast", init=init)
    with pytest.raises(ValueError, match="init has no known pixel"):
        variflow.estimate(pair.frame0, pair.frame1, "fast", init=np.full((40, 60, 2), 1666666752, np.float32))


@pytest.mark.parametrize("huge", [1e30, -3e38, 1e4])
def test_a_match_across_many_frames_is_none(pair: Any, huge: float) -> None:
    right, wrong = Matches([(5, 5), (30, 20)], [(1.5, -0.5)] * 2), Matches([(5, 5), (30, 20)], [(1.5, -0.5), (0, huge)])
    with pytest.warns(variflow.VariflowWarning, match="the flow of the matches has 1 displacements of more"):
        flow = variflow.estimate(pair.frame0, pair.frame1, "fast", init=wrong).flow
    alone = variflow.estimate(pair.frame0, pair.frame1, "fast", init=Matches(right.points[:1], right.flow[:1])).flow
    np.testing.assert_array_equal(flow, alone)


def test_huge_flows_are_not_consistent() -> None:
    there = np.full((4, 5, 2), 1e30, np.float32)
    assert not flowops.is_consistent(there, there).any()
    assert not flowops.is_consistent(np.zeros_like(there), there).any()
