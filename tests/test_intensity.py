"""Values that no camera has, ranges that no pattern deceives, and frames in two units."""

import warnings

import numpy as np
import pytest

import variflow
from variflow.datasets import synthetic
from variflow.frames.checking import check_frames, prepare
from variflow.frames.intensity import find_robust_range

SHIFT = (1.7, -0.8)


@pytest.fixture(scope="module")
def pair():
    moved = synthetic.translation((64, 80), shift=SHIFT)
    return moved.frame0.mean(axis=2) / 255, moved.frame1.mean(axis=2) / 255


def error(frame0, frame1, model="fast", usable=None, **options):
    flow = variflow.estimate(frame0, frame1, model, **options).flow
    assert np.isfinite(flow).all()
    inside = np.zeros(flow.shape[:2], bool)
    inside[8:-8, 8:-8] = True
    return np.hypot(*np.moveaxis(flow - SHIFT, 2, 0))[inside if usable is None else inside & usable].mean()


FILLS = [9.969e36, 1e20, -3.4028e38, -9999.0, -32768.0, 9999.0, 1e5, -1e16, 1e308, -1e308]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("where", ["one", "some", "quarter", "most"])
def test_a_value_that_no_camera_has_is_missing(pair, fill, where):
    unusable = np.zeros(pair[0].shape, bool)
    if where == "quarter":
        unusable[:32, :40] = True
    elif where == "most":
        unusable[:, :48] = True
    else:
        unusable.flat[np.random.default_rng(3).choice(unusable.size, 1 if where == "one" else 60, replace=False)] = True
    frame0 = np.where(unusable, fill, pair[0])
    with pytest.warns(variflow.VariflowWarning, match="frame0 has .* far outside .*: taken as missing; mask="):
        flow = variflow.estimate(frame0, pair[1], "fast").flow
    np.testing.assert_array_equal(flow, variflow.estimate(pair[0], pair[1], "fast", mask=(~unusable, None)).flow)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int16])
def test_fill_values_among_whole_numbers(pair, dtype):
    frame0, frame1 = (np.rint(frame * 255).astype(dtype) for frame in pair)
    frame0[20:30, 30:40] = -9999
    frame1[5, 5] = -32768
    with pytest.warns(variflow.VariflowWarning) as caught:
        images = check_frames(frame0, frame1)
    assert len(caught) == len(images.remarks) == 2
    assert np.count_nonzero(~images.valids[0]) == 100
    assert np.count_nonzero(~images.valids[1]) == 1
    assert all(255 >= bound >= 0 for bound in images.intensity_range)


NEAR = [("uint16", 65535), ("float32", 65535), ("float16", 65504), ("int16", 32767), ("float64", 9999), ("int16", -999)]
NEAR += [("float32", -999), ("int32", -400), ("float64", -9999.5)]


@pytest.mark.parametrize(("dtype", "fill"), NEAR)
@pytest.mark.parametrize("share", [0.01, 0.25, 0.6])
@pytest.mark.parametrize("both", [True, False])
def test_a_fill_value_near_the_others_is_missing(pair, dtype, fill, share, both):
    frames = [np.rint(frame * 255).astype(dtype) for frame in pair]
    filled = [frame.copy() for frame in frames]
    unusable = np.random.default_rng(2).random(frames[0].shape) < share
    for frame in filled[: 1 + both]:
        frame[unusable] = fill
    with pytest.warns(
        variflow.VariflowWarning, match="frame[01] has .* pixels far outside .*: taken as missing; mask="
    ):
        images = check_frames(*filled)
    masked = check_frames(*frames, mask=(~unusable, ~unusable if both else None))
    np.testing.assert_array_equal(images.valids[0], ~unusable)
    assert images.intensity_range == masked.intensity_range
    for found, wanted in zip(images.prepare()[:2], masked.prepare()[:2], strict=True):
        np.testing.assert_array_equal(found.planes, wanted.planes)


def test_several_marks_below_zero_and_far_values_are_told_together(pair):
    frame0, frame1 = (np.rint(frame * 4000).astype(np.int32) for frame in pair)
    frame0[:9], frame0[9:20, :30], frame0[30, 4:7], frame1[:, 70:] = -9999, -32768, 2**31 - 1, -9999
    with pytest.warns(variflow.VariflowWarning, match="taken as missing"):
        valids = check_frames(frame0, frame1).valids
    assert [np.count_nonzero(~valid) for valid in valids] == [9 * 80 + 11 * 30 + 3, 64 * 10]


