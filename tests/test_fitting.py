"""The motion of the whole frame: exact for exact flows, whatever moves otherwise, and refused where undetermined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variflow import flowops

SHAPE = (48, 64)
MOTIONS = ["translation", "rigid", "affine", "homography"]
UNKNOWNS = {"translation": 2, "rigid": 3, "affine": 6, "homography": 8}


def make_matrix(motion, seed, strength=1.0):
    """A motion of some pixels, far from none."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(3)
    if motion != "translation":
        angle = strength * rng.uniform(-0.3, 0.3)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    if motion in ("affine", "homography"):
        matrix[:2, :2] += strength * rng.uniform(-0.15, 0.15, (2, 2))
    if motion == "homography":
        matrix[2, :2] = strength * rng.uniform(-2e-3, 2e-3, 2)
    matrix[:2, 2] = rng.uniform(-12, 12, 2)
    return matrix


def assert_moves_alike(found, wanted, shape=SHAPE, tolerance=1e-3):
    np.testing.assert_allclose(
        flowops.from_matrix(found, shape), flowops.from_matrix(wanted, shape), rtol=0, atol=tolerance
    )


motions = pytest.mark.parametrize("motion", MOTIONS)


@motions
@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_a_motion_is_found_in_its_own_flow(motion, seed):
    matrix = make_matrix(motion, seed)
    found = flowops.fit(flowops.from_matrix(matrix, SHAPE), motion)
    assert found.dtype == np.float64
    assert found[2, 2] == 1
    np.testing.assert_allclose(found[:2, :2], matrix[:2, :2], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[2], matrix[2], rtol=0, atol=1e-7)
    assert_moves_alike(found, matrix)


@motions
@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_an_object_of_two_fifths_that_moves_otherwise_does_not_count(motion, seed):
    background, other = make_matrix(motion, seed), make_matrix(motion, seed + 1)
    other[0, 2] += 40  # far enough that no pixel of the object is right by chance
    flow = flowops.from_matrix(background, SHAPE)
    rows = int(0.4 * SHAPE[0])
    flow[:rows] = flowops.from_matrix(other, SHAPE)[:rows]
    assert_moves_alike(flowops.fit(flow, motion), background)


@motions
def test_noise_and_single_wild_pixels_average_out(motion):
    shape = (120, 160)
    matrix = make_matrix(motion, 3, strength=0.3)
    rng = np.random.default_rng(0)
    flow = flowops.from_matrix(matrix, shape) + rng.normal(scale=0.3, size=(*shape, 2))
    wild = rng.random(shape) < 0.3
    flow[wild] = rng.uniform(-100, 100, (wild.sum(), 2))
    missed = flowops.from_matrix(flowops.fit(flow, motion), shape) - flowops.from_matrix(matrix, shape)
    # Of 8000 pixels 5600 are right: the error of least squares with so many, times 1.5 for what robustness costs.
    assert np.sqrt((missed**2).sum(axis=2).mean()) < 1.5 * 0.3 * np.sqrt(UNKNOWNS[motion] / 5600)


@motions
def test_least_squares_is_what_remains_where_all_is_noise(motion):
    # Without outliers Tukey's weights are nearly alike, so the result is close to plain least squares of the affine.
    rng = np.random.default_rng(1)
    flow = flowops.from_matrix(make_matrix(motion, 5, strength=0.2), SHAPE)
    flow = (flow + rng.normal(scale=0.2, size=flow.shape)).astype(np.float32)
    y, x = np.indices(SHAPE)
    columns = np.stack([x, y, np.ones(SHAPE)], axis=2).reshape(-1, 3)
    if motion == "translation":
        columns = columns[:, 2:]
    if motion in ("translation", "affine"):
        values, *_ = np.linalg.lstsq(columns, flow.reshape(-1, 2).astype(float), rcond=None)
        wanted = (columns @ values).reshape(*SHAPE, 2)
        found = flowops.from_matrix(flowops.fit(flow, motion), SHAPE)
        assert np.abs(found - wanted).max() < 0.02
    found = flowops.fit(flow, motion)
    residual = np.linalg.norm(flowops.from_matrix(found, SHAPE) - flow, axis=2)
    assert residual.mean() < 0.2 * np.sqrt(np.pi / 2) * 1.03  # the mean of Rayleigh's distribution


