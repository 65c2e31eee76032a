"""What is sought besides the flow, or in its place: further planes, a stream function, one component, few numbers."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
import pytest
from jax.flatten_util import ravel_pytree

import variflow
from variflow import flowops, models
from variflow.datasets.synthetic import Texture
from variflow.energy import BrightnessConstancy, Charbonnier, DataTerm, FlowTerm, Quadratic, Smoothness
from variflow.filters import Median
from variflow.frames.checking import check_frames
from variflow.models import Model
from variflow.problem import Problem
from variflow.solve import choose_solver, minimise
from variflow.solve.local_system import LocalSystem
from variflow.solve.of_values import EnergyOfValues
from variflow.unknowns import (
    Affine,
    ControlPoints,
    FlowAndPlanes,
    Homography,
    OneComponent,
    StreamFunction,
    Unknowns,
)
from variflow.unknowns.position import Position

SHAPE = (28, 36)
Y, X = (axis - (length - 1) / 2 for axis, length in zip(np.mgrid[: SHAPE[0], : SHAPE[1]], SHAPE, strict=True))
DATA = BrightnessConstancy(Charbonnier(0.01))
ENERGY = DATA + 0.05 * Smoothness(Charbonnier(0.01))


@dataclass
class Pair:
    frame0: Any
    frame1: Any
    flow: Any


def make_pair(u, v, gain=0.0, wavelengths=(4.5, 100.0)):
    """Return frames with a flow, the second of them brighter by a gain."""
    texture, (y, x) = Texture(3, wavelengths=wavelengths), np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    u, v = u + 0 * x, v + 0 * y
    first, second = (0.5 * texture(a, b)[..., 0] for a, b in ((x + u, y + v), (x, y)))
    return Pair(first, second * (1 + gain), np.stack([u, v], axis=2))


def find_error(result, pair, margin=4):
    inside = slice(margin, -margin)
    return float(np.linalg.norm(result.flow - pair.flow, axis=2)[inside, inside].mean())


def estimate(pair, model, **more):
    return variflow.estimate(pair.frame0, pair.frame1, model, intensity_range=(0, 1), **more)


def pose(pair, model):
    return Problem(check_frames(pair.frame0, pair.frame1, None, None, (0, 1)), model)


SHIFTED = make_pair(1.25, -0.5)
VORTEX = make_pair(-0.08 * Y * np.exp(-(X**2 + Y**2) / 300), 0.08 * X * np.exp(-(X**2 + Y**2) / 300))


# Further planes


class BrightnessWithGain(DataTerm):
    def residuals(self, d, at):
        u, v, gain = d
        return [at.Ix[0] * u + at.Iy[0] * v + at.It[0] - (at.planes[2] + gain) * at.frame0[0]]


class SmoothGain(FlowTerm):
    def residuals(self, flow, at):
        _, _, gain = flow
        return [gain[:-1, 1:] - gain[:-1, :-1], gain[1:, :-1] - gain[:-1, :-1]]


SMOOTH = 0.05 * Smoothness(Charbonnier(0.01))
WITH_GAIN = BrightnessWithGain(Charbonnier(0.01)) + SMOOTH + 0.5 * SmoothGain()
GAIN = 0.2 * np.sin(X / 14) * np.cos(Y / 11)
BRIGHTENED = make_pair(1.25, -0.5, GAIN)


def test_a_gain_that_varies_is_found_with_the_flow():
    model = Model(WITH_GAIN, unknowns=FlowAndPlanes("gain"))
    result = estimate(BRIGHTENED, model)
    assert find_error(result, BRIGHTENED) < 0.08
    assert find_error(result, BRIGHTENED) < 0.3 * find_error(estimate(BRIGHTENED, Model(ENERGY)), BRIGHTENED)
    assert list(result.unknowns) == ["u", "v", "gain"]
    assert np.abs(result.unknowns["gain"] - GAIN)[4:-4, 4:-4].mean() < 0.02
    np.testing.assert_array_equal(result.unknowns["u"], result.flow[..., 0])
    assert "LocalSystem" in result.reason


@pytest.mark.slow
def test_a_plain_function_may_have_further_planes():
    model = Model(lambda d, at: WITH_GAIN(d, at), unknowns=FlowAndPlanes("gain"), coarsest=20)
    result = estimate(BRIGHTENED, model)
    assert find_error(result, BRIGHTENED) < 0.1
    assert np.abs(result.unknowns["gain"] - GAIN)[4:-4, 4:-4].mean() < 0.03
    assert "Newton's method" in result.reason
    assert "the energy is no sum of data terms and terms of the flow" in result.reason


def test_planes_that_an_energy_leaves_alone_stay_and_change_nothing():
    model = replace(models.brox(), solver=None)
    result = estimate(SHIFTED, replace(model, unknowns=FlowAndPlanes(("gain", "offset"))))
    np.testing.assert_allclose(result.flow, estimate(SHIFTED, replace(model, solver=LocalSystem())).flow, atol=1e-5)
    assert not result.unknowns["gain"].any()
    assert not result.unknowns["offset"].any()


def test_by_default_the_flow_is_what_is_sought():
    result = estimate(SHIFTED, "horn-schunck")
    assert list(result.unknowns) == ["u", "v"]
    np.testing.assert_array_equal(result.unknowns["v"], result.flow[..., 1])
    *_, state = variflow.iterate(SHIFTED.frame0, SHIFTED.frame1, "horn-schunck")
    np.testing.assert_array_equal(state.unknowns["u"], state.planes[0])


# A stream function


def test_a_stream_function_finds_a_vortex_without_divergence():
    model = Model(DATA + 0.01 * Smoothness(Charbonnier(0.1)), unknowns=StreamFunction())
    result = estimate(VORTEX, model)
    assert find_error(result, VORTEX) < 0.05
    assert np.abs(flowops.divergence(result.flow)).max() < 1e-6
    assert np.abs(flowops.divergence(estimate(VORTEX, Model(ENERGY)).flow)).max() > 1e-3
    assert result.unknowns["stream"].shape == SHAPE
    assert np.abs(flowops.divergence(result.backward)).max() < 1e-6
    u, v = StreamFunction().flow_of(result.unknowns, None)
    np.testing.assert_allclose(np.stack([u, v], axis=2), result.flow, atol=1e-6)


def test_a_stream_function_starts_from_the_nearest_flow():
    stream = np.random.default_rng(0).normal(size=SHAPE)
    flow = StreamFunction().flow_of({"stream": stream}, None)
    again = StreamFunction().flow_of(StreamFunction().start(flow, Level(SHAPE)), None)
    np.testing.assert_allclose(again, flow, atol=1e-6)
    still = estimate(SHIFTED, Model(ENERGY, unknowns=StreamFunction(), warps=1), init=SHIFTED.flow)
    assert find_error(still, SHIFTED) < 0.05


# One component


@pytest.mark.parametrize("component", ["u", "v"])
def test_one_component_leaves_the_other_at_zero(component):
    pair = make_pair(1.25, 0) if component == "u" else make_pair(0, 1.25)
    result = estimate(pair, replace(models.brox(), unknowns=OneComponent(component), channels="all"))
    assert not result.flow[..., "vu".index(component)].any()
    assert find_error(result, pair) < 0.03
    assert list(result.unknowns) == [component]


# Few numbers


def test_an_affine_motion_is_found():
    pair = make_pair(0.8 + 0.03 * X - 0.02 * Y, -0.5 + 0.01 * X + 0.02 * Y, wavelengths=(6, 20))
    result = estimate(pair, Model(DATA, unknowns=Affine(), coarsest=20, interpolation="spline"))
    assert find_error(result, pair, margin=1) < 1e-2
    np.testing.assert_allclose(result.unknowns["u"], [0.8, 0.03, -0.02], atol=5e-3)
    np.testing.assert_allclose(result.unknowns["v"], [-0.5, 0.01, 0.02], atol=5e-3)
    assert "Newton's method" in result.reason


def test_a_homography_is_found():
    matrix = np.array([[1.03, 0.02, 0.7], [-0.01, 0.98, -0.4], [6e-4, -4e-4, 1]])
    x, y, depth = np.moveaxis(np.stack([X, Y, 0 * X + 1], axis=2) @ matrix.T, 2, 0)
    pair = make_pair(x / depth - X, y / depth - Y, wavelengths=(6, 20))
    homography = Homography()
    result = estimate(pair, Model(DATA, unknowns=homography, coarsest=20, interpolation="spline"))
    assert find_error(result, pair, margin=1) < 1e-2
    to_centre = np.eye(3)
    to_centre[:2, 2] = X[0, 0], Y[0, 0]
    whole = np.linalg.inv(to_centre) @ matrix @ to_centre
    np.testing.assert_allclose(homography.matrix(result.unknowns, SHAPE), whole / whole[2, 2], atol=2e-2)


def test_control_points_find_a_smooth_flow():
    model = Model(DATA, unknowns=ControlPoints(8), coarsest=20)
    result = estimate(VORTEX, model)
    assert find_error(result, VORTEX) < 0.05
    assert result.unknowns["u"].shape == (7, 8)


SOLVERS = {
    "optimistix": optimistix.LBFGS(1e-4, 1e-4),
    "optax": optax.adam(0.05),
    "least squares": optimistix.LevenbergMarquardt(1e-4, 1e-4),
}


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_other_solvers_find_numbers_too(solver):
    model = Model(BrightnessConstancy(), solver=solver, unknowns=Affine(), coarsest=20, warps=3)
    assert find_error(estimate(SHIFTED, model), SHIFTED) < 0.05


# From level to level, and starts


@dataclass
class Level:
    shape: tuple[int, int]


@pytest.mark.parametrize(
    ("unknowns", "values"),
    [
        (Affine(), {"u": np.array([1.0, 0.02, -0.03]), "v": np.array([-2.0, 0.01, 0.04])}),
        (Homography(), {"rows": np.array([[0.02, 0.01, 1.0], [-0.01, 0.03, 2.0]]), "last": np.array([1e-3, -5e-4])}),
        (ControlPoints(4), None),
        (StreamFunction(), {"stream": 0.5 * X - 2.0 * Y}),
    ],
)
def test_values_are_carried_exactly(unknowns, values):
    old, new = Level(SHAPE), Level((2 * SHAPE[0], 3 * SHAPE[1]))
    if values is None:
        values = unknowns.start(Affine().flow_of({"u": [1.0, 0.02, -0.03], "v": [-2.0, 0.01, 0.04]}, old), old)
    flow = unknowns.flow_of(values, old)
    u, v = unknowns.flow_of(unknowns.carry(values, old, new), new)
    # Every pixel of the old size is the mean of those that took its place.
    for before, after, scale in ((flow[0], u, 3), (flow[1], v, 2)):
        means = np.asarray(after).reshape(SHAPE[0], 2, SHAPE[1], 3).mean(axis=(1, 3)) / scale
        np.testing.assert_allclose(means[1:-1, 1:-1], np.asarray(before)[1:-1, 1:-1], atol=2e-3)


@pytest.mark.parametrize("unknowns", [Affine(), Homography(), ControlPoints(8)])
def test_numbers_start_from_the_flow_that_they_stand_for(unknowns):
    flow = tuple(
        p.astype(np.float32) for p in Affine().flow_of({"u": [1, 0.02, -0.03], "v": [-2, 0.01, 0.04]}, Level(SHAPE))
    )
    again = unknowns.flow_of(unknowns.start(flow, Level(SHAPE)), Level(SHAPE))
    np.testing.assert_allclose(again, flow, atol=2e-4)


# Unknowns of one's own


class Corners(Unknowns):
    """A stream function at the corners of pixels."""

    def start(self, flow, at):
        return {"corners": np.zeros((at.shape[0] + 1, at.shape[1] + 1))}

    def flow_of(self, values, at):
        p = values["corners"]
        along_x, along_y = 0.5 * (p[:, 1:] + p[:, :-1]), 0.5 * (p[1:] + p[:-1])
        return along_x[1:] - along_x[:-1], along_y[:, :-1] - along_y[:, 1:]


@dataclass(frozen=True)
class AlongLines(Unknowns):
    """A distance along the direction of each pixel, as along epipolar lines; directions are a flow."""

    directions: Any

    def start(self, flow, at):
        squared = (np.asarray(self.directions) ** 2).sum(axis=2)
        return {"distance": (flow[0] * self.directions[..., 0] + flow[1] * self.directions[..., 1]) / squared}

    def flow_of(self, values, at):
        return values["distance"] * self.directions[..., 0], values["distance"] * self.directions[..., 1]


class Exponential(Unknowns):
    """A flow to the right alone."""

    def start(self, flow, at):
        return {"log": np.log(np.maximum(flow[0], 0.5))}

    def flow_of(self, values, at):
        return jnp.exp(values["log"]), jnp.zeros(at.shape)


@pytest.mark.parametrize("bend", [0.0, 0.01])
def test_planes_along_lines_follow_the_pyramid(bend):
    angle = 0.4 + bend * X
    directions = np.stack([np.cos(angle), np.sin(angle)], axis=2)
    pair = make_pair(*(np.cos(angle), np.sin(angle)))
    result = estimate(pair, Model(ENERGY, unknowns=AlongLines(directions)))
    assert find_error(result, pair) < 0.05
    assert "LocalSystem" in result.reason
    with pytest.raises(TypeError, match="AlongLines holds an array of the frames' size"):
        _ = result.backward


@pytest.mark.slow
def test_a_flow_that_is_not_linear_in_the_unknowns_is_left_to_newton():
    pair = make_pair(0.8, 0)
    result = estimate(pair, Model(ENERGY, unknowns=Exponential(), coarsest=20, warps=3))
    assert find_error(result, pair) < 0.05
    assert (result.flow[..., 0] > 0).all()
    assert "the flow of Exponential is no linear function" in result.reason


# The native system


@pytest.mark.parametrize(
    ("unknowns", "energy"),
    [
        (StreamFunction(), BrightnessConstancy(normalisation=0.01) + 0.05 * Smoothness()),
        (Corners(), BrightnessConstancy() + 0.05 * Smoothness(per="pixel")),
        (OneComponent("v"), BrightnessConstancy() + 0.05 * Smoothness()),
        (
            FlowAndPlanes("gain"),
            replace(WITH_GAIN.terms[0], penalty=Quadratic(), normalisation=0.02) + 0.05 * Smoothness() + SmoothGain(),
        ),
    ],
    ids=["stream", "corners", "component", "gain"],
)
def test_the_native_step_is_that_of_a_dense_solve(unknowns, energy):
    small = Pair(SHIFTED.frame0[:9, :11], SHIFTED.frame1[:9, :11], None)
    problem = pose(small, Model(energy, unknowns=unknowns, solver=LocalSystem(500, 1e-6)))
    rng = np.random.default_rng(0)
    still = np.zeros((9, 11), np.float32)
    position = problem.bring(Position(0, (still, still)), 0)
    values = {name: 0.3 * rng.normal(size=value.shape).astype(np.float32) for name, value in position.values.items()}
    at = problem.linearise(problem.levels[0], problem.stand(values, 0))
    solver, _ = choose_solver(energy, problem.model.solver, at)
    found = minimise(energy, solver, 1, at)
    composed, plain = EnergyOfValues(energy, unknowns, values), at.plain()
    start, unravel = ravel_pytree(jax.tree.map(np.zeros_like, values))
    function = jax.jit(jax.value_and_grad(lambda x: composed(unravel(x), plain)))
    gradients = np.array([function(x)[1] for x in (start, *np.eye(start.size, dtype=np.float32))], np.float64)
    expected = -np.linalg.lstsq(gradients[1:] - gradients[0], gradients[0], rcond=1e-6)[0]
    step = ravel_pytree({name: found.values[name] - values[name] for name in values})[0]
    before, lowest, reached = (float(function(jnp.asarray(x, jnp.float32))[0]) for x in (start, expected, step))
    assert reached - lowest <= 1e-4 * (before - lowest)
    np.testing.assert_allclose(found.energies(), (before, reached), rtol=2e-3)


# Filters, limits and levels


def test_a_filter_and_a_limit_work_where_any_flow_is_possible():
    model = replace(models.brox(), unknowns=FlowAndPlanes("gain"), limit=0.1, factor=0.5)
    result = estimate(SHIFTED, model)
    np.testing.assert_array_equal(result.unknowns["u"], result.flow[..., 0])
    states = list(variflow.iterate(SHIFTED.frame0, SHIFTED.frame1, replace(model, filter=None, coarsest=20)))
    assert np.abs(states[0].planes[0]).max() <= 0.1 + 1e-6


def test_a_limit_shortens_the_step_of_other_unknowns():
    model = Model(ENERGY, unknowns=StreamFunction(), limit=0.1, coarsest=20)
    states = list(variflow.iterate(SHIFTED.frame0, SHIFTED.frame1, model))
    assert np.abs(states[0].planes).max() <= 0.1 + 1e-6
    assert np.abs(flowops.divergence(states[0].flow)).max() < 1e-6


def test_values_reach_the_size_of_the_frames():
    result = estimate(VORTEX, Model(ENERGY, unknowns=StreamFunction(), finest=1, coarsest=12))
    assert result.unknowns["stream"].shape == SHAPE
    assert np.abs(flowops.divergence(result.flow)).max() < 1e-6


@pytest.mark.parametrize("unknowns", [StreamFunction(), OneComponent(), FlowAndPlanes("gain")])
def test_identical_frames_do_not_move(unknowns):
    frame = SHIFTED.frame0
    result = variflow.estimate(frame, frame, Model(ENERGY, unknowns=unknowns, warps=1, coarsest=20))
    assert not result.flow.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3)])
@pytest.mark.filterwarnings("ignore::variflow.VariflowWarning")
def test_frames_of_any_size_will_do(shape):
    frame = np.random.default_rng(0).random(shape)
    for unknowns in (StreamFunction(), OneComponent(), FlowAndPlanes("gain")):
        result = variflow.estimate(frame, frame[::-1, ::-1], Model(ENERGY, unknowns=unknowns, warps=1))
        assert result.flow.shape == (*shape, 2)
        assert np.isfinite(result.flow).all()


# What is refused


class Wrong(Unknowns):
    def __init__(self, start=None, flow=None):
        self.returned = {"a": np.zeros(3)} if start is None else start
        self.flow = flow

    def start(self, flow, at):
        return self.returned

    def flow_of(self, values, at):
        return self.flow(at) if callable(self.flow) else self.flow


class Misspelt(Wrong):
    def flow_of(self, values, at):
        return values["b"]


@pytest.mark.parametrize(
    ("unknowns", "kind", "message"),
    [
        (Misspelt(), ValueError, "flow_of of Misspelt reads 'b', wanted what start returns: 'a'"),
        (Wrong(start={}), TypeError, "start of Wrong returned an empty dict, wanted arrays by name"),
        (Wrong(start=[1.0]), TypeError, "start of Wrong returned a list, wanted arrays by name"),
        (Wrong(start={"a": "b"}), TypeError, "start of Wrong returned a str as 'a', wanted arrays by name"),
        (Wrong(start={"a": np.nan}), ValueError, "start of Wrong returned values of 'a' that are not finite"),
        (Wrong(flow=0.0), TypeError, r"flow_of of Wrong returned a float, wanted the planes \(u, v\), each 28 x 36"),
        (Wrong(flow=(np.zeros(SHAPE),)), ValueError, "flow_of of Wrong returned 1 planes, wanted the planes"),
        (Wrong(flow=(np.zeros(3),) * 2), ValueError, r"returned an array of shape \(3,\) among its planes, wanted"),
        (
            Wrong(flow=lambda at: at.Ix),
            AttributeError,
            "unknowns see no at.Ix, wanted what does not",
        ),
    ],
)
def test_wrong_unknowns_are_refused(unknowns, kind, message):
    with pytest.raises(kind, match=message):
        estimate(SHIFTED, Model(ENERGY, unknowns=unknowns, coarsest=20))


class Rounded(Unknowns):
    def start(self, flow, at):
        return {"shift": np.zeros(2)}

    def flow_of(self, values, at):
        u, v = jnp.round(values["shift"])
        return jnp.full(at.shape, u), jnp.full(at.shape, v)


@pytest.mark.parametrize("unknowns", [Wrong(flow=lambda at: (jnp.zeros(at.shape),) * 2), Rounded()])
@pytest.mark.parametrize("energy", [ENERGY, lambda d, at: ENERGY(d, at)])
def test_unknowns_that_do_not_move_the_flow_are_refused(unknowns, energy):
    name = type(unknowns).__name__
    said = rf"the gradient of energy.* over the unknowns of {name} is zero everywhere, so nothing would move\. Does"
    with pytest.raises(ValueError, match=said):
        variflow.iterate(SHIFTED.frame0, SHIFTED.frame1, Model(energy, unknowns=unknowns, coarsest=20))


def test_planes_that_do_not_move_the_flow_are_refused():
    still = Wrong(start={"a": np.zeros(SHAPE)}, flow=lambda at: (jnp.zeros(at.shape),) * 2)
    with pytest.raises(ValueError, match=r"the residuals of Wrong\.flow_of do not depend on"):
        estimate(SHIFTED, Model(ENERGY, unknowns=still, warps=1, factor=0.5, coarsest=64))


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"unknowns": StreamFunction}, TypeError, "unknowns is the class StreamFunction, wanted one of its objects"),
        ({"unknowns": "stream"}, TypeError, "unknowns is a str, wanted one of variflow.unknowns"),
        ({"unknowns": Affine(), "filter": Median(5)}, ValueError, "filter is Median.*Affine cannot stand for"),
    ],
)
def test_models_refuse_what_cannot_be(fields, kind, message):
    with pytest.raises(kind, match=message):
        Model(ENERGY, **fields)


@pytest.mark.parametrize("names", ["u", (), ("gain", "gain"), 3, ("",), "gain offset"])
def test_names_of_planes_are_checked(names):
    with pytest.raises(ValueError, match="names of FlowAndPlanes"):
        FlowAndPlanes(names)


def test_spacings_and_components_are_checked():
    with pytest.raises((TypeError, ValueError), match="spacing of ControlPoints"):
        ControlPoints(0)
    with pytest.raises(ValueError, match="component of OneComponent"):
        OneComponent("w")


def test_a_native_solver_that_was_named_is_kept_or_says_who_took_its_place():
    model = Model(ENERGY, unknowns=StreamFunction(), solver=LocalSystem(iterations=7), coarsest=20)
    assert "place" not in estimate(SHIFTED, model).reason
    named = replace(models.brox(), unknowns=OneComponent(), channels="all", coarsest=20)
    assert "LocalSystem minimised the energy over the planes of OneComponent" in estimate(SHIFTED, named).reason
