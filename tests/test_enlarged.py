"""The level that is finer than the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import variflow
from variflow import metrics, models
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, FlowTerm, PriorFlow, Smoothness
from variflow.images.resampling import resample_flow
from variflow.models import Model
from variflow.unknowns import FlowAndPlanes, StreamFunction

SHAPE, FACTOR = (60, 90), 0.75
ENLARGED = (80, 120)
MODEL = replace(models.brox(), finest=-1, factor=FACTOR, warps=(1, 3))


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation(SHAPE, shift=(1.3, -0.6), seed=3)


def test_the_estimate_ends_above_the_size_of_the_frames(pair):
    states = list(variflow.iterate(pair.frame0, pair.frame1, MODEL))
    assert [(state.level, state.shape) for state in states if state.level < 1][-4:] == [
        *((0, SHAPE) for _ in range(3)),
        (-1, ENLARGED),
    ]
    result = variflow.estimate(pair.frame0, pair.frame1, MODEL)
    assert result.flow.shape == (*SHAPE, 2)
    assert metrics.endpoint_error(result.flow, pair.flow) < 0.03
    np.testing.assert_allclose(result.flow, states[-1].at_full_size(SHAPE), atol=0.02)


def test_it_is_the_flow_of_enlarged_frames(pair):
    """Frames that a person enlarged are compared along the same flow, in their pixels."""
    from scipy import ndimage

    large = [ndimage.zoom(frame.astype(float), (4 / 3, 4 / 3, 1), order=3, mode="mirror", grid_mode=True)
             for frame in (pair.frame0, pair.frame1)]  # fmt: skip
    *_, last = variflow.iterate(pair.frame0, pair.frame1, MODEL)
    flow = variflow.estimate(*large, replace(MODEL, finest=0, presmoothing=MODEL.presmoothing / FACTOR)).flow
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(last.flow - flow)[inner].max() < 0.05


def test_motion_edges_are_nearer_to_where_they_are(middlebury):
    for name in ("RubberWhale", "Grove2", "Venus"):
        sample = middlebury[name]
        model = models.accurate()
        errors = [
            metrics.endpoint_error(variflow.estimate(sample.frame0, sample.frame1, each).flow, sample.flow)
            for each in (model, replace(model, finest=0, warps=(3, 8)))
        ]
        assert errors[0] < 0.99 * errors[1], name


@pytest.mark.parametrize("change", [{}, {"light": "matched"}, {"occlusion": "estimated", "noise": "estimated"}])
def test_equal_frames_do_not_move(pair, change):
    assert not variflow.estimate(pair.frame0, pair.frame0, replace(MODEL, **change)).flow.any()


def test_missing_pixels_do_not_spread(pair):
    holed = pair.frame0.astype(float)
    holed[20:35, 30:50] = np.nan
    whole, flow = (variflow.estimate(first, pair.frame1, MODEL).flow for first in (pair.frame0, holed))
    assert np.isfinite(flow).all()
    away = np.ones(SHAPE, bool)
    away[8:47, 18:62] = False
    assert np.abs(flow - whole)[away].max() < 0.05


def test_light_is_matched_before(pair):
    darker = 0.7 * pair.frame1.astype(float) + 9
    flow = variflow.estimate(pair.frame0, darker, replace(MODEL, light="matched")).flow
    assert metrics.endpoint_error(flow, pair.flow) < 0.05


def test_planes_of_the_size_of_the_frames_are_enlarged(pair):
    seen = []

    class Watched(PriorFlow):
        def residuals(self, d, at):
            seen.append((at.level, self.flow.shape))
            return super().residuals(d, at)

    energy = BrightnessConstancy(Charbonnier(0.1), normalisation=1 / 255) + 0.5 * Smoothness() + Watched(flow=pair.flow)
    flow = variflow.estimate(pair.frame0, pair.frame1, Model(energy, finest=-1, factor=FACTOR, warps=1)).flow
    assert (-1, (*ENLARGED, 2)) in seen
    assert metrics.endpoint_error(flow, pair.flow) < 0.05


class SmoothGain(FlowTerm):
    def residuals(self, flow, at):
        gain = flow[2]
        return [gain[:-1, 1:] - gain[:-1, :-1], gain[1:, :-1] - gain[:-1, :-1]]


@pytest.mark.parametrize("unknowns", [StreamFunction(), FlowAndPlanes("gain")])
def test_other_unknowns_reach_it_and_come_back(pair, unknowns):
    energy = BrightnessConstancy(Charbonnier(0.1), normalisation=1 / 255) + 0.1 * Smoothness(Charbonnier(0.01))
    if isinstance(unknowns, FlowAndPlanes):
        energy = energy + SmoothGain()
    result = variflow.estimate(pair.frame0, pair.frame1, Model(energy, unknowns=unknowns, finest=-1, factor=FACTOR))
    assert all(plane.shape == SHAPE for plane in result.unknowns.values())
    assert metrics.endpoint_error(result.flow, pair.flow) < 0.1


def test_what_builds_on_an_estimate_works(pair):
    result = variflow.estimate(pair.frame0, pair.frame1, MODEL, init=pair.flow)
    assert result.backward.shape == (*SHAPE, 2)
    assert np.abs(result.backward + result.flow)[4:-4, 4:-4].max() < 0.1
    assert result.occlusion.shape == result.confidence.shape == SHAPE
    flows = [each.flow for each in variflow.estimate_video([pair.frame0, pair.frame1, pair.frame1], MODEL)]
    np.testing.assert_allclose(flows[0], variflow.estimate(pair.frame0, pair.frame1, MODEL).flow, atol=0.05)
    assert np.abs(flows[1]).max() < 0.01


def test_a_flow_comes_back_with_sharp_edges():
    u = np.zeros(ENLARGED, np.float32)
    u[:, 60:] = 4
    smooth, sharp = (resample_flow((u, u), SHAPE, **blur)[0] for blur in ({}, {"blur": 0.0}))
    between = [int(((plane > 0.01) & (plane < 2.99)).sum(axis=1).max()) for plane in (smooth, sharp)]
    assert between[1] == 0 < between[0]


def test_it_is_explained(pair, capsys):
    variflow.estimate(pair.frame0, pair.frame1, MODEL, verbose=2)
    assert "one that is finer than the frames: 120 x 80" in capsys.readouterr().out


@pytest.mark.parametrize("pattern", ["rows", "checkerboard", "half"])
def test_frames_with_a_pattern_of_gaps_are_not_enlarged(pair, pattern):
    """Between them there is only what they were filled with; between rows, no target is usable at the frames' size."""
    y, x = np.indices(SHAPE)
    half = np.random.default_rng(0).random(SHAPE) < 0.5
    mask = {"rows": y % 2 == 0, "checkerboard": (x + y) % 2 == 0, "half": half}[pattern]
    states = list(variflow.iterate(pair.frame0, pair.frame1, MODEL, mask=mask))
    assert states[-1].level == (0 if pattern == "half" else 1)
    body = np.hypot(y - 30, x - 40) > 15
    assert [*variflow.iterate(pair.frame0, pair.frame1, MODEL, mask=body)][-1].level == -1
