"""Validating a flow: planted outliers, frames without signal, frames that disagree, bodies that move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import variflow
from variflow import flowops
from variflow.datasets import synthetic
from variflow.io import read_flow, read_image

MEASURED, MASKED, REPLACED, REJECTED = range(4)


def ramp(shape=(20, 24), slope=(0.05, -0.03)):
    y, x = np.indices(shape)
    return np.stack([slope[0] * x + 1, slope[1] * y + 0.5], axis=2).astype(np.float32)


def by_hand(flow, window, step, threshold, epsilon):
    """The test as the paper has it, vector by vector, inside."""
    height, width = flow.shape[:2]
    reach = window // 2 * step
    found = np.zeros((height, width), bool)
    for y in range(reach, height - reach):
        for x in range(reach, width - reach):
            square = 0.0
            for component in range(2):
                around = flow[y - reach : y + reach + 1 : step, x - reach : x + reach + 1 : step, component].ravel()
                around = np.delete(around, len(around) // 2)
                middle = np.nanmedian(around)
                spread = np.nanmedian(abs(around - middle))
                square += (abs(flow[y, x, component] - middle) / (spread + epsilon)) ** 2
            found[y, x] = np.sqrt(square) > threshold
    return found


@pytest.mark.parametrize(("window", "step"), [(3, 1), (5, 1), (3, 3), (5, 2)])
@pytest.mark.parametrize("holes", [False, True])
def test_outliers_are_those_of_the_paper(window, step, holes):
    rng = np.random.default_rng(window + step)
    flow = rng.normal(size=(19, 23, 2)).astype(np.float32)
    if holes:
        flow[rng.random((19, 23)) < 0.2] = np.nan
    found = flowops.find_outliers(flow, window=window, step=step, threshold=3.0, epsilon=0.2)
    inner = (slice(window // 2 * step, -(window // 2) * step),) * 2
    wanted = by_hand(flow, window, step, 3.0, 0.2)
    np.testing.assert_array_equal(found[inner], wanted[inner])
    assert 0.01 < wanted[inner].mean() < 0.9


@given(seed=st.integers(0, 10**6), step=st.integers(1, 4), window=st.sampled_from([3, 5]))
@settings(max_examples=20, deadline=None)
def test_single_vectors_are_found_wherever_they_lie(seed, step, window):
    rng = np.random.default_rng(seed)
    flow = ramp(slope=rng.uniform(-0.2, 0.2, 2))
    place = tuple(rng.integers(0, flow.shape[:2]))
    flow[place] += 3
    assert np.argwhere(flowops.find_outliers(flow, step=step, window=window)).tolist() == [list(place)]


def test_planted_patches_are_found_with_a_step_as_wide():
    rng = np.random.default_rng(0)
    y, x = np.indices((240, 320))
    flow = np.stack([2 * np.sin(y / 30), 2 * np.cos(x / 25)], axis=2) + rng.normal(0, 0.03, (240, 320, 2))
    wrong = np.zeros(flow.shape[:2], bool)
    for _ in range(60):
        top, left = rng.integers(0, (235, 315))
        angle = rng.uniform(0, 2 * np.pi)
        flow[top : top + 5, left : left + 5] += 4 * np.array([np.cos(angle), np.sin(angle)])
        wrong[top : top + 5, left : left + 5] = True
    found = flowops.find_outliers(flow, step=4)
    assert found[wrong].mean() > 0.9
    assert found[~wrong].mean() < 0.01
    assert flowops.find_outliers(flow, step=1)[wrong].mean() < 0.5
    valid, flags = flowops.validate(flow)
    np.testing.assert_array_equal(flags == REPLACED, found)
    np.testing.assert_array_equal(valid[~found], flow.astype(np.float32)[~found])


def test_unknown_vectors_are_no_outliers_and_make_none():
    flow = ramp()
    flow[5:9, 5:9] = np.nan
    flow[0, 0] = np.nan
    assert not flowops.find_outliers(flow).any()
    assert not flowops.find_outliers(np.full((4, 5, 2), np.nan)).any()
    lonely = np.full((9, 9, 2), np.nan)
    lonely[4, 4:6] = [[0, 0], [9, 9]]
    assert not flowops.find_outliers(lonely).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (2, 2), (3, 3)])
def test_fields_of_any_size(shape):
    for step in (1, 4):
        assert not flowops.find_outliers(np.ones((*shape, 2)), step=step, window=5).any()
    valid, flags = flowops.validate(np.ones((*shape, 2)))
    assert (valid == 1).all()
    assert not flags.any()


def test_bands_of_rows_leave_no_seams(monkeypatch):
    from variflow.flowops import outliers

    flow = np.random.default_rng(3).normal(size=(37, 20, 2)).astype(np.float32)
    whole = flowops.find_outliers(flow, step=3)
    monkeypatch.setattr(outliers, "_AT_ONCE", 60)
    np.testing.assert_array_equal(flowops.find_outliers(flow, step=3), whole)
    assert whole.any()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"window": 4}, "window is 4, wanted one of 3, 5"),
        ({"step": 0}, "step is 0, wanted a whole number of at least 1"),
        ({"threshold": 0}, "threshold is 0, wanted a number above 0"),
        ({"epsilon": -0.1}, r"epsilon is -0\.1, wanted a number above 0"),
    ],
)
def test_settings_of_the_median_test_are_checked(setting, message):
    with pytest.raises(ValueError, match=message):
        flowops.find_outliers(ramp(), **setting)


# What the frames say


def speckle(shape=(90, 120), seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    from scipy.ndimage import gaussian_filter

    frame = gaussian_filter(rng.normal(size=shape), 1.2)
    frame = 100 + 30 * frame / frame.std()
    return frame + rng.normal(0, noise, shape) if noise else frame


@pytest.mark.parametrize("noise", [1.0, 2.0, 4.0])
def test_precision_is_what_least_squares_reach(noise):
    """Windows are located by least squares in many noisy copies of a frame; the bound says how well that goes."""
    from scipy.ndimage import gaussian_filter

    clean = 30 * gaussian_filter(np.random.default_rng(1).normal(size=(75, 75)), 3)
    clean *= 30 / clean.std()
    dy, dx = np.gradient(clean)
    errors = []
    rng = np.random.default_rng(2)
    for row in range(15, 60, 15):
        for column in range(15, 60, 15):
            window = (slice(row - 7, row + 8), slice(column - 7, column + 8))
            slopes = np.stack([dx[window].ravel(), dy[window].ravel()], axis=1)
            worst = np.linalg.svd(slopes)[2][1]  # the direction of least variation
            trials = rng.normal(0, noise * np.sqrt(2), (225, 200))
            errors.append(((np.linalg.pinv(slopes) @ trials).T @ worst).std())
    found = flowops.precision(clean + rng.normal(0, noise, clean.shape))[15:60:15, 15:60:15]
    assert np.median(found / np.reshape(errors, (3, 3))) == pytest.approx(1, abs=0.4)


def test_where_there_is_nothing_to_measure():
    frame = np.full((60, 90), 20.0)
    frame[:, :30] = speckle((60, 30))
    frame[:, 45:] += 50  # an edge, along which nothing is known
    found = flowops.precision(frame)
    assert (found[:, :20] < 0.1).all()
    assert np.isinf(found[:, 40:]).all()
    noise = np.random.default_rng(0).normal(100, 5, (60, 90))
    assert np.isinf(flowops.precision(noise)).all()
    assert np.isinf(flowops.precision(np.zeros((9, 9)))).all()
    frame[:, 20:] = np.nan
    assert np.isnan(flowops.precision(frame)[:, 28:]).all()
    assert (flowops.precision(frame)[:, :10] < 0.1).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_frames_of_any_type_and_unit_agree_alike(dtype, channels):
    frame = np.clip(speckle(), 0, 255)
    if channels:
        frame = np.repeat(frame[..., None], 3, axis=2)
    typed = (frame.round() * (200 if dtype == np.uint16 else 1)).astype(dtype)
    flow = np.zeros((90, 120, 2))
    np.testing.assert_allclose(flowops.correlation(typed, typed, flow), 1, atol=1e-3)
    np.testing.assert_allclose(flowops.precision(typed), flowops.precision(frame.round()), rtol=1e-3)


def test_frames_agree_along_their_flow_alone():
    pair = synthetic.translation((80, 100), shift=(6.0, -3.0))
    right = flowops.correlation(pair.frame0, pair.frame1, pair.flow)
    wrong = flowops.correlation(pair.frame0, pair.frame1, pair.flow + 9)
    assert np.nanquantile(right, 0.01) > 0.9
    assert np.nanmedian(wrong) < 0.5
    outside = np.isnan(right)
    assert outside[:, -6:].all()
    assert outside[:3].all()
    assert not outside[12:, :-15].any()


def test_noise_does_not_lower_the_correlation_and_light_does_not_either():
    clean = speckle()
    first, second = (clean + np.random.default_rng(seed).normal(0, 12, clean.shape) for seed in (1, 2))
    found = flowops.correlation(first, 0.4 * second + 90, np.zeros((90, 120, 2)))
    plain = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    assert plain < 0.88
    assert np.median(found) > 0.93
    assert (found <= 1).all()


def test_what_is_unknown_stays_unknown():
    frame, flow = speckle(), np.zeros((90, 120, 2))
    flow[40, 50] = np.nan
    hole = frame.copy()
    hole[30:60, 60:100] = np.nan
    found = flowops.correlation(hole, frame, flow)
    assert np.isnan(found[40, 50])
    assert np.isnan(found[45, 80])
    np.testing.assert_allclose(found[:20], 1, atol=1e-3)
    assert np.isnan(flowops.correlation(np.full((9, 9), np.nan), np.ones((9, 9)), np.zeros((9, 9, 2)))).all()
    assert np.isnan(flowops.correlation(np.ones((9, 9)), np.ones((9, 9)), np.zeros((9, 9, 2)))).all()


def test_what_a_reflection_hides_is_rejected_to_its_middle():
    frame, still = speckle(), np.zeros((90, 120, 2))
    hidden = frame.copy()
    hidden[30:60, 40:80] = 255
    _, flags = flowops.validate(still, frame, hidden)
    assert (flags[37:53, 47:73] == REPLACED).all()  # where no window reaches beyond it
    far = np.ones((90, 120), bool)
    far[18:72, 28:92] = False
    assert (flags[far] == MEASURED).all()
    bare = np.full((90, 120), 7.0)  # neither frame shows anything: it is not the second that lacks it
    _, flags = flowops.validate(still, bare, bare, worst_precision=np.inf)
    assert (flags == MEASURED).all()


def test_arguments_of_the_evidence_are_checked():
    frame = speckle()
    with pytest.raises(ValueError, match=r"frame1 has shape \(9, 9\), wanted that of frame0, \(90, 120\)"):
        flowops.correlation(frame, frame[:9, :9], np.zeros((90, 120, 2)))
    with pytest.raises(ValueError, match=r"flow has shape \(9, 9, 2\), wanted .* \(90, 120, 2\)"):
        flowops.correlation(frame, frame, np.zeros((9, 9, 2)))
    for function in (
        flowops.precision,
        lambda f, window: flowops.correlation(f, f, np.zeros((90, 120, 2)), window=window),
    ):
        with pytest.raises(ValueError, match="window is 4, wanted an odd number of pixels"):
            function(frame, window=4)
        with pytest.raises(ValueError, match="window is 1, wanted an odd number of pixels of at least 3"):
            function(frame, window=1)


# All together


def test_wrong_vectors_are_rejected_and_replaced():
    pair = synthetic.translation((80, 100), shift=(2.0, -1.0))
    flow = pair.flow.astype(np.float32)
    flow[30:60, 40:75] += (7, 5)  # wider than any step
    before = flow.copy()
    _, alone = flowops.validate(flow)
    assert (alone[38:52, 48:67] == MEASURED).all()  # a large patch agrees with itself
    valid, flags = flowops.validate(flow, pair.frame0, pair.frame1)
    assert (flags[35:55, 45:70] == REPLACED).mean() > 0.8
    assert (flags[:15, 10:80] == MEASURED).all()
    np.testing.assert_array_equal(flow, before)
    np.testing.assert_array_equal(valid[flags == MEASURED], flow[flags == MEASURED])
    open_flow, open_flags = flowops.validate(flow, pair.frame0, pair.frame1, replace=False)
    np.testing.assert_array_equal(open_flags == REJECTED, flags == REPLACED)
    np.testing.assert_array_equal(np.isnan(open_flow).all(axis=2), open_flags == REJECTED)


def test_a_still_body_is_missing_in_the_output():
    pair = synthetic.translation((64, 80), shift=(1.5, -0.5))
    fluid = np.ones((64, 80), bool)
    fluid[20:40, 30:50] = False
    result = variflow.estimate(pair.frame0, pair.frame1, "fast", mask=fluid)
    assert np.isfinite(result.flow).all()  # filled in: what is masked has no influence
    flow, flags = flowops.validate(result.flow, pair.frame0, pair.frame1, mask=fluid)
    assert (flags[~fluid] == MASKED).all()
    assert np.isnan(flow[~fluid]).all()
    assert np.isfinite(flow[5:-5, 5:20]).all()


def test_a_moving_body_is_masked_in_both_frames():
    flow = np.zeros((30, 40, 2))
    flow[..., 0] = 4
    here, there = np.ones((30, 40), bool), np.ones((30, 40), bool)
    here[10:20, 5:10] = False
    there[10:20, 15:20] = False
    _, flags = flowops.validate(flow, mask=(here, there))
    masked = np.zeros((30, 40), bool)
    masked[10:20, 5:10] = masked[10:20, 11:16] = True
    np.testing.assert_array_equal(flags == MASKED, masked)
    _, second = flowops.validate(flow, mask=(None, there))
    assert (second[10:20, 5:10] == MEASURED).all()


def test_what_is_masked_has_no_influence():
    pair = synthetic.translation((64, 80), shift=(1.5, -0.5))
    fluid = np.ones((64, 80), bool)
    fluid[20:40, 30:50] = False
    results = []
    for fill in (0.0, 1e6, np.nan):
        frame0, frame1, flow = pair.frame0.astype(float), pair.frame1.astype(float), pair.flow.copy()
        for array in (frame0, frame1, flow):
            array[~fluid] = fill
        results.append(flowops.validate(flow, frame0, frame1, mask=(fluid, None)))
    # The second frame shows the body too, so what goes there does not count; elsewhere nothing may differ.
    for flow, flags in results[:2]:
        np.testing.assert_array_equal(flow[:, 60:], results[2][0][:, 60:])
        np.testing.assert_array_equal(flags[~fluid], MASKED)


def test_bare_ground_and_stripes_are_rejected_whatever_the_flow_says():
    x, y = np.meshgrid(np.arange(120), np.arange(90))
    disc = np.where(np.hypot(x - 55, y - 45) < 20, speckle((90, 120)), 100.3)
    flow = np.broadcast_to((4.0, 0.0), (90, 120, 2))
    with pytest.warns(variflow.VariflowWarning, match="more than half .* noise, or nothing that can be located"):
        _, flags = flowops.validate(flow, disc, np.roll(disc, 4, axis=1))
    assert (flags[np.hypot(x - 55, y - 45) > 32] == REPLACED).all()
    assert (flags[np.hypot(x - 55, y - 45) < 15] == MEASURED).all()
    stripes = [np.sin((x - u) / 3) for u in (0, 2)]
    with pytest.warns(variflow.VariflowWarning, match="rejected all vectors, .* nothing that can be located"):
        flowops.validate(flow - (2, 3), *stripes)


def test_missing_vectors_stay_missing():
    flow = ramp()
    flow[4:8, 4:8] = np.nan
    flow[15, 15] = 40
    valid, flags = flowops.validate(flow, step=1)
    assert np.isnan(valid[4:8, 4:8]).all()
    assert (flags[4:8, 4:8] == MASKED).all()
    assert flags[15, 15] == REPLACED
    np.testing.assert_allclose(valid[15, 15], ramp()[15, 15], atol=0.02)


def test_a_flow_without_a_good_vector_is_not_filled():
    wall = np.full((40, 50), 7.0)
    with pytest.warns(
        variflow.VariflowWarning, match="rejected all vectors, .* nothing that can be located; none was left"
    ):
        flow, flags = flowops.validate(np.zeros((40, 50, 2)), wall, wall)
    assert (flags == REJECTED).all()
    assert np.isnan(flow).all()
    flow, flags = flowops.validate(np.zeros((40, 50, 2)), wall, wall, worst_precision=np.inf)
    assert (flags == MEASURED).all()


@pytest.mark.parametrize("shift", [(2.0, 0.0), (1.5, -0.5)])
def test_what_both_frames_show_is_no_noise(shift):
    """Speckle as fine as noise is measured where the frames share it, and rejected where they do not."""
    from scipy.ndimage import shift as shift_by

    rng = np.random.default_rng(0)
    frame, other = rng.normal(size=(2, 96, 128))
    moved = shift_by(frame, shift[::-1], order=5, mode="wrap")
    flow = np.broadcast_to(shift, (96, 128, 2))
    noisy = [plane + 0.3 * rng.normal(size=plane.shape) for plane in (frame, moved)]
    for first, second in ((frame, moved), noisy):
        _, flags = flowops.validate(flow, first, second)
        assert (flags[8:-8, 8:-8] == MEASURED).all()
    stripes = 10 * np.sin(np.arange(128) / 3)
    for first, second, field in (
        (frame, moved, flow + 4),
        (frame, other, flow),
        (stripes + frame, stripes + other, 0 * flow),
    ):
        with pytest.warns(variflow.VariflowWarning, match="rejected (all|more than half of the) vectors"):
            _, flags = flowops.validate(field, first, second)
        assert (flags == MEASURED).mean() < 0.01


@pytest.mark.parametrize("replace", [True, False])
def test_it_is_told_once_if_most_vectors_are_rejected(replace):
    pair = synthetic.translation((64, 80), shift=(1.5, -0.5))
    flow = pair.flow.copy()
    flow[:, :60] += 9
    with pytest.warns(
        variflow.VariflowWarning, match="more than half .* because they lie where the frames do not"
    ) as told:
        flowops.validate(flow, pair.frame0, pair.frame1, replace=replace)
    assert len(told) == 1
    noise = np.random.default_rng(0).normal(size=(40, 50, 2))
    with pytest.warns(variflow.VariflowWarning, match="because they do not fit those around them: see the flags"):
        flowops.validate(noise, threshold=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frame0": np.zeros((20, 24))}, "frame1 is missing, wanted both frames or none"),
        ({"frame1": np.zeros((20, 24))}, "frame0 is missing, wanted both frames or none"),
        (
            {"frame0": np.zeros((9, 9)), "frame1": np.zeros((9, 9))},
            r"flow has shape \(20, 24, 2\), wanted that of frame0, \(9, 9, 2\)",
        ),
        (
            {"frame0": np.zeros((9, 9)), "frame1": np.zeros((9, 9)), "mask": np.ones((20, 24), bool)},
            r"frame0 has shape \(9, 9\), wanted \(20, 24\) as flow and mask",
        ),
        ({"mask": np.ones((9, 9), bool)}, r"mask has shape \(9, 9\), wanted \(20, 24\)"),
        ({"least_correlation": 2}, "least_correlation is 2, wanted a number from -1 to 1"),
        ({"worst_precision": 0}, "worst_precision is 0, wanted a number above 0"),
    ],
)
def test_arguments_of_validate_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        flowops.validate(ramp(), **arguments)


# Datasets


def grid(y_axis="down", scale=1.0, units="pixel"):
    xarray = pytest.importorskip("xarray", reason="Datasets need xarray")
    flow = ramp((10, 12)) * scale
    mask = np.zeros((10, 12), np.int8)
    mask[2, 2], mask[7, 3], mask[5, 9] = MASKED, REJECTED, REPLACED
    flow[2, 2] = flow[7, 3] = np.nan
    flow[4, 6] += 3 * scale
    variables = {name: (("y", "x"), flow[..., k], {"units": units}) for k, name in enumerate(("u", "v"))}
    variables |= {"mask": (("y", "x"), mask), "vorticity": (("y", "x"), flow[..., 0])}
    sign = 1 if y_axis == "down" else -1
    places = {"x": 16.0 * np.arange(12), "y": sign * 16.0 * np.arange(10)}
    return xarray.Dataset(variables, places, {"y_axis": y_axis, "pixel_size": 0.5, "dt": 0.1, "title": "a field"})


@pytest.mark.parametrize(("units", "scale"), [("pixel", 1.0), ("mm", 0.5), ("mm s-1", 5.0)])
@pytest.mark.parametrize("y_axis", ["down", "up"])
def test_a_field_in_units_is_validated(units, scale, y_axis):
    field = grid(y_axis, scale, units)
    valid = flowops.validate_xarray(field)
    flags = valid["mask"].values
    assert (flags[2, 2], flags[7, 3], flags[5, 9], flags[4, 6]) == (MASKED, REPLACED, REPLACED, REPLACED)
    assert (flags == MEASURED).sum() == flags.size - 4
    wanted = ramp((10, 12)) * scale
    assert np.isnan(valid.u[2, 2])
    np.testing.assert_allclose(valid.u[4, 6], wanted[4, 6, 0], atol=0.03 * scale)
    np.testing.assert_allclose(valid.v[7, 3], wanted[7, 3, 1], atol=0.03 * scale)
    kept = flags == MEASURED
    np.testing.assert_array_equal(valid.u.values[kept], field.u.values[kept])
    assert valid.attrs == field.attrs
    assert valid.u.attrs == {"units": units}
    assert set(valid.data_vars) == {"u", "v", "mask"}
    assert valid.u.dtype == field.u.dtype


def test_rejected_vectors_of_a_field_can_stay_missing():
    valid = flowops.validate_xarray(grid(), replace=False)
    assert int(valid["mask"][4, 6]) == int(valid["mask"][7, 3]) == REJECTED
    assert np.isnan(valid.u[4, 6])
    assert "rejected" in valid["mask"].attrs["flag_meanings"]


# Real particles


@pytest.mark.parametrize(("name", "falsely"), [("DNS_turbulence", 0.005), ("SQG", 0.02)])
def test_outliers_planted_into_a_flow_of_particles(data, name, falsely):
    folder = data / "piv"
    if not folder.is_dir():
        pytest.skip(f"no particles at {folder}")
    frames = [read_image(folder / f"{name}_00001_img{k}.tif") for k in (1, 2)]
    truth = read_flow(folder / f"{name}_00001_flow.flo")
    result = variflow.estimate(*frames, "smooth")
    rng = np.random.default_rng(0)
    flow, wrong = result.flow.copy(), np.zeros(truth.shape[:2], bool)
    for _ in range(130):
        top, left = rng.integers(0, 251, 2)
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(2, 6)
        flow[top : top + 5, left : left + 5] += length * np.array([np.cos(angle), np.sin(angle)])
        wrong[top : top + 5, left : left + 5] = True
    valid, flags = flowops.validate(flow, *frames)
    found = flags == REPLACED
    assert found[wrong].mean() > 0.9
    assert found[~wrong].mean() < falsely
    errors = [np.linalg.norm(field - truth, axis=2)[wrong].mean() for field in (flow, valid, result.flow)]
    assert errors[1] < 0.2 * errors[0]
    assert errors[1] < 4 * errors[2]
