"""`variflow.video`: which frames form pairs, what cannot be read, cuts, and what is written."""

import itertools
import os
import threading
import warnings

import numpy as np
import pytest

import variflow
from variflow import video
from variflow.base.ahead import run_ahead
from variflow.base.errors import VariflowWarning
from variflow.datasets import synthetic

SHAPE = (64, 80)
STEP = (1.5, -0.75)


def panned(time, seed=0):
    return synthetic.translation(SHAPE, shift=(STEP[0] * time, STEP[1] * time), seed=seed).frame1 / np.float32(255)


@pytest.fixture(scope="module")
def scene():
    return [panned(time) for time in range(6)]


def numbers(pairs):
    return [(pair.first.number, pair.second.number) for pair in pairs]


def motion(pair):
    return np.median(pair.flow[8:-8, 8:-8], axis=(0, 1))


def test_each_frame_is_paired_with_the_next_as_estimate_video_does(scene):
    pairs = list(video.flows(scene, "fast"))
    assert numbers(pairs) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    for pair, result in zip(pairs, variflow.estimate_video(scene, "fast"), strict=True):
        np.testing.assert_array_equal(pair.flow, result.flow)
        assert pair.result.model.name == "fast"
        assert not pair.cut
        assert not pair.fault
        np.testing.assert_array_equal(pair.first.frame, scene[pair.first.number])


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"step": 2}, [(0, 2), (2, 4)]),
        ({"start": 1, "end": 4}, [(1, 2), (2, 3)]),
        ({"start": 1, "step": 3}, [(1, 4)]),
        ({"pairs": True}, [(0, 1), (2, 3), (4, 5)]),
        ({"pairs": True, "start": 2}, [(2, 3), (4, 5)]),
        ({"reference": 0}, [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]),
        ({"reference": 3, "end": 5, "step": 2}, [(3, 0), (3, 2), (3, 4)]),
    ],
)
@pytest.mark.parametrize("given", [list, np.stack, "file"])
def test_the_pairs_that_are_asked_for(scene, settings, wanted, given, tmp_path):
    if given == "file":
        frames = tmp_path / "stack.npy"
        variflow.write_frames(frames, scene)
    else:
        frames = given(scene)
    pairs = list(video.flows(frames, "fast", **settings))
    assert numbers(pairs) == wanted
    for pair in pairs:
        apart = pair.second.number - pair.first.number
        np.testing.assert_allclose(motion(pair), np.multiply(apart, STEP), atol=0.1)


def test_a_pair_of_double_frames_is_estimated_by_itself(scene):
    for pair in video.flows(scene, "balanced", pairs=True):
        alone = variflow.estimate(scene[pair.first.number], scene[pair.second.number], "balanced")
        np.testing.assert_array_equal(pair.flow, alone.flow)


def test_a_reference_is_followed_far_beyond_what_one_estimate_finds():
    far = [synthetic.translation((96, 128), shift=(4.0 * time, 0)).frame1 for time in range(9)]
    last = list(video.flows(far, "fast", reference=0))[-1]
    np.testing.assert_allclose(np.median(last.flow[8:-8, 8:80], axis=(0, 1)), (32, 0), atol=0.1)


def test_a_last_frame_without_its_second_is_said(scene):
    with pytest.warns(variflow.VariflowWarning, match="frame 4 is the last and has no second frame"):
        assert numbers(video.flows(scene[:5], "realtime", pairs=True)) == [(0, 1), (2, 3)]


