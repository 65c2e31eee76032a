"""What a model minimises, on which schedule, and which solver does it and why, in plain words."""

from dataclasses import dataclass, replace

import numpy as np
import optax
import pytest

import variflow
from variflow import models
from variflow.energy import BrightnessConstancy, Charbonnier, DataTerm, FlowTerm, Magnitude, Smoothness


def energy(d, at):
    """Squares of one kind."""
    return ((at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum() + (d[0] ** 2 + d[1] ** 2).sum()


class Bending(FlowTerm):
    def residuals(self, flow, at):
        return [plane[1:-1, 2:] - 2 * plane[1:-1, 1:-1] + plane[1:-1, :-2] for plane in flow]


@pytest.mark.parametrize("name", models.names())
def test_every_model_is_explained(name):
    text = variflow.explain(name)
    assert text.startswith(f"{name} minimises the sum of\n")
    solver = type(models.get(name).solver).__name__
    assert f"\nsolver: {solver}(" in text
    assert text.endswith("in the native core\n  why: the model names it")
    assert max(map(len, text.splitlines())) <= 120


def test_weights_are_those_within_the_whole_sum():
    text = variflow.explain(2.0 * (BrightnessConstancy(Charbonnier(0.1)) + 3.0 * (Smoothness() + energy)))
    assert "\n  2 BrightnessConstancy(penalty=Charbonnier(epsilon=0.1))\n" in text
    assert "\n  6 Smoothness(penalty=Quadratic())\n" in text
    assert "\n  6 the function energy (test_explaining.py, line 14)\n    Squares of one kind.\n" in text


@pytest.mark.parametrize(
    ("model", "solver", "why"),
    [
        (energy, "TruncatedNewton(), at most 100 steps a warp, through JAX", "the energy holds the function energy"),
        (BrightnessConstancy() + Magnitude(), "TruncatedNewton()", "energy holds Magnitude"),
        (
            variflow.Model(energy, optax.sgd(0.1)),
            "an optimiser of optax, at most 100 steps a warp, through JAX",
            "the model names it",
        ),
        (BrightnessConstancy() + Smoothness(), "LocalSystem(", "a sum of data terms and terms of the flow"),
        (BrightnessConstancy() + Bending(), "LocalSystem(", "a sum of data terms and terms of the flow"),
        (
            replace(models.brox(), energy=BrightnessConstancy() + Bending()),
            "LocalSystem(",
            "a term of the flow that looks at a neighbourhood, so LocalSystem minimised the energy in place of Relax",
        ),
    ],
)
def test_the_solver_is_named_and_why(model, solver, why):
    text = variflow.explain(model)
    assert f"solver: {solver}" in text
    assert why in text.rpartition("why: ")[2]


def test_the_unknowns_are_named():
    model = variflow.Model(BrightnessConstancy() + Smoothness(), unknowns=variflow.unknowns.StreamFunction())
    assert "\nover the unknowns of StreamFunction()\n" in variflow.explain(model)


def test_arrays_are_named_by_their_shape_and_tried_on_frames_of_their_size():
    frames = np.random.default_rng(0).random((2, 30, 20))
    own = BrightnessConstancy(Charbonnier(np.ones((30, 20), np.float32))) + Smoothness()
    text = variflow.explain(own, *frames)
    assert "1 BrightnessConstancy(penalty=Charbonnier(epsilon=float32 (30, 20)))" in text
    assert "for frames of 20 x 30 1 level: 20 x 30" in text


@dataclass(frozen=True)
class Near(DataTerm):
    prior: object = None

    def residuals(self, d, at):
        return [at.flow[k] + d[k] - self.prior[..., k] for k in (0, 1)]


@pytest.mark.parametrize(
    "own",
    [
        Near(prior=np.zeros((30, 20, 2), np.float32)),
        BrightnessConstancy(Charbonnier(np.full((30, 20), 0.1, np.float32))),
        Near(prior=np.zeros((30, 20, 2), np.float32)) + BrightnessConstancy(Charbonnier(np.ones((3, 3))[:1, :1])),
    ],
)
def test_arrays_that_a_term_holds_say_which_frames_it_is_tried_on(own):
    assert "for frames of 20 x 30 1 level: 20 x 30" in variflow.explain(own + Smoothness())


def test_what_cannot_be_explained_is_refused():
    with pytest.raises(ValueError, match="frame1 is missing, wanted both frames or none"):
        variflow.explain("brox", np.zeros((9, 9)))
    with pytest.raises(ValueError, match="did you mean 'brox'"):
        variflow.explain("brocks")
    with pytest.raises(TypeError, match="energy returned None"):
        variflow.explain(lambda d, at: None)
