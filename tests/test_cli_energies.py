"""Energies and models of a person's own on the command line, and what is wrong in their files."""

import sys

import pytest
from test_cli import folder, names, run  # noqa: F401

import variflow

OWN = """
from dataclasses import dataclass

import numpy as np
import jax.numpy as jnp
from variflow import Model, models
from variflow.energy import BrightnessConstancy, Charbonnier, DataTerm, FlowTerm, Smoothness


@dataclass(frozen=True)
class Own(DataTerm):
    def residuals(self, d, at):
        return [at.Ix[0] * d[0] + at.Iy[0] * d[1] + at.It[0]]


class Bending(FlowTerm):
    def residuals(self, flow, at):
        return [plane[1:-1, 2:] - 2 * plane[1:-1, 1:-1] + plane[1:-1, :-2] for plane in flow]


term = Own(Charbonnier(0.01)) + 0.05 * Smoothness(Charbonnier(0.01))
model = Model(term, warps=2)
number = 3


def bent():
    return Own() + Bending() + 0.01 * Smoothness()


def energy(d, at):
    "Squares of one kind."
    u, v = d
    return ((at.Ix * u + at.Iy * v + at.It) ** 2).sum() + 0.1 * Smoothness()(d, at)


def with_numpy(d, at):
    return np.abs(np.asarray(d[0])).sum()


def with_a_fault(d, at):
    return misspelt(d, at)


def without_a_sum(d, at):
    return d[0] ** 2


def without_return(d, at):
    pass


def builds_nothing():
    return 3


def builds_with_a_fault():
    return Charbonnier(-1)
"""


@pytest.fixture
def own(folder, monkeypatch):  # noqa: F811
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / "my.py").write_text(OWN)
    return folder


@pytest.mark.parametrize("name", ["term", "model", "bent"])
def test_an_energy_of_a_file_is_minimised(own, name):
    result = run("estimate", "a.png", "b.png", "-o", "f.flo", "--energy", f"my.py:{name}")
    assert result.exit_code == 0, result.output + result.stderr
    flow = variflow.read_flow("f.flo")
    assert abs(flow[8:-8, 8:-8] - (1, 0)).mean() < 0.1
    assert names(own) == {"a.png", "b.png", "truth.flo", "my.py", "f.flo"}


@pytest.mark.slow
def test_an_energy_function_of_a_file_is_minimised(own):
    result = run("estimate", "a.png", "b.png", "-o", "f.flo", "--energy", "./my.py:energy", "-v")
    assert result.exit_code == 0, result.output + result.stderr
    assert abs(variflow.read_flow("f.flo")[8:-8, 8:-8] - (1, 0)).mean() < 0.1


def test_more_words_say_what_is_minimised(own):
    result = run("estimate", "a.png", "b.png", "-o", "f.flo", "--energy", "my.py:model", "-vv")
    assert result.stderr.startswith("model minimises the sum of\n  1 Own(")
    assert " warp 1: energy " in result.stderr


def test_a_model_and_an_energy_are_explained(own):
    result = run("explain", "brox")
    assert result.output == variflow.explain("brox") + "\n"
    result = run("explain", "--energy", "my.py:energy")
    assert "the function energy (my.py, line 30)\n    Squares of one kind.\n" in result.output
    assert "solver: TruncatedNewton()" in result.output
    assert "solver: LocalSystem(" in run("explain", "--energy", "my.py:bent").output


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        ("my.py", "--energy is 'my.py', wanted FILE.py:NAME, such as my.py:energy"),
        ("my.txt:energy", "--energy is 'my.txt:energy', wanted FILE.py:NAME"),
        ("my.py:", "--energy is 'my.py:', wanted FILE.py:NAME"),
        ("no.py:energy", "--energy no.py:energy: no.py is no file, wanted FILE.py:NAME"),
        ("my.py:enrgy", "--energy my.py:enrgy: my.py defines no 'enrgy'; did you mean 'energy'?"),
        ("my.py:number", "--energy my.py:number: number is an int, wanted an energy(d, at), a term"),
        ("my.py:Own", "--energy my.py:Own: Own is the class Own, wanted an energy(d, at)"),
        ("my.py:builds_nothing", "--energy my.py:builds_nothing: builds_nothing is an int, wanted an energy(d, at)"),
        (
            "my.py:builds_with_a_fault",
            "my.py, line 57: return Charbonnier(-1): ValueError: epsilon of Charbonnier is -1, wanted a number above 0",
        ),
        ("my.py:with_a_fault", "my.py, line 41: return misspelt(d, at): NameError: name 'misspelt' is not defined"),
        ("my.py:with_numpy", "computes with numpy: use jax.numpy in an energy (my.py, line 37: "),
        ("my.py:without_a_sum", "energy returned an array of shape (40, 50), wanted one float: a sum over pixels"),
        ("my.py:without_return", "energy returned None, wanted one float: a sum over pixels; does it lack a re"),
        ("cut.py:energy", "cut.py, line 2: return 0: "),
        ("fails.py:energy", "fails.py, line 3: 1 / 0: ZeroDivisionError: division by zero"),
        ("lacks.py:energy", "lacks.py, line 1: import nothing_of_that_name: ModuleNotFoundError: No module named 'not"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_and_leaves_nothing(own, energy, message):
    (own / "cut.py").write_text("def energy(d, at):\nreturn 0\n")
    (own / "fails.py").write_text("\n\n1 / 0\n")
    (own / "lacks.py").write_text("import nothing_of_that_name\n")
    before = names(own)
    result = run("estimate", "a.png", "b.png", "-o", "f.flo", "--energy", energy)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert names(own) == before


def test_a_model_and_an_energy_together_are_refused(own):
    for command in (["estimate", "a.png", "b.png", "-o", "f.flo", "-m", "brox"], ["explain", "brox"]):
        result = run(*command, "--energy", "my.py:energy")
        assert result.exit_code == 1
        assert "both the model 'brox' and --energy my.py:energy are given, wanted one of them" in result.stderr
    assert "neither a model nor --energy is given" in run("explain").stderr
    assert "MODEL is 'brocks', wanted one of" in run("explain", "brocks").stderr


def test_a_file_may_import_its_neighbours_and_is_not_confused_with_a_package(own):
    (own / "neighbour_of_mine.py").write_text("from my_terms import *\n")
    (own / "my_terms.py").write_text(OWN)
    (own / "numpy.py").write_text("from neighbour_of_mine import term\n")
    result = run("explain", "--energy", "numpy.py:term")
    assert result.exit_code == 0, result.stderr
    assert "Own(" in result.output