def test_mask_and_weights(scene):
    mask = np.ones(SHAPE, bool)
    mask[20:40, 30:60] = False
    spoiled = [np.where(mask[..., None], frame, np.random.default_rng(k).random()) for k, frame in enumerate(scene)]
    for pair in video.flows(spoiled, "fast", mask=mask):
        np.testing.assert_allclose(motion(pair), STEP, atol=0.05)
        alone = variflow.estimate(spoiled[0], spoiled[1], "fast", mask=mask)
        if pair.first.number == 0:
            np.testing.assert_array_equal(pair.flow, alone.flow)
    weights = np.linspace(0.5, 2, SHAPE[1]) * np.ones((SHAPE[0], 1))
    first, second = itertools.islice(video.flows(scene, "fast", weights=weights), 2)
    np.testing.assert_array_equal(first.flow, variflow.estimate(*scene[:2], "fast", weights=weights).flow)
    np.testing.assert_allclose(motion(second), STEP, atol=0.05)


def test_a_frame_that_cannot_be_read_is_reported_and_its_neighbours_are_done(scene, tmp_path):
    for number, frame in enumerate(scene):
        variflow.write_image(tmp_path / f"frame{number}.tif", frame.astype(np.float32))
    (tmp_path / "frame2.tif").write_bytes(b"no picture")
    pairs = list(video.flows(tmp_path, "fast"))
    assert numbers(pairs) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert [bool(pair.fault) for pair in pairs] == [False, True, True, False, False]
    assert "frame2.tif" in pairs[1].fault
    assert pairs[1].flow is None
    with pytest.raises(ValueError, match=r"frame2\.tif"):
        pairs[1].get_flow()
    for pair in (pairs[0], pairs[3], pairs[4]):
        np.testing.assert_allclose(motion(pair), STEP, atol=0.05)
    assert pairs[3].first.name == "frame3.tif"


def test_a_frame_of_another_size_is_reported(scene):
    odd = [*scene[:2], scene[2][:32], *scene[3:]]
    pairs = list(video.flows(odd, "realtime"))
    assert [bool(pair.fault) for pair in pairs] == [False, True, True, False, False]
    assert "frame 2 has shape (32, 80, 3), wanted that of frame 1" in pairs[1].fault


def test_cuts_are_found_and_light_and_noise_are_none(scene):
    rng = np.random.default_rng(0)
    other = [
        frame[..., ::-1, :].transpose(1, 0, 2).repeat(2, 0)[:64, :64]
        for frame in (panned(time, 9) for time in range(3))
    ]
    cut = [frame[:, :64] for frame in scene[:3]] + [np.clip(2 * frame - 0.7, 0, 1) ** 2 for frame in other]
    found = [pair.second.number for pair in video.flows(cut, "fast") if pair.cut]
    assert found == [3]
    dimmed = [frame * (1 - 0.15 * time) + 0.05 * time for time, frame in enumerate(scene)]
    noise = [rng.normal(100, 5, SHAPE) for _ in range(4)]
    flat = [np.full(SHAPE, float(level)) for level in (3, 3, 90, 0)]
    tiny = [rng.random((3, 2)) for _ in range(4)]
    for frames in (scene, dimmed, noise, flat, tiny):
        assert not any(pair.cut for pair in video.flows(frames, "balanced"))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"start": -1}, ValueError, "start is -1"),
        ({"step": 0}, ValueError, "step is 0"),
        ({"end": 1.5}, (TypeError, ValueError), "end is 1.5"),
        ({"reference": 7}, ValueError, "reference is 7, wanted the number of a frame"),
        ({"reference": 0, "pairs": True}, ValueError, "pairs and reference are both given"),
        ({"step": 2, "pairs": True}, ValueError, "step is 2, wanted 1 with pairs"),
        ({"stride": 2}, TypeError, "no argument 'stride'"),
        ({"mask": np.ones((3, 3), bool)}, ValueError, "mask has shape"),
        ({"weights": np.ones((3, 3))}, ValueError, "weights has shape"),
        ({"start": 5}, ValueError, "fewer than two frames"),
        ({"start": 3, "end": 4}, ValueError, "end is 4, wanted more than 4, so that two frames are taken"),
        ({"end": 3, "step": 3}, ValueError, "end is 3, wanted more than 3, so that two frames are taken"),
    ],
)
def test_wrong_arguments_are_named(scene, settings, error, message):
    with pytest.raises(error, match=message):
        list(video.flows(scene, "realtime", **settings))


