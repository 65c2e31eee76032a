"""What a person is told without having asked."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_PACKAGE = str(Path(__file__).parent.parent)

_told_already: ContextVar[bool] = ContextVar("told already", default=False)


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


def warn(message: str) -> None:
    """Warn with a `VariflowWarning` that names the line outside this package from which it was called."""
    if _told_already.get():
        return
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, VariflowWarning, stacklevel=depth)


@contextmanager
def mute_warnings() -> Iterator[None]:
    """Do something once more, of which a person was told all there is to tell."""
    token = _told_already.set(True)
    try:
        yield
    finally:
        _told_already.reset(token)
