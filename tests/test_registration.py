"""Motion correction: small errors on a stack whose motion is known, one frame at a time, in the type of the frames."""

from itertools import count, islice

import numpy as np
import pytest

import variflow
from variflow import VariflowWarning, flowops
from variflow.base.arrays import as_image
from variflow.datasets import synthetic
from variflow.flowops.correction import correct
from variflow.registration import average

SHAPE = (64, 80)
STEP = (1.5, -0.75)


def panned(time, dtype=np.uint8):
    """A gray frame of a texture that moves by STEP a frame."""
    frame = synthetic.translation(SHAPE, shift=(STEP[0] * time, STEP[1] * time)).frame1[..., 1]
    return frame.astype(dtype)


@pytest.fixture(scope="module")
def panning():
    return [panned(time) for time in range(5)]


@pytest.fixture(scope="module")
def stack():
    """Ten frames of a sample that drifts, deforms and bleaches, as a camera counts them, and their true flow."""
    shape, frames, outside = (128, 128), 10, 12
    draw = np.random.default_rng(0)
    y, x = np.indices(shape).astype(float)
    spots = np.concatenate([draw.uniform(4, 8, 60), draw.uniform(1, 2, 220)])
    centers = draw.uniform(-outside, shape[0] + outside, (len(spots), 2))
    light = draw.uniform(0.3, 1.5, len(spots))

    def sample(px, py):
        image = np.zeros(shape)
        for (cx, cy), wide, bright in zip(centers, spots, light, strict=True):
            image += bright * np.exp(-((px - cx) ** 2 + (py - cy) ** 2) / (2 * wide**2))
        return image

    def move(px, py, time):
        turn = 2 * np.pi * time / frames
        u = 4 * np.sin(0.7 * turn) + 1.2 * np.sin(turn) * np.sin(py / 20)
        v = 3 * (np.cos(turn) - 1) / 2 + 1.2 * np.sin(turn) * np.cos(px / 24)
        return np.stack([u + 0 * px, v + 0 * px], axis=2)

    seen, flows = [], []
    for time in range(frames):
        origin = np.stack([x, y], axis=2)
        for _ in range(25):
            origin = np.stack([x, y], axis=2) - move(origin[..., 0], origin[..., 1], time)
        bright = 300 * sample(origin[..., 0], origin[..., 1]) * 0.6 ** (time / (frames - 1)) + 20
        seen.append(np.rint(draw.poisson(bright) + np.maximum(draw.normal(0, 3, shape), -20)).clip(0).astype(np.uint16))
        flows.append(move(x, y, time))
    return np.stack(seen), np.stack(flows)


def measure(registered, flows, border=10):
    inside = np.s_[border:-border, border:-border]
    errors = [np.linalg.norm(each.flow - flow, axis=2) for each, flow in zip(registered, flows, strict=True)]
    return np.mean([error[inside].mean() for error in errors[1:]])  # the first frame is exact if it is the reference


def test_drift_deformation_noise_and_bleaching(stack):
    frames, flows = stack
    registered = list(variflow.register(frames))
    assert [each.number for each in registered] == list(range(len(frames)))
    assert measure(registered, flows) < 0.1
    moved = registered[4]
    assert moved.correlation_before < 0.8 < 0.95 < moved.correlation_after
    drift = np.median(flows[4].reshape(-1, 2), axis=0)
    np.testing.assert_allclose(moved.shift, drift, atol=0.3)
    # What the sample's deformation amounts to, and a global correction leaves.
    left = np.linalg.norm(flows[4] - drift, axis=2).mean()
    assert moved.residual == pytest.approx(left, rel=0.1)
    only_drift = list(variflow.register(frames[:5], motion="translation"))
    assert measure(only_drift, flows[:5]) > 0.4
    assert only_drift[4].shift == moved.shift
    assert moved.correlation_before < only_drift[4].correlation_after < moved.correlation_after