def test_what_cannot_be_followed_is_refused(scene):
    with pytest.raises(TypeError, match="frames is an iterator, wanted a list"):
        video.flows((frame for frame in scene), "realtime", reference=0)
    with pytest.raises(ValueError, match="looks like one frame"):
        video.flows(scene[0], "realtime")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        video.flows("nowhere.mp4", "realtime")


def test_only_a_few_frames_are_read_ahead_and_the_thread_ends(scene):
    asked = []

    def endless():
        for time in itertools.count():
            asked.append(time)
            yield scene[time % 6]

    before = threading.active_count()
    pairs = video.flows(endless(), "realtime")
    for done in range(4):
        next(pairs)
        assert len(asked) <= done + 2 + 4
    pairs.close()
    assert threading.active_count() == before


def test_run_ahead_keeps_order_raises_in_its_place_and_closes():
    closed = []

    def values():
        try:
            yield from range(3)
            raise KeyError("three")
        finally:
            closed.append(threading.current_thread())

    ahead = run_ahead(values(), 2)
    assert list(itertools.islice(ahead, 3)) == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(ahead)
    assert closed[0] is not threading.current_thread()
    assert list(run_ahead([], 1)) == []


def test_a_folder_of_flows(scene, tmp_path):
    assert video.write(tmp_path / "flows", video.flows(scene, "fast", reference=2)) == []
    assert sorted(os.listdir(tmp_path / "flows")) == [f"{number:06d}.flo" for number in (0, 1, 3, 4, 5)]
    flow = variflow.read_flow(tmp_path / "flows" / "000005.flo")
    np.testing.assert_allclose(np.median(flow[8:-8, 8:-8], axis=(0, 1)), np.multiply(3, STEP), atol=0.1)


def test_bounded_pictures(scene, tmp_path):
    video.write(tmp_path / "pictures", video.flows(scene[:3], "fast"), bound=3)
    assert sorted(os.listdir(tmp_path / "pictures")) == [
        f"flow_{axis}_{number:05d}.jpg" for axis in "xy" for number in (0, 1)
    ]
    for axis, displacement in zip("xy", STEP, strict=True):
        picture = variflow.read_image(tmp_path / "pictures" / f"flow_{axis}_00001.jpg")
        assert np.median(picture) == pytest.approx((displacement + 3) * 255 / 6, abs=3)


def test_one_zarr_array(scene, tmp_path):
    zarr = pytest.importorskip("zarr")
    broken = [scene[0], scene[1], scene[2][:30], *scene[3:]]
    remarkable = video.write(tmp_path / "flows.zarr", video.flows(broken, "realtime"))
    array = zarr.open(tmp_path / "flows.zarr", mode="r")
    assert array.shape == (5, *SHAPE, 2)
    assert array.chunks[0] == 1
    assert array.metadata.dimension_names == ("pair", "y", "x", "component")
    assert np.isfinite(array[0]).all()
    assert np.isnan(array[1:3]).all()
    assert dict(array.attrs) == {
        "frames": [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]],
        "times": [None] * 5,  # an array does not say when its frames were taken
        "cuts": [False] * 5,
        "faults": ["", remarkable[0].fault, remarkable[1].fault, "", ""],
        "model": "realtime",
        "variflow": variflow.__version__,
        "convention": "(u, v) in pixels, right and down: frame0(x, y) = frame1(x + u, y + v); NaN is unknown",
    }
    assert numbers(remarkable) == [(1, 2), (2, 3)]
    assert remarkable[0].first.frame is None


