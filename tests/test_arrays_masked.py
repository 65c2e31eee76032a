"""What numpy.ma masks is missing, everywhere: it has no influence, and what is around it is right."""

import numpy as np
import pytest

import variflow
from variflow import evaluation, flowops, metrics, view
from variflow.compat import opencv, skimage
from variflow.datasets import Sample, synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, FlowTerm, PriorFlow, Smoothness
from variflow.matching.dense import densify

PAIR = synthetic.translation((48, 64), shift=(2.0, -1.0))
FRAME0, FRAME1 = PAIR.frame0[..., 1], PAIR.frame1[..., 1]
HOLES = np.zeros((48, 64), bool)
HOLES[10:18, 20:34] = HOLES[30:34, 5:12] = True
HOLES[40, ::3] = True
Y, X = np.mgrid[:48, :64]
FLOW = np.stack([2 + 0.02 * X, -1 + 0.03 * Y], axis=2)
MODEL = variflow.models.fast()


def masked(array, fill, holes=HOLES):
    """An array with holes in it, beneath whose mask something lies that must not matter."""
    beneath = array.copy()
    beneath[holes] = fill
    return np.ma.array(beneath, mask=holes if array.ndim == 2 else np.repeat(holes[..., None], array.shape[2], axis=2))


def with_gaps(array):
    gaps = array.astype(float)
    gaps[HOLES] = np.nan
    return gaps


@pytest.mark.parametrize("fill", [-9999, 0, 30000])
@pytest.mark.parametrize("both", [True, False])
def test_a_masked_integer_frame_is_one_with_a_mask(fill, both):
    frame0 = masked(FRAME0.astype(np.int16), fill)
    frame1 = masked(FRAME1.astype(np.int16), fill) if both else FRAME1.astype(np.int16)
    flow = variflow.estimate(frame0, frame1, MODEL).flow
    beneath = np.asarray(frame0.data), np.asarray(np.ma.getdata(frame1))
    said = variflow.estimate(*beneath, MODEL, mask=(~HOLES, ~HOLES if both else None)).flow
    np.testing.assert_array_equal(flow, said)
    assert np.hypot(*(flow - (2, -1))[~HOLES].T).mean() < 0.1


