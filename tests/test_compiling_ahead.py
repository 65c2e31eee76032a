"""Before the first warp, the programs of all levels are compiled, several at once."""

import threading

import pytest

import variflow
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy
from variflow.energy.autodiff import programs
from variflow.models import Model
from variflow.unknowns import Affine


def smooth(d, at):
    u, v = at.flow[0] + d[0], at.flow[1] + d[1]
    residual = at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0]
    return (residual**2).sum() + 0.01 * sum(((p[1:] - p[:-1]) ** 2).sum() for p in (u, v)) + 1e-4 * (v**2).sum()


def smooth_and_still(d, at):
    """Couples each pixel with all others."""
    return smooth(d, at) + 1e-6 * d[0].sum() ** 2


ENERGIES = {
    "local": (Model(smooth, warps=1), ["_differentiate", "_multiply"]),
    "coupled": (Model(smooth_and_still, warps=1), ["_minimise"]),
    "affine": (Model(BrightnessConstancy(), unknowns=Affine(), warps=1), ["_evaluate_with_matrix"]),
}


@pytest.mark.parametrize("name", ["local", "affine", pytest.param("coupled", marks=pytest.mark.slow)])
def test_nothing_is_left_to_compile_at_a_level(name, monkeypatch):
    model, functions = ENERGIES[name]
    checked, ahead, late = [], [], []
    find_or_make = programs.find_or_make

    def watch(store, most, about, make):
        def make_and_note():
            of_main = threading.current_thread() is threading.main_thread()
            (ahead if not of_main else late if ahead else checked).append(about[0].__name__)
            return make()

        return find_or_make(store, most, about, make_and_note if store is programs._programs else make)

    monkeypatch.setattr(programs, "find_or_make", watch)
    programs.release()
    pair = synthetic.translation((32, 40), shift=(0.6, -0.3), seed=1)
    levels = {state.level for state in variflow.iterate(pair.frame0, pair.frame1, model)}
    needed = [*ahead, *(function for function in checked if function in functions)]  # the check needs one of them
    assert sorted(needed) == sorted(functions * len(levels))
    assert not set(functions) & set(late)
    # What is known is not compiled again.
    ahead.clear()
    variflow.estimate(pair.frame0, pair.frame1, model)
    assert not ahead
