"""What is missing in an image or unknown in a flow spoils only what is made from it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow import flowops, metrics
from variflow.images.warping import INTERPOLATIONS

Y, X = np.mgrid[:24, :30].astype(np.float32)
IMAGE = np.stack([np.sin(0.3 * X) + 0.1 * Y, np.cos(0.2 * X + 0.25 * Y)], axis=2)
FLOW = np.stack([0.4 + 0.01 * X, -0.3 + 0.01 * Y], axis=2)


def _near(distance, row=12, column=14):
    return (abs(Y - row) <= distance) & (abs(X - column) <= distance)


def _in_jax(image, flow, interpolation):
    warped = jax.jit(variflow.warp, static_argnums=2)(jnp.asarray(image), jnp.asarray(flow), interpolation)
    return np.asarray(warped)


@pytest.mark.parametrize("warp", [variflow.warp, _in_jax], ids=["native", "jax"])
@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_missing_pixel_spoils_no_more_than_the_kernel_reaches(warp, missing, interpolation):
    image = IMAGE.copy()
    image[12, 14, 0] = missing
    warped, whole = warp(image, FLOW, interpolation), warp(IMAGE, FLOW, interpolation)
    assert not np.isfinite(warped[12, 14, 0])
    reach = _near(1 if interpolation == "bilinear" else 3)
    np.testing.assert_allclose(warped[~reach], whole[~reach], atol=2e-3 if interpolation == "spline" else 0)
    np.testing.assert_array_equal(warped[..., 1], whole[..., 1])  # the other channel


@pytest.mark.parametrize("warp", [variflow.warp, _in_jax], ids=["native", "jax"])
def test_a_spline_beside_a_gap_is_close_to_the_one_without_it(warp):
    image = IMAGE.copy()
    image[8:16, 10:20] = np.nan
    image[:, 0] = np.nan
    warped, whole = warp(image, FLOW, "spline"), warp(IMAGE, FLOW, "spline")
    gap = ~np.isfinite(warped).all(axis=2)
    assert gap[8:16, 10:20].all()
    assert gap.sum() <= 12 * 14 + 3 * 24
    np.testing.assert_allclose(warped[~gap], whole[~gap], atol=0.03)


@pytest.mark.parametrize("warp", [variflow.warp, _in_jax], ids=["native", "jax"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (24, 30)])
def test_a_spline_of_nothing_is_nothing(warp, shape):
    warped = warp(np.full(shape, np.nan, np.float32), np.zeros((*shape, 2), np.float32), "spline")
    assert np.isnan(warped).all()


def test_the_derivative_of_a_spline_is_finite_beside_a_missing_pixel():
    image = IMAGE[..., 0].copy()
    image[12, 14] = np.nan

    def total(flow):
        return jnp.where(jnp.asarray(_near(4)), 0, variflow.warp(jnp.asarray(image), flow, "spline")).sum()

    assert np.isfinite(jax.grad(total)(jnp.asarray(FLOW))[~_near(4)]).all()


def _unknown():
    flow = FLOW.copy()
    flow[12, 14] = np.nan, 1.0
    return flow


# Each with how far, in pixels, an unknown pixel of the flow may be felt.
OPERATIONS = {
    "warp": (lambda flow: variflow.warp(IMAGE, flow), 0),
    "warp spline": (lambda flow: variflow.warp(IMAGE, flow, "spline"), 0),
    "splat": (lambda flow: flowops.splat(IMAGE, flow), 2),
    "compose first": (lambda flow: flowops.compose(flow, FLOW), 0),
    "compose second": (lambda flow: flowops.compose(FLOW, flow), 2),
    "invert": (flowops.invert, 3),
    "consistency": (lambda flow: flowops.consistency(FLOW, flow), 2),
    "resize": (lambda flow: flowops.resize(flow, (48, 60))[::2, ::2], 1),
    "rotate": (lambda flow: flowops.rotate(flow, 360.0), 0),
    "flip": (lambda flow: flowops.flip(flowops.flip(flow, "x"), "x"), 0),
    "crop": (lambda flow: flowops.crop(flow, (0, 0, 24, 30)), 0),
    "jacobian": (flowops.jacobian, 1),
    "divergence": (flowops.divergence, 1),
    "vorticity": (flowops.vorticity, 1),
    "strain": (flowops.strain, 1),
    "strain of planes": (lambda flow: flowops.strain(flow, "hencky", 7), 3),
    "change_frame_rate": (lambda flow: flowops.change_frame_rate(flow, 30, 60), 0),
    "endpoint_error_map": (lambda flow: metrics.endpoint_error_map(FLOW, flow), 0),
    "angular_error_map": (lambda flow: metrics.angular_error_map(FLOW, flow), 0),
    "to_skimage": (lambda flow: np.moveaxis(flowops.to_skimage(flow), 0, 2), 0),
    "to_torch": (lambda flow: np.moveaxis(flowops.to_torch(flow), 0, 2), 0),
}


@pytest.mark.parametrize(("operation", "reach"), OPERATIONS.values(), ids=OPERATIONS)
def test_an_unknown_pixel_of_a_flow_is_felt_no_further(operation, reach):
    try:
        made = operation(_unknown())
    except ValueError as error:  # those that know no mark for it refuse
        assert "unknown at 1 pixels" in str(error)  # noqa: PT017
        return
    whole = operation(FLOW)
    far = ~_near(reach)
    np.testing.assert_allclose(made[far], whole[far], atol=1e-6)
    known = np.isfinite(whole)
    assert np.isfinite(made[far & known.reshape(24, 30, -1).all(axis=2)]).all()


def test_a_missing_pixel_of_an_image_is_felt_no_further_when_splatted():
    image = IMAGE.copy()
    image[12, 14, 1] = np.inf
    made, whole = flowops.splat(image, FLOW), flowops.splat(IMAGE, FLOW)
    np.testing.assert_array_equal(made[~_near(1)], whole[~_near(1)])


def test_a_frame_in_between_has_no_gap_but_the_missing_pixel():
    frame = IMAGE.copy()
    frame[12, 14] = np.nan
    made, whole = (metrics.in_between(first, IMAGE, FLOW) for first in (frame, IMAGE))
    np.testing.assert_allclose(made[~_near(3)], whole[~_near(3)], atol=1e-6)