@motions
def test_the_robust_error_is_at_a_minimum(motion):
    rng = np.random.default_rng(2)
    flow = flowops.from_matrix(make_matrix(motion, 8, strength=0.3), SHAPE) + rng.standard_t(2, (*SHAPE, 2)) * 0.2
    found = flowops.fit(flow, motion)

    def measure(matrix, scale):
        residual = np.linalg.norm(flowops.from_matrix(matrix, SHAPE).astype(float) - flow, axis=2)
        return (1 - (1 - np.minimum(residual / (4.685 * scale), 1) ** 2) ** 3).sum()

    residual = np.linalg.norm(flowops.from_matrix(found, SHAPE) - flow, axis=2)
    scale = np.median(residual) / np.sqrt(2 * np.log(2))
    best = measure(found, scale)
    for _ in range(30):  # small steps within the group of the motion
        angle, *rest = rng.normal(size=9) * 2e-3
        step = np.eye(3)
        step[:2, 2] = rng.normal(size=2) * 0.05
        if motion != "translation":
            step[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        if motion in ("affine", "homography"):
            step[:2, :2] += np.reshape(rest[:4], (2, 2))
        if motion == "homography":
            step[2, :2] = np.array(rest[4:6]) / 64
        assert measure(step @ found, scale) > best - 1e-3


@motions
def test_unknown_pixels_do_not_count(motion):
    matrix = make_matrix(motion, 11)
    flow = flowops.from_matrix(matrix, SHAPE)
    flow[np.random.default_rng(0).random(SHAPE) < 0.7] = np.nan
    flow[0, 0] = np.inf
    flow[1, 1] = (np.nan, 0)
    assert_moves_alike(flowops.fit(flow, motion), matrix)
    hidden = np.ma.masked_invalid(flow)
    np.testing.assert_array_equal(flowops.fit(hidden, motion), flowops.fit(flow, motion))


@motions
def test_pixels_of_weight_0_do_not_count(motion):
    matrix, other = make_matrix(motion, 12), make_matrix(motion, 13)
    flow = flowops.from_matrix(other, SHAPE)
    flow[:10] = flowops.from_matrix(matrix, SHAPE)[:10]
    weights = np.zeros(SHAPE)
    weights[:10] = 1
    assert_moves_alike(flowops.fit(flow, motion, weights), matrix, tolerance=2e-3)
    # A tenth of the pixels decides if it has more than half of the weight.
    assert_moves_alike(flowops.fit(flow, motion, 0.05 + weights), matrix, tolerance=2e-3)


@motions
@pytest.mark.parametrize("shape", [SHAPE, (150, 200)])  # all pixels, and some that are drawn
@given(power=st.integers(-12, 12), seed=st.integers(0, 100))
@settings(max_examples=8, deadline=None)
def test_only_the_ratios_of_weights_matter(motion, shape, power, seed):
    rng = np.random.default_rng(seed)
    flow = flowops.from_matrix(make_matrix(motion, seed, strength=0.1), shape) + rng.normal(size=(*shape, 2))
    weights = rng.random(shape)
    np.testing.assert_array_equal(flowops.fit(flow, motion, 2.0**power * weights), flowops.fit(flow, motion, weights))


@motions
def test_the_layout_and_type_of_a_flow_do_not_matter(motion):
    rng = np.random.default_rng(4)
    flow = (flowops.from_matrix(make_matrix(motion, 2), SHAPE) + rng.normal(size=(*SHAPE, 2))).astype(np.float32)
    wanted = flowops.fit(flow, motion)
    for same in (np.asfortranarray(flow), flow.astype(np.float64), flow.astype(">f4"), flow[::-1][::-1]):
        np.testing.assert_array_equal(flowops.fit(same, motion), wanted)
    np.testing.assert_array_equal(flowops.fit(flow, motion, np.ones(SHAPE, np.uint8)), wanted)


def test_a_motion_far_beyond_the_frame_is_found():
    matrix = np.array([[1.0, 0.0, 5e4], [0.0, 1.0, -3e4], [0.0, 0.0, 1.0]])
    for motion in MOTIONS:
        assert_moves_alike(flowops.fit(flowops.from_matrix(matrix, SHAPE), motion), matrix, tolerance=0.05)


def test_a_rigid_motion_keeps_lengths_whatever_the_flow():
    flow = flowops.from_matrix(make_matrix("affine", 9), SHAPE)
    found = flowops.fit(flow, "rigid")
    np.testing.assert_allclose(found[:2, :2] @ found[:2, :2].T, np.eye(2), atol=1e-12)
    assert np.linalg.det(found[:2, :2]) > 0


@pytest.mark.parametrize(
    ("motion", "known", "count"),
    [
        ("translation", [], 0),
        ("rigid", [(3, 4)], 1),
        ("affine", [(3, 4), (5, 6)], 2),
        ("affine", [(row, 7) for row in range(40)], 40),  # a column
        ("affine", [(row, row) for row in range(40)], 40),  # a slanted line
        ("homography", [(row, 7) for row in range(40)], 40),
        ("homography", [(row, 7) for row in range(40)] + [(3, 9)], 41),
        ("homography", [(0, 0), (0, 9), (9, 0)], 3),
    ],
)
def test_a_motion_that_is_not_determined_is_refused(motion, known, count):
    flow = np.full((*SHAPE, 2), np.nan)
    for place in known:
        flow[place] = 1
    pixels = "pixel" if count == 1 else "pixels"
    with pytest.raises(ValueError, match=f"flow has {count} known {pixels} of weight above 0, wanted .*{motion!r}"):
        flowops.fit(flow, motion)


@pytest.mark.parametrize(
    ("motion", "known"),
    [
        ("translation", [(3, 4)]),
        ("rigid", [(3, 4), (8, 4)]),
        ("affine", [(3, 4), (8, 4), (5, 9)]),
        ("homography", [(3, 4), (30, 8), (5, 50), (40, 44)]),
    ],
)
def test_as_many_pixels_as_unknowns_are_enough(motion, known):
    matrix = make_matrix(motion, 21)
    whole = flowops.from_matrix(matrix, SHAPE)
    flow = np.full((*SHAPE, 2), np.nan)
    for place in known:
        flow[place] = whole[place]
    found = flowops.from_matrix(flowops.fit(flow, motion), SHAPE)
    for place in known:
        np.testing.assert_allclose(found[place], whole[place], atol=1e-3)


def test_a_flow_that_shrinks_all_to_a_point_is_fitted():
    y, x = np.indices(SHAPE)
    flow = np.stack([30 - x, 20 - y], axis=2)
    for motion in ("affine", "homography"):
        found = flowops.fit(flow, motion)
        np.testing.assert_allclose(flowops.from_matrix(found, SHAPE), flow, atol=1e-3)


def test_wrong_arguments_are_named():
    flow = np.zeros((4, 5, 2))
    with pytest.raises(ValueError, match="motion is 'similarity', wanted one of 'translation', 'rigid'"):
        flowops.fit(flow, "similarity")
    with pytest.raises(ValueError, match=r"flow has shape \(4, 5\), wanted \(H, W, 2\)"):
        flowops.fit(flow[..., 0], "rigid")
    with pytest.raises(ValueError, match=r"weights has shape \(5, 4\), wanted \(4, 5\)"):
        flowops.fit(flow, "rigid", np.ones((5, 4)))
    with pytest.raises(ValueError, match="weights has values that are negative"):
        flowops.fit(flow, "rigid", -np.ones((4, 5)))
    with pytest.raises(ValueError, match="flow has 0 known pixels of weight above 0, wanted 1 at least"):
        flowops.fit(flow, "translation", np.zeros((4, 5)))


# The flow of a matrix


def test_a_matrix_maps_positions_of_the_first_frame_to_the_second():
    matrix = np.array([[1.1, 0.2, 3.0], [-0.1, 0.9, 2.0], [0.001, 0.002, 1.0]])
    flow = flowops.from_matrix(matrix, (20, 30))
    assert flow.dtype == np.float32
    x, y, depth = matrix @ (7, 5, 1)
    np.testing.assert_allclose(flow[5, 7], (x / depth - 7, y / depth - 5), rtol=1e-6)
    np.testing.assert_array_equal(flowops.from_matrix(-3 * matrix, (20, 30)), flowops.from_matrix(3 * matrix, (20, 30)))


def test_a_matrix_without_its_last_row_is_affine():
    matrix = np.array([[1.1, 0.2, 3.0], [-0.1, 0.9, 2.0], [0, 0, 1]])
    np.testing.assert_array_equal(flowops.from_matrix(matrix[:2], (3, 4)), flowops.from_matrix(matrix, (3, 4)))


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.diag([1, 1, 0])])
def test_a_matrix_that_moves_no_pixel_to_a_place_is_refused(matrix):
    with pytest.raises(ValueError, match=r"^matrix is singular, with a last row of zeros"):
        flowops.from_matrix(matrix, (2, 2))


