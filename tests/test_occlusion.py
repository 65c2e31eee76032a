"""The flow back, what is occluded and how sure a flow is: all read off one estimate."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import variflow
from variflow import datasets, flowops, models
from variflow.datasets import synthetic
from variflow.datasets.synthetic import Ellipse, Layer, Motion, Texture
from variflow.metrics import ause, endpoint_error_map
from variflow.occlusion import Comparison, estimate_confidence, find_occlusion

MODEL = models.balanced()


@pytest.fixture(scope="module")
def demo():
    sample = datasets.demo()
    return sample, variflow.estimate(sample.frame0, sample.frame1, MODEL)


def f_score(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def scene(seed):
    """Three discs that move over a background."""
    random = np.random.default_rng(seed)
    layers = [Layer(Texture(10 * seed), Motion(tuple(random.uniform(-3, 3, 2))))]
    for index, center in enumerate([(50, 45), (110, 80), (75, 95)]):
        motion = Motion(tuple(random.uniform(-8, 8, 2)), rotation=random.uniform(-3, 3), center=center)
        layers.append(Layer(Texture(10 * seed + index + 1), motion, Ellipse(center, (26, 20), 40 * index)))
    return synthetic.render(layers, (130, 160))


def test_identical_frames_hide_nothing_and_are_sure():
    frame = synthetic.translation((60, 80), seed=3).frame0
    result = variflow.estimate(frame, frame, MODEL)
    assert (result.backward == 0).all()
    assert not result.occlusion.any()
    assert (result.confidence == 1).all()


@pytest.mark.parametrize("model", ["realtime", "balanced", "horn-schunck"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_frames_that_show_nothing_are_not_sure(model, channels):
    bare = np.full((30, 40, *channels), 7.3)
    texture = np.random.default_rng(0).random((30, 40, *channels))
    pixels = [np.full((1, 1, *channels), value) for value in (7.0, 12.0)]
    for frames in ((bare, bare), pixels):
        assert (variflow.estimate(*frames, model).confidence <= 0.5).all()
    for frames in ((bare, texture), (texture, bare)):
        with pytest.warns(variflow.VariflowWarning, match="shows nothing"):
            assert (variflow.estimate(*frames, model).confidence <= 0.5).all()
    nearly = bare.copy()
    nearly[10:20, 10:20] = 8
    assert (variflow.estimate(nearly, nearly, model).confidence == 1).all()


def test_types_shapes_and_ranges(demo):
    sample, result = demo
    assert result.backward.shape == sample.flow.shape
    assert result.backward.dtype == result.confidence.dtype == np.float32
    assert result.occlusion.dtype == bool
    assert result.occlusion.shape == result.confidence.shape == sample.occlusion.shape
    assert np.isfinite(result.backward).all()
    assert (result.confidence >= 0).all()
    assert (result.confidence <= 1).all()
    assert result.backward is result.backward  # computed once


def add_bars(frame):
    return np.pad(frame, ((12, 12), (0, 0), (0, 0)))


@pytest.mark.parametrize("model", ["realtime", "balanced"])
@pytest.mark.parametrize("frame", [lambda frame: frame, add_bars], ids=["whole", "between bars"])
def test_a_flow_may_be_changed_in_place(model, frame):
    """As `flow /= dt` does: what is read later is still that of the flow in pixels."""
    sample = scene(3)
    frames = frame(sample.frame0), frame(sample.frame1)
    wanted, changed, marked = (variflow.estimate(*frames, model) for _ in range(3))
    flow = changed.flow
    flow /= 2e-4
    marked.flow[:10] = np.nan
    for result in (changed, marked, pickle.loads(pickle.dumps(changed)), copy.deepcopy(changed)):
        assert not np.array_equal(result.flow, wanted.flow)
        for name in ("confidence", "occlusion", "backward"):
            np.testing.assert_array_equal(getattr(result, name), getattr(wanted, name), err_msg=name)
        np.testing.assert_array_equal(result.unknowns["u"], wanted.flow[..., 0])


def test_a_flow_back_may_be_changed_in_place():
    sample = scene(3)
    wanted, changed = (variflow.estimate(sample.frame0, sample.frame1, "realtime") for _ in range(2))
    backward = changed.backward
    backward *= -1000
    np.testing.assert_array_equal(changed.occlusion, wanted.occlusion)
    np.testing.assert_array_equal(changed.confidence, wanted.confidence)


def test_the_flow_back_is_that_of_the_frames_the_other_way_around(demo):
    sample, result = demo
    whole = variflow.estimate(sample.frame1, sample.frame0, MODEL).flow
    apart = np.hypot(*np.moveaxis(result.backward - whole, 2, 0))
    assert np.median(apart) < 0.02
    assert (apart < 0.2).mean() > 0.94
    seen = ~sample.occlusion
    assert np.nanmedian(flowops.consistency(result.flow, result.backward)[seen]) < 0.04


def test_occlusion_of_the_demo(demo):
    sample, result = demo
    assert f_score(result.occlusion, sample.occlusion) > 0.86
    plain = ~flowops.is_consistent(result.flow, result.backward)
    assert f_score(result.occlusion, sample.occlusion) > f_score(plain, sample.occlusion)


def test_occlusion_of_scenes():
    scores = []
    for seed in range(1, 5):
        sample = scene(seed)
        result = variflow.estimate(sample.frame0, sample.frame1, MODEL)
        scores.append(f_score(result.occlusion, sample.occlusion))
    assert np.mean(scores) > 0.75, scores


def test_what_leaves_the_frame_is_occluded():
    pair = synthetic.translation((60, 80), shift=(6.0, -4.0), seed=4)
    result = variflow.estimate(pair.frame0, pair.frame1, MODEL)
    assert result.occlusion[:, -5:].all()
    assert result.occlusion[:3].all()
    assert not result.occlusion[8:-4, 4:-10].any()


def test_frames_that_share_nothing_still_have_a_flow_back():
    """Nothing of the first frame arrives in the second."""
    random = np.random.default_rng(5)
    first, second = random.random((2, 24, 32))
    result = variflow.estimate(first, second, MODEL)
    away = replace(result, _found=result._found._replace(flow=(np.full((24, 32), 100, np.float32),) * 2))
    assert np.isfinite(away.backward).all()
    assert away.occlusion.all()
    assert (away.confidence <= 0.5).all()


def test_confidence_tells_the_errors_apart_and_how_likely_they_are(demo):
    sample, result = demo
    error = endpoint_error_map(result.flow, sample.flow)
    assert ause(error, -result.confidence) < 0.08
    right = error < 1
    assert right[result.confidence > 0.9].mean() > 0.9
    assert right[result.confidence < 0.3].mean() < right[result.confidence > 0.9].mean()


@pytest.mark.parametrize("name", ["Grove3", "Urban3"])
def test_confidence_ranks_real_errors_better_than_the_plain_distance(middlebury, name):
    pair = middlebury[name]
    result = variflow.estimate(pair.frame0, pair.frame1, MODEL)
    error = endpoint_error_map(result.flow, pair.flow)
    back = flowops.warp(result.backward, result.flow, "bilinear")
    plain = np.hypot(*np.moveaxis(result.flow + back, 2, 0))
    assert ause(error, -result.confidence) < min(0.3, ause(error, plain))


def test_missing_pixels_masks_and_weights_of_both_frames():
    pair = synthetic.translation((60, 80), shift=(1.5, -0.5), seed=6)
    holed = pair.frame0.astype(float)
    holed[20:30, 30:45] = np.nan
    mask, weights = np.ones((60, 80), bool), np.ones((60, 80))
    mask[40:50, 10:20] = False
    weights[5:15, 60:70] = 0.1
    whole = variflow.estimate(pair.frame0, pair.frame1, MODEL).backward
    for given_mask, given_weights in ((mask, weights), ((None, mask), (weights, weights)), (None, None)):
        result = variflow.estimate(holed, pair.frame1, MODEL, mask=given_mask, weights=given_weights)
        assert np.isfinite(result.backward).all()
        assert np.isfinite(result.confidence).all()
        assert result.occlusion[4:-4, 4:-4].mean() < 0.02
        assert result.confidence[22:28, 33:42].max() <= 0.5
        assert result.confidence[52:58, 25:60].min() > 0.9
        far = np.s_[:15, :25]
        assert np.abs(result.backward - whole)[far].max() < 0.1


def test_a_flow_to_start_from_is_not_taken_for_the_way_back():
    pair = synthetic.translation((60, 80), shift=(3.0, 0.0), seed=7)
    init = np.broadcast_to(np.float32([3, 0]), (60, 80, 2))
    result = variflow.estimate(pair.frame0, pair.frame1, MODEL, init=init)
    np.testing.assert_allclose(result.backward[8:-8, 8:-8].mean(axis=(0, 1)), (-3, 0), atol=0.05)


def test_the_same_again_for_any_number_of_threads():
    sample = scene(9)
    before = variflow.get_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            variflow.set_threads(threads)
            result = variflow.estimate(sample.frame0, sample.frame1, MODEL)
            found.append((result.backward, result.occlusion, result.confidence))
    finally:
        variflow.set_threads(before)
    for others in found[1:]:
        for first, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (17, 16), (33, 50, 3)])
def test_any_size(shape):
    random = np.random.default_rng(0)
    result = variflow.estimate(random.random(shape), random.random(shape), "horn-schunck")
    assert result.backward.shape == (*shape[:2], 2)
    assert result.occlusion.shape == result.confidence.shape == shape[:2]
    assert np.isfinite(result.confidence).all()


def test_an_energy_of_your_own_has_a_way_back():
    def energy(d, at):
        u, v = d
        data = ((at.Ix * u + at.Iy * v + at.It) ** 2).sum()
        return data + 0.01 * variflow.energy.Smoothness()(d, at)

    pair = synthetic.translation((40, 48), shift=(1.0, 0.5), seed=8)
    result = variflow.estimate(pair.frame0, pair.frame1, variflow.Model(energy, warps=3, steps=60))
    np.testing.assert_allclose(result.backward[8:-8, 8:-8].mean(axis=(0, 1)), (-1, -0.5), atol=0.05)


def test_a_solve_that_estimates_occlusion_is_more_accurate_about_it(demo):
    """The wider window of the filter fills what is occluded, too: this is about what the estimate itself does."""
    sample, _ = demo
    model = replace(MODEL, filter=replace(MODEL.filter, widening=1))
    before, after = (
        endpoint_error_map(variflow.estimate(sample.frame0, sample.frame1, model).flow, sample.flow)
        for model in (model, replace(model, occlusion="estimated"))
    )
    assert after.mean() < 0.9 * before.mean()
    assert after[sample.occlusion].mean() < 0.9 * before[sample.occlusion].mean()


def test_a_solve_that_estimates_occlusion_changes_nothing_where_there_is_none():
    pair = synthetic.translation((60, 80), shift=(0.6, 0.3), seed=10)
    models_ = (MODEL, replace(MODEL, occlusion="estimated"))
    plain, estimated = (variflow.estimate(pair.frame0, pair.frame1, model).flow for model in models_)
    np.testing.assert_allclose(estimated[12:-12, 12:-12], plain[12:-12, 12:-12], atol=2e-3)
    same = variflow.estimate(pair.frame0, pair.frame0, models_[1])
    assert (same.flow == 0).all()
    assert [state.level for state in variflow.iterate(pair.frame0, pair.frame1, models_[1])] == [
        state.level for state in variflow.iterate(pair.frame0, pair.frame1, MODEL)
    ]


def test_what_is_known_of_occlusion_is_checked():
    with pytest.raises(ValueError, match="occlusion is 'kept', wanted one of 'unknown', 'estimated'"):
        replace(MODEL, occlusion="kept")


def comparison(mismatch, compared=True):
    plane = np.full((20, 24), mismatch, np.float32)
    return Comparison(plane, np.broadcast_to(np.bool_(compared), plane.shape))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 20), st.floats(0, 5))
def test_an_exact_way_back_is_sure_and_a_longer_way_or_a_mismatch_less(seed, missed, mismatch):
    shift = np.random.default_rng(seed).integers(-3, 4, 2)
    flow = np.broadcast_to(shift.astype(np.float32), (20, 24, 2)).copy()
    assert not find_occlusion(flow, -flow, comparison(1.2))[6:-6, 6:-6].any()
    assert (estimate_confidence(flow, -flow, comparison(0)) == 1).all()
    assert (estimate_confidence(flow, -flow, comparison(0, compared=False)) == 0.5).all()
    astray = np.float32([missed, 0]) - flow
    expected = 1 / (1 + (missed / 0.76) ** 1.25 + (mismatch / 1.22) ** 4.46)
    np.testing.assert_allclose(estimate_confidence(flow, astray, comparison(mismatch)), expected, atol=1e-4)


def test_confidence_tells_that_a_whole_frame_was_lost(middlebury):
    """The way there and back of a flow that is wrong alike in both directions misses little."""
    frame = middlebury["RubberWhale"].frame0
    result = variflow.estimate(frame[104:], frame[:-104], "fast")
    off = endpoint_error_map(result.flow, np.broadcast_to(np.float32([0, 104]), result.flow.shape)) > 1
    assert off.mean() > 0.5
    assert result.confidence[off].mean() < 0.3


def test_a_mismatch_makes_occlusion_of_a_miss():
    flow = np.zeros((20, 24, 2), np.float32)
    backward = flow + np.float32([1, 0])
    assert not find_occlusion(flow, backward, comparison(0)).any()
    assert find_occlusion(flow, backward, comparison(3)).all()
    assert not find_occlusion(flow, flow, comparison(3)).any()


@pytest.mark.parametrize("gain", [0.6, 0.75])
def test_frames_are_compared_in_the_light_that_was_found(gain):
    pair = scene(1)
    darker = (pair.frame1 * gain + 30).astype(np.uint8)
    alike, lit = (variflow.estimate(pair.frame0, frame, MODEL)._comparison for frame in (pair.frame1, darker))
    apart = np.median(np.abs(alike.mismatch - lit.mismatch))
    assert apart < 0.5 * np.median(alike.mismatch)  # 13 to 23 times that in the light as it came
