"""The warning of this package, and how to give it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from types import FrameType
from typing import Any, NamedTuple

# No warning names a line of these modules. The two of Python call what is in this package: what is decorated by a
# context manager, and what runs in a thread of its own.
_PASSED = (__name__.partition(".")[0], "contextlib", "threading")

_muted: ContextVar[bool] = ContextVar("muted", default=False)
_told: ContextVar[int] = ContextVar("told", default=0)
_started: ContextVar[Line | None] = ContextVar("started", default=None)


class VariflowWarning(UserWarning):
    """Something was done that may not be what was meant; the message says what, and what to do about it.

    Examples
    --------
    Turn every such warning into an error:

    >>> import warnings
    >>> import variflow
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", variflow.VariflowWarning)
    """


class Line(NamedTuple):
    """A line of code, as Python's warnings name it."""

    filename: str
    lineno: int
    module: str
    registry: dict[Any, int]


def warn(message: str) -> None:
    """Warn with a `VariflowWarning` that names the line outside this package from which it was called."""
    if not _muted.get():
        _told.set(_told.get() + 1)
        line = find_line()
        warnings.warn_explicit(message, VariflowWarning, line.filename, line.lineno, line.module, line.registry)


def count_warnings() -> int:
    """Return how many warnings have been given so far in this thread, shown or not."""
    return _told.get()


def find_line() -> Line:
    """Return the line outside this package from which it was called, or from which its thread was started."""
    frame = sys._getframe(1)
    while _is_passed(frame) and frame.f_back is not None:
        frame = frame.f_back
    if _is_passed(frame) and (started := _started.get()) is not None:
        return started
    names = frame.f_globals
    module, registry = names.get("__name__", "<unknown>"), names.setdefault("__warningregistry__", {})
    return Line(frame.f_code.co_filename, frame.f_lineno, module, registry)


def _is_passed(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED


def keep_line() -> Context:
    """Return the context of a thread that is started here: its warnings name the line that is asking now."""
    context = copy_context()
    context.run(_started.set, find_line())
    return context


@contextmanager
def mute_warnings() -> Iterator[None]:
    """Give no warnings: what is done has been done before, and has warned then."""
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)
