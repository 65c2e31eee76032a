"""What a person is told without having asked."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

import variflow
from variflow.base.ahead import run_ahead
from variflow.base.errors import mute_warnings, warn
from variflow.datasets import synthetic

PAIR = synthetic.translation((48, 64), shift=(1.5, -0.75))


def data_alone(d, at):
    return (at.weights * (at.Ix * d[0] + at.Iy * d[1] + at.It) ** 2).sum()


def line_here() -> int:
    """Return the number of the line that calls."""
    return inspect.currentframe().f_back.f_lineno


def test_a_warning_names_the_line_that_called_the_library() -> None:
    with pytest.warns(variflow.VariflowWarning, match="something") as caught:
        warn("something")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("model", "second", "said"),
    [(data_alone, PAIR.frame1, "leaves the flow free"), ("horn-schunck", 255 - PAIR.frame1, "negative")],
)
def test_a_warning_of_an_estimate_names_the_line_that_asked_for_it(model, second, said) -> None:
    """Decorators and context managers of the library lie between, and those of Python."""
    with pytest.warns(variflow.VariflowWarning, match=said) as caught:
        variflow.estimate(PAIR.frame0, second, model), (line := line_here())
    assert {(one.filename, one.lineno) for one in caught} == {(__file__, line)}


def test_a_warning_of_a_thread_names_the_line_that_reads_what_it_yields() -> None:
    def read() -> Iterator[None]:
        yield from run_ahead(map(warn, ["something"]), 1)

    with pytest.warns(variflow.VariflowWarning, match="something") as caught:
        list(read())
    assert caught[0].filename == __file__


def test_what_is_done_once_more_is_not_told_again() -> None:
    with mute_warnings():
        warn("something")
    with pytest.warns(variflow.VariflowWarning, match="something"):
        warn("something")
