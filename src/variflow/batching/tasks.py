"""A task of a batch: the pairs of one file of flows. What it does to them, and what became of them all."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import variflow
from variflow.batching.listing import Paths
from variflow.batching.naming import make_inside
from variflow.batching.pairs import estimate_or_keep
from variflow.batching.records import FOLDER, OtherFlowsError, Record, find_held, make_key
from variflow.model import Model

# After these, what else is written fails as well.
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


@dataclass(frozen=True)
class Failure:
    """A pair that has no flow.

    Parameters
    ----------
    pair : (str, str)
        Its frames.
    reason : str
        What is wrong.
    full : bool
        True if the flow could not be written because the disk, or the quota, is full.
    """

    pair: Paths
    reason: str
    full: bool = False

    def __str__(self) -> str:
        return f"{' '.join(self.pair)}: {self.reason}"


@dataclass(frozen=True)
class Task:
    """The pairs of one file of flows.

    Parameters
    ----------
    number : int
        From 0.
    names : list of str
        The name of each pair, without an extension.
    pairs : list of (str, str)
        Their frames.
    """

    number: int
    names: Sequence[str]
    pairs: Sequence[Paths]


@dataclass
class Outcome:
    """What became of a task."""

    record: Record | None = None
    kept: bool = False
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """What all tasks share; it goes to the workers with each of them.

    Parameters
    ----------
    model : Model
        Of the estimates.
    settings : str
        The digest of the model.
    threads : int
        How many threads the core may use.
    """

    model: Model
    settings: str
    threads: int


class Output(Protocol):
    """Where the flows of a batch go."""

    @property
    def size(self) -> int:
        """How many pairs make a task."""

    def find(self, job: Job, task: Task) -> Record | None:
        """Return the record of the flows of a task if they are there and hold, else None."""

    def write(self, job: Job, task: Task) -> Outcome:
        """Estimate the flows of a task and write them, unless that has been done."""


@dataclass(frozen=True)
class Folder:
    """A folder with a file for each flow.

    Parameters
    ----------
    root : Path
        The folder.
    extension : str
        That of the files, which says their format.
    """

    root: Path
    extension: str
    size: int = 1

    def find(self, job: Job, task: Task) -> Record | None:
        """Return the record of a flow if it is there and holds, else None."""
        record, output = self._place(task)
        key = make_key(task.pairs, job.settings, output.suffix.lower())
        return find_held(record, output, key, task.pairs, job.model, job.settings)

    def write(self, job: Job, task: Task) -> Outcome:
        """Estimate a flow and write it, unless that has been done."""
        (pair,) = task.pairs
        record, output = self._place(task)
        return Outcome(*estimate_or_keep(pair, output, record, job.model, job.settings))

    def _place(self, task: Task) -> tuple[Path, Path]:
        """Return the file of the record of a flow, and that of the flow."""
        (name,) = task.names
        parent, slash, base = name.rpartition("/")
        return (
            make_inside(self.root, f"{parent}{slash}{FOLDER}/{base}{self.extension}.json"),
            make_inside(self.root, f"{name}{self.extension}"),
        )


def run_task(output: Output, job: Job, task: Task) -> Outcome:
    """Do a task, here or in a worker; what goes wrong becomes its failures."""
    if variflow.get_threads() != job.threads:
        variflow.set_threads(job.threads)
    try:
        return output.write(job, task)
    except OtherFlowsError:  # all pairs would fail
        raise
    except Exception as error:
        return Outcome(failures=[fail(pair, error) for pair in task.pairs])


def fail(pair: Paths, error: Exception) -> Failure:
    """Return the failure of a pair, and why."""
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"{os.fsdecode(error.filename)}: {error.strerror}"
    elif isinstance(error, ValueError | TypeError | OSError | ImportError) and str(error):
        reason = str(error)
    else:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(pair, reason, isinstance(error, OSError) and error.errno in _FULL)


@dataclass
class Summary:
    """What has become of a batch so far.

    Parameters
    ----------
    total : int
        How many pairs it has.
    estimated : int
        Those whose flow was estimated now.
    kept : int
        Those whose flow was there, made from the same frames by the same model.
    failures : list of Failure
        Those that have no flow, and why.
    warnings : Counter of str
        What estimates warned of, and of how many files of flows.
    """

    total: int
    estimated: int = 0
    kept: int = 0
    failures: list[Failure] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        """How many pairs have a flow."""
        return self.estimated + self.kept

    @property
    def full(self) -> bool:
        """Whether the batch has stopped because the disk is full."""
        return any(failure.full for failure in self.failures[-1:])

    def __str__(self) -> str:
        text = f"{self.done} of {self.total} pairs have a flow, {self.kept} of them from before"
        return f"{text}; {len(self.failures)} failed" if self.failures else text

    def add_unreported(self, tasks: Iterable[Task], output: Output, job: Job) -> None:
        """Count tasks that were begun, and of which nobody has said how they ended, by what is in the output."""
        for task in tasks:
            with suppress(OSError, ValueError):  # such a task has failed, or would
                if (found := output.find(job, task)) is not None:
                    self.add(task, Outcome(found))

    def add(self, task: Task, outcome: Outcome) -> None:
        """Count a task that has ended."""
        self.failures += outcome.failures
        done = len(task.pairs) - len(outcome.failures)
        if outcome.kept:
            self.kept += done
        else:
            self.estimated += done
        if outcome.record is not None:
            self.warnings.update(set(outcome.record.warnings))
