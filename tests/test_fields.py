"""What a term holds: what keeps its kind, follows the pyramid, or knows a direction; and which planes there are."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import variflow
from variflow import energy, flowops, models
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, DataTerm, Magnitude, Smoothness, Term
from variflow.energy.levels import bring_to_level
from variflow.solve.relaxation import Relaxation

SHAPE = (40, 48)
PAIR = synthetic.translation(SHAPE, shift=(3.0, -1.0), seed=2)
SMOOTH = 0.05 * Smoothness(Charbonnier(0.05))


@dataclass(frozen=True)
class Stays(Term):
    """Asks its attributes what they are, and is least where u is 1."""

    count: int = 3
    exact: bool = True
    kind: str = "square"
    reach: tuple[int, ...] = (1, 2)
    names: list[str] = field(default_factory=lambda: ["u"])
    table: dict[Any, Any] = field(default_factory=lambda: {"u": 1, 2: "v", None: [3]})
    function: Any = abs
    nothing: None = None
    scale: float = 2.0

    def __post_init__(self):
        object.__setattr__(self, "derived", 2 * self.count)
        object.__setattr__(self, "planes", np.ones(self.count))

    def __call__(self, d, at):
        assert type(self.count) is int
        assert self.derived == 2 * 3
        assert self.exact is True
        assert self.kind == "square"
        assert self.nothing is None
        assert self.planes.shape == (3,)
        assert all(type(step) is int for step in self.reach)
        assert self.names == ["u"]
        assert self.table == {"u": 1, 2: "v", None: [3]}
        u, v = d[0] + at.flow[0], d[1] + at.flow[1]
        steps = sum(u[k:].sum() * 0 for k in range(self.count))
        return self.scale * ((u - 1) ** 2 + v**2).sum() * self.planes[0] + steps


def test_attributes_stay_what_they_are():
    for own in (Stays(), Stays() / 2, sum([Stays(), 0.0 * Smoothness()])):
        model = variflow.Model(own, solver=optax.sgd(0.2), steps=20, warps=1)
        np.testing.assert_allclose(variflow.estimate(PAIR.frame0, PAIR.frame1, model).flow[..., 0], 1, atol=1e-2)


@dataclass(frozen=True)
class Holds(Term):
    """The flow is what it holds."""

    flow: Any = None
    picture: Any = None

    def __call__(self, d, at):
        u, v = d[0] + at.flow[0], d[1] + at.flow[1]
        weights = 1 if self.picture is None else self.picture
        return (weights * ((u - self.flow[..., 0]) ** 2 + (v - self.flow[..., 1]) ** 2)).sum()

    def reversed(self, flow):
        assert flow.shape == (*SHAPE, 2)
        return replace(self, flow=flowops.fill(flowops.splat(-self.flow, self.flow)))


def test_arrays_of_the_size_of_the_frames_follow_the_pyramid():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    prior = np.stack([2 + 0.02 * x, -1 + 0.01 * y], axis=2)
    model = variflow.Model(Holds(prior, np.ones(SHAPE, bool)), solver=optax.sgd(0.3), steps=30, warps=1)
    states = [state.flow for state in variflow.iterate(PAIR.frame0, PAIR.frame1, model)]
    assert len(states) == 2
    np.testing.assert_allclose(states[-1], prior, atol=1e-3)
    np.testing.assert_allclose(states[0], flowops.resize(prior, states[0].shape[:2]), atol=1e-3)


@pytest.mark.parametrize("shape", [SHAPE, (3, *SHAPE), (*SHAPE, 3), (2, 3, *SHAPE), (1, *SHAPE)])
def test_pictures_follow_the_pyramid(shape):
    sizes = [SHAPE, (20, 24)]
    last = shape[-2:] == SHAPE
    new = (*shape[:-2], 20, 24) if last else (20, 24, *shape[2:])
    for value in (np.full(shape, 2.5), np.full(shape, 7, np.int16), np.ones(shape, bool)):
        held = bring_to_level(Holds(picture=value), sizes, 1).picture
        assert held.shape == new
        assert (held == value.flat[0]).all()
        assert held.dtype == (np.float32 if value.dtype == float else value.dtype)
        assert bring_to_level(Holds(picture=value), sizes, 0).picture is value


def test_what_is_unknown_in_a_picture_does_not_spread():
    picture = np.full(SHAPE, 2.0)
    picture[:20] = np.nan
    held = bring_to_level(Holds(picture=picture), [SHAPE, (20, 24)], 1).picture
    assert np.isnan(held[:9]).all()
    np.testing.assert_allclose(held[11:], 2.0, rtol=1e-5)


def test_other_arrays_stay():
    sizes = [SHAPE, (20, 24)]
    for value in (np.ones(48), np.ones((3, 3)), np.ones((40, 5)), 2.0, [1, 2]):
        energy = BrightnessConstancy() + Holds(picture=value)
        assert bring_to_level(energy, sizes, 1) is energy
    inner = 2 * (SMOOTH + Holds(picture=(np.ones(SHAPE), 1)))
    assert bring_to_level(inner, sizes, 1).terms[-1].picture[0].shape == (20, 24)
    assert bring_to_level(SMOOTH + Smoothness(Charbonnier(np.ones(SHAPE))), sizes, 1).terms[
        1
    ].penalty.epsilon.shape == (
        20,
        24,
    )


def test_an_array_of_the_size_of_a_coarser_level_is_refused():
    with pytest.raises(ValueError, match=r"picture of Holds has shape \(20, 24\), the size of level 1 .* \(40, 48\)"):
        variflow.iterate(PAIR.frame0, PAIR.frame1, Holds(np.zeros((*SHAPE, 2)), np.ones((20, 24))))


@pytest.mark.parametrize("shape", [(16, 48), (48, 40), (20, 24), (1, 48)])
def test_an_array_of_another_size_in_a_term_of_the_library_is_refused(shape):
    known, uneven = energy.PriorFlow(flow=np.ones((*shape, 2))), Smoothness(Charbonnier(np.ones(shape)))
    for term, name, had in ((known, "flow of PriorFlow", (*shape, 2)), (uneven, "epsilon of Charbonnier", shape)):
        wanted = (*SHAPE, *had[2:])
        said = re.escape(f"{name} has shape {had}, wanted that of the frames, {wanted}")
        with pytest.raises(ValueError, match=f"^{said}$"):
            variflow.estimate(PAIR.frame0, PAIR.frame1, BrightnessConstancy() + SMOOTH + term)


def test_one_vector_is_no_known_flow():
    """It would be broadcast, and not be brought to the pixels of the levels."""
    with pytest.raises(ValueError, match=r"flow of PriorFlow has shape \(1, 1, 2\), wanted .* \(40, 48, 2\)"):
        variflow.estimate(PAIR.frame0, PAIR.frame1, SMOOTH + energy.PriorFlow(flow=np.ones((1, 1, 2))))


def test_an_array_of_another_size_in_a_term_of_ones_own_is_named():
    said = r"prior of PriorFlow has shape \(16, 48, 2\), wanted one that begins or ends with .* \(40, 48\)$"
    with pytest.raises(TypeError, match=said):
        variflow.estimate(PAIR.frame0, PAIR.frame1, SMOOTH + PriorFlow(prior=np.ones((16, 48, 2))))


@dataclass(frozen=True)
class PriorFlow(DataTerm):
    """The flow is near one known before."""

    prior: Any = None

    def residuals(self, d, at):
        return [at.flow[k] + d[k] - self.prior[..., k] for k in (0, 1)]


@dataclass(frozen=True)
class Turns(PriorFlow):
    def reversed(self, flow):
        assert flow.shape == (*SHAPE, 2)
        return replace(self, prior=flowops.fill(flowops.splat(-self.prior, self.prior)))


@dataclass(frozen=True)
class Shifted(Term):
    shift: float = 3.0

    def __call__(self, d, at):
        return ((at.flow[0] + d[0] - self.shift) ** 2).sum()


def epipolar(d, at):
    """Points move along a line, one way."""
    return (jnp.maximum(-(at.flow[0] + d[0]), 0) ** 2).sum()


def expands(d, at):
    u, v = at.flow[0] + d[0], at.flow[1] + d[1]
    return (jnp.minimum((u[1:, 1:] - u[1:, :-1]) + (v[1:, 1:] - v[:-1, 1:]), 0) ** 2).sum()


def taking(array):
    def near(d, at):
        return ((at.flow[0] + d[0] - jnp.asarray(array).mean()) ** 2).sum() * 0 + (array * 0).sum()

    return near


def model_of(term):
    return variflow.Model(BrightnessConstancy(Charbonnier(0.02)) + SMOOTH + term, solver=Relaxation(), warps=2)


def test_a_term_that_turns_round_gives_the_flow_back():
    prior = PAIR.flow.astype(np.float32)
    flows = {}
    for occlusion in ("unknown", "estimated"):
        model = replace(model_of(0.01 * Turns(prior=prior)), occlusion=occlusion)
        result = variflow.estimate(PAIR.frame0, PAIR.frame1, model)
        flows[occlusion] = result.backward
        assert np.abs(result.backward + PAIR.flow)[6:-6, 6:-6].mean() < 0.1
        assert np.median(result.confidence) > 0.9


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (0.01 * PriorFlow(prior=PAIR.flow.astype(np.float32)), "PriorFlow holds an array of the frames' size"),
        (Magnitude(Charbonnier(np.ones(SHAPE))), "Magnitude holds an array"),
        (taking(np.ones(SHAPE)), "near holds an array"),
        (Shifted(), "Shifted has another value for the opposite flow"),
        (epipolar, "epipolar has another value for the opposite flow"),
        (expands, "expands has another value for the opposite flow"),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_the_way_back_is_refused_where_it_would_be_wrong(term, message):
    model = replace(model_of(term), solver=optax.sgd(1e-3), steps=1, warps=1)
    result = variflow.estimate(PAIR.frame0, PAIR.frame1, model)
    for name in ("backward", "occlusion", "confidence"):
        with pytest.raises(TypeError, match=f"{message}.* give it a method reversed"):
            getattr(result, name)
    with pytest.raises(TypeError, match=message):
        variflow.iterate(PAIR.frame0, PAIR.frame1, replace(model, occlusion="estimated"))


def curl(d, at):
    u, v = at.flow[0] + d[0], at.flow[1] + d[1]
    kernel = np.array([[0, 1], [-1, 0]])
    return kernel[0, 1] * 1e-4 * (((v[1:, 1:] - v[1:, :-1]) - (u[1:, 1:] - u[:-1, 1:])) ** 2).sum()


def test_the_way_back_is_open_to_what_knows_no_direction():
    model = replace(model_of(curl), solver=optax.sgd(1e-3), steps=1, warps=1)
    assert variflow.estimate(PAIR.frame0, PAIR.frame1, model).backward.shape == (*SHAPE, 2)


@dataclass(frozen=True)
class SecondChannel(DataTerm):
    channel: int = 1

    def residuals(self, d, at):
        return [at.Ix[self.channel] * d[0] + at.Iy[self.channel] * d[1] + at.It[self.channel]]


def of_second(d, at):
    return ((at.Ix[1] * d[0] + at.Iy[1] * d[1] + at.It[1]) ** 2).sum()


GRAY = PAIR.frame0[..., 0], PAIR.frame1[..., 0]


@pytest.mark.parametrize(
    "energy",
    [
        of_second,
        lambda d, at: ((at.frame1[0] - at.frame0[-2]) ** 2 * d[0]).sum(),
        lambda d, at: (at.guide[5] * d[0] ** 2).sum(),
        lambda d, at: (at.Ixx[0, 400] * d[0] ** 2).sum(),
        SecondChannel(),
    ],
)
@pytest.mark.parametrize("frames", [GRAY, (PAIR.frame0, PAIR.frame1)], ids=["gray", "colour"])
def test_a_plane_that_is_not_there_is_refused(energy, frames):
    model = variflow.Model(energy, channels="gray")
    with pytest.raises(IndexError, match=r"out of bounds.* it sees 1 channel\(s\) of the frames"):
        variflow.iterate(*frames, model)


def test_a_native_solver_refuses_a_plane_that_is_not_there():
    energy = SecondChannel(Charbonnier(0.02)) + SMOOTH
    with pytest.raises(IndexError, match="it sees 1 channel"):
        variflow.iterate(PAIR.frame0, PAIR.frame1, replace(models.brox(), energy=energy))
    colour = replace(models.brox(), energy=energy, channels="all")
    flow = variflow.estimate(PAIR.frame0, PAIR.frame1, colour).flow
    assert np.abs(flow - PAIR.flow)[8:-8, 8:-8].mean() < 0.1


def give_arguments_in_the_other_order(at, d):
    u, v = d
    return ((at.Ix * u + at.Iy * v + at.It) ** 2).sum()


def take_the_increment_for_an_object(d, at):
    return ((at.Ix * d.u + at.Iy * d.v + at.It) ** 2).sum()


def take_the_increment_for_an_array(d, at):
    return ((at.Ix * d + at.It) ** 2).sum()


@pytest.mark.parametrize(
    "energy",
    [give_arguments_in_the_other_order, take_the_increment_for_an_object, take_the_increment_for_an_array],
)
def test_an_energy_that_takes_its_arguments_for_others_is_told_what_they_are(energy):
    with pytest.raises((TypeError, AttributeError), match=r"; an energy is called as energy\(d, at\)"):
        variflow.iterate(*GRAY, energy)


def test_an_energy_that_changes_what_it_is_given_is_told_that_this_stays():
    def energy(d, at):
        at.It = 2 * at.It
        return ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum()

    with pytest.raises(AttributeError, match="cannot assign to field 'It'; what at holds stays as it is"):
        variflow.iterate(*GRAY, energy)
