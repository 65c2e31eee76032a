"""What a person is told without having asked."""

from __future__ import annotations

import pytest

import variflow
from variflow.base.errors import mute_warnings, warn


def test_a_warning_names_the_line_that_called_the_library() -> None:
    with pytest.warns(variflow.VariflowWarning, match="something") as caught:
        warn("something")
    assert caught[0].filename == __file__


def test_what_is_done_once_more_is_not_told_again() -> None:
    with mute_warnings():
        warn("something")
    with pytest.warns(variflow.VariflowWarning, match="something"):
        warn("something")
