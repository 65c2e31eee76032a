"""What Ctrl-C does to the command line while there is nothing to clean up: one line, and the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

INTERRUPTED = 130  # the status of what Ctrl-C has ended


def end_at_once(*_: object) -> None:
    """Say that this process was interrupted, and end it; a handler of signals."""
    with suppress(OSError):  # nobody can be told
        os.write(2, b"variflow: interrupted\n")
    os._exit(INTERRUPTED)


@contextmanager
def raise_interruptions() -> Iterator[None]:
    """Raise KeyboardInterrupt at Ctrl-C, where it would end this process at once."""
    if signal.getsignal(signal.SIGINT) is not end_at_once:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, end_at_once)
