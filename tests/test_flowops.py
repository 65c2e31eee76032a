"""Using a flow: exact cases worked by hand, and what must hold for all smooth flows; NaN is unknown everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import variflow
import variflow.images.color
from variflow import flowops
from variflow.datasets import synthetic

SHAPE = (40, 52)


def constant(u, v, shape=SHAPE):
    return np.broadcast_to(np.float32([u, v]), (*shape, 2)).copy()


def affine(matrix, shift, shape=SHAPE):
    """The flow ``matrix @ (p - centre) + shift``."""
    y, x = np.indices(shape) - (np.array(shape)[:, None, None] - 1) / 2
    return (np.stack([x, y], axis=2) @ np.array(matrix).T + shift).astype(np.float32)


def inner(array, margin=8):
    return array[margin:-margin, margin:-margin]


@st.composite
def smooth_flows(draw):
    """A few waves with derivatives below a third."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    y, x = np.indices(SHAPE)
    flow = np.zeros((*SHAPE, 2))
    for _ in range(3):
        frequency = rng.uniform(-0.15, 0.15, 2)
        wave = np.sin(frequency[0] * x + frequency[1] * y + rng.uniform(0, 7))
        flow += wave[..., None] * rng.uniform(-0.5, 0.5, 2)
    return (flow + rng.uniform(-2, 2, 2)).astype(np.float32)


# Forwards and backwards


def test_splatting_moves_values_and_leaves_holes():
    image = np.arange(12.0).reshape(3, 4)
    moved = flowops.splat(image, constant(1, -1, (3, 4)))
    np.testing.assert_array_equal(moved[:2, 1:], image[1:, :3])
    assert np.isnan(moved[2]).all()
    assert np.isnan(moved[:, 0]).all()


def test_splatting_shares_bilinearly_and_weighs():
    flow = np.zeros((1, 4, 2))
    flow[0, :, 0] = [1.25, 0, 0, np.nan]
    image = np.array([[8.0, 4.0, 2.0, 7.0]])
    # A quarter of 8 goes to the third pixel, three quarters to the second; the last pixel goes nowhere.
    np.testing.assert_allclose(
        flowops.splat(image, flow), [[np.nan, (6 + 4) / 1.75, (2 + 2) / 1.25, np.nan]], rtol=1e-6
    )
    np.testing.assert_allclose(flowops.coverage(flow), [[0, 1.75, 1.25, 0]])
    np.testing.assert_allclose(flowops.splat(image, flow, weights=[[0, 1, 1, 1]]), [[np.nan, 4, 2, np.nan]])


