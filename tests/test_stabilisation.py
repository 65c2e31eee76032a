"""Stabilising: shake goes, a pan stays, and frames are read only as far ahead as is needed."""

from itertools import count

import numpy as np
import pytest

import variflow
from variflow import flowops
from variflow.datasets import synthetic

SHAPE = (64, 80)
PAN = (1.5, 0.5)


def seen(x, y):
    return synthetic.translation(SHAPE, shift=(x, y)).frame1[..., 1]


@pytest.fixture(scope="module")
def film():
    """A steady pan by a hand that shakes, and how far each frame is from the first."""
    time = np.arange(24)[:, None]
    path = np.array(PAN) * time + np.random.default_rng(0).uniform(-2, 2, (24, 2))
    return [seen(*place) for place in path], path


def find_steps(frames, motion="translation"):
    """Return the motion (u, v) of the whole frame from each frame to the next."""
    flows = (result.flow[8:-8, 8:-8] for result in variflow.estimate_video(frames, "fast"))
    return np.stack([flowops.fit(flow, motion)[:2, 2] for flow in flows])


@pytest.mark.parametrize("motion", ["translation", "rigid", "affine"])
def test_a_shaky_pan_becomes_steady(film, motion):
    frames, path = film
    steady = list(variflow.stabilise(frames, motion=motion, smoothing=6))
    assert len(steady) == len(frames)
    shaky = np.diff(path, axis=0)
    found = find_steps(steady)
    # A Gaussian of 6 frames leaves little of a shake that is new in each frame; it does as much in theory.
    assert found.std(axis=0).max() < 0.12 * shaky.std(axis=0).min()
    np.testing.assert_allclose(found.mean(axis=0), PAN, atol=0.15)


def test_the_path_is_the_gaussian_mean_of_the_paths_around(film):
    frames, path = film
    steady = list(variflow.stabilise(frames, motion="translation", smoothing=2))
    middle = 12
    weights = np.exp(-0.5 * (np.arange(-6, 7) / 2) ** 2)
    smooth = weights @ path[middle - 6 : middle + 7] / weights.sum()
    flow = variflow.estimate(frames[middle], steady[middle], "fast").flow
    np.testing.assert_allclose(flowops.fit(flow, "translation")[:2, 2], smooth - path[middle], atol=0.1)


def test_a_steady_pan_is_left_as_it_is():
    frames = [seen(PAN[0] * time, PAN[1] * time) for time in range(10)]
    for frame, steady in zip(frames, variflow.stabilise(frames, smoothing=4), strict=True):
        assert steady.dtype == np.uint8
        assert np.abs(steady.astype(int) - frame)[4:-4, 4:-4].mean() < 1.5


def test_at_a_cut_the_path_begins_anew(film):
    first = [np.stack([frame] * 3, axis=2) for frame in film[0][:9]]
    noise = np.random.default_rng(3).uniform(-2, 2, (8, 2))
    moved = [synthetic.translation(SHAPE, shift=tuple(shift), seed=9).frame1 / 255 for shift in noise]
    second = [np.rint(255 * np.clip(2 * frame - 0.7, 0, 1) ** 2).astype(np.uint8) for frame in moved]
    options = {"motion": "translation", "smoothing": 3}
    wanted = [*variflow.stabilise(first, **options), *variflow.stabilise(second, **options), first[4]]
    steady = list(variflow.stabilise([*first, *second, first[4]], **options))  # the last scene has one frame
    np.testing.assert_array_equal(steady, wanted)


def test_still_frames_stay_to_the_last_bit():
    frames = np.stack([seen(0, 0)] * 4)
    np.testing.assert_array_equal(list(variflow.stabilise(frames, "realtime", smoothing=1)), frames)


def test_a_turning_camera_is_steadied():
    whole = synthetic.translation((80, 80), shift=(0, 0)).frame0[..., 1].astype(np.float32)
    frames, angles = [], np.radians(np.random.default_rng(1).uniform(-2, 2, 12))
    centre = np.array([39.5, 39.5])
    for angle in angles:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        frames.append(
            variflow.warp(whole, flowops.from_matrix(np.column_stack([turn, centre - turn @ centre]), (80, 80)))
        )
    found = []
    for before in (frames, list(variflow.stabilise(frames, smoothing=5))):
        flows = (result.flow[15:-15, 15:-15] for result in variflow.estimate_video(before, "fast"))
        found.append(np.std([flowops.fit(flow, "rigid")[1, 0] for flow in flows]))
    assert found[1] < 0.15 * found[0]


def test_an_object_that_moves_otherwise_does_not_matter(film):
    frames = [frame.copy() for frame in film[0]]
    block = np.random.default_rng(2).integers(0, 255, (26, 30), np.uint8)
    for time, frame in enumerate(frames):
        frame[20:46, 10 + 2 * time : 40 + 2 * time] = block[
            :, : len(range(10 + 2 * time, min(40 + 2 * time, SHAPE[1])))
        ]
    steady = list(variflow.stabilise(frames, motion="translation", smoothing=6))
    found = find_steps(steady)
    assert found.std(axis=0).max() < 0.25 * np.diff(film[1], axis=0).std(axis=0).min()


def test_frames_are_read_as_far_ahead_as_is_needed():
    asked = []

    def endless():
        for time in count():
            asked.append(time)
            yield seen(time % 2, 0)

    found = variflow.stabilise(endless(), "realtime", smoothing=1.5)
    assert asked == []
    for time in range(8):
        next(found)
        assert len(asked) == time + 6  # this one, and three standard deviations ahead


def test_what_comes_from_outside_is_filled():
    frames = [seen(x, 0).astype(np.float32) for x in (0, 4, 0, 4, 0, 4)]
    steady = list(variflow.stabilise(frames, motion="translation", smoothing=3, fill=np.nan))
    assert all(np.isnan(frame).any() for frame in steady[1:-1])
    assert all(np.isfinite(frame[:, 6:-6]).all() for frame in steady)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"motion": "shaky"}, "motion is 'shaky', wanted one of 'translation', 'rigid', 'affine', 'homography'"),
        ({"smoothing": 0}, "smoothing is 0, wanted a number of frames above 0 and up to 100"),
        ({"fill": "mean"}, "fill is 'mean', wanted a number or 'nearest'"),
    ],
)
def test_wrong_arguments_are_named_at_the_call(film, options, message):
    with pytest.raises(ValueError, match=message):
        variflow.stabilise(film[0], **options)


def test_frames_that_are_wrong_are_named(film):
    with pytest.raises(ValueError, match="frames ends after 1 frame, wanted two or more"):
        next(variflow.stabilise(film[0][:1]))
    with pytest.raises(ValueError, match=r"frame 1 has shape \(63, 80\), wanted that of frame 0"):
        next(variflow.stabilise([film[0][0], film[0][1][:-1]]))
    with pytest.raises(ValueError, match="looks like one frame"):
        variflow.stabilise(film[0][0])
