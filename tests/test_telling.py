"""While JAX compiles, a line says so, on a terminal alone."""

import io
import sys
import time

import numpy as np
import pytest
from rich.console import Console
from rich.file_proxy import FileProxy

from variflow.energy.autodiff import programs, telling
from variflow.linearisation.linearisation import Linearisation

PLANES = np.ones((1, 5, 7), np.float32)
AT = Linearisation(PLANES, PLANES, PLANES, (PLANES[0], PLANES[0]), PLANES[0] > 0, PLANES[0], PLANES)
LINE = "compiling the energy for frames of 5 x 7 (once"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def compile_slowly(at):
    time.sleep(0.05)
    return at.flow[0] * 2


def fail_slowly(at):
    time.sleep(0.05)
    raise LookupError


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(telling, "_PATIENCE", 0.0)
    programs.release()


def compile_before(stream, monkeypatch, function=compile_slowly):
    monkeypatch.setattr(sys, "stderr", stream)
    with programs.apply_settings():
        return programs.run(function, AT)


def test_a_terminal_is_told_once_and_the_line_is_erased(monkeypatch):
    stream = Terminal()
    np.testing.assert_array_equal(compile_before(stream, monkeypatch), 2 * PLANES[0])
    shown, blank, end = stream.getvalue().split("\r")
    assert shown.startswith(LINE)
    assert (blank, end) == (" " * len(shown), "")
    compile_before(stream, monkeypatch)
    assert stream.getvalue().count(LINE) == 1


@pytest.mark.parametrize(("folder", "said"), [("0", "(once)"), ("", "(once; kept for the next time)")])
def test_it_says_whether_the_program_is_kept(monkeypatch, tmp_path, folder, said):
    monkeypatch.setenv("VARIFLOW_CACHE", folder or str(tmp_path))
    stream = Terminal()
    compile_before(stream, monkeypatch)
    assert said in stream.getvalue()


def test_the_line_is_erased_after_a_fault(monkeypatch):
    stream = Terminal()
    with pytest.raises(LookupError):
        compile_before(stream, monkeypatch, fail_slowly)
    assert stream.getvalue().endswith(" \r")


def test_what_is_no_terminal_is_not_told(monkeypatch):
    closed = Terminal()
    closed.close()
    for stream in (io.StringIO(), None, closed):
        programs.release()
        compile_before(stream, monkeypatch)
        assert stream in (None, closed) or not stream.getvalue()


def test_what_is_compiled_soon_is_not_told(monkeypatch):
    monkeypatch.setattr(telling, "_PATIENCE", 60.0)
    stream = Terminal()
    compile_before(stream, monkeypatch)
    assert not stream.getvalue()


def test_the_line_stays_above_a_progress_bar(monkeypatch):
    terminal = Terminal()
    compile_before(FileProxy(Console(file=terminal, width=100), terminal), monkeypatch)
    (line,) = terminal.getvalue().splitlines()
    assert line.startswith(LINE)