@pytest.mark.parametrize(("reference", "ceiling"), [(3, 0.09), ("running", 0.12)])
def test_other_references(stack, reference, ceiling):
    frames, flows = stack[0][:7], stack[1][:7]
    assert measure(variflow.register(frames, reference=reference), flows) < ceiling


def test_a_second_pass_is_onto_the_mean_of_the_first(stack):
    frames, flows = stack[0][:4], stack[1][:4]
    once = list(variflow.register(frames, "fast"))
    twice = list(variflow.register(frames, "fast", passes=2))
    again = list(variflow.register(frames, "fast", reference=average(once)))
    for each, other in zip(twice, again, strict=True):
        np.testing.assert_array_equal(each.flow, other.flow)
        np.testing.assert_array_equal(each.frame, other.frame)
    assert measure(twice, flows) < 0.13


def test_the_first_frame_stays_as_it_is(panning):
    first = next(variflow.register(panning, "fast"))
    np.testing.assert_array_equal(first.frame, panning[0])
    assert not first.flow.any()
    assert first.shift == (0, 0)
    assert first.residual == 0
    assert first.correlation_before == first.correlation_after == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("channels", [None, 3])
def test_frames_keep_their_type_and_shape(panning, dtype, channels):
    frames = [frame.astype(dtype) for frame in panning[:2]]
    if channels:
        frames = [np.stack([frame] * channels, axis=2) for frame in frames]
    moved = list(variflow.register(frames, "fast"))[1]
    assert moved.frame.dtype == dtype
    assert moved.frame.shape == frames[0].shape
    inside = np.s_[6:-6, 6:-6]
    before = np.abs(frames[1].astype(float) - frames[0])[inside].mean()
    assert np.abs(moved.frame.astype(float) - frames[0])[inside].mean() < 0.15 * before


def test_bool_frames_stay_bool(panning):
    frames = [frame > np.median(panning[0]) for frame in panning[:2]]
    moved = list(variflow.register(frames, "fast", motion="translation"))[1]
    assert moved.frame.dtype == bool
    np.testing.assert_allclose(moved.shift, STEP, atol=0.04)
    true = flowops.warp(frames[1].astype(np.float32), np.broadcast_to(np.float32(STEP), (*SHAPE, 2))) > 0.5
    alike, at_best = ((frame == frames[0])[6:-6, 6:-6].mean() for frame in (moved.frame, true))
    assert alike > at_best - 0.001


@pytest.mark.parametrize("motion", ["translation", "rigid", "affine"])
def test_a_global_correction_is_one_motion_for_all_pixels(panning, motion):
    moved = list(variflow.register(panning[:3], "fast", motion=motion))[2]
    assert np.abs(moved.flow - np.float32(STEP) * 2).max() < 0.1
    # Second differences of a motion of the whole frame are 0.
    assert np.abs(np.diff(moved.flow, 2, axis=0)).max() < 1e-5
    if motion == "translation":
        np.testing.assert_allclose(moved.flow, np.broadcast_to(moved.shift, moved.flow.shape), rtol=1e-6)


def test_a_turned_frame_is_turned_back():
    whole = synthetic.translation((80, 80), shift=(0, 0)).frame0[..., 1].astype(np.float32)
    angle = np.radians(3)
    centre = np.array([39.5, 39.5])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, centre - turn @ centre])
    back = np.column_stack([turn.T, centre - turn.T @ centre])
    turned = variflow.warp(whole, flowops.from_matrix(back, whole.shape), "spline")
    moved = list(variflow.register([whole, turned], "balanced", motion="rigid"))[1]
    inside = np.s_[12:-12, 12:-12]
    assert np.abs(moved.flow - flowops.from_matrix(matrix, whole.shape))[inside].max() < 0.05
    assert moved.angle == pytest.approx(3, abs=0.02)
    assert next(variflow.register([whole, turned], "fast", motion="affine")).angle is None