@pytest.mark.parametrize("fill", [-9999.0, np.float32(1e20), np.float32(9.969209968386869e36), np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_masked_float_frame_is_one_with_nan(fill, dtype):
    frames = [masked((frame / 255).astype(dtype), fill) for frame in (FRAME0, FRAME1)]
    gaps = [with_gaps((frame / 255).astype(dtype)).astype(dtype) for frame in (FRAME0, FRAME1)]
    found, wanted = variflow.estimate(*frames, MODEL), variflow.estimate(*gaps, MODEL)
    np.testing.assert_array_equal(found.flow, wanted.flow)
    np.testing.assert_array_equal(found.backward, wanted.backward)
    np.testing.assert_array_equal(found.confidence, wanted.confidence)
    matches, others = variflow.match(*frames), variflow.match(*gaps)
    np.testing.assert_array_equal(matches.points, others.points)
    np.testing.assert_array_equal(matches.flow, others.flow)
    np.testing.assert_array_equal(densify(matches, frames[0]), densify(matches, gaps[0]))


def test_one_masked_channel_makes_the_pixel_missing():
    mask = np.zeros(PAIR.frame0.shape, bool)
    mask[..., 2] = HOLES
    beneath = PAIR.frame0.copy()
    beneath[mask] = 255
    flow = variflow.estimate(np.ma.array(beneath, mask=mask), PAIR.frame1, MODEL).flow
    np.testing.assert_array_equal(flow, variflow.estimate(beneath, PAIR.frame1, MODEL, mask=(~HOLES, None)).flow)


def test_what_the_mask_of_an_argument_says_is_and_ed():
    frame0 = masked(FRAME0, 255)
    left = np.broadcast_to(X < 40, HOLES.shape)
    flow = variflow.estimate(frame0, FRAME1, MODEL, mask=left).flow
    np.testing.assert_array_equal(flow, variflow.estimate(frame0.data, FRAME1, MODEL, mask=(left & ~HOLES, left)).flow)


def test_masked_entries_of_mask_weights_and_init():
    spoilt = FRAME0.copy()
    spoilt[HOLES] = 255
    usable = variflow.estimate(spoilt, FRAME1, MODEL, mask=np.ma.array(np.ones(HOLES.shape, bool), mask=HOLES)).flow
    np.testing.assert_array_equal(usable, variflow.estimate(spoilt, FRAME1, MODEL, mask=~HOLES).flow)
    weights = masked(1 + 0.01 * X, np.nan)
    weighed = variflow.estimate(spoilt, FRAME1, MODEL, weights=weights).flow
    np.testing.assert_array_equal(
        weighed, variflow.estimate(spoilt, FRAME1, MODEL, weights=np.where(HOLES, 0, weights.data)).flow
    )
    begun = variflow.estimate(FRAME0, FRAME1, MODEL, init=masked(FLOW, 1e9)).flow
    np.testing.assert_array_equal(begun, variflow.estimate(FRAME0, FRAME1, MODEL, init=with_gaps(FLOW)).flow)


def test_a_video_of_masked_frames():
    frames = np.ma.stack([masked(frame.astype(np.int32), -(2**31)) for frame in (FRAME0, FRAME1, FRAME0)])
    flows = [result.flow for result in variflow.estimate_video(frames, MODEL)]
    gaps = [with_gaps(frame) for frame in (FRAME0, FRAME1, FRAME0)]
    for flow, wanted in zip(flows, variflow.estimate_video(gaps, MODEL), strict=True):
        inside = np.abs(flow - wanted.flow)[4:-4, 4:-4]
        assert inside.max() < 0.02


def test_the_doors_of_other_libraries():
    frames = [masked(frame, 255) for frame in (FRAME0, FRAME1)]
    found = skimage.optical_flow_ilk(*frames, num_warp=2)
    np.testing.assert_array_equal(
        found, skimage.optical_flow_ilk(*(with_gaps(frame / 255) for frame in (FRAME0, FRAME1)), num_warp=2)
    )
    dis = opencv.DISOpticalFlow_create()
    start = np.ma.array(FLOW.astype(np.float32), mask=np.repeat(HOLES[..., None], 2, axis=2))
    start.data[HOLES] = 1e6
    dis_flow = dis.calc(*frames, start)
    assert not np.ma.is_masked(dis_flow)
    wanted = dis.calc(*frames, with_gaps(FLOW).astype(np.float32))
    np.testing.assert_array_equal(dis_flow, wanted)


# Functions of one flow, called with a masked one and with one that has NaN.
OF_FLOWS = {
    "warp": lambda flow: variflow.warp(FRAME1, flow),
    "splat": lambda flow: flowops.splat(FRAME0, flow),
    "coverage": flowops.coverage,
    "compose": lambda flow: flowops.compose(flow, flow),
    "invert": flowops.invert,
    "consistency": lambda flow: flowops.consistency(flow, FLOW),
    "change_frame_rate": lambda flow: flowops.change_frame_rate(flow, 1, 2),
    "fill": flowops.fill,
    "track": lambda flow: flowops.track([flow], [(20.0, 9.0), (50.0, 10.0)]),
    "streamlines": lambda flow: flowops.streamlines(flow, [(20.0, 9.0), (50.0, 10.0)]),
    "resize": lambda flow: flowops.resize(flow, (30, 30)),
    "jacobian": flowops.jacobian,
    "coarsen": lambda flow: flowops.coarsen(flow, 4)[0],
    "fit_planes": lambda flow: flowops.fit_planes(flow, 5).jacobian,
    "to_xarray": lambda flow: flowops.to_xarray(flow).u.values,
    "to_opencv": flowops.to_opencv,
    "to_napari": flowops.to_napari,
    "from_torch": lambda flow: flowops.from_torch(np.moveaxis(flow, 2, 0)),
    "from_torch_grid": flowops.from_torch_grid,
    "complete": metrics.complete,
    "speed_between": lambda flow: metrics.speed_between(flow, 2, 3),
    "motion_boundaries": lambda flow: metrics.motion_boundaries(flow, 0.01),
    "endpoint_error": lambda flow: metrics.endpoint_error(-FLOW, flow),
    "endpoint_error_map": lambda flow: metrics.endpoint_error_map(flow, -FLOW),
    "angular_error_map": lambda flow: metrics.angular_error_map(-FLOW, flow),
    "outliers": lambda flow: metrics.outliers(flow, -FLOW),
    "color": view.color,
    "error_map": lambda flow: view.error_map(flow, FLOW),
    "measure": lambda flow: list(evaluation.measure(flow, Sample("", FRAME0, FRAME1, FLOW)).values()),
}


@pytest.mark.parametrize("name", OF_FLOWS)
def test_a_masked_flow_is_unknown_there(name):
    function = OF_FLOWS[name]
    np.testing.assert_array_equal(function(masked(FLOW, 1e4)), function(with_gaps(FLOW)))


def test_a_masked_flow_is_written_as_unknown(tmp_path):
    variflow.write_flow(tmp_path / "flow.flo", masked(FLOW, np.inf))
    np.testing.assert_array_equal(variflow.read_flow(tmp_path / "flow.flo"), with_gaps(FLOW).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_that_are_masked(dtype):
    image, still = masked(FRAME1.astype(dtype), 255), np.zeros((48, 64, 2))
    half, three = np.full((48, 64, 2), (0.5, 0.0)), np.full((48, 64, 2), (3.0, 0.0))
    for interpolation in ("bilinear", "bicubic"):
        warped = variflow.warp(image, still, interpolation)
        np.testing.assert_array_equal(np.isnan(warped), HOLES)
        np.testing.assert_array_equal(warped[~HOLES], FRAME1[~HOLES])
    for interpolation in ("bilinear", "bicubic", "spline"):
        warped = variflow.warp(image, half, interpolation)
        away = ~metrics.near(HOLES, 4)
        whole = variflow.warp(FRAME1, half, interpolation)
        assert np.isnan(warped[HOLES]).all()
        np.testing.assert_allclose(warped[away], whole[away], atol=3)
    carried = flowops.splat(image, three)
    np.testing.assert_array_equal(np.isnan(carried[:, 3:]), HOLES[:, :-3])
    np.testing.assert_array_equal(carried[:, 3:][~HOLES[:, :-3]], FRAME1[:, :-3][~HOLES[:, :-3]])


def test_an_image_with_holes_still_guides_the_filling():
    image = np.where(X < 32, 20, 200).astype(np.uint8)
    holes = np.zeros(HOLES.shape, bool)
    holes[20:28, 28:37] = True
    flow = np.where((X < 32)[..., None], (4.0, 0.0), (-4.0, 0.0))
    flow[:, 24:40] = np.nan
    filled = flowops.fill(flow, masked(image, 255, holes))
    np.testing.assert_array_equal(filled, flowops.fill(flow, np.where(holes, np.nan, image)))
    away = ~metrics.near(holes, 6)
    np.testing.assert_allclose(filled[away], flowops.fill(flow, image)[away], atol=0.3)
    assert np.isfinite(filled).all()


def test_weights_that_are_masked_count_nothing():
    weights = masked(np.ones(HOLES.shape), 1e6)
    np.testing.assert_array_equal(flowops.coverage(0 * FLOW, weights), ~HOLES)


def test_metrics_leave_out_what_is_masked():
    wrong = FLOW + np.where(HOLES[..., None], 50.0, 0.5)
    truth = masked(FLOW, 0)
    assert metrics.endpoint_error(wrong, truth) == pytest.approx(0.5**0.5)
    assert metrics.outliers(wrong, truth) == 0
    valid = np.ma.array(np.ones(HOLES.shape, bool), mask=HOLES)
    assert metrics.endpoint_error(wrong, FLOW, valid) == pytest.approx(0.5**0.5)
    errors = np.ma.array(np.hypot(*np.moveaxis(wrong - FLOW, 2, 0)), mask=HOLES)
    assert metrics.robustness(errors, 1) == 0
    assert metrics.accuracy(errors, 100) == pytest.approx(0.5**0.5)
    assert metrics.ause(errors, X) == metrics.ause(errors.filled(np.nan), X)
    assert not metrics.near(np.ma.array(HOLES, mask=HOLES)).any()
    assert metrics.interpolation_error(FRAME0, masked(FRAME0, 255)) == 0
    with pytest.raises(ValueError, match="missing where truth is not"):
        metrics.interpolation_error(masked(FRAME0, 255), FRAME0)


def test_a_frame_in_between_takes_what_one_lacks_from_the_other():
    still = np.zeros((48, 64, 2))
    made = metrics.in_between(masked(FRAME0, 255), FRAME0, still)
    np.testing.assert_array_equal(made, FRAME0)
    assert np.isnan(metrics.in_between(masked(FRAME0, 255), masked(FRAME0, 0), still)[HOLES]).all()


def test_masked_samples_are_measured_without():
    occlusion = np.ma.array(X < 5, mask=HOLES)
    sample = Sample("", FRAME0, FRAME1, masked(FLOW, 9e9), occlusion, np.ma.array(X > 1, mask=X > 60))
    parts = evaluation.regions(sample)
    counts = ~HOLES & (X > 1) & (X <= 60)
    np.testing.assert_array_equal(parts["all"], counts)
    np.testing.assert_array_equal(parts["unmatched"], counts & (X < 5))
    np.testing.assert_array_equal(parts["matched"], counts & (X >= 5))


def test_a_picture_cannot_be_masked_nor_matches(tmp_path):
    with pytest.raises(ValueError, match="image has masked pixels"):
        variflow.write_image(tmp_path / "a.png", masked(FRAME0, 0))
    with pytest.raises(ValueError, match="flow has values that are not finite"):
        variflow.Matches([(1, 1)], np.ma.array([(2, 2)], mask=[(True, False)]))


def test_masks_within_lists_and_dask_are_seen():
    rows = [np.ma.array(row, mask=hole) for row, hole in zip(np.where(HOLES, 255, FRAME0), HOLES, strict=True)]
    wanted = variflow.estimate(with_gaps(FRAME0), FRAME1, "horn-schunck").flow
    found = variflow.estimate(rows, FRAME1, "horn-schunck").flow
    assert np.abs(found - wanted).max() < 1e-3
    array = pytest.importorskip("dask.array")
    lazy = array.ma.masked_array(array.from_array(np.where(HOLES, 1e20, FRAME0), chunks=16), HOLES)
    np.testing.assert_array_equal(variflow.estimate(lazy, FRAME1, "horn-schunck").flow, wanted)
    frame = pytest.importorskip("xarray").DataArray(masked(FRAME0.astype(float), 1e20), dims=("y", "x"))
    np.testing.assert_array_equal(variflow.estimate(frame, FRAME1, "horn-schunck").flow, wanted)


class Prior(FlowTerm):
    """A term that computes with NumPy alone."""

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    def residuals(self, flow, at):
        return [flow[0] - self.prior[..., 0], flow[1] - self.prior[..., 1]]


def test_masked_arrays_of_a_term_are_refused_by_name():
    energy = BrightnessConstancy() + 0.1 * Smoothness()
    prior = np.full((48, 64, 2), (2, -1), np.float32)
    with pytest.raises(ValueError, match=r"prior of Prior is an array of shape \(48, 64, 2\) with masked values"):
        variflow.estimate(PAIR.frame0, PAIR.frame1, energy + 0.1 * Prior(masked(prior, 0)))
    charbonnier = Charbonnier(masked(np.full((48, 64), 0.1), 1))
    with pytest.raises(ValueError, match=r"epsilon of Charbonnier is .* with masked values, wanted one without"):
        variflow.estimate(PAIR.frame0, PAIR.frame1, BrightnessConstancy(charbonnier) + 0.1 * Smoothness())
    with pytest.raises(ValueError, match="masked arrays are not supported"):  # of a term that takes one from outside
        variflow.estimate(PAIR.frame0, PAIR.frame1, energy + OfOutside())
    whole = variflow.estimate(PAIR.frame0, PAIR.frame1, energy + 0.1 * Prior(np.ma.array(prior))).flow
    np.testing.assert_array_equal(whole, variflow.estimate(PAIR.frame0, PAIR.frame1, energy + 0.1 * Prior(prior)).flow)


ROW = np.ma.array(np.ones((1, 1), np.float32), mask=True)


class OfOutside(FlowTerm):
    def residuals(self, flow, at):
        return [flow[0] - ROW, flow[1] - ROW]


def test_a_masked_prior_is_unknown_there():
    energy = BrightnessConstancy() + 0.1 * Smoothness()
    gaps = np.where(HOLES[..., None], np.nan, FLOW)
    found, wanted = (
        variflow.estimate(PAIR.frame0, PAIR.frame1, energy + 0.1 * PriorFlow(flow=prior)).flow
        for prior in (masked(FLOW, 0), gaps)
    )
    np.testing.assert_array_equal(found, wanted)
