"""Tell a person who watches a terminal that JAX compiles, which may take seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from variflow.energy.autodiff.keeping import are_kept
from variflow.linearisation.linearisation import Linearisation

# After so many seconds a person begins to wonder.
_PATIENCE = 0.5


@contextmanager
def tell_of_compiling(arguments: tuple[object, ...]) -> Iterator[None]:
    """Show a line on standard error while a program of these arguments is compiled, if that is a terminal and it lasts.

    The line is erased at the end. Above a progress bar of rich, which stands in for standard error, it stays.
    """
    stream = sys.stderr
    terminal = getattr(stream, "rich_proxied_file", stream)
    if terminal is None or terminal.closed or not terminal.isatty():
        yield
        return
    sizes = (" x ".join(map(str, at.flow[0].shape)) for at in arguments if isinstance(at, Linearisation))
    size = next((f" for frames of {size}" for size in sizes), "")
    line = f"compiling the energy{size} ({'once; kept for the next time' if are_kept() else 'once'})"
    ends, erased = ("", f"\r{' ' * len(line)}\r") if terminal is stream else ("\n", "")
    shown = []

    def show() -> None:
        print(line, end=ends, file=stream, flush=True)
        shown.append(line)

    timer = threading.Timer(_PATIENCE, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown:
            print(erased, end="", file=stream, flush=True)