def test_a_running_reference_follows_what_changes():
    frames = [panned(time, np.float32) for time in range(8)]
    y, x = np.indices(SHAPE)
    for time, frame in enumerate(frames):  # a bright spot comes up, and stays
        frame += 200 * min(time / 3, 1) * np.exp(-((y - 30) ** 2 + (x - 40 - STEP[0] * time) ** 2) / 50)
    last = list(variflow.register(frames, "fast", reference="running", motion="translation"))[-1]
    first = list(variflow.register(frames, "fast", motion="translation"))[-1]
    np.testing.assert_allclose(last.shift, np.float32(STEP) * 7, atol=0.15)
    assert last.correlation_after > first.correlation_after + 0.02


def test_an_array_as_reference(panning):
    registered = list(variflow.register(panning[1:], "fast", reference=panning[0].astype(np.float64)))
    for time, each in enumerate(registered, start=1):
        np.testing.assert_allclose(each.shift, np.multiply(STEP, time), atol=0.1)


def test_the_mean_of_the_first_frames_is_of_corrected_ones(panning):
    asked = []

    def watched():
        for time, frame in enumerate(panning):
            asked.append(time)
            yield frame

    found = variflow.register(watched(), "fast", reference=3)
    first = next(found)
    assert asked == [0, 1, 2]  # the first three are read together, and yielded one after the other
    next(found)
    assert asked == [0, 1, 2]
    mean = average(variflow.register(panning[:3], "fast"))
    wanted = list(variflow.register(panning, "fast", reference=mean))
    np.testing.assert_array_equal(first.flow, wanted[0].flow)
    np.testing.assert_array_equal(next(islice(found, 1, None)).flow, wanted[3].flow)


@pytest.mark.parametrize("passes", [1, 2])
def test_a_stack_shorter_than_its_reference_is_refused(panning, passes):
    assert len(list(variflow.register(panning[:2], "realtime", reference=2, passes=passes))) == 2
    with pytest.raises(ValueError, match="reference is 50, wanted at most the number of frames, 3"):
        list(variflow.register(panning[:3], "realtime", reference=50, passes=passes))


def test_one_frame_is_refused_unless_an_image_is_its_reference(panning):
    for options in ({}, {"reference": "running"}, {"passes": 2}):
        with pytest.raises(ValueError, match="frames ends after 1 frame, wanted two or more, or an image as ref"):
            list(variflow.register(panning[:1], "realtime", **options))
    (moved,) = variflow.register(panning[1:2], "fast", reference=panning[0])
    np.testing.assert_allclose(moved.shift, STEP, atol=0.04)


def test_frames_are_read_one_at_a_time_and_copied():
    asked, buffer = [], np.empty(SHAPE, np.uint8)

    def endless():
        for time in count():
            asked.append(time)
            buffer[:] = panned(time)
            yield buffer

    found = variflow.register(endless(), "realtime")
    assert asked == []
    for time in range(3):
        each = next(found)
        assert asked == list(range(time + 1))
        np.testing.assert_allclose(each.shift, np.multiply(STEP, time), atol=0.1)


def test_the_container_and_layout_of_frames_do_not_matter(panning):
    wanted = list(variflow.register(panning[:3], "fast"))
    array = np.stack(panning[:3])
    for frames in (array, iter(panning[:3]), np.asfortranarray(array), [frame.tolist() for frame in array]):
        for each, other in zip(variflow.register(frames, "fast"), wanted, strict=True):
            np.testing.assert_array_equal(each.flow, other.flow)
            np.testing.assert_array_equal(each.frame, other.frame)