def test_what_is_on_the_horizon_or_behind_it_is_unknown():
    flow = flowops.from_matrix([[1, 0, 0], [0, 1, 0], [-0.25, 0, 1]], (2, 8))
    assert np.isfinite(flow[:, :4]).all()
    assert np.isnan(flow[:, 4:]).all()


def test_what_single_precision_cannot_hold_is_unknown():
    assert np.isnan(flowops.from_matrix([[1, 0, 1e300], [0, 1, 0]], (1, 1))).all()


def test_opencv_and_scikit_image_have_the_same_matrices():
    cv2 = pytest.importorskip("cv2")
    transform = pytest.importorskip("skimage.transform")
    points = np.array([(3.0, 4.0), (60.0, 2.0), (5.0, 40.0), (50.0, 44.0)])
    for matrix in (make_matrix("affine", 1), make_matrix("homography", 1)):
        flow = flowops.from_matrix(matrix, SHAPE)
        moved = points + [flow[int(y), int(x)] for x, y in points]
        theirs = cv2.perspectiveTransform(points[None], matrix)[0]
        np.testing.assert_allclose(moved, theirs, atol=1e-4)
        np.testing.assert_allclose(moved, transform.ProjectiveTransform(matrix)(points), atol=1e-4)


@pytest.mark.parametrize(
    ("matrix", "shape", "message"),
    [
        (np.eye(2), (4, 5), r"matrix has shape \(2, 2\), wanted \(3, 3\) or \(2, 3\)"),
        (np.full((3, 3), np.nan), (4, 5), "matrix has values that are NaN or infinite"),
        (np.eye(3), (0, 5), r"shape is \(0, 5\), wanted a height and a width of at least 1"),
    ],
)
def test_a_wrong_matrix_or_shape_is_named(matrix, shape, message):
    with pytest.raises(ValueError, match=message):
        flowops.from_matrix(matrix, shape)