def test_an_array_has_the_times_of_a_film(scene, tmp_path):
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("av")
    frames = [np.rint(255 * frame).astype(np.uint8) for frame in scene[:3]]
    variflow.write_frames(tmp_path / "film.mkv", frames, fps=10)
    video.write(tmp_path / "flows.zarr", video.flows(tmp_path / "film.mkv", "realtime"))
    assert zarr.open_array(tmp_path / "flows.zarr").attrs["times"] == pytest.approx([0, 0.1], abs=1e-3)


@pytest.mark.parametrize("output", ["flows.zarr", "flows.mkv", "fields"])
def test_where_no_pair_has_a_flow_the_first_fault_is_named(scene, tmp_path, output):
    for extra in {"flows.zarr": ["zarr"], "flows.mkv": ["av"], "fields": ["xarray"]}[output]:
        pytest.importorskip(extra)
    found = video.flows(scene[:3], "realtime", mask=np.zeros(SHAPE, bool))
    message = "flows holds no flow: every pair has a fault; of the first, frames 0 and 1: frame 0 has no usable pixel"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VariflowWarning)
        with pytest.raises(ValueError, match=message):
            video.to_xarray(found) if output == "fields" else video.write(tmp_path / output, found)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (
            (3, 150, 9),
            r"one was read, of shape \(3, 150, 9\): height 3, width 150 and 9 channels\. An array of several",
        ),
        (
            (30, 40),
            r"one was read, of shape \(30, 40\): height 30, width 40\. An array of several has \(T, H, W\[, C\]",
        ),
    ],
)
def test_one_frame_in_a_file_says_how_its_shape_was_understood(tmp_path, shape, said):
    np.save(tmp_path / "one.npy", np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=f"fewer than two frames, wanted two or more; {said}"):
        list(video.flows(tmp_path / "one.npy", "realtime"))


@pytest.mark.parametrize("look", ["color", "arrows", "side"])
def test_a_film_has_the_times_of_its_frames(scene, tmp_path, look):
    pytest.importorskip("av")
    times = [0.0, 0.1, 0.15, 0.4, 0.5, 0.9]
    frames = [np.rint(255 * frame).astype(np.uint8) for frame in scene]
    variflow.write_frames(tmp_path / "in.mkv", frames, times=times)
    scale = video.find_scale(tmp_path / "in.mkv")
    assert scale == pytest.approx(np.hypot(*STEP), abs=0.4)
    video.write(tmp_path / "out.mkv", video.flows(tmp_path / "in.mkv", "fast"), look=look, scale=scale)
    film = variflow.read_frames(tmp_path / "out.mkv")
    assert film.times == pytest.approx(times[:-1], abs=2e-3)
    flow = variflow.estimate(*frames[:2], "fast").flow
    if look == "color":
        np.testing.assert_array_equal(film[0], variflow.view.color(flow, scale))
    elif look == "side":
        np.testing.assert_array_equal(film[0], np.concatenate([frames[0], variflow.view.color(flow, scale)], axis=1))
    else:
        changed = (film[0] != frames[0]).any(axis=2)
        assert 0.05 < changed.mean() < 0.9
        assert (film[0][changed] == (255, 45, 18)).all(axis=1).mean() > 0.1


@pytest.mark.parametrize("look", ["color", "side"])
def test_a_film_of_frames_that_change_their_size_has_that_of_the_first(scene, tmp_path, look):
    pytest.importorskip("av")
    odd = [*scene[:3], scene[3][:32], scene[4][:32], scene[5]]
    remarkable = video.write(tmp_path / "out.mkv", video.flows(odd, "realtime"), look=look, scale=2)
    film = variflow.read_frames(tmp_path / "out.mkv")
    assert (len(film), film[0].shape[0]) == (2, SHAPE[0])
    assert numbers(remarkable) == [(2, 3), (3, 4), (4, 5)]
    assert "it is 80 x 32 pixels, and the first flow 80 x 64" in remarkable[1].fault


