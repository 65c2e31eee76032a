"""Bars at the rim of both frames are found and left out."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import variflow
from variflow import datasets, flowops, video
from variflow.energy import Term
from variflow.frames.bars import NO_BARS, Bars, find_bars
from variflow.metrics import endpoint_error

SIDES = {
    "top": np.s_[:12],
    "bottom": np.s_[-12:],
    "left": np.s_[:, :12],
    "right": np.s_[:, -12:],
}


def make_pair(shift=(3, 5), seed=0):
    """Return two views (80, 120) of a texture of bytes, without values near 0, that lie `shift` pixels apart."""
    texture = gaussian_filter(np.random.default_rng(seed).random((120, 160)), 1.5)
    whole = np.rint(60 + 180 * (texture - texture.min()) / np.ptp(texture)).astype(np.uint8)
    y, x = shift
    return [whole[20:100, 20:140].copy(), whole[20 - y : 100 - y, 20 - x : 140 - x].copy()]


def find(frames):
    return find_bars([np.atleast_3d(frame) for frame in frames])


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("side", SIDES)
def test_a_bar_at_each_side_is_found(side, value):
    frames = make_pair()
    for frame in frames:
        frame[SIDES[side]] = value
    bars = find(frames)
    assert bars == NO_BARS._replace(**{side: 12})
    np.testing.assert_array_equal(bars.find_picture(frames[0].shape), frames[0] != value)


@pytest.mark.parametrize("convert", [np.bool_, np.float32, np.float64, np.uint16, lambda frame: frame / 1000 - 7])
def test_bars_are_found_in_frames_of_any_type_and_range(convert):
    frames = make_pair()
    for frame in frames:
        frame[:10] = frame[-14:] = 0
    assert find([convert(frame) for frame in frames]) == Bars(10, 14, 0, 0)


def test_bars_of_colour_are_found():
    frames = [np.stack([frame, frame // 2, 255 - frame], axis=-1) for frame in make_pair()]
    for frame in frames:
        frame[:8] = (10, 20, 90)
    assert find(frames) == Bars(8, 0, 0, 0)


def test_a_bar_beside_which_a_film_has_errors_is_found():
    frames = make_pair()
    for number, frame in enumerate(frames):
        frame[:16] = 0
        frame[9 + number : 16, ::3] = 14
        frame[16, ::2] = 2
    assert find(frames) == Bars(17, 0, 0, 0)  # with the row of which half is black


@pytest.mark.parametrize("extension", ["mp4", "avi"])
def test_bars_of_a_film_are_found(tmp_path, extension):
    cv2 = pytest.importorskip("cv2")
    kind = {"mp4": "mp4v", "avi": "MJPG"}[extension]
    path = tmp_path / f"film.{extension}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*kind), 25, (240, 160))
    for number in range(4):
        frame = np.repeat(make_pair((number, 2 * number))[1], 2, axis=1).repeat(2, axis=0)
        frame[:21] = frame[-30:] = 0
        writer.write(np.stack([frame] * 3, axis=-1))
    writer.release()
    frames = list(variflow.read_frames(path))
    for pair in pairwise(frames):
        bars = find(pair)
        assert abs(bars.top - 21) <= 1
        assert abs(bars.bottom - 30) <= 1


def test_frames_without_bars_have_none():
    assert find(make_pair()) == NO_BARS
    flat = np.zeros((80, 120), np.uint8)
    assert find([flat, flat]) == NO_BARS
    assert find([flat[:1, :1], flat[:1, :1]]) == NO_BARS
    gaps = make_pair()
    for frame in gaps:
        frame[:12] = 0
    gaps = [gap.astype(float) for gap in gaps]
    gaps[1][3, 3] = np.nan
    assert find([np.where(gap == 0, np.inf, gap) for gap in gaps]) == NO_BARS
    assert find([np.full((20, 20), np.inf)] * 2) == NO_BARS
    assert find(gaps) == NO_BARS  # nor is it a bar where something is missing, which is missing anyway


def test_bars_are_found_beside_a_picture_with_gaps():
    frames = [frame.astype(float) for frame in make_pair()]
    for frame in frames:
        frame[:12] = 0
    frames[0][48:60, 32:70] = np.nan
    assert find(frames) == Bars(12, 0, 0, 0)


def test_bars_stay_where_a_mask_leaves_nothing_else():
    frames = make_pair()
    for frame in frames:
        frame[:12] = 0
    mask = np.zeros(frames[0].shape, bool)
    mask[:12] = True
    assert not variflow.estimate(*frames, "fast", mask=mask).flow[:12].any()


@pytest.mark.parametrize("wide", [(12, 15), (3, 3), (21, 21)])
def test_a_strip_of_another_width_in_each_frame_or_too_thin_or_too_wide_is_no_bar(wide):
    frames = make_pair()
    for frame, rows in zip(frames, wide, strict=True):
        frame[:rows] = 0
    assert find(frames) == NO_BARS


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (0.4, 0.4)])
def test_flat_ground_around_a_large_thing_is_no_bar(shift):
    rows, columns = np.indices((64, 64)).astype(float)

    def draw(y, x):
        inside = [
            np.clip(np.minimum(place - 7.5 - by, 55.5 - place + by), 0, 1) for place, by in ((rows, y), (columns, x))
        ]
        return np.rint(200 * inside[0] * inside[1])

    assert find([draw(0, 0), draw(*shift)]) == NO_BARS


def test_things_on_flat_ground_and_what_lies_in_a_strip_are_no_picture_beside_a_bar():
    thing = np.zeros((80, 120), np.uint8)
    thing[20:60, 8:110] = make_pair()[0][20:60, 8:110]
    assert find([thing, thing]) == NO_BARS
    titled = make_pair()
    for frame in titled:
        frame[:24] = 0
        frame[4:8, 50:53] = 255
    assert find(titled) == NO_BARS


def surround(array, rows=(16, 12), columns=(0, 0), **how):
    """Return an array of a picture with bars around it."""
    return np.pad(array, [rows, columns, *[(0, 0)] * (array.ndim - 2)], **how)


@pytest.mark.parametrize("model", ["realtime", "fast", "balanced", "accurate", "smooth", "tv-l1"])
@pytest.mark.parametrize("convert", [np.asarray, lambda frame: frame / 255, lambda frame: np.stack([frame] * 3, -1)])
def test_the_flow_between_bars_is_that_of_the_picture_alone(model, convert):
    frames = [convert(frame) for frame in make_pair((1, 2))]
    result = variflow.estimate(*map(surround, frames), model)
    alone = variflow.estimate(*frames, model)
    for part in ("flow", "backward", "occlusion"):
        np.testing.assert_array_equal(getattr(result, part), surround(getattr(alone, part), mode="edge"))
    np.testing.assert_array_equal(result.confidence[16:-12], alone.confidence)
    assert result.confidence[:16].max() <= 0.5
    assert result.unknowns["u"].shape == result.flow.shape[:2]
    assert len(result.energies) == len(alone.energies)


@pytest.mark.parametrize("sides", [(16, 0), (0, 16), (16, 12)])
@pytest.mark.parametrize("turned", [False, True])
def test_bars_at_each_side_are_cut_off(sides, turned):
    rows, columns = ((0, 0), sides) if turned else (sides, (0, 0))
    frames = [np.repeat(frame, 2, axis=1) for frame in make_pair((1, 2))]
    barred = [surround(frame, rows, columns) for frame in frames]
    assert find(barred) == Bars(*rows, *columns)
    alone = variflow.estimate(*frames, "fast").flow
    np.testing.assert_array_equal(variflow.estimate(*barred, "fast").flow, surround(alone, rows, columns, mode="edge"))


def test_what_is_given_beside_frames_with_bars_is_cut_like_them():
    frames = make_pair((1, 2))
    random = np.random.default_rng(0)
    mask, weights = np.ones(frames[0].shape, bool), random.random(frames[0].shape)
    mask[30:50, 30:60] = False
    init, matches = variflow.estimate(*frames, "fast").flow, variflow.match(*frames)
    moved = variflow.Matches(matches.points + np.float32((0, 16)), matches.flow, matches.confidence)
    for alone, barred in (
        ({"mask": mask}, {"mask": surround(mask)}),
        ({"weights": weights}, {"weights": surround(weights)}),
        ({"init": init}, {"init": surround(init)}),
        ({"init": matches}, {"init": moved}),
    ):
        expected = variflow.estimate(*frames, "fast", **alone).flow
        found = variflow.estimate(*map(surround, frames), "fast", **barred).flow
        np.testing.assert_array_equal(found[16:-12], expected)
    with pytest.raises(ValueError, match="init has no known pixel between the bars"):
        variflow.estimate(*map(surround, frames), "fast", init=surround(init * np.nan, constant_values=2))
    with pytest.raises(ValueError, match=r"init has shape \(80, 120, 2\), wanted \(108, 120, 2\)"):
        variflow.estimate(*map(surround, frames), "fast", init=init)


def test_states_are_those_of_the_picture():
    frames = make_pair()
    states = list(variflow.iterate(*map(surround, frames), "fast"))
    assert states[-1].shape == frames[0].shape
    result = variflow.estimate(*map(surround, frames), "fast")
    np.testing.assert_array_equal(states[-1].flow, result.flow[16:-12])


class Prior(Term):
    """Draws the flow towards another one, which has the size of the frames."""

    def __init__(self, flow):
        self.flow = flow

    def __call__(self, d, at):
        u, v = at.flow
        return 1e-3 * (((u + d[0] - self.flow[..., 0]) ** 2 + (v + d[1] - self.flow[..., 1]) ** 2) * at.valid).sum()


def test_bars_are_missing_pixels_where_an_energy_may_know_places_in_the_frame():
    """Arrays have the size of the frames, and a function may hold some."""
    frames = make_pair((1, 2))
    barred = list(map(surround, frames))
    prior = np.broadcast_to(np.float32((2, 1)), (*barred[0].shape, 2)).copy()
    brox = variflow.models.brox().energy
    for energy in (brox + Prior(prior), lambda d, at: brox(d, at)):
        result = variflow.estimate(*barred, energy)
        assert result.flow.shape == prior.shape
        assert np.abs(result.flow[24:-20, 8:-8] - (2, 1)).mean() < 0.05
        assert list(variflow.iterate(*barred, energy))[-1].shape == barred[0].shape


def test_a_result_with_bars_can_be_pickled_and_shown():
    result = variflow.estimate(*map(surround, make_pair((1, 2))), "fast")
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.confidence, result.confidence)
    assert np.isnan(result.to_xarray(validate=True).u[:16]).all()
    assert "108" in repr(result.show_page())


def test_what_is_taken_for_a_bar_may_move():
    """A plain wall above texture, as a camera tilts: it is left out, and its flow is that of the texture."""
    whole = np.repeat(make_pair()[0], 2, axis=1)[:, :160]
    whole[:, :20] = 200
    frames = [whole[5:75], whole[:70]]
    assert find(frames).left == 20
    flow = variflow.estimate(*frames).flow
    assert np.abs(flow[8:-8] - (0, 5)).max() < 0.1


def test_a_dim_part_with_texture_is_no_bar():
    frames = [frame.astype(np.uint16) * 200 for frame in make_pair()]
    for frame in frames:
        frame[1:16] //= 200
        frame[0] = 0
    assert find(frames) == NO_BARS


def test_a_bright_pixel_hides_no_bar():
    frames = [frame.astype(float) for frame in make_pair()]
    for frame in frames:
        frame[:12] = 0
        frame[48, 48] = 1e4
    assert find(frames) == Bars(12, 0, 0, 0)


def test_bars_do_no_harm_to_large_motion(data):
    """The bars hide what leaves the picture; before they were found, the error was twice as large."""
    pair = next(pair for pair in datasets.sintel(data / "sintel") if pair.name.startswith("market_5"))
    picture = np.s_[54:-54]
    frames = [frame.copy() for frame in (pair.frame0, pair.frame1)]
    alone = variflow.estimate(*(frame[picture] for frame in frames)).flow
    for frame in frames:
        frame[:54] = frame[-54:] = 0
    beside = variflow.estimate(*frames).flow[picture]
    assert endpoint_error(beside, pair.flow[picture]) < 1.1 * endpoint_error(alone, pair.flow[picture])


@pytest.mark.parametrize("reference", [None, 0])
def test_a_video_with_bars_follows_its_picture(reference):
    first, second = make_pair()
    frames = [first, second, first, second]
    alone = list(video.flows(frames, "fast", reference=reference))
    for pair, expected in zip(
        video.flows(list(map(surround, frames)), "fast", reference=reference), alone, strict=True
    ):
        np.testing.assert_array_equal(pair.flow, surround(expected.flow, mode="edge"))
        assert np.isnan(pair.result.to_xarray().u[0]).all()


@pytest.mark.parametrize("turned", [False, True])
def test_bars_stay_in_a_video_while_the_picture_is_dark(turned):
    """The picture fades to black from above, and its rim cannot be told from a bar."""
    first, second = make_pair((1, 2))
    dark = second.copy()
    dark[:8] = 0
    frames = [surround(frame) for frame in (first, second, dark, first)]
    frames = [frame.T if turned else frame for frame in frames]
    assert find(frames[1:3]) == NO_BARS._replace(**{"right" if turned else "bottom": 12})
    pairs = list(video.flows(frames, "fast"))
    alone = variflow.estimate(*(frame.T if turned else frame for frame in (second, dark)), "fast").flow
    around = {"rows": (0, 0), "columns": (16, 12)} if turned else {}
    np.testing.assert_allclose(pairs[1].flow, surround(alone, **around, mode="edge"), atol=0.1)
    assert pairs[1].result.to_xarray().u.isnull().mean() == pytest.approx(28 / 108)


def test_bars_are_as_before_once_the_rim_of_the_picture_is_dark_no_longer():
    first, second = make_pair((1, 2))
    frames = [surround(frame) for frame in (first, second, first, second, first, second)]
    for frame in frames[2:4]:
        frame[16:26] = 0
    assert find(frames[2:4]).top == 26
    assert find(frames[3:5]).top == 0
    pairs = list(video.flows(frames, "fast"))
    for number in (0, 4):
        alone = variflow.estimate(frames[number][16:-12], frames[number + 1][16:-12], "fast").flow
        np.testing.assert_array_equal(pairs[number].flow, surround(alone, mode="edge"))
    assert [int(np.isnan(pair.result.to_xarray().u[:, 0]).sum()) for pair in pairs] == [28, 28, 38, 28, 28]


def test_bars_may_come_and_go_in_a_video():
    first, second = make_pair()
    frames = [surround(first), surround(second), surround(first, (20, 8)), surround(second, (20, 8)), surround(first)]
    pairs = list(video.flows(frames, "fast"))
    assert [pair.flow.shape for pair in pairs] == [(108, 120, 2)] * 4
    for number, rows in ((0, (16, 12)), (2, (20, 8))):
        alone = variflow.estimate(first, second, "fast").flow
        np.testing.assert_array_equal(pairs[number].flow, surround(alone, rows, mode="edge"))


@pytest.mark.parametrize("time", [0, 0.25, 0.5, 1])
def test_bars_stay_in_frames_between_two(time):
    """Whatever the flow says there: a bar does not move into the picture, nor the picture into a bar."""
    frames = make_pair((4, 6))
    there = np.broadcast_to(np.float32((6, 4)), (*frames[0].shape, 2))
    alone = flowops.interpolate(*frames, there, -there, time)
    barred = [np.pad(frame, ((16, 12), (0, 0))) for frame in frames]
    there = np.broadcast_to(np.float32((6, 4)), (*barred[0].shape, 2))
    made = flowops.interpolate(*barred, there, -there, time)
    np.testing.assert_array_equal(made, np.pad(alone, ((16, 12), (0, 0))))