@given(flow=smooth_flows(), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_splatting_loses_nothing_inside(flow, seed):
    image = np.zeros(SHAPE)
    image[12:-12, 12:-12] = np.random.default_rng(seed).random((SHAPE[0] - 24, SHAPE[1] - 24))
    # What arrives, times how much of it arrives, is all that was sent.
    moved = np.nan_to_num(flowops.splat(image, flow))
    assert float((moved * flowops.coverage(flow)).sum()) == pytest.approx(float(image.sum()), rel=1e-5)


def test_splatting_channels_and_missing_pixels():
    image = np.random.default_rng(0).random((5, 6, 3))
    image[2, 3, 1] = np.nan
    same = flowops.splat(image, np.zeros((5, 6, 2)))
    assert same.dtype == np.float32
    assert np.isnan(same[2, 3]).all()
    same[2, 3] = image[2, 3] = 0
    np.testing.assert_allclose(same, image, rtol=1e-6)


def test_splatting_the_first_frame_makes_the_second():
    pair = synthetic.translation((48, 64), shift=(3, -2))
    moved = flowops.splat(pair.frame0, pair.flow)
    assert np.nanmean(abs(inner(moved) - inner(pair.frame1))) < 1e-3 * np.ptp(pair.frame1)
    back = variflow.warp(pair.frame1, pair.flow)
    assert np.mean(abs(inner(back) - inner(pair.frame0))) < 1e-3 * np.ptp(pair.frame0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_the_nearest_pixel_is_taken_as_it_is(dtype, channels):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2**40, (9, 11, *channels)).astype(dtype)
    flow = rng.uniform(-6, 6, (9, 11, 2)).astype(np.float32)
    found = variflow.warp(labels, flow, "nearest")
    assert found.dtype == dtype
    for y in range(9):
        for x in range(11):
            row = min(max(round(float(y + flow[y, x, 1])), 0), 8)
            column = min(max(round(float(x + flow[y, x, 0])), 0), 10)
            np.testing.assert_array_equal(found[y, x], labels[row, column])


def test_the_nearest_pixel_of_an_unknown_flow_is_unknown():
    flow = constant(1, 0, (2, 3))
    flow[0, 1] = (0, np.nan)
    flow[1, 2] = (np.inf, -np.inf)
    labels = np.arange(1, 7).reshape(2, 3)
    np.testing.assert_array_equal(variflow.warp(labels, flow, "nearest"), [[2, 0, 3], [5, 6, 3]])
    np.testing.assert_array_equal(variflow.warp(labels / 2, flow, "nearest"), [[1, np.nan, 1.5], [2.5, 3, 1.5]])


def test_the_nearest_pixel_is_not_for_jax():
    import jax.numpy as jnp

    flow = np.zeros((2, 3, 2))
    for image, along in ((jnp.ones((2, 3)), flow), (np.ones((1, 2, 3)), (flow[..., 0], flow[..., 1]))):
        with pytest.raises(ValueError, match="interpolation is 'nearest', which has no derivative, wanted another one"):
            variflow.warp(image, along, "nearest")
    with pytest.raises(ValueError, match="interpolation is 'nearest', wanted one"):
        variflow.Model(variflow.energy.Smoothness(), interpolation="nearest")


def test_far_targets_are_outside():
    flow = np.full((3, 3, 2), 1e30)
    assert np.isnan(flowops.splat(np.ones((3, 3)), flow)).all()
    assert np.isnan(flowops.compose(flow, flow)).all()
    assert np.isnan(flowops.invert(flow)).all()


# From one moment to another


def test_composing_translations_adds_them():
    composed = flowops.compose(constant(2, 1), constant(-0.5, 3))
    np.testing.assert_array_equal(composed[:-1, :-2], constant(1.5, 4)[:-1, :-2])
    assert np.isnan(composed[:, -2:]).all()
    assert np.isnan(composed[-1]).all()


def test_composing_affine_flows_multiplies_them():
    a, b = np.array([[0.02, -0.05], [0.05, 0.01]]), np.array([[-0.04, 0.0], [0.03, 0.02]])
    expected = affine((np.eye(2) + b) @ (np.eye(2) + a) - np.eye(2), (0, 0))
    composed = flowops.compose(affine(a, (0, 0)), affine(b, (0, 0)))
    np.testing.assert_allclose(inner(composed), inner(expected), atol=1e-5)


@given(flow=smooth_flows())
@settings(max_examples=20, deadline=None)
def test_zero_is_neutral(flow):
    zero = constant(0, 0)
    np.testing.assert_array_equal(flowops.compose(zero, flow), flow)
    left = flowops.compose(flow, zero)
    np.testing.assert_array_equal(np.where(np.isnan(left), flow, left), flow)


@given(flow=smooth_flows())
@settings(max_examples=20, deadline=None)
def test_a_flow_and_its_inverse_cancel(flow):
    inverse = flowops.invert(flow)
    for cycle in (flowops.compose(flow, inverse), flowops.compose(inverse, flow)):
        assert np.isfinite(inner(cycle)).all()
        assert np.nanmax(abs(cycle)) < 0.05
    np.testing.assert_allclose(inner(flowops.invert(inverse)), inner(flow), atol=0.1)
    assert np.nanmax(flowops.consistency(flow, inverse)) < 0.05
    assert inner(flowops.is_consistent(flow, inverse)).all()


@given(flow=smooth_flows(), other=smooth_flows())
@settings(max_examples=10, deadline=None)
def test_the_inverse_of_a_composition(flow, other):
    whole = flowops.invert(flowops.compose(flow, other))
    steps = flowops.compose(flowops.invert(other), flowops.invert(flow))
    assert np.nanmax(abs(inner(whole - steps, 10))) < 0.1
    assert np.isfinite(inner(whole, 10)).all()


def test_inverting_an_affine_flow_inverts_its_matrix():
    matrix = np.array([[0.1, -0.2], [0.15, -0.05]])
    inverse = flowops.invert(affine(matrix, (0, 0)))
    expected = affine(np.linalg.inv(np.eye(2) + matrix) - np.eye(2), (0, 0))
    np.testing.assert_allclose(inner(inverse), inner(expected), atol=2e-3)


def test_behind_a_moving_square_nothing_has_an_inverse_and_before_it_nothing_is_consistent():
    forward, backward = constant(0, 0), constant(0, 0)
    forward[10:30, 10:30] = (6, 0)
    backward[10:30, 16:36] = (-6, 0)
    inverse = flowops.invert(forward)
    assert np.isnan(inverse[10:30, 10:16]).all()
    np.testing.assert_array_equal(inverse[10:30, 16:30], backward[10:30, 16:30])
    np.testing.assert_array_equal(inverse[:10], backward[:10])
    assert (flowops.coverage(forward)[10:30, 10:16] == 0).all()
    hidden = np.zeros(SHAPE, bool)
    hidden[10:30, 30:36] = True
    np.testing.assert_array_equal(flowops.is_consistent(forward, backward), ~hidden)


def test_consistency_by_hand():
    forward, backward = constant(1, 0, (2, 4)), constant(-1, 0.6, (2, 4))
    backward[0, 1] = np.nan
    backward[1, 2] = (3, 3)
    error = flowops.consistency(forward, backward)
    np.testing.assert_allclose(error, [[np.nan, 0.6, 0.6, np.nan], [0.6, 5, 0.6, np.nan]], rtol=1e-6)
    expected = [[False, True, True, False], [True, False, True, False]]
    np.testing.assert_array_equal(flowops.is_consistent(forward, backward), expected)
    assert not flowops.is_consistent(forward, backward, relative=0, absolute=0.35).any()


def test_a_hole_reaches_only_those_who_look_at_it():
    second = constant(0, 0)
    second[20, 30] = np.nan
    for shift, holes in ((0, 1), (0.5, 2)):
        composed = flowops.compose(constant(shift, 0)[:, :-1], second[:, :-1])
        assert np.isnan(inner(composed)[..., 0]).sum() == holes


def test_the_frame_rate_scales():
    flow = constant(3, -1)
    np.testing.assert_array_equal(flowops.change_frame_rate(flow, 25, 50), flow / 2)
    np.testing.assert_array_equal(flowops.change_frame_rate(flow, 30, 10), flow * 3)


# Another frame


def test_resizing_scales_displacements():
    np.testing.assert_allclose(flowops.resize(constant(4, 2), (20, 104)), constant(8, 1, (20, 104)), rtol=1e-5)
    flow = affine([[0.1, 0.02], [-0.03, 0.05]], (1, 2))
    bigger = flowops.resize(flow, (80, 104))
    np.testing.assert_allclose(inner(flowops.resize(bigger, SHAPE)), inner(flow), atol=1e-3)
    np.testing.assert_array_equal(flowops.resize(flow, SHAPE), flow)


def test_resizing_keeps_what_is_unknown_in_its_place():
    flow = constant(2, 2)
    flow[:20] = np.nan
    small = flowops.resize(flow, (20, 26))
    assert np.isnan(small[:9]).all()
    np.testing.assert_allclose(small[11:], 1, rtol=1e-5)


def test_cropping():
    flow = affine([[0.1, 0.02], [-0.03, 0.05]], (1, 2))
    cropped = flowops.crop(flow, (3, 5, 10, 20))
    np.testing.assert_array_equal(cropped, flow[3:13, 5:25])
    np.testing.assert_array_equal(flowops.crop(flow, (3, 5, 10, 20), (4, 2, 10, 20)), cropped - np.float32([-3, 1]))


@pytest.mark.parametrize("degrees", [90, 180, 270, 360, -90])
def test_quarter_turns_turn_frames_and_flow_alike(degrees):
    rng = np.random.default_rng(0)
    image, flow = rng.random(SHAPE), rng.uniform(-3, 3, (*SHAPE, 2)).round()
    turned = np.rot90(variflow.warp(image, flow), degrees // 90)
    np.testing.assert_array_equal(
        variflow.warp(np.rot90(image, degrees // 90).copy(), flowops.rotate(flow, degrees)), turned
    )


@pytest.mark.parametrize("degrees", [30.0, -75.0, 200.0])
def test_turning_an_affine_flow_turns_its_matrix(degrees):
    radians = np.radians(degrees)
    # Counter-clockwise as seen, where y points down.
    turn = np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
    matrix, shift = np.array([[0.1, 0.02], [-0.03, 0.05]]), np.array([1.0, 2.0])
    turned = flowops.rotate(affine(matrix, shift), degrees)
    expected = affine(turn @ matrix @ turn.T, turn @ shift)
    np.testing.assert_allclose(turned[12:-12, 16:-16], expected[12:-12, 16:-16], atol=1e-5)
    assert np.isnan(turned[0, 0]).all()


@pytest.mark.parametrize(("axis", "flipped"), [("x", np.fliplr), ("y", np.flipud)])
def test_flipping_frames_and_flow_alike(axis, flipped):
    rng = np.random.default_rng(0)
    image, flow = rng.random(SHAPE), rng.uniform(-3, 3, (*SHAPE, 2)).round()
    same = variflow.warp(flipped(image).copy(), flowops.flip(flow, axis))
    np.testing.assert_array_equal(same, flipped(variflow.warp(image, flow)))
    np.testing.assert_array_equal(flowops.flip(flowops.flip(flow, axis), axis), flow)


# Derivatives


@given(
    rates=st.lists(st.floats(-2, 2, width=32), min_size=4, max_size=4),
    shape=st.tuples(st.integers(2, 9), st.integers(2, 9)),
)
def test_derivatives_of_affine_flows_are_exact_up_to_the_border(rates, shape):
    (a, b), (c, d) = matrix = np.reshape(rates, (2, 2))
    flow = affine(matrix, (1, -2), shape)
    exactly = {"rtol": 0, "atol": 1e-4}
    np.testing.assert_allclose(flowops.jacobian(flow), np.broadcast_to(matrix, (*shape, 2, 2)), **exactly)
    np.testing.assert_allclose(flowops.divergence(flow), np.full(shape, a + d), **exactly)
    np.testing.assert_allclose(flowops.vorticity(flow), np.full(shape, c - b), **exactly)
    strain = np.broadcast_to((matrix + matrix.T) / 2, (*shape, 2, 2))
    np.testing.assert_allclose(flowops.strain(flow), strain, **exactly)


def test_derivatives_beside_a_gap_are_one_sided():
    flow = affine([[0.5, 0], [0, 0.25]], (0, 0), (5, 5))
    flow[2, 2] = np.nan
    divergence = flowops.divergence(flow)
    assert np.isnan(divergence[2, 2])
    divergence[2, 2] = 0.75
    np.testing.assert_allclose(divergence, 0.75, rtol=1e-6)
    assert np.isnan(flowops.divergence(constant(1, 1, (1, 5)))).all()  # no neighbour along y


# Filling in


def test_filling_keeps_what_is_known_and_is_harmonic():
    truth = affine([[0.1, 0.02], [-0.03, 0.05]], (1, 2))
    flow = truth.copy()
    flow[5:25, 10:40] = np.nan
    filled = flowops.fill(flow)
    known = np.isfinite(flow)
    np.testing.assert_array_equal(filled[known], flow[known])
    np.testing.assert_allclose(filled, truth, atol=5e-3)


def test_filling_stops_at_edges_of_the_image():
    image = np.zeros((30, 30, 3), np.uint8)
    image[:, 15:] = (255, 128, 0)
    flow = np.full((30, 30, 2), np.nan)
    flow[4, 3], flow[20, 26] = (1, 2), (-3, 5)
    filled = flowops.fill(flow, image)
    np.testing.assert_allclose(filled[:, :15], constant(1, 2, (30, 15)), atol=0.02)
    np.testing.assert_allclose(filled[:, 15:], constant(-3, 5, (30, 15)), atol=0.02)
    blended = flowops.fill(flow, image, contrast=1e6)
    assert abs(blended[:, 14] - blended[:, 15]).max() < 1


@pytest.mark.parametrize("seed", range(5))
def test_filling_solves_its_equations(seed):
    """Each unknown pixel is the mean of its neighbours, weighted by the edges between them."""
    rng = np.random.default_rng(seed)
    image, flow = rng.random((12, 15)), rng.uniform(-5, 5, (12, 15, 2))
    flow[rng.random((12, 15)) < 0.8] = np.nan
    filled = flowops.fill(flow, image, contrast=20)
    lightness = variflow.images.color.to_lab(((image - image.min()) / np.ptp(image)).astype(np.float32)[None])[0]
    total, weights = np.zeros_like(filled), np.zeros((12, 15, 1))
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        near = np.exp(-abs(np.roll(lightness, step, axis) - lightness) / 20)[..., None]
        near[(0 if step == 1 else -1,) if axis == 0 else (slice(None), 0 if step == 1 else -1)] = 0
        total, weights = total + near * np.roll(filled, step, axis), weights + near
    unknown = np.isnan(flow)
    np.testing.assert_allclose((total / weights)[unknown], filled[unknown], atol=0.02)


@pytest.mark.parametrize("name", ["RubberWhale", "Urban2"])
def test_edges_of_the_image_fill_better(middlebury, name):
    sample = middlebury[name]
    window = np.s_[100:300, 150:400]
    truth, image = sample.flow[window], sample.frame0[window]
    sparse = truth.copy()
    sparse[np.random.default_rng(0).random(truth.shape[:2]) < 0.98] = np.nan
    guided, plain = (
        variflow.metrics.endpoint_error(filled, truth) for filled in (flowops.fill(sparse, image), flowops.fill(sparse))
    )
    assert guided < 0.95 * plain


@given(seed=st.integers(0, 1000), share=st.floats(0, 0.98), guided=st.booleans())
@settings(max_examples=25, deadline=None)
def test_filled_flows_stay_within_what_is_known(seed, share, guided):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 30, 2))
    flow = rng.uniform(-5, 5, (*shape, 2)).astype(np.float32)
    holes = rng.random(shape) < share
    holes[rng.integers(shape[0]), rng.integers(shape[1])] = False
    flow[holes] = np.nan
    filled = flowops.fill(flow, rng.random(shape) if guided else None)
    np.testing.assert_array_equal(filled[~holes], flow[~holes])
    for component in range(2):
        known = flow[..., component][~holes]
        assert known.min() - 0.05 <= filled[..., component].min()
        assert filled[..., component].max() <= known.max() + 0.05


# Following


def test_points_follow_a_sequence():
    flows = [constant(1, 0.5), constant(-0.25, 2)]
    paths = flowops.track(iter(flows), [(3, 4), (51, 0), (-1, 5), (10.5, 38.25)])
    assert paths.shape == (3, 4, 2)
    np.testing.assert_allclose(paths[:, 0], [(3, 4), (4, 4.5), (3.75, 6.5)])
    assert np.isnan(paths[1:, 1]).all()  # left the frame
    assert np.isnan(paths[:, 2]).all()  # began outside
    assert np.isnan(paths[2, 3]).all()
    assert np.isfinite(paths[1, 3]).all()


def test_points_end_where_the_flow_is_unknown():
    flow = constant(1, 0)
    flow[:, 20:] = np.nan
    paths = flowops.track([flow] * 3, [(18, 5)])
    np.testing.assert_array_equal(np.isnan(paths[:, 0, 0]), [False, False, False, True])


def test_tracking_and_composing_agree():
    rng = np.random.default_rng(3)
    flows = [affine(rng.uniform(-0.05, 0.05, (2, 2)), rng.uniform(-1, 1, 2)) for _ in range(3)]
    whole = flowops.compose(flowops.compose(flows[0], flows[1]), flows[2])
    paths = flowops.track(flows, [(20, 15), (30, 25)])
    np.testing.assert_allclose(paths[-1] - paths[0], [whole[15, 20], whole[25, 30]], atol=1e-4)


def test_streamlines_of_a_rotation_are_circles():
    flow = affine([[0, -1], [1, 0]], (0, 0), (41, 41))
    turn = 2 * np.pi * 10
    lines = flowops.streamlines(flow, [(30, 20), (20, 12)], steps=200, length=turn / 200)
    radii = np.hypot(*np.moveaxis(lines - 20, 2, 0))
    np.testing.assert_allclose(radii, np.broadcast_to([10, 8], radii.shape), atol=1e-3)
    np.testing.assert_allclose(lines[-1, 0], (30, 20), atol=1e-3)
    back = flowops.streamlines(flow, lines[-1], steps=200, length=-turn / 200)
    np.testing.assert_allclose(back[-1], lines[0], atol=1e-3)


def test_streamlines_end_at_the_frame_and_where_nothing_moves():
    flow = constant(5, 0, (9, 11))
    flow[6] = 0
    flow[:, 8:] = np.nan
    lines = flowops.streamlines(flow, [(5.5, 2), (5, 6)], steps=4, length=1)
    np.testing.assert_array_equal(np.isnan(lines[:, 0, 0]), [False, False, True, True, True])
    assert np.isnan(lines[1:, 1]).all()


# Arguments

GOOD = np.zeros((4, 5, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: flowops.compose(np.zeros((4, 5)), GOOD), ValueError, r"first has shape \(4, 5\), wanted \(H, W, 2\)"),
        (lambda: flowops.compose(GOOD, np.zeros((5, 4, 2))), ValueError, "second has shape .* that of first"),
        (lambda: flowops.invert(GOOD.astype(complex)), TypeError, "flow has dtype complex128"),
        (lambda: flowops.invert(GOOD, tolerance=0), ValueError, "tolerance is 0, wanted a finite number above 0"),
        (lambda: flowops.invert(GOOD, iterations=0), ValueError, "iterations is 0"),
        (lambda: flowops.consistency(GOOD, GOOD[1:]), ValueError, "backward has shape"),
        (lambda: flowops.is_consistent(GOOD, GOOD, absolute=-1), ValueError, "absolute is -1, wanted .* at least 0"),
        (lambda: flowops.change_frame_rate(GOOD, 0, 1), ValueError, "rate is 0"),
        (lambda: flowops.splat(np.zeros((4, 6)), GOOD), ValueError, r"image has shape \(4, 6\)"),
        (lambda: flowops.splat(np.full((4, 5), "a"), GOOD), TypeError, "image has dtype"),
        (lambda: flowops.splat(np.zeros((4, 5)), GOOD, np.zeros(3)), ValueError, r"weights has shape \(3,\)"),
        (lambda: flowops.splat(np.zeros((4, 5)), GOOD, np.full((4, 5), -1)), ValueError, "weights has values"),
        (lambda: flowops.resize(GOOD, (0, 5)), ValueError, r"shape is \(0, 5\)"),
        (lambda: flowops.resize(GOOD, 2), ValueError, "shape is 2, wanted a height and a width"),
        (lambda: flowops.resize(GOOD, (4.0, 4.0)), ValueError, r"shape is \(4.0, 4.0\), wanted a height"),
        (lambda: flowops.from_matrix(np.eye(3), GOOD.shape), ValueError, r"shape is \(4, 5, 2\), wanted .*\(H, W\)$"),
        (lambda: flowops.to_xarray(GOOD, fields=3), ValueError, "fields is 3, wanted some of 'speed'"),
        (lambda: flowops.crop(GOOD, (0, 0, 5, 5)), ValueError, "window is .* inside the frame"),
        (lambda: flowops.crop(GOOD, (0, 0, 5)), ValueError, "window is .* whole numbers"),
        (lambda: flowops.crop(GOOD, (0, 0, 2, 2), (0, 0, 2, 3)), ValueError, "second is .* height and width of window"),
        (lambda: flowops.rotate(GOOD, np.inf), ValueError, "degrees is inf"),
        (lambda: flowops.flip(GOOD, "z"), ValueError, "axis is 'z'"),
        (lambda: flowops.fill(np.full((4, 5, 2), np.nan)), ValueError, "flow is unknown everywhere"),
        (lambda: flowops.fill(GOOD, np.zeros((5, 4))), ValueError, r"image has shape \(5, 4\)"),
        (lambda: flowops.fill(GOOD, np.full((4, 5), np.nan)), ValueError, "image has no usable pixel"),
        (lambda: flowops.fill(GOOD, contrast=0), ValueError, "contrast is 0"),
        (lambda: flowops.track(GOOD, [(1, 2)]), ValueError, r"flows has shape \(4, 5, 2\), one flow; wanted a list"),
        (lambda: flowops.to_xarray(GOOD, pixel_size=(1e-3, 2e-3)), ValueError, r"\(0.001, 0.002\), .* are square$"),
        (lambda: flowops.track([GOOD], [1, 2]), ValueError, r"points has shape \(2,\)"),
        (lambda: flowops.track([GOOD, GOOD[1:]], [(1, 2)]), ValueError, r"flows\[1\] has shape"),
        (lambda: flowops.streamlines(GOOD, [(1, 2)], length=0), ValueError, "length is 0"),
        (lambda: flowops.streamlines(GOOD, [(1, 2)], steps=0), ValueError, "steps is 0"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nothing_changes_its_arguments():
    flow = constant(0.5, 0.25)
    flow[3, 4] = np.nan
    flow.flags.writeable = False
    for operation in (
        flowops.invert,
        flowops.fill,
        flowops.divergence,
        flowops.coverage,
        lambda f: flowops.compose(f, f),
        lambda f: flowops.resize(f, (10, 10)),
        lambda f: flowops.rotate(f, 20),
        lambda f: flowops.track([f], [(2, 2)]),
    ):
        operation(flow)
