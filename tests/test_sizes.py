"""Frames of any size: every model and everything that an estimate offers, where the pyramid has a level or two."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import variflow
from variflow import models
from variflow.datasets import synthetic
from variflow.images.resampling import resample_flow
from variflow.matching.matches import Matches

SIZES = [(1, 1), (1, 40), (40, 1), (2, 2), (5, 40), (8, 8), (12, 300), (16, 16), (30, 30), (31, 33)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", models.names())
def test_every_model_does_everything_at_every_size(name, shape):
    pair = synthetic.translation(shape, shift=(0.5, 0.25))
    result = variflow.estimate(pair.frame0, pair.frame1, name)
    given = np.ones((*shape, 2), np.float32)
    matches = Matches(points=[(0, 0)], flow=[(1, 0)])
    flows = [
        result.flow,
        result.backward,
        variflow.estimate(pair.frame0, pair.frame1, name, init=given).flow,
        variflow.estimate(pair.frame0, pair.frame1, name, init=matches).flow,
        *(each.flow for each in variflow.estimate_video([pair.frame0, pair.frame1, pair.frame0], name)),
    ]
    for flow in flows:
        assert flow.shape == (*shape, 2)
        assert np.isfinite(flow).all()
    assert result.occlusion.shape == result.confidence.shape == shape
    assert np.isfinite(result.confidence).all()


@pytest.mark.parametrize("change", [{"coarsest": 10**6}, {"finest": 50}, {"coarsest": 10**6, "finest": 1}])
def test_a_pyramid_of_one_level_starts_from_what_it_is_given(change):
    pair = synthetic.translation((40, 60), shift=(1.5, -0.5))
    model = replace(models.get("fast"), **change)
    known = np.full((40, 60, 2), (1.5, -0.5), np.float32)
    for init in (known, known[::-1], np.asfortranarray(known)):
        flow = variflow.estimate(pair.frame0, pair.frame1, model, init=init).flow
        assert np.abs(flow[8:-8, 8:-8] - (1.5, -0.5)).mean() < 0.1


@pytest.mark.parametrize(
    ("name", "farthest"), [("realtime", 0.15), ("fast", 0.02), ("balanced", 0.02), ("accurate", 0.02), ("smooth", 0.02)]
)
@pytest.mark.parametrize("rows", [1, 8, 16, 24, 40, 96])
def test_frames_of_few_rows_have_the_flow_of_many(name, farthest, rows):
    pair = synthetic.translation((rows, 300), shift=(1.0, 0.0))
    flow = variflow.estimate(pair.frame0, pair.frame1, name).flow
    assert abs(float(np.median(flow[:, 20:-20, 0])) - 1) < farthest


def test_small_frames_are_solved_at_their_own_size():
    pair = synthetic.translation((96, 128), shift=(1.0, 0.0))
    sizes = [state.shape for state in variflow.iterate(pair.frame0, pair.frame1, "realtime")]
    assert sizes[-1] == (96, 128)
    large = synthetic.translation((128, 160), shift=(1.0, 0.0))
    sizes = [state.shape for state in variflow.iterate(large.frame0, large.frame1, "realtime")]
    assert sizes[-1] == (64, 80)


@pytest.mark.parametrize("side", range(1, 32, 5))
@pytest.mark.parametrize("name", ["realtime", "fast", "accurate"])
def test_a_video_may_be_as_low_as_a_row(name, side):
    frames = [synthetic.translation((side, 90), shift=(0.5 * time, 0)).frame1 for time in range(4)]
    assert [result.flow.shape for result in variflow.estimate_video(frames, name)] == [(side, 90, 2)] * 3


def test_a_flow_keeps_its_size_and_becomes_contiguous():
    planes = np.moveaxis(np.ones((4, 6, 2), np.float32), 2, 0)
    for plane in resample_flow((planes[0], planes[1]), (4, 6)):
        assert plane.flags.c_contiguous


def test_warps_count_from_where_the_estimate_ends():
    frame = np.random.default_rng(0).random((100, 140))
    model = replace(models.brox(), factor=0.5, coarsest=8, warps=(5, 2))
    states, wanted = (
        list(variflow.iterate(frame, np.roll(frame, 1, axis=1), replace(model, finest=finest))) for finest in (7, 0)
    )
    counts = Counter(state.level for state in states)
    assert counts == {0: 5, 1: 2, 2: 2, 3: 2}
    assert {state.finest for state in states} == {0}
    np.testing.assert_array_equal(states[-1].flow, wanted[-1].flow)
    assert "5 warps at the finest, then 2 at all coarser" in str(
        variflow.explain(replace(model, finest=7), frame, frame)
    )
