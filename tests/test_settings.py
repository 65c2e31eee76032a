"""Settings are checked where they are set, and calls that cannot be right say what to write instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

import variflow
from variflow import energy, flowops, models
from variflow.energy import Charbonnier, Penalty, Smoothness
from variflow.filters import Median, WeightedMedian
from variflow.solve.lucas_kanade import LucasKanade
from variflow.solve.primal_dual import PrimalDual
from variflow.solve.relaxation import Relaxation

FRAME = np.random.default_rng(0).random((24, 32), np.float32)


def still(d, at):
    return (d[0] ** 2 + d[1] ** 2).sum()


@pytest.mark.parametrize(
    ("build", "setting", "value"),
    [
        (models.horn_schunck, "smoothness", -0.1),
        (models.horn_schunck, "smoothness", None),
        (models.horn_schunck, "normalisation", 0),
        (models.brox, "smoothness", -1),
        (models.brox, "gradient", float("nan")),
        (models.brox, "brightness", "0.6"),
        (models.classic_nl, "smoothness", float("inf")),
        (models.lucas_kanade, "window", -4.0),
        (models.tv_l1, "data", 0),
        (models.tv_l1, "normalisation", -0.01),
        (models.huber_l1, "threshold", 0.0),
        (models.huber_l1, "contrast", -5),
        (models.tgv_l1, "second", True),
        (models.tgv_l1, "data", np.float32(-1)),
        (Smoothness, "weight", -1),
        (energy.BrightnessConstancy, "weight", float("nan")),
        (energy.CensusConstancy, "weight", "heavy"),
        (energy.CensusConstancy, "softness", -1.0),
        (energy.CensusConstancy, "noise", 0.0),
        (energy.GradientConstancy, "normalisation", 0.0),
        (energy.TotalGeneralisedVariation, "weight", -1.0),
        (energy.TotalGeneralisedVariation, "iterations", 0),
        (energy.Magnitude, "weight", jnp.array(-1.0)),
        (energy.ImageEdges, "contrast", float("inf")),
        (Charbonnier, "epsilon", np.array([0.1, -0.1])),
        (Relaxation, "sweeps", 2.5),
        (Relaxation, "omega", None),
        (PrimalDual, "iterations", True),
        (LucasKanade, "window", 10**6),
        (WeightedMedian, "window", 8),
        (WeightedMedian, "edge", float("nan")),
        (Median, "size", 5.0),
    ],
)
def test_a_setting_is_checked_where_it_is_set(build: Any, setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{setting} of {build.__name__} is .*, wanted "):
        build(**{setting: value})


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("warps", True, ValueError),
        ("warps", (3, np.float64(2)), ValueError),
        ("steps", 0, ValueError),
        ("coarsest", "16", ValueError),
        ("finest", -2, ValueError),
        ("limit", float("nan"), ValueError),
        ("limit", "1", ValueError),
        ("factor", None, ValueError),
        ("presmoothing", -0.5, ValueError),
        ("derivative", ["average"], ValueError),
        ("channels", 3, ValueError),
        ("filter", Median, TypeError),
        ("energy", Smoothness, TypeError),
        ("solver", "lbfgs", TypeError),
        ("name", 3, TypeError),
    ],
)
def test_fields_of_a_model_are_checked_where_they_are_set(field: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{field} is .*, wanted "):
        replace(models.brox(), **{field: value})


def test_constancies_of_weight_zero_leave_no_data() -> None:
    with pytest.raises(ValueError, match="brightness and gradient of brox are 0, wanted one of them above 0"):
        models.brox(brightness=0, gradient=0.0)
    assert models.brox(brightness=0) != models.brox()


def test_numbers_of_numpy_and_jax_are_numbers() -> None:
    model = models.brox(smoothness=np.float32(0.75), gradient=np.array(2.0))
    own = replace(model, warps=np.int64(2), coarsest=np.int32(12), solver=Relaxation(np.int16(5), np.float64(1.9)))
    plain = replace(models.brox(), warps=2, coarsest=12, solver=Relaxation(5, 1.9))
    moved = np.roll(FRAME, 1, 1)
    np.testing.assert_array_equal(
        variflow.estimate(FRAME, moved, own).flow, variflow.estimate(FRAME, moved, plain).flow
    )
    assert float(jax.jit(lambda weight: (weight * Smoothness()).weight)(2.0)) == 2.0  # what is traced passes
    assert float(jax.grad(lambda e: Charbonnier(e).of_squared(jnp.float32(1.0)))(0.1)) < 0


@pytest.mark.parametrize(
    "term",
    [
        energy.BrightnessConstancy,
        energy.GradientConstancy,
        energy.CensusConstancy,
        Smoothness,
        energy.Magnitude,
        energy.TotalGeneralisedVariation,
    ],
)
@pytest.mark.parametrize(
    ("penalty", "remedy"),
    [
        (0.05, r"is 0\.05, wanted a penalty such as Charbonnier\(0\.05\)"),
        (Charbonnier, r"is the class Charbonnier, wanted one of its objects: Charbonnier\(\)"),
        (
            np.abs,
            "is absolute, .* a class derived from variflow.energy.Penalty that defines of_squared",
        ),
        (lambda s: s, "is <lambda>, wanted a penalty such as"),
        (Penalty(), "is Penalty, wanted a penalty such as"),
        (None, "is NoneType, wanted a penalty such as"),
    ],
)
def test_what_is_no_penalty_is_refused_where_it_is_set(term: Any, penalty: Any, remedy: str) -> None:
    with pytest.raises(TypeError, match=f"^penalty of {term.__name__} {remedy}"):
        term(penalty)


def test_edges_are_none_or_what_makes_weights() -> None:
    for term in (Smoothness, energy.TotalGeneralisedVariation):
        with pytest.raises(TypeError, match=rf"edges of {term.__name__} is 5.0, wanted .* ImageEdges\(contrast=5.0\)"):
            term(edges=5.0)
    with pytest.raises(TypeError, match=r"is an ndarray of shape \(4, 5\) and type float64, wanted edges such as"):
        Smoothness(edges=np.zeros((4, 5)))
    with pytest.raises(TypeError, match="edges of Smoothness is <class"):
        Smoothness(edges=energy.ImageEdges)  # type: ignore[arg-type]


def test_a_weight_is_one_number() -> None:
    for build in (
        lambda: Smoothness(weight=np.ones((3, 4))),  # type: ignore[arg-type]
        lambda: energy.BrightnessConstancy(weight=np.ones(4)),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"weight of \w+ is an array of shape \(.*\), wanted one number"):
            build()
    assert float(Smoothness(weight=np.float32(2)).weight) == 2


def test_a_negative_factor_is_refused() -> None:
    for build in (lambda: -1 * Smoothness(), lambda: (Smoothness() + still) * -0.5):
        with pytest.raises(ValueError, match=r"weight of (Smoothness|Sum) is -[0-9.]+, wanted a number of at least 0"):
            build()
    assert (0 * Smoothness()).weight == 0
    with pytest.raises(TypeError, match="terms of Sum holds 1, wanted terms"):
        energy.Sum((1,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (variflow.estimate, {"model": "brox", "smoothness": 0.1}, r"pass models.brox\(smoothness=0.1\)"),
        (variflow.iterate, {"model": "tv-l1", "data": 3}, r"pass models.tv_l1\(data=3\)"),
        (variflow.estimate, {"model": models.brox(), "gradient": 3}, r"pass models.brox\(gradient=3\)"),
        (
            variflow.estimate,
            {"model": "fast", "smoothness": 1},
            r"some models, such as models.horn_schunck\(smoothness",
        ),
        (variflow.estimate, {"model": "brox", "warps": 3}, r"replace\(models.get\('brox'\), warps=3\)"),
        (variflow.estimate, {"steps": 3}, r"replace\(models.get\('balanced'\), steps=3\)"),
        (variflow.estimate, {"model": models.brox(), "limit": 1.0}, r"replace\(model, limit=1.0\)"),
        (variflow.estimate, {"model": still, "solver": None}, r"variflow.Model\(energy, solver=...\)"),
        (variflow.estimate, {"initial": FRAME}, "did you mean 'init'"),
        (variflow.match, {"masks": FRAME}, "did you mean 'mask'"),
    ],
)
def test_an_unknown_keyword_says_where_it_belongs(function: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) has no argument .*{message}"):
        function(FRAME, FRAME, **arguments)


@pytest.mark.parametrize(
    ("build", "given", "near"),
    [
        (lambda **wrong: variflow.Model(still, **wrong), {"warp": 3}, "warps"),
        (energy.Divergence, {"ordr": 2}, "order"),
        (Charbonnier, {"epsilo": 2}, "epsilon"),
        (energy.ImageEdges, {"contrst": 2}, "contrast"),
        (Relaxation, {"sweep": 2}, "sweeps"),
        (variflow.unknowns.FlowAndPlanes, {"name": ("gain",)}, "names"),
        (lambda **wrong: replace(models.brox(), **wrong), {"warp": 3}, "warps"),
    ],
)
def test_an_unknown_keyword_of_a_class_lists_the_known_ones(build: Any, given: dict[str, Any], near: str) -> None:
    (wrong,) = given
    with pytest.raises(TypeError, match=rf"\(\) has no argument '{wrong}', wanted one of .*; did you mean '{near}'\?$"):
        build(**given)


def test_an_unknown_keyword_of_a_model_suggests_a_known_one() -> None:
    with pytest.raises(TypeError, match=r"^brox\(\) has no argument 'smoothnes', .*; did you mean 'smoothness'\?$"):
        models.brox(smoothnes=1)  # type: ignore[call-arg]


def test_a_class_of_ones_own_takes_what_its_init_takes() -> None:
    class Mine(Smoothness):
        def __init__(self, strength: float = 1.0, **others: Any) -> None:
            super().__init__(weight=strength, **others)

    class Open(Smoothness):
        def __init__(self, **others: Any) -> None:
            super().__init__(weight=others["anything"])

    assert Mine(strength=2.0, per="pixel").weight == Open(anything=2.0).weight == 2.0


def test_an_unknown_keyword_of_a_video_says_where_it_belongs() -> None:
    with pytest.raises(TypeError, match=r"pass models.brox\(smoothness=0.1\)"):
        variflow.estimate_video([FRAME, FRAME], "brox", smoothness=0.1)


@pytest.mark.parametrize(("name", "near"), [("TV-L1", "tv-l1"), ("horn_schunk", "horn-schunck"), ("broxx", "brox")])
def test_a_name_that_is_nearly_one_is_named(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        variflow.estimate(FRAME, FRAME, name)


@pytest.mark.parametrize(
    "trace",
    [
        lambda: jax.jit(lambda frame: variflow.estimate(frame, FRAME).flow)(FRAME),
        lambda: jax.grad(lambda w: variflow.estimate(FRAME, FRAME, models.brox(smoothness=w)).flow.sum())(0.5),
        lambda: jax.vmap(lambda frame: variflow.estimate(frame, FRAME).flow)(FRAME[None]),
        lambda: jax.jit(lambda init: variflow.estimate(FRAME, FRAME, init=init).flow)(np.zeros((24, 32, 2))),
        lambda: jax.jit(lambda frame: next(variflow.iterate(frame, FRAME)).flow)(FRAME),
        lambda: jax.jit(lambda frame: variflow.match(frame, FRAME).flow)(FRAME),
        lambda: jax.jit(lambda frame: variflow.estimate_video((frame, FRAME)))(FRAME),
        lambda: jax.jit(lambda frame: variflow.register((frame, FRAME)))(FRAME),
    ],
)
def test_what_runs_outside_jax_says_so_in_a_sentence(trace: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot be traced by JAX \(jit, grad, vmap\): it runs outside"):
        trace()


def test_arrays_that_jax_traces_are_refused_in_a_sentence() -> None:
    flow = np.zeros((8, 9, 2), np.float32)
    for function in (lambda f: flowops.splat(f, f), flowops.invert, lambda f: flowops.crop(f, (0, 0, 4, 4))):
        for trace in (jax.jit(function), jax.grad(lambda f, function=function: function(f).sum())):
            with pytest.raises(TypeError, match=r"is being traced by JAX \(jit, grad, vmap\), wanted a concrete array"):
                trace(flow)
    assert jax.grad(lambda f: variflow.warp(jnp.asarray(FRAME[:8, :9]), f).sum())(jnp.asarray(flow)).shape == flow.shape


def test_whole_numbers_of_other_functions_are_checked() -> None:
    flow = np.zeros((8, 8, 2))
    with pytest.raises(ValueError, match="iterations is 0, wanted a whole number of at least 1"):
        flowops.invert(flow, iterations=0)
    with pytest.raises(ValueError, match="spacing is True, wanted a whole number of pixels from 1 to 4096"):
        variflow.match(FRAME, FRAME, spacing=True)


def test_solvers_are_checked_where_they_are_set() -> None:
    assert variflow.Model(still, solver=optimistix.LBFGS(rtol=1e-3, atol=1e-3)).solver is not None
