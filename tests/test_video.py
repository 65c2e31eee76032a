"""The flow of videos: every pair in order, as good as each by itself, whatever happens in between."""

from itertools import count, islice, pairwise

import numpy as np
import pytest

import variflow
from variflow import io, metrics, models
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness

SHAPE = (96, 128)
STEP = (2.5, -1.0)


def panned(time, step=STEP):
    return synthetic.translation(SHAPE, shift=(step[0] * time, step[1] * time)).frame1


@pytest.fixture(scope="module")
def panning():
    return [panned(time) for time in range(5)]


def flows(frames, model):
    return [result.flow for result in variflow.estimate_video(frames, model)]


@pytest.mark.parametrize("model", ["realtime", "fast", "balanced", "accurate", "smooth", "brox", "tv-l1"])
def test_steady_motion(panning, model):
    found = flows(panning, model)
    assert len(found) == 4
    np.testing.assert_array_equal(found[0], variflow.estimate(*panning[:2], model).flow)
    truth = np.broadcast_to(np.float32(STEP), (*SHAPE, 2))[12:-12, 12:-12]
    for flow, pair in zip(found, pairwise(panning), strict=True):
        alone = variflow.estimate(*pair, model).flow
        error, error_alone = (metrics.endpoint_error(each[12:-12, 12:-12], truth) for each in (flow, alone))
        assert error < 1.1 * error_alone + 0.01


def test_real_frames(data):
    folder = data / "middlebury" / "RubberWhale"
    frames = [io.read_image(folder / f"frame{number:02}.png") for number in range(8, 12)]
    truth = io.read_flow(folder / "flow10.flo")
    for model in ("realtime", "balanced"):
        error = metrics.endpoint_error(flows(frames, model)[-1], truth)
        assert error < 1.05 * metrics.endpoint_error(variflow.estimate(*frames[-2:], model).flow, truth)


def test_a_generator_without_end_is_asked_for_one_frame_a_result():
    asked = []

    def endless():
        for time in count():
            asked.append(time)
            yield panned(time)

    results = variflow.estimate_video(endless(), "realtime")
    assert asked == []
    assert len(list(islice(results, 3))) == 3
    assert asked == [0, 1, 2, 3]


def test_the_memory_of_a_frame_may_be_used_again(panning):
    buffer = np.empty_like(panning[0])

    def into_one_buffer():
        for frame in panning:
            buffer[:] = frame
            yield buffer

    np.testing.assert_array_equal(flows(into_one_buffer(), "fast"), flows(panning, "fast"))


def test_the_same_frames_give_the_same_flows(panning):
    first = flows(panning, "balanced")
    variflow.set_threads(1)
    try:
        np.testing.assert_array_equal(flows(panning, "balanced"), first)
    finally:
        variflow.set_threads(2)


def test_a_cut_starts_afresh(panning):
    other = [panned(time + 400, (-1.5, 2.0)) for time in range(3)]
    found = flows([*panning[:3], *other], "fast")
    for number, pair in ((3, other[:2]), (4, other[1:])):
        alone = variflow.estimate(*pair, "fast").flow
        truth = np.broadcast_to(np.float32((-1.5, 2.0)), alone.shape)
        errors = [
            metrics.endpoint_error(each[12:-12, 12:-12], truth[12:-12, 12:-12]) for each in (found[number], alone)
        ]
        assert errors[0] < 1.1 * errors[1] + 0.01


def test_a_still_video_has_exactly_no_flow(panning):
    found = flows([panning[0], panning[1], panning[1], panning[1]], "balanced")
    assert not np.any(found[1:])


def test_brightening_frames_get_a_range_of_their_own(panning):
    frames = [np.clip(frame * (0.3 + 0.15 * time), 0, 255).astype(np.uint8) for time, frame in enumerate(panning)]
    for flow in flows(frames, models.get("balanced")):
        assert np.abs(np.median(flow, axis=(0, 1)) - STEP).max() < 0.1


@pytest.mark.parametrize(
    "convert", [lambda frame: frame / np.float32(255), lambda frame: np.where(frame > 250, np.nan, frame)]
)
def test_floats_and_missing_pixels(panning, convert):
    for flow in flows([convert(frame.astype(np.float32)) for frame in panning], "fast"):
        assert np.isfinite(flow).all()
        assert np.abs(np.median(flow, axis=(0, 1)) - STEP).max() < 0.1


def test_results_are_whole(panning):
    *_, last = variflow.estimate_video(panning, "fast")
    assert last.reason == "finished every warp"
    assert len(last.energies) > 0
    assert all(np.isfinite(record.after) for record in last.energies)
    assert last.occlusion.shape == SHAPE


def test_an_energy_of_ones_own(panning):
    energy = BrightnessConstancy(Charbonnier(0.01)) + 0.05 * Smoothness(Charbonnier(0.01))
    for flow in flows(panning[:3], variflow.Model(energy, steps=40, warps=2)):
        assert np.abs(np.median(flow, axis=(0, 1)) - STEP).max() < 0.1


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        ("film.mp4", TypeError, "frames is the path 'film.mp4', wanted arrays; variflow.read_frames opens a video"),
        (3, TypeError, "frames is an int, wanted an iterable of arrays"),
        ([np.zeros(SHAPE)], ValueError, "frames ends after 1 frame, wanted two or more"),
        ([], ValueError, "frames ends after 0 frames, wanted two or more"),
        ([np.zeros(SHAPE), np.zeros(SHAPE), np.zeros((3, 4))], ValueError, "frame 2 has shape"),
        ([np.zeros(SHAPE), "next.png"], TypeError, "frame 1 is the path 'next.png'"),
        ([np.zeros(SHAPE), np.full(SHAPE, np.nan)], ValueError, "frame 1 has no usable pixel"),
    ],
)
def test_what_cannot_be_right_is_named(frames, error, message):
    with pytest.raises(error, match=message):
        list(variflow.estimate_video(frames, "fast"))


def test_arguments_are_checked_at_once(panning):
    with pytest.raises(ValueError, match="model is 'fats'"):
        variflow.estimate_video(panning, "fats")
    with pytest.raises(ValueError, match="intensity_range is"):
        variflow.estimate_video(panning, "fast", intensity_range=(1, 0))
