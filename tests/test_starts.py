"""Where an estimate starts from a flow that is given: as fine as the frames confirm it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

import variflow
from variflow import datasets, models
from variflow.datasets import synthetic
from variflow.driver import iterate
from variflow.frames.checking import check_frames
from variflow.metrics import endpoint_error
from variflow.problem import Problem
from variflow.start.from_model import FromModel


def begin(frame0, frame1, model, init):
    """Return the shape of the level at which an estimate begins."""
    return next(iterate(frame0, frame1, model, init=init)).shape


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation((160, 200), shift=(6.0, -3.0), seed=4)


@pytest.mark.parametrize(
    ("off", "shape"),
    [
        ((0.0, 0.0), (80, 100)),  # half the size: the finest level is never the first
        ((0.5, 0.5), (80, 100)),
        ((3.0, 0.0), (40, 50)),
        ((40.0, 0.0), (20, 25)),  # wrong at every level: the coarsest
    ],
)
def test_a_flow_starts_where_the_frames_confirm_it(pair, off, shape):
    init = pair.flow + np.float32(off)
    assert begin(pair.frame0, pair.frame1, "fast", init) == shape


def test_matches_are_the_start_of_small_motion_only_where_that_is_asked_for():
    pair = synthetic.translation((96, 128), shift=(3.0, -1.5), seed=4)
    for model, asked in (("smooth", True), ("fast", False)):  # fast never starts from matches
        problem = Problem(check_frames(pair.frame0, pair.frame1), models.get(model))
        zero, found = FromModel().start(problem), FromModel(always=True).start(problem)
        assert not np.any(zero.planes)
        assert np.any(found.planes) == asked
        if asked:
            scale = problem.levels[found.level].shape[1] / 128
            assert np.median(found.planes[0]) == pytest.approx(3.0 * scale, abs=0.1)
    still = Problem(check_frames(pair.frame0, pair.frame0), models.get("smooth"))
    assert not np.any(FromModel(always=True).start(still).planes)


def test_whatever_it_starts_from_an_estimate_finds_the_motion(pair):
    for off in ((0, 0), (3, -2), (9, 9), (-40, 30)):
        flow = variflow.estimate(pair.frame0, pair.frame1, init=pair.flow + np.float32(off)).flow
        assert np.median(np.abs(flow - pair.flow)) < 0.02, off


@pytest.mark.parametrize("model", ["fast", "balanced"])
def test_a_flow_is_not_confirmed_on_flat_ground(model):
    frame = np.full((96, 120), 7.0)
    init = np.full((96, 120, 2), 3.0)
    assert begin(frame, frame, model, init) == begin(frame, frame, model, None)


def test_a_small_part_that_is_wrong_begins_coarser(pair):
    init = pair.flow.copy()
    init[40:90, 60:120] += 8
    assert begin(pair.frame0, pair.frame1, "fast", init) != (80, 100)
    flow = variflow.estimate(pair.frame0, pair.frame1, "fast", init=init).flow
    assert np.abs(flow - pair.flow)[8:-8, 8:-8].max() < 0.5


def test_one_level_refines_in_place(pair):
    model = replace(models.balanced(), coarsest=160)
    rough = pair.flow + np.float32((0.4, -0.3))
    assert begin(pair.frame0, pair.frame1, model, rough) == (160, 200)
    flow = variflow.estimate(pair.frame0, pair.frame1, model, init=rough).flow
    assert np.median(np.abs(flow - pair.flow)) < 0.1


# Mean end-point errors of estimates that start from the truth, measured and rounded up.
FROM_THE_TRUTH = {
    ("market_5", "fast"): 8.3,
    ("market_5", "balanced"): 2.05,
    ("market_5", "smooth"): 2.2,
    ("cave_2", "fast"): 0.6,
    ("cave_2", "balanced"): 0.649,
    ("cave_2", "smooth"): 0.76,
}


@pytest.mark.parametrize(("name", "model"), FROM_THE_TRUTH)
def test_the_truth_is_no_worse_a_start_than_none(data, name, model):
    """Small things that move far are lost at small levels, whatever an estimate starts from there."""
    pair = next(pair for pair in datasets.sintel(data / "sintel") if pair.name.startswith(name))
    without = variflow.estimate(pair.frame0, pair.frame1, model).flow
    error = endpoint_error(without, pair.flow)
    started = variflow.estimate(pair.frame0, pair.frame1, model, init=pair.flow).flow
    assert endpoint_error(started, pair.flow) < min(FROM_THE_TRUTH[name, model], 0.9 * error)
    again = variflow.estimate(pair.frame0, pair.frame1, model, init=without).flow
    assert endpoint_error(again, pair.flow) < 1.01 * error


@pytest.mark.parametrize("name", ["kitti2015", "flyingchairs"])
def test_a_start_from_its_own_result_keeps_what_the_matches_gave(data, name):
    """Rims of things, and ground that nothing matches, come from matches along lines; smoothness loses them."""
    for pair in datasets.load(name, data / name):
        without = variflow.estimate(pair.frame0, pair.frame1).flow
        again = variflow.estimate(pair.frame0, pair.frame1, init=without).flow
        before, after = (endpoint_error(flow, pair.flow, pair.valid) for flow in (without, again))
        assert after < 1.01 * before, pair.name


@pytest.mark.parametrize(("name", "first"), [("kitti2015", "000002"), ("sintel", "cave_2")])
def test_a_blurred_start_gives_way_to_the_matches(data, name, first):
    pair = next(pair for pair in datasets.load(name, data / name) if pair.name.startswith(first))
    without = variflow.estimate(pair.frame0, pair.frame1).flow
    blurred = uniform_filter(without, size=(31, 31, 0))
    started = variflow.estimate(pair.frame0, pair.frame1, init=blurred).flow
    before, after = (endpoint_error(flow, pair.flow, pair.valid) for flow in (without, started))
    assert after < 1.01 * before


@pytest.mark.parametrize("name", ["RubberWhale", "Venus"])
def test_a_missing_corner_changes_nothing_far_away(middlebury, name):
    pair = middlebury[name]
    holed = pair.frame0.astype(float)
    holed[0, 0] = np.nan
    whole = variflow.estimate(pair.frame0, pair.frame1).flow
    moved = np.hypot(*np.moveaxis(variflow.estimate(holed, pair.frame1).flow - whole, 2, 0)) > 0.1
    assert moved.mean() < 0.003