def test_what_comes_from_outside_is_filled(panning):
    frames = [frame.astype(np.float32) for frame in panning[:3]]
    for fill in (np.nan, -5.0, "nearest"):
        moved = list(variflow.register(frames, "fast", fill=fill, motion="translation"))[2]
        u, v = moved.shift
        y, x = np.indices(SHAPE)
        outside = (x + u > SHAPE[1] - 1 + 1e-3) | (y + v < -1e-3)
        assert outside.any()
        if fill == "nearest":
            np.testing.assert_allclose(moved.frame, variflow.warp(frames[2], moved.flow), rtol=1e-6)
        else:
            np.testing.assert_array_equal(moved.frame[outside], np.float32(fill))
            np.testing.assert_allclose(moved.frame[~outside], variflow.warp(frames[2], moved.flow)[~outside], rtol=1e-6)


def test_what_comes_from_outside_does_not_count_in_a_mean(panning):
    frames = [frame.astype(np.float32) for frame in panning[:3]]
    registered = list(variflow.register(frames, "fast", motion="translation"))
    mean = average(registered)
    # The last column is seen in the first frame alone; the middle in all.
    np.testing.assert_allclose(mean[10:, -1], frames[0][10:, -1], rtol=1e-6)
    np.testing.assert_allclose(
        mean[10:-10, 10:-10], np.mean([each.frame for each in registered], axis=0)[10:-10, 10:-10], rtol=1e-5
    )


def test_missing_pixels_stay_missing_and_spread_no_further(panning):
    frames = [frame.astype(np.float32) for frame in panning[:2]]
    frames[1][30:34, 40:44] = np.nan
    moved = list(variflow.register(frames, "fast", motion="translation"))[1]
    missing = np.isnan(moved.frame)
    y, x = np.nonzero(missing)
    u, v = moved.shift
    assert missing.any()
    assert (x + u).min() > 40 - 2
    assert (x + u).max() < 43 + 2
    assert (y + v).min() > 30 - 2
    assert (y + v).max() < 33 + 2
    assert np.isfinite([moved.correlation_before, moved.correlation_after]).all()
    assert np.isfinite(average([moved])[50:, :60]).all()


def test_masked_integers_stay_masked(panning):
    frames = [panning[0], np.ma.array(panning[1], mask=np.zeros(SHAPE, bool))]
    frames[1][30:34, 40:44] = np.ma.masked
    moved = list(variflow.register(frames, "fast"))[1]
    assert moved.frame.dtype == np.uint8
    assert 8 < moved.frame.mask.sum() < 80
    # Missing pixels count as NaN does, wherever they count.
    floats = [frame.astype(np.float32) for frame in (panning[0], frames[1].astype(np.float32).filled(np.nan))]
    other = list(variflow.register(floats, "fast"))[1]
    np.testing.assert_array_equal(moved.frame.mask, np.isnan(other.frame))
    assert moved.correlation_after == pytest.approx(other.correlation_after, abs=1e-3)
    np.testing.assert_array_equal(np.isnan(average([moved])), np.isnan(average([other])))


def test_frames_of_another_scene_are_named(panning):
    """They were bent onto the reference without a word."""
    like_it = synthetic.translation(SHAPE, seed=9).frame0[..., 1].astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    for other, said in (
        (like_it, "fewer than 5 % of the pixels are confident"),
        (noise, "another scene begins at frame 2"),
    ):
        frames = [*panning[:2], other, other, panning[2]]
        for options in ({}, {"passes": 2}, {"labels": [frame > 9 for frame in frames]}):
            with pytest.warns(VariflowWarning, match=f"^frames 2, 3 are hardly registered: {said}$") as warned:
                list(variflow.register(frames, "fast", **options))
            assert len(warned) == 1
            assert warned[0].filename == __file__


def test_frames_with_as_much_noise_as_texture_are_registered(panning):
    draw = np.random.default_rng(0)
    frames = [frame + draw.normal(0, frame.std(), frame.shape) for frame in panning[:3]]
    for each in variflow.register(frames):
        np.testing.assert_allclose(each.shift, np.multiply(STEP, each.number), atol=0.2)


