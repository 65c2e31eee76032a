"""What a stranger may write for an energy: it works, or what is wrong is said."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow.datasets import synthetic
from variflow.energy import (
    L1,
    BrightnessConstancy,
    Charbonnier,
    DataTerm,
    FlowTerm,
    Penalty,
    Quadratic,
    Smoothness,
    Term,
)
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve import choose_solver
from variflow.unknowns import FlowAndPlanes

PAIR = synthetic.translation((20, 24), shift=(1.0, 0.5))
FRAMES = PAIR.frame0, PAIR.frame1
SMOOTH = 0.05 * Smoothness(Charbonnier(0.01))


def run(energy, **settings):
    return variflow.estimate(*FRAMES, variflow.Model(energy, **{"warps": 2, "coarsest": 20, **settings}))


@pytest.mark.slow
def test_an_energy_under_jit_is_minimised():
    def energy(d, at):
        return ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum() + 0.01 * Smoothness()(d, at)

    flow = run(jax.jit(energy)).flow
    np.testing.assert_allclose(flow, run(energy).flow, atol=0.02)


class UnderJit(FlowTerm):
    @staticmethod
    @jax.jit
    def differences(planes, at):
        return [(plane[:, 1:] - plane[:, :-1]) * at.valid[:, 1:] for plane in planes]

    def residuals(self, flow, at):
        return self.differences(flow, at)


def test_residuals_under_jit_are_minimised_natively():
    result = run(BrightnessConstancy() + 0.01 * UnderJit() + 0.01 * Smoothness())
    assert "LocalSystem minimised the energy" in result.reason
    assert np.abs(result.flow - PAIR.flow).mean() < 0.1


class Length(FlowTerm):
    def residuals(self, flow, at):
        return [jnp.sqrt(flow[0] ** 2 + flow[1] ** 2)]


class Angle(FlowTerm):
    def residuals(self, flow, at):
        return [jnp.arctan2(flow[1], flow[0])]


class ShareOfLength(FlowTerm):
    def residuals(self, flow, at):
        return [flow[0] / jnp.sqrt(flow[0] ** 2 + flow[1] ** 2)]


@pytest.mark.parametrize("term", [Length(), Angle(), ShareOfLength()])
def test_residuals_without_a_derivative_are_named_with_what_to_write(term):
    name = type(term).__name__
    with pytest.raises(
        ValueError, match=rf"esiduals of {name} are not finite at 480 of 480 .* write jnp.sqrt\(x \+ 1e-6"
    ):
        run(BrightnessConstancy() + 0.01 * term + SMOOTH)


class NotANumber(FlowTerm):
    def residuals(self, flow, at):
        return [flow[0] * jnp.nan]


def test_residuals_that_are_no_numbers_are_named():
    with pytest.raises(ValueError, match="energy NotANumber returned nan for the zero increment"):
        run(BrightnessConstancy() + NotANumber() + SMOOTH)


class Still(FlowTerm):
    def residuals(self, flow, at):
        return [flow[0][:, 1:] - flow[0][:, :-1], flow[1][:, 1:] - flow[1][:, :-1]]


class OfU(FlowTerm):
    def residuals(self, flow, at):
        return [flow[0][1:] - flow[0][:-1]]


class Summed(Penalty):
    def of_squared(self, squared):
        return squared.sum()


class Branching(Penalty):
    def of_squared(self, squared):
        return squared if squared < 1 else squared**0.5


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (Summed(), r"of_squared of the penalty .*Summed.* wanted a value for each, not their sum"),
        (Branching(), r"of_squared of the penalty .*Branching.* asks whether values are true"),
    ],
)
def test_a_penalty_gives_a_value_for_each_residual(penalty, message):
    with pytest.raises(ValueError, match=message):
        run(BrightnessConstancy(penalty) + SMOOTH)


@pytest.mark.parametrize(("term", "free"), [(0 * Smoothness(), "u or v"), (0.01 * OfU(), "v")])
def test_a_component_that_no_term_of_the_flow_looks_at_is_named(term, free):
    with pytest.warns(
        variflow.VariflowWarning, match=f"no term of the flow looks at {free}: where the frames are flat"
    ) as caught:
        run(BrightnessConstancy() + term)
    assert len(caught) == 1


class Steps(Penalty):
    def of_squared(self, squared):
        return jnp.round(squared)


def test_a_penalty_without_a_slope_is_refused():
    with pytest.raises(ValueError, match=r"penalty .*Steps.* has no slope at any residual .* does it round\?"):
        run(BrightnessConstancy(Steps()) + 0.1 * Smoothness())


def test_the_weight_of_a_smoothness_beside_which_the_data_are_lost_is_told():
    with pytest.warns(variflow.VariflowWarning, match="the weight of Smoothness is so large that single precision"):
        run(BrightnessConstancy() + 1e7 * Smoothness())


def test_a_weight_beside_which_the_data_are_lost_is_told():
    energy = BrightnessConstancy() + 1e6 * Still(per="residual") + 0.01 * Smoothness()
    with pytest.warns(
        variflow.VariflowWarning, match="the weight of Still is so large that single precision loses"
    ) as caught:
        run(energy)
    assert len(caught) == 1
    for weight, penalty in ((1e3, Quadratic()), (10.0, L1()), (1.0, Charbonnier(1e-4))):
        run(BrightnessConstancy() + weight * Still(penalty, per="residual") + 0.01 * Smoothness())


WEIGHTS = np.ones((20, 24), np.float32)


@pytest.mark.parametrize(
    "use",
    [
        lambda u: WEIGHTS * u,
        lambda u: jnp.where(WEIGHTS > 0, u, 0),
        lambda u: u[WEIGHTS > 0],
        lambda u: jnp.asarray(WEIGHTS).T @ u,
        lambda u: jnp.stack([u, WEIGHTS]),
        lambda u: u.at[:].set(WEIGHTS),
    ],
)
def test_an_array_of_another_size_is_explained(use):
    def energy(d, at):
        return use((at.Ix * d[0] + at.Iy * d[1] + at.It)[0]).sum() + SMOOTH(d, at)

    message = (
        r"^energy energy for frames of 10 x 12 has arrays whose sizes do not fit: .*test_own_energies.py, line \d+"
    )
    with pytest.raises((TypeError, ValueError, IndexError), match=message) as caught:
        run(energy, coarsest=8)
    assert "Make it an attribute of a term, a class derived from Term, DataTerm or FlowTerm" in str(caught.value)


class Indexed(FlowTerm):
    def residuals(self, flow, at):
        return [flow[2]]


class Unpacked(DataTerm):
    def residuals(self, d, at):
        u, v, gain = d
        return [at.Ix[0] * u + at.Iy[0] * v + at.It[0] - gain]


class OwnSteps(FlowTerm):
    def __init__(self, factor):
        self.factor = factor

    def residuals(self, flow, at):
        return [self.factor * (flow[0][1:] - flow[0][:-1])]


class OwnBrightness(BrightnessConstancy):
    def __init__(self, factor):
        self.factor = factor


@dataclass(frozen=True)
class Scaled(Penalty):
    scale: float

    def of_squared(self, squared):
        return self.scale * squared


class OwnPenalty(Scaled):
    def __init__(self, factor):
        self.factor = factor


class OwnPlanes(FlowAndPlanes):
    def __init__(self, factor):
        self.factor = factor


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda: run(OwnSteps(2.0)), "OwnSteps"),
        (lambda: run(SMOOTH + BrightnessConstancy() + OwnSteps(2.0)), "OwnSteps"),
        (lambda: run(SMOOTH + OwnBrightness(2.0)), "OwnBrightness"),
        (lambda: run(SMOOTH + BrightnessConstancy(OwnPenalty(2.0))), "OwnPenalty"),
        (lambda: run(SMOOTH + BrightnessConstancy(), unknowns=OwnPlanes(2.0)), "OwnPlanes"),
    ],
)
def test_an_init_that_forgets_that_of_its_base_is_told(use, name):
    with pytest.raises(
        AttributeError, match=rf"^{name} has no \w+, because its __init__ does not call super\(\).__init__"
    ):
        use()


class AsksForMore(FlowTerm):
    @property
    def factor(self):
        return self.penalty.missing

    def residuals(self, flow, at):
        return [self.factor * flow[0]]


def test_other_attributes_that_are_missing_are_told_as_ever():
    assert not hasattr(OwnSteps(2.0), "penalty")
    with pytest.raises(AttributeError, match=r"^'Quadratic' object has no attribute 'missing'$"):
        _ = AsksForMore().factor
    with pytest.raises(AttributeError, match=r"^'OwnSteps' object has no attribute 'offset'$"):
        _ = OwnSteps(2.0).offset


class WithoutAt(FlowTerm):
    def residuals(self, flow):
        return [flow[0]]


class DataWithoutAt(DataTerm):
    def residuals(self, d):
        return [d[0]]


class LinearisedWithoutAt(DataTerm):
    def linearised(self):
        return []


class WithMore(FlowTerm):
    def residuals(self, flow, at, weights):
        return [weights * flow[0]]


class CalledWithoutAt(Term):
    def __call__(self, d):
        return (d[0] ** 2).sum()


def of_d(d):
    return (d[0] ** 2).sum()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (WithoutAt, r"^WithoutAt.residuals takes \(flow\), wanted residuals\(self, flow, at\)$"),
        (DataWithoutAt, r"^DataWithoutAt.residuals takes \(d\), wanted residuals\(self, d, at\)$"),
        (LinearisedWithoutAt, r"^LinearisedWithoutAt.linearised takes \(\), wanted linearised\(self, at\)$"),
        (WithMore, r"^WithMore.residuals takes \(flow, at, weights\), wanted residuals\(self, flow, at\)$"),
        (
            lambda: SMOOTH + CalledWithoutAt(),
            r"^CalledWithoutAt, a term of Sum, takes \(d\), wanted a function energy\(d, at",
        ),
        (lambda: of_d + SMOOTH, r"^of_d, a term of Sum, takes \(d\), wanted a function energy\(d, at\) -> scalar$"),
    ],
)
def test_a_function_of_other_arguments_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def of_three(d, at):
    return SMOOTH(d, at) + (d[2] ** 2).sum()


def of_three_so_far(d, at):
    _, _, gain = at.planes
    return SMOOTH(d, at) + (gain**2).sum()


@pytest.mark.parametrize("energy", [of_three, of_three_so_far, BrightnessConstancy() + Indexed(), Unpacked() + SMOOTH])
def test_a_third_plane_that_is_not_there_is_explained(energy):
    with pytest.raises((IndexError, ValueError), match=r"hold 2 planes: u, v \(a model has more with .*unknowns="):
        run(energy)


def test_two_planes_where_there_are_three_are_explained():
    def energy(d, at):
        u, v = d
        return ((at.Ix * u + at.Iy * v + at.It) ** 2).sum()

    with pytest.raises(ValueError, match=r"too many values to unpack.*hold 3 planes: u, v, gain"):
        run(energy, unknowns=FlowAndPlanes("gain"))


def test_what_a_person_counts_wrong_elsewhere_is_left_alone():
    def energy(d, at):
        _, _ = "abc"
        return SMOOTH(d, at)

    with pytest.raises(ValueError, match=r"^too many values to unpack"):
        run(energy)


class Rounded(FlowTerm):
    def residuals(self, flow, at):
        return [jnp.round(plane) for plane in flow]


def length(d, at):
    return (d[0] ** 2 + d[1] ** 2).sum()


def rounded(d, at):
    return (jnp.round(d[0]) ** 2).sum()


def count_large(d, at):
    return (jnp.abs(d[0]) > 1).sum() * 1.0


def difference(d, at):
    return ((at.frame1 - at.frame0) ** 2).sum()


def linearise_frames():
    level = pyramid(prepare(*FRAMES), factor=0.5, coarsest=20)[0]
    flow = np.zeros((20, 24), np.float32), np.zeros((20, 24), np.float32)
    return linearise(level, flow, derivative="average", interpolation="bicubic")


@pytest.mark.parametrize("idle", [rounded, count_large, difference, Rounded()])
def test_a_term_of_a_sum_that_moves_nothing_is_told(idle):
    name = getattr(idle, "__name__", "Rounded")
    with pytest.warns(variflow.VariflowWarning, match=f"^energy {name}, a term of the sum, moves nothing") as caught:
        choose_solver(BrightnessConstancy() + SMOOTH + length + 2.0 * (SMOOTH + idle), None, linearise_frames())
    assert len(caught) == 1


def far(d, at):
    return (jnp.maximum(jnp.abs(at.flow[0] + d[0]) - 50, 0) ** 2).sum()


def last_pixel(d, at):
    return d[0][np.array([19]), np.array([23])].sum() ** 2


def weighed(d, at):
    return (WEIGHTS * d[0] ** 2).sum()


def of_coarse_levels(d, at):
    return (d[0] ** 2).sum() if at.level else 1.0


@pytest.mark.parametrize("term", [far, last_pixel, weighed, of_coarse_levels, lambda d, at: 0.0 * rounded(d, at)])
def test_a_term_of_a_sum_that_moves_something_is_not_told(term):
    choose_solver(BrightnessConstancy() + SMOOTH + term, None, linearise_frames())
