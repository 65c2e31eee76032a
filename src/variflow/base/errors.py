"""The warning of this package, and how to give it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_PACKAGE = str(Path(__file__).parent.parent)

_muted: ContextVar[bool] = ContextVar("muted", default=False)


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
    if _muted.get():
        return
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, VariflowWarning, stacklevel=depth)


@contextmanager
def mute_warnings() -> Iterator[None]:
    """Give no warnings: what is done has been done before, and has warned then."""
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)