def test_flat_frames_have_no_correlation():
    flat = np.full((2, 20, 24), 7, np.uint8)
    with pytest.warns(VariflowWarning, match="frames 0, 1 are hardly registered: there is nothing to compare"):
        registered = list(variflow.register(flat, "realtime"))
    for each in registered:
        assert np.isnan(each.correlation_before)
        assert np.isnan(each.correlation_after)
        np.testing.assert_array_equal(each.frame, flat[0])


def test_confidence_is_the_share_of_pixels_of_the_result(panning):
    moved = list(variflow.register(panning[:2], "balanced"))[1]
    confidence = variflow.estimate(panning[0], panning[1], "balanced").confidence
    assert moved.confident == pytest.approx((confidence > 0.5).mean())
    assert 0.8 < moved.confident <= 1


# The correction of one frame


def test_integers_are_rounded_and_cut_off():
    frame = np.zeros((8, 12), np.uint8)
    frame[:, 6:] = 255
    flow = np.zeros((8, 12, 2), np.float32)
    flow[..., 0] = 0.5
    smooth = variflow.warp(frame, flow)
    assert smooth.min() < 0
    assert smooth.max() > 255  # it overshoots beside the edge
    np.testing.assert_array_equal(correct(as_image(frame, "frame"), flow, "nearest"), np.rint(smooth).clip(0, 255))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32, np.uint32, np.int8])
def test_the_ends_of_integers_do_not_wrap(dtype):
    ends = np.iinfo(dtype)
    frame = np.full((4, 4), ends.max, dtype)
    frame[:2] = ends.min
    same = correct(as_image(frame, "frame"), np.zeros((4, 4, 2), np.float32), "nearest")
    assert same.dtype == dtype
    np.testing.assert_allclose(same.astype(float), frame.astype(float), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "fill", "message"),
    [
        (np.uint8, np.nan, "fill is nan, wanted a whole number from 0 to 255 for frames of uint8, or 'nearest'"),
        (np.uint8, 256, "fill is 256, wanted a whole number from 0 to 255"),
        (np.int16, 0.5, "fill is 0.5, wanted a whole number from -32768 to 32767"),
        (bool, 2, "fill is 2, wanted a whole number from 0 to 1 for frames of bool"),
    ],
)
def test_a_fill_that_the_type_does_not_hold_is_refused(dtype, fill, message):
    frames = np.random.default_rng(0).random((2, 16, 20)) > 0.5
    with pytest.raises(ValueError, match=message):
        next(variflow.register(frames.astype(dtype), "realtime", fill=fill))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
@pytest.mark.parametrize("options", [{}, {"reference": 2}, {"motion": "translation", "passes": 2}])
def test_labels_are_brought_along_by_the_nearest_pixel(panning, dtype, options):
    labels = ((frame > 128).astype(dtype) for frame in panning)
    registered = list(variflow.register(panning, "fast", labels=labels, **options))
    for frame, each in zip(panning, registered, strict=True):
        assert each.labels.dtype == dtype
        np.testing.assert_array_equal(each.labels, variflow.warp((frame > 128).astype(dtype), each.flow, "nearest"))
    agree = [(each.labels == registered[0].labels)[8:-8, 8:-8].mean() for each in registered]
    before = (panning[-1] > 128) == (panning[0] > 128)
    assert before[8:-8, 8:-8].mean() < 0.8 < 0.93 < min(agree)


def test_labels_from_outside_are_those_at_the_border_or_none(panning):
    labels = [np.full(SHAPE, 3, np.uint8)] * len(panning)
    for fill, least in (("nearest", 3), (9, 0)):
        last = list(variflow.register(panning, "fast", labels=labels, fill=fill, motion="translation"))[-1]
        assert last.labels.min() == least
        assert (last.labels == 3).mean() > 0.8
        assert (last.labels[:-5, :-8] == 3)[8:].all()


