"""What an estimate shows of itself: states, results, records; what a person writes into them changes nothing."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
import pkgutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import variflow
from variflow import energy, filters, models
from variflow.base.brief import Brief
from variflow.datasets import synthetic

PAIR = synthetic.translation((32, 40), shift=(1.25, -0.5))
FRAMES = PAIR.frame0, PAIR.frame1
MODEL = dataclasses.replace(models.get("fast"), warps=2, name="two warps")
IN_JAX = dataclasses.replace(
    models.horn_schunck(), energy=energy.BrightnessConstancy() + 0.01 * energy.Smoothness(), solver=None, steps=5
)
IN_JAX = dataclasses.replace(IN_JAX, warps=1, coarsest=16, name="in JAX")


def last_state(model=MODEL):
    *_, state = variflow.iterate(*FRAMES, model)
    return state


# --- callbacks ---


@pytest.mark.parametrize("answer", [True, 1, np.True_, np.array([1]), 2.5, "stop", jnp.array(True)])
def test_a_callback_that_returns_what_is_true_stops_the_estimate(answer):
    result = variflow.estimate(*FRAMES, MODEL, callback=lambda state: answer)
    assert len(result.energies) == 1
    assert result.reason.startswith("stopped by the callback at level 1, warp 0")


@pytest.mark.parametrize("answer", [None, False, 0, np.False_, np.array([0]), "", []])
def test_a_callback_that_returns_what_is_false_lets_it_go_on(answer):
    result = variflow.estimate(*FRAMES, MODEL, callback=lambda state: answer)
    assert result.reason == "finished every warp"


@pytest.mark.parametrize("answer", [np.zeros(2), np.zeros(0), np.ones((2, 2), bool), jnp.zeros(3)])
def test_a_callback_that_returns_neither_is_an_error(answer):
    with pytest.raises(TypeError, match=r"callback returned an? .* neither true nor false, wanted True to stop"):
        variflow.estimate(*FRAMES, MODEL, callback=lambda state: answer)


def test_a_callback_that_waits_is_refused():
    async def callback(state):
        return False

    with pytest.raises(TypeError, match="callback is an async function"):
        variflow.estimate(*FRAMES, MODEL, callback=callback)


def test_a_callback_that_is_no_function_is_refused_before_any_work():
    with pytest.raises(TypeError, match="callback is an int, wanted a function of the State"):
        variflow.estimate(*FRAMES, MODEL, callback=3)


def _scribble(state):
    for planes in (state.planes, state.minimum.start, state.minimum.flow, state.minimum.increment):
        for plane in planes:
            plane[:] = 99
    state.flow[:] = 99
    state.energy.steps[:] = -1
    state.minimum.steps[:] = -1


@pytest.mark.parametrize("name", ["tv-l1", "brox", "lucas-kanade", "accurate", "in JAX"])
def test_what_a_callback_writes_changes_nothing(name):
    model = IN_JAX if name == "in JAX" else models.get(name)
    plain = variflow.estimate(*FRAMES, model)
    written = variflow.estimate(*FRAMES, model, callback=_scribble)
    np.testing.assert_array_equal(written.flow, plain.flow)
    for ours, theirs in zip(written.energies, plain.energies, strict=True):
        assert (ours.before, ours.after) == (theirs.before, theirs.after)
        np.testing.assert_array_equal(ours.steps, theirs.steps)


@pytest.mark.parametrize("name", ["tv-l1", "balanced", "lucas-kanade"])
def test_what_is_written_between_the_steps_changes_nothing(name):
    for state in variflow.iterate(*FRAMES, name):
        _scribble(state)
    np.testing.assert_array_equal(state.at_full_size((32, 40)), variflow.estimate(*FRAMES, name).flow)


# --- filters of one's own ---


def _filtered(function):
    return variflow.estimate(*FRAMES, dataclasses.replace(MODEL, filter=function)).flow


def test_a_filter_may_write_into_what_it_is_given():
    def writes(flow, at):
        u, v = flow
        result = u + 1, v.copy()
        for plane in (u, v, *at.flow, at.frame0, at.frame1, at.second, at.It, at.Ix, at.guide, at.weights):
            plane[:] = 7
        at.valid[:] = False
        return result

    def pure(flow, at):
        return flow[0] + 1, flow[1]

    np.testing.assert_array_equal(_filtered(writes), _filtered(pure))


def test_what_a_filter_writes_does_not_reach_the_energies():
    def in_place(flow, at):
        flow[0][:] += 1
        return flow

    def pure(flow, at):
        return flow[0] + 1, flow[1]

    ours, theirs = (
        variflow.estimate(*FRAMES, dataclasses.replace(MODEL, filter=function)) for function in (in_place, pure)
    )
    np.testing.assert_array_equal(ours.flow, theirs.flow)
    assert [record.after for record in ours.energies] == [record.after for record in theirs.energies]


def test_what_a_filter_writes_does_not_reach_the_next_pair_of_a_video():
    frames = [synthetic.translation((32, 40), shift=(time, 0)).frame1 for time in range(3)]

    def writes(flow, at):
        at.second[:] = 0
        return flow

    ours, theirs = (
        [r.flow for r in variflow.estimate_video(frames, dataclasses.replace(MODEL, filter=function))]
        for function in (writes, lambda flow, at: flow)
    )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "of",
    [
        lambda u, v: [u, v],
        lambda u, v: np.stack([u, v]),
        lambda u, v: (u.astype(np.float64), v.astype(">f4")),
        lambda u, v: (jnp.asarray(u), jnp.asarray(v)),
        lambda u, v: (np.asfortranarray(u), v[::-1][::-1]),
        lambda u, v: (np.ma.array(u), v),
    ],
    ids=["list", "stack", "other floats", "jax", "layouts", "masked array without a mask"],
)
def test_a_filter_may_return_any_two_planes(of):
    np.testing.assert_array_equal(_filtered(lambda flow, at: of(*flow)), _filtered(lambda flow, at: flow))


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda u, v: None, "returned None"),
        (lambda u, v: u, r"returned 16 planes"),
        (lambda u, v: (u,), r"returned 1 planes of shape \(16, 20\)"),
        (lambda u, v: (u, v, v), r"returned 3 planes"),
        (lambda u, v: (u[1:], v[1:]), r"shape \(15, 20\) and \(15, 20\)"),
        (lambda u, v: np.stack([u, v], axis=-1), r"returned 16 planes"),
        (lambda u, v: (u, 0.0), r"shape \(16, 20\) and \(\)"),
        (lambda u, v: (u * 1j, v), "planes of complex64 and float32.*real numbers"),
        (lambda u, v: (u > 0, v), "planes of bool"),
        (lambda u, v: (np.where(u == u.max(), np.nan, u), v), "not finite at [0-9]+ pixels"),
        (lambda u, v: (u, np.full_like(v, np.inf)), "not finite at 320 pixels"),
        (lambda u, v: (u, np.full(v.shape, 1e300)), "not finite at 320 pixels"),
        (lambda u, v: (np.ma.masked_array(u, u < 99), v), "not finite at 320 pixels"),
        (lambda u, v: ([[1, 2], [3]], v), "returned what NumPy cannot read"),
    ],
)
def test_a_filter_that_returns_no_flow_is_refused_by_name(of, said):
    with pytest.raises((TypeError, ValueError), match=f"filter .*{said}") as caught:
        _filtered(lambda flow, at: of(*flow))
    assert "at level 1, wanted the planes (u, v), each (16, 20)" in str(caught.value)


# --- shown in one line ---


def test_a_result_names_its_model_or_says_that_it_has_no_name():
    pair = synthetic.translation((24, 32))
    model = models.horn_schunck()
    for name, said in (("mine", "mine"), ("", "a model without a name")):
        result = variflow.estimate(pair.frame0, pair.frame1, dataclasses.replace(model, name=name))
        assert repr(result).startswith(f"<Result of {said}, 32 x 24: ")


def test_a_result_is_shown_in_one_line():
    result = variflow.estimate(*FRAMES, MODEL)
    speed = np.hypot(result.flow[..., 0], result.flow[..., 1])
    shown = repr(result)
    assert shown == str(result)
    for part in ("two warps", "40 x 32", f"median {np.median(speed):.3g} px", f"largest {speed.max():.3g} px"):
        assert part in shown
    assert ("; converged; " if result.converged else "; not converged; ") in shown
    assert "finished every" in shown
    assert len(shown) <= 100


@pytest.mark.parametrize("change", [{"name": "a\nname " * 40}, {"reason": "so it was\n" * 40}])
def test_a_result_stays_in_one_line_whatever_it_is_called(change):
    result = variflow.estimate(*FRAMES, MODEL)
    if "name" in change:
        result = dataclasses.replace(result, model=dataclasses.replace(MODEL, **change))
    else:
        result = dataclasses.replace(result, **change)
    assert "\n" not in repr(result)
    assert len(repr(result)) <= 100


@pytest.mark.parametrize("shape", [(32, 40), (1, 1), (3, 2000), (1200, 900)])
def test_a_notebook_shows_a_picture_of_bounded_size(shape):
    import imagecodecs

    result = variflow.estimate(*FRAMES, MODEL)
    flow = np.zeros((*shape, 2), np.float32) + np.float32([3, 0])
    picture = imagecodecs.png_decode(dataclasses.replace(result, flow=flow)._repr_png_())
    assert picture.shape[0] <= 480
    assert picture.shape[1] <= 600
    np.testing.assert_array_equal(picture[0, 0], [255, 0, 0])  # to the right is red


def _seen_by_a_filter():
    seen = []
    _filtered(lambda flow, at: seen.append(at) or flow)
    return seen[0]


SHOWN = {
    "Result": lambda: variflow.estimate(*FRAMES, MODEL),
    "State": last_state,
    "State in JAX": lambda: last_state(IN_JAX),
    "Minimum": lambda: last_state().minimum,
    "EnergyRecord": lambda: last_state(IN_JAX).energy,
    "Linearisation lent": _seen_by_a_filter,
    "Linearisation": lambda: _seen_by_a_filter().plain(),
    "Matches": lambda: variflow.match(*FRAMES),
    "Sample": lambda: PAIR,
    "Motion": synthetic.Motion,
    "Model": lambda: MODEL,
    "Model of JAX": lambda: IN_JAX,
    "Energy": lambda: MODEL.energy,
    "Filter": filters.WeightedMedian,
    "FlowFileError": lambda: variflow.FlowFileError("a.flo", "truncated"),
    "VariflowWarning": lambda: variflow.VariflowWarning("something"),
    "NotTakenApart": lambda: energy.residuals.NotTakenApart("a residual"),
}


@pytest.mark.parametrize("made", SHOWN.values(), ids=SHOWN)
def test_what_is_shown_can_be_printed_compared_and_put_into_a_set(made):
    value = made()
    assert "array(" not in repr(value)
    assert "\n" not in repr(value)
    assert value == value
    assert (value == copy.copy(value)) in (True, False)
    assert value != 3
    assert len({value, value}) == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("made", SHOWN.values(), ids=SHOWN)
def test_what_is_shown_survives_copying_and_pickling(made, copied):
    value = made()
    again = copied(value)
    assert isinstance(value, type(again))
    assert repr(again) == repr(value)
    assert str(again) == str(value)


def test_a_pickled_state_has_its_flow_and_energies():
    for state in (last_state("tv-l1"), last_state(IN_JAX)):
        again = pickle.loads(pickle.dumps(state))
        np.testing.assert_array_equal(again.flow, state.flow)
        np.testing.assert_array_equal(again.minimum.increment, state.minimum.increment)
        np.testing.assert_array_equal(again.energy.steps, state.energy.steps)
        assert (again.energy.before, again.energy.after) == (state.energy.before, state.energy.after)


def test_a_pickled_result_still_knows_the_way_back():
    result = variflow.estimate(*FRAMES, MODEL)
    early = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(early.backward, result.backward)
    late = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(late.backward, result.backward)
    assert [record.after for record in late.energies] == [record.after for record in result.energies]


def test_another_process_reads_what_was_pickled():
    script = (
        "import pickle, sys; values = pickle.load(sys.stdin.buffer);"
        "print(*(type(value).__name__ for value in values), str(values[1]))"
    )
    values = [variflow.estimate(*FRAMES, MODEL), last_state(), variflow.match(*FRAMES)]
    run = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(values), capture_output=True, check=True, timeout=60
    )
    assert run.stdout.decode().strip() == f"Result State Matches {values[1]}"


def _modules():
    for found in pkgutil.walk_packages(variflow.__path__, "variflow."):
        if found.name != "variflow.__main__" and "._core" not in found.name:
            yield importlib.import_module(found.name)


def test_every_record_of_arrays_is_brief_and_compared_by_identity():
    own_way = {"Linearisation", "State", "Result"}
    for module in _modules():
        for name, cls in vars(module).items():
            if name[0] != "_" and dataclasses.is_dataclass(cls) and cls.__module__ == module.__name__:
                types = " ".join(str(field.type) for field in dataclasses.fields(cls))
                if any(word in types for word in ("NDArray", "Planes", "Flow", "Numbers", "Frame")):
                    assert issubclass(cls, Brief) or name in own_way, cls
                    assert cls.__eq__ is object.__eq__, cls


# --- counting ---


def test_warps_are_counted_alike_everywhere(capsys):
    result = variflow.estimate(*FRAMES, MODEL, verbose=True, callback=lambda state: state.level == 0)
    printed = capsys.readouterr().out.splitlines()
    for line, record in zip(printed, result.energies, strict=True):
        assert f"level {record.level} (" in line
        assert f" warp {record.warp}: " in line
    assert "level 0, warp 0" in result.reason