def test_a_film_may_repeat_its_times(scene, tmp_path):
    pytest.importorskip("av")
    pairs = list(video.flows(scene, "realtime"))
    for pair, time in zip(pairs, (0.0005, 0.0005, 0.0004, 0.0015, 0.5), strict=True):
        object.__setattr__(pair.shown, "time", time)
    video.write(tmp_path / "out.mkv", pairs, scale=2)
    assert variflow.read_frames(tmp_path / "out.mkv").times == pytest.approx([0, 0.001, 0.002, 0.003, 0.5], abs=6e-4)


@pytest.mark.parametrize("rate", [600, 2000, 5000])
def test_a_fast_film_keeps_its_times(scene, tmp_path, rate):
    pytest.importorskip("av")
    frames = [np.rint(255 * frame).astype(np.uint8) for frame in scene]
    variflow.write_frames(tmp_path / "in.mp4", frames, fps=rate)
    flows = video.flows(tmp_path / "in.mp4", "realtime")
    video.write(tmp_path / "out.mp4", flows, scale=2)
    assert variflow.read_frames(tmp_path / "out.mp4").times == pytest.approx(np.arange(5) / rate, abs=1e-5)
    if rate > 1000:
        with pytest.warns(VariflowWarning, match="out.mkv: frames less than 1/1000 s apart are shown later, as .mkv"):
            video.write(tmp_path / "out.mkv", video.flows(tmp_path / "in.mp4", "realtime"), scale=2)
        assert variflow.read_frames(tmp_path / "out.mkv").times == pytest.approx(np.arange(5) / 1000)


def test_the_scale_of_flows_from_a_reference(scene):
    assert video.find_scale(scene, reference=0) > 2 * video.find_scale(scene)
    with pytest.raises(ValueError, match="reference is 9, wanted the number of a frame, from 0 to 5"):
        video.find_scale(scene, reference=9)


def test_frames_of_any_type_are_drawn_in_one_range(scene, tmp_path):
    pytest.importorskip("av")
    for frames in ([1000 * frame[..., 0] - 300 for frame in scene], [np.uint16(50_000 * frame) for frame in scene]):
        video.write(tmp_path / "out.mkv", video.flows(frames, "realtime"), look="side", scale=2)
        shown = variflow.read_frames(tmp_path / "out.mkv")[0][:, : SHAPE[1]]
        gray = np.atleast_3d(frames[0]).mean(axis=2)
        assert np.corrcoef(shown.mean(axis=2).ravel(), gray.ravel())[0, 1] > 0.99
        assert shown.min() < 10
        assert shown.max() > 245


@pytest.mark.parametrize("name", ["flows", "flow.mp4", "flows.zarr"])
def test_what_is_no_flow_of_a_video_is_named(tmp_path, name):
    with pytest.raises(TypeError, match=r"^flows holds an ndarray, wanted what variflow\.video\.flows yields"):
        video.write(tmp_path / name, [np.zeros((4, 5, 2), np.float32)])
    assert not list(tmp_path.glob("*flow*"))


def test_wrong_outputs_are_named_before_any_work(scene, tmp_path):
    def never():
        raise AssertionError("asked for a flow")
        yield

    for settings, message in (
        ({"path": tmp_path / "a.avi"}, "ends with .mp4, .mkv or .zarr, or is a folder"),
        ({"path": tmp_path / "a", "look": "pretty"}, "look is 'pretty'"),
        ({"path": tmp_path / "a.mp4", "scale": 0}, "scale is 0"),
        ({"path": tmp_path / "a.mp4", "bound": 20}, "bound is given, and only a folder"),
        ({"path": tmp_path / "a", "look": "side"}, "look is given, and only a film has it; .*a is none"),
        ({"path": tmp_path / "a.zarr", "scale": 2}, r"scale is given, and only a film has it; .*a\.zarr is none"),
        ({"path": tmp_path / "no" / "a.mp4"}, "does not exist"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            video.write(flows=never(), **settings)
    assert os.listdir(tmp_path) == []