def test_what_a_picture_may_hold_is_no_mark(pair):
    gray = np.rint(pair[0] * 255)
    lamp, dark, few = gray // 8, gray * 16, np.rint(pair[0] * 6)
    lamp[10:20, 10:20] = 255
    dark[5:9, 5:20], few[3:20, 3:9] = 65_535, -20
    stars = 100 + 5 * np.random.default_rng(0).standard_normal((200, 200))
    stars[50:53, 60:63] = 65_535
    clipped = np.maximum(gray - 150, -60)  # dark and saturated below
    many_below = np.where(gray > 120, gray, gray - 500)
    echoes = np.where(gray < 60, -40, gray / 5)  # in decibels, and none of them
    pictures = [lamp, lamp * 257, stars, few, clipped, many_below, echoes]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in pictures:
            assert check_frames(picture, np.roll(picture, 1, axis=1)).valids == [None, None]
    with pytest.warns(variflow.VariflowWarning, match="taken as missing"):
        check_frames(dark, dark)


def scatter(frames, share, low, high):
    """Return frames in which the same scattered pixels have values from low to high, and where these are."""
    rng = np.random.default_rng(1)
    stuck = rng.random(frames[0].shape) < share
    values = rng.uniform(low, high, np.count_nonzero(stuck))
    filled = [frame.copy() for frame in frames]
    for frame in filled:
        frame[stuck] = values
    return filled, stuck


@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "uint16"])
@pytest.mark.parametrize("share", [0.003, 0.02, 0.05])
def test_scattered_zeros_far_below_the_others_are_missing(pair, kind, share):
    frames = [(27_000 + 3_000 * frame).astype(kind) for frame in pair]
    filled, stuck = scatter(frames, share, 0, 0)
    with pytest.warns(variflow.VariflowWarning, match=r"pixels far outside .* \(such as 0\), at the same places"):
        result = variflow.estimate(*filled, "smooth")
    np.testing.assert_array_equal(result.flow, variflow.estimate(*frames, "smooth", mask=~stuck).flow)
    assert "at the same places: taken as missing; mask=" in result.reason


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize(("low", "high"), [(3_000, 60_000), (65_535, 65_535), (9_000, 9_000)])
def test_hot_pixels_are_missing(pair, channels, low, high):
    frames = [(100 + 500 * frame).astype(np.uint16) for frame in pair]
    filled, stuck = scatter(frames, 0.004, low, high)
    if channels:
        filled = [np.stack([frame, frames[0], frame], axis=2) for frame in filled]
    with pytest.warns(variflow.VariflowWarning, match=r"far outside the range of the others, 1.. to ...? \(such"):
        images = check_frames(*filled)
    for valid in images.valids:
        np.testing.assert_array_equal(valid, ~stuck)


