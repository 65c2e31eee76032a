"""What the commands share: printing, reporting errors, and naming arguments as on the command line."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from variflow.base.errors import VariflowWarning
from variflow.base.interruptions import INTERRUPTED, raise_interruptions
from variflow.io.errors import FileFormatError

T = TypeVar("T")

_READER_GONE = 141  # what the shell says of a program that a closed pipe has ended

# Functions and arguments that a message may recommend; they are of no use on the command line.
_FUNCTIONS = re.compile(
    r"\b(variflow\.)?(read_image|read_frames|read_flow|estimate_video|write_image|write_flow)\b(?!\.)|\b\w+= "
)
# How to convert an array in Python, before what else can be done.
_CONVERSION = re.compile(r"; [^;]*\.astype\('\w+'\), and")


def open_streams() -> None:
    """Set up the standard streams so that any text can be written, and writing to a closed one fails."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what matters of it is said in one line
    # A file opened later must not get the number of a closed stream.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def finish(status: int | str | None) -> int | str | None:
    """Return the exit status, which is not 0 if the output could not be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        status = drop_output(error) if status in (None, 0) else status
    return status


def say(text: str) -> None:
    """Print on standard output; exit if that fails."""
    try:
        print(text, flush=True)
    except OSError as error:
        raise typer.Exit(drop_output(error)) from None


def drop_output(error: OSError) -> int:
    """Drop standard output, which cannot be written; say why, unless its reader has gone. Return the status of that."""
    _drop(sys.stdout)
    if error.errno == errno.EPIPE:
        return _READER_GONE
    tell(f"standard output: {error.strerror}")
    return 1


def say_cuts(cuts: Sequence[int], meaning: str) -> None:
    """Print at which frames other scenes begin, and what that means, if there are any."""
    if cuts:
        where = f"another scene begins at frame {cuts[0]}"
        if len(cuts) > 1:
            where = f"other scenes begin at frames {', '.join(map(str, cuts))}"
        say(f"{where}; {meaning}")


def tell(text: str) -> None:
    """Print one line on standard error."""
    try:
        print(f"variflow: {escape(text)}", file=sys.stderr, flush=True)
    except OSError:  # nobody can be told
        _drop(sys.stderr)


def escape(text: object) -> str:
    """Return a text, such as a path, on one line, with escapes for characters that cannot be printed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


@contextmanager
def report_errors(names: Mapping[str, object] | None = None) -> Iterator[None]:
    """Print an error as one line and exit; print warnings as one line each, and each once.

    `names` maps arguments of the functions that are called to their names on the command line.
    """
    plain = warnings.showwarning
    said: set[str] = set()  # a film that is read several times warns each time

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, VariflowWarning):
            plain(message, category, *rest, **more)
        elif str(message) not in said:
            said.add(str(message))
            tell(f"warning: {_translate(str(message), names or {})}")

    try:
        with raise_interruptions(), warnings.catch_warnings():
            warnings.simplefilter("always", VariflowWarning)
            warnings.showwarning = show
            yield
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        tell(_describe(error, names or {}))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        tell("interrupted")
        raise typer.Exit(INTERRUPTED) from None


def name_unwritten(paths: Iterable[Path]) -> str:
    """Return what an interruption left undone, in words."""
    return f"nothing was written to {', '.join(map(os.fspath, paths))}"


@contextmanager
def report_interruption(describe: Callable[[], str]) -> Iterator[None]:
    """Say what Ctrl-C has left, as `describe` tells it then, and exit."""
    try:
        yield
    except KeyboardInterrupt:
        tell(f"interrupted: {describe()}")
        raise typer.Exit(INTERRUPTED) from None


def _describe(error: Exception, names: Mapping[str, object]) -> str:
    if isinstance(error, FileFormatError):
        return f"{os.fspath(error.path)}: {_drop_python(error.reason)}"
    if isinstance(error, OSError):  # about a file, not about an argument
        return str(error) if error.filename is None else f"{os.fsdecode(error.filename)}: {error.strerror}"
    return _translate(str(error), names) or type(error).__name__


def _translate(message: str, names: Mapping[str, object]) -> str:
    """Return a message in the terms of the command line: arguments by their `names`, and no functions."""
    # A name that is also an English word is an argument only where a message begins, after "that of", and as a keyword.
    # A part of a path is never an argument, nor is what has a number, as in "labels 3".
    words = (
        name if re.search(r"\d", name) else rf"(?:^|(?<=that of )){name}(?=[ :,])(?! \d)|{name}(?==)" for name in names
    )
    arguments = re.compile(rf"(?<![\w./\\-])(?:{'|'.join(words)})(?![\w./\\-])=?")
    here = arguments.sub(lambda found: str(names[found[0].rstrip("=")]), message) if names else message
    return _drop_python(here)


def _drop_python(message: str) -> str:
    first, *clauses = re.split(r"(?=[;,] )", _CONVERSION.sub(";", message))
    return first + "".join(clause for clause in clauses if not _FUNCTIONS.search(clause))


def make_progress_bar(*columns: ProgressColumn) -> Progress:
    """Return a progress bar on standard error, where that is a terminal."""
    terminal = Console(stderr=True, highlight=False, soft_wrap=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        console=terminal,
        transient=True,
        disable=not terminal.is_terminal,
    )


class Speed(ProgressColumn):
    """How many are done in a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Return the speed in words."""
        return Text("" if task.speed is None else f"{task.speed:.3g} {self._unit} a second")


class Counted(Generic[T]):
    """Counts the values that pass, and advances a task of a progress bar with each.

    Parameters
    ----------
    values : iterable
    progress : Progress
    task : TaskID
    """

    def __init__(self, values: Iterable[T], progress: Progress, task: TaskID) -> None:
        self._values, self._progress, self._task = values, progress, task
        self.count = 0

    def __iter__(self) -> Iterator[T]:
        for value in self._values:
            yield value
            self.count += 1
            self._progress.advance(self._task)


def _drop(stream: TextIO) -> None:
    """Discard what is left in a stream that cannot be written, also when Python exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