def test_labels_are_read_with_their_frames():
    asked = []

    def endless(kind):
        for time in count():
            asked.append((kind, time))
            yield panned(time % 3)

    found = variflow.register(endless("frame"), "realtime", labels=endless("labels"))
    for time in range(3):
        next(found)
        assert asked[-2:] == [("frame", time), ("labels", time)]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([np.zeros(SHAPE, int)] * 4, ValueError, "labels has 4 frames and frames has more, wanted labels for each"),
        ([np.zeros(SHAPE, int)] * 6, ValueError, "frames has 5 frames and labels has more, wanted labels for each"),
        ([np.zeros(SHAPE)] * 5, TypeError, "labels 0 has dtype float64, wanted integers or bool"),
        ([np.zeros((5, 6), int)] * 5, ValueError, r"labels 0 has shape \(5, 6\), wanted \(H, W\)"),
        ("labels.tif", TypeError, r"labels is the path 'labels\.tif', wanted arrays"),
    ],
)
def test_labels_that_are_wrong_are_named(panning, labels, error, message):
    with pytest.raises(error, match=message):
        list(variflow.register(panning, "realtime", labels=labels))


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "last"}, "reference is 'last', wanted 'first', 'running', a number of frames or an image"),
        ({"reference": 0}, "reference is 0, wanted a whole number of frames of at least 1"),
        ({"reference": True}, "reference is True, wanted a whole number of frames of at least 1"),
        ({"motion": "homography"}, "motion is 'homography', wanted one of 'translation', 'rigid', 'affine'"),
        ({"passes": 3}, "passes is 3, wanted one of 1, 2"),
        ({"fill": "mean"}, "fill is 'mean', wanted a number or 'nearest'"),
        ({"model": "smoth"}, "did you mean 'smooth'"),
    ],
)
def test_wrong_arguments_are_named_at_the_call(panning, options, message):
    with pytest.raises(ValueError, match=message):
        variflow.register(panning, **options)


def test_two_passes_need_frames_that_can_be_read_twice(panning):
    with pytest.raises(
        ValueError, match=r"frames is a generator, which can be read only once, wanted a list.*passes=2"
    ):
        variflow.register((frame for frame in panning), passes=2)


def test_frames_that_are_wrong_are_named(panning):
    with pytest.raises(ValueError, match=r"frames has shape \(64, 80\), which looks like one frame"):
        variflow.register(panning[0])
    with pytest.raises(TypeError, match=r"frames is the path 'stack\.tif', wanted arrays; variflow\.read_frames"):
        variflow.register("stack.tif")
    for passes in (1, 2):
        with pytest.raises(ValueError, match="frames is empty, wanted at least one frame"):
            next(variflow.register([], passes=passes))
    found = variflow.register([panning[0], panning[1][:-1]], "realtime")
    next(found)
    with pytest.raises(ValueError, match=r"frame 1 has shape \(63, 80\), wanted that of frame 0, \(64, 80\)"):
        next(found)
    with pytest.raises(ValueError, match=r"frame 0 has shape \(64, 80\), wanted that of reference, \(5, 6\)"):
        next(variflow.register(panning, "realtime", reference=np.zeros((5, 6))))


def test_a_registered_frame_is_shown_in_one_line(panning):
    shown = repr(next(variflow.register(panning, "realtime")))
    assert shown.startswith("Registered(number=0, frame=uint8 (64, 80), flow=float32 (64, 80, 2), shift=")
    assert "\n" not in shown
    assert "_result" not in shown


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_the_axis_of_frames_has_whole_ticks(count):
    pytest.importorskip("matplotlib")
    from variflow.view.registration import draw_registration

    drawn = draw_registration(np.eye(8), np.eye(8), np.linspace(0.5, 0.9, count).tolist(), [0.9] * count)
    ticks = drawn.axes[-1].get_xticks()
    assert 0 in ticks
    np.testing.assert_array_equal(ticks, np.rint(ticks))