def test_what_is_small_and_far_brighter_or_darker_may_be_the_picture(pair):
    rng = np.random.default_rng(0)
    gray = 200 + 20 * pair[0]
    shape, few = gray.shape, scatter([gray], 0.01, 0, 0)[1]
    noise = [100 + 2 * rng.standard_normal(shape) for _ in range(2)]
    dots, disc, painted = gray.copy(), gray.copy(), gray.copy()
    dots[few], disc[20:30, 30:40], painted[sum(np.indices(shape)) < 40] = 0, 0, 0
    ground = np.zeros(shape)
    ground[10:40, 10:60] = gray[10:40, 10:60]
    spots = np.zeros(shape)
    spots[few] = 3000 + 500 * rng.random(np.count_nonzero(few))
    wide = spots + sum(np.roll(spots, step, axis) / 3 for step in (-1, 1) for axis in (0, 1))
    still = {  # at the same places in both frames
        "single stars and noise": [sky + spots for sky in noise],
        "a thing at rest": [disc, disc + 1],
        "a painted mask": [painted, np.where(painted > 0, np.roll(gray, 1, axis=1), 0)],
        "particles at rest on black": [spots, spots],
        "particles at rest on gray": [100 + spots, 100 + spots],
        "stars seen through a lens": [gray + wide, np.roll(gray, 1, axis=1) + wide],
        "a single bright pixel": [np.where(np.cumsum(few).reshape(shape) == 1, few * 900 + gray, gray)] * 2,
        "black and white": [np.where(few, 0.0, 1.0)] * 2,
        "printed dots in noise": [200 + np.linspace(0, 300, shape[1]) + 9 * sky + 3 * spots for sky in noise],
    }
    moving = {"dark dots": dots, "a dark thing": disc, "a ground of zero": ground, "particles": gray + spots}
    still |= {name: [frame, np.roll(frame, 1, axis=1)] for name, frame in moving.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, frames in still.items():
            for kind in (np.float32, np.uint16):
                assert check_frames(*(frame.astype(kind) for frame in frames)).valids == [None, None], name


def test_several_fill_values_at_once(pair):
    frame0, frame1 = pair[0].copy(), pair[1].copy()
    frame0[3, 4:20], frame0[7, 8], frame1[40:, :9], frame1[0, 0] = 1e20, -3.4e38, 9.97e36, 1e10
    with pytest.warns(variflow.VariflowWarning):
        assert error(frame0, frame1) < 0.05


@pytest.mark.parametrize("unit", [1e-280, 1e-30, 1e30, 1e300])
def test_any_unit_will_do(pair, unit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert error(pair[0] * unit, pair[1] * unit) < 0.02


def test_what_may_be_seen_is_not_taken_for_a_fill_value():
    rng = np.random.default_rng(0)
    square = np.zeros((60, 80))
    square[20:40, 20:50] = 1
    stars = np.full((300, 300), 100.0)
    stars[100:103, 200:203] = 60_000
    events = np.zeros((300, 300))
    events[50:55, 60:64], events[200, 200] = 1, -1
    skies = [square * 255 + 1e-17 * rng.standard_normal(square.shape), square + 1e-6 * rng.random(square.shape)]
    skies += [square, stars + 5 * rng.standard_normal(stars.shape), events, np.logspace(-12, 3, 6000).reshape(60, 100)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sky in skies:
            first, second, _ = prepare(sky, np.roll(sky, 1, axis=1))
            assert first.complete
            assert second.complete
            assert np.abs(first.planes).max() <= 5000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intensity_range": (0, 1e-300)}, "intensity_range is .* hold intensities from 0"),
        ({"intensity_range": (1e15, 1e15 + 1)}, "intensity_range is .* hold intensities from 0"),
        ({"intensity_range": (-1e-12, 1e-12)}, "intensity_range is .* hold intensities from 0"),
    ],
)
def test_a_range_far_too_narrow_is_refused(pair, options, message):
    with pytest.raises(ValueError, match=message):
        variflow.estimate(*pair, "fast", **options)


@pytest.mark.parametrize("wanted", [(0, 1e30), (1e20, 2e20), (0, 1e4)])
def test_a_range_far_too_wide_is_told(pair, wanted):
    with pytest.warns(variflow.VariflowWarning, match="intensity_range is .* hardly any contrast"):
        flow = variflow.estimate(*pair, "fast", intensity_range=wanted).flow
    assert np.abs(flow).max() < 5


def test_frames_beyond_double_precision_are_refused(pair):
    with pytest.raises(ValueError, match=r"frame0 and frame1 hold intensities from .* wanted a usable range"):
        prepare(pair[0] * 1e-320, pair[1] * 1e-320)


def whole_range(images):
    values = np.sort(np.concatenate([image.ravel() for image in images]).astype(float))
    below = int(0.001 * (values.size - 1))
    return values[below], values[-1 - below]


KINDS = {
    "uint8": lambda frame: frame,
    "uint16": lambda frame: frame.astype(np.uint16) * 257,
    "float32": lambda frame: frame.astype(np.float32) / 255,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(480, 640), (1080, 1920)])
