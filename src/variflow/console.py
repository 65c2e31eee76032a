"""What the commands share: where they print, and how an error ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

console = Console(highlight=False, soft_wrap=True)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an error that its message explains into that message."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        message = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.filename is not None:
            message = f"{error.filename}: {error.strerror}"
        print(f"variflow: {message}", file=sys.stderr)
        raise typer.Exit(1) from None