@pytest.mark.parametrize("pattern", ["band", "columns", "every row", "lines", "first row"])
def test_no_pattern_hides_from_the_range(kind, shape, pattern):
    frame = np.random.default_rng(1).integers(20, 60, (*shape, 1), np.uint8)
    step = shape[0] * shape[1] // 25_000
    if pattern == "band":  # between the rows that are looked at
        frame[step + 1 : 2 * step] = 250
    elif pattern == "columns":
        frame[:, 1:40] = 250
    elif pattern == "every row":
        frame[1::step] = 250
    elif pattern == "lines":
        frame[2::7] = 250
    else:
        frame[0, : shape[1] // 2] = 250
    images = [KINDS[kind](frame)] * 2
    low, high = find_robust_range(images, [None, None])
    wanted = whole_range(images)
    assert max(abs(low - wanted[0]), abs(high - wanted[1])) < 0.11 * (wanted[1] - wanted[0])
    usable = np.ones(shape, bool)
    usable[0, 0] = False
    masked = find_robust_range(images, [usable, usable])
    assert max(abs(masked[0] - wanted[0]), abs(masked[1] - wanted[1])) < 0.11 * (wanted[1] - wanted[0])


def test_all_kinds_have_the_same_range():
    frame = np.random.default_rng(1).integers(20, 60, (480, 640, 3), np.uint8)
    frame[13:24] = 250
    planes = [prepare(kind(frame), kind(frame)).first.planes for kind in KINDS.values()]
    for other in planes[1:]:
        np.testing.assert_array_equal(planes[0], other)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("bytes and parts", lambda a: np.rint(a * 255).astype(np.uint8), lambda b: b),
        ("parts and bytes", lambda a: a, lambda b: np.rint(b * 255).astype(np.uint8)),
        (
            "words and bytes",
            lambda a: np.rint(a * 255).astype(np.uint16) * 257,
            lambda b: np.rint(b * 255).astype(np.uint8),
        ),
        (
            "ten and eight bits",
            lambda a: np.rint(a * 1023).astype(np.uint16),
            lambda b: np.rint(b * 255).astype(np.uint8),
        ),
        ("Celsius and Kelvin", lambda a: 10 + 8 * a, lambda b: 283.15 + 8 * b),
        ("a tenth of the light", lambda a: a, lambda b: b / 10),
        ("whole numbers, large", lambda a: a, lambda b: np.rint(b * 2**31).astype(np.int64)),
    ],
)
@pytest.mark.parametrize("model", ["fast", "horn-schunck"])
def test_frames_in_two_units_are_told_and_brought_together(pair, name, first, second, model):
    frame0, frame1 = first(pair[0]), second(pair[1])
    with pytest.warns(
        variflow.VariflowWarning, match="frame0 .* has intensities from .* and frame1 .* from .* one unit"
    ):
        result = variflow.estimate(frame0, frame1, model)
    assert np.hypot(*np.moveaxis(result.flow - SHIFT, 2, 0))[8:-8, 8:-8].mean() < 0.06
    assert "each was brought to its own range" in result.reason


@pytest.mark.parametrize("bare", [0, 37.0])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("model", ["fast", "horn-schunck", "lucas-kanade"])
def test_a_frame_that_shows_nothing(pair, bare, noise, which, model):
    frames = list(pair)
    frames[which] = bare + noise * np.random.default_rng(0).standard_normal(pair[0].shape)
    with pytest.warns(variflow.VariflowWarning, match=f"frame{which} shows nothing that frame{1 - which}"):
        result = variflow.estimate(*frames, model)
    assert not result.flow.any()
    assert np.isfinite(result.confidence).all()


def test_ordinary_differences_are_not_told(pair):
    a, b = (np.rint(frame * 255).astype(np.uint8) for frame in pair)
    headlight, black = (a // 8).copy(), np.zeros_like(a)
    headlight[10:20, 10:20] = 255
    halves = [(a, b // 2), (a // 2, b), (a, np.clip(b * 1.2 + 25, 0, 255)), (headlight, b // 8), (a, b.astype(float))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for frames in [*halves, (black, black), (black[:1, :1], black[:1, :1] + 5), (a, a)]:
            variflow.estimate(*frames, "fast")


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_two_frames_without_texture_are_told(masked, channels):
    frames, mask = [np.full((30, 40, *channels), value, np.uint8) for value in (7, 90)], np.ones((30, 40), bool)
    if masked:
        mask[5:8] = False
        frames[0][5:8] = np.random.default_rng(0).integers(0, 255, frames[0][5:8].shape)
    with pytest.warns(variflow.VariflowWarning, match="frame0 and frame1 have no texture, each is the same everywhere"):
        result = variflow.estimate(*frames, "horn-schunck", mask=mask)
    assert not result.flow.any()
    assert "have no texture" in result.reason


def test_a_film_that_fades_is_not_told_so_again_and_again():
    fading = [np.full((30, 40), value, np.uint8) for value in (90, 40, 7, 0)]
    assert not any(result.flow.any() for result in variflow.estimate_video(fading, "realtime"))


def test_a_range_that_was_given_is_kept(pair):
    with pytest.warns(variflow.VariflowWarning, match="frame0 .* and frame1 .* give both in one unit"):
        images = check_frames(pair[0] * 255, pair[1], intensity_range=(0, 255))
    first, second, _ = images.prepare()
    np.testing.assert_allclose(first.planes[0], pair[0], atol=1e-5)
    np.testing.assert_allclose(second.planes[0], pair[1] / 255, atol=1e-5)
