"""Estimate the flows of many pairs of files: here, in several processes, or on a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import variflow
from variflow import models
from variflow.base.choices import check_whole
from variflow.base.digests import digest_settings
from variflow.base.errors import warn
from variflow.batching import cluster, shards
from variflow.batching.listing import Paths
from variflow.batching.naming import check_apart, name_pairs
from variflow.batching.tasks import Folder, Job, Outcome, Output, Summary, Task, run_task
from variflow.energy import Energy
from variflow.io import check_flow_path
from variflow.io.errors import FileFormatError
from variflow.io.locking import make_folder
from variflow.io.paths import check_path
from variflow.model import Model

Path_ = str | os.PathLike[str]


def estimate_pairs(
    pairs: Sequence[tuple[Path_, Path_]],
    output: Path_,
    model: str | Model | Energy = "balanced",
    *,
    extension: str = ".flo",
    workers: int = 1,
    threads: int | None = None,
    scheduler: str | None = None,
    share: tuple[int, int] = (0, 1),
    callback: Callable[[Summary], object] | None = None,
) -> Summary:
    """Estimate the flows of many pairs of image files and write them, those that are not done yet.

    Each flow has a record with digests of its frames, of the model and of itself. The same call after an interruption,
    or after some frames have changed, estimates what is missing and no more; flows of another model or of
    other frames are never replaced. A process that dies loses what it was working on; nothing half-written has the name
    of a flow. Flows do not depend on how many processes there are.

    Parameters
    ----------
    pairs : sequence of (str or os.PathLike, str or os.PathLike)
        The frames, as for `variflow.read_image`; `list_pairs` makes such a list.
    output : str or os.PathLike
        A folder for one file a pair, named after the first frame; the folders of the frames are kept where names would
        be the same. If it ends in ``.zarr``, one Zarr array (N, H, W, 2) in the order of the pairs, which are then of
        one size; NaN where a pair has failed.
    model : str, Model or callable
        As for `variflow.estimate`.
    extension : str
        That of the files, as for `variflow.write_flow`.
    workers : int
        How many processes work, 1 or more; 1 is this process. More need Dask, and a script that starts them needs
        ``if __name__ == "__main__":``.
    threads : int, optional
        How many threads the core may use in each process, 1 or more; by default those of `variflow.get_threads` are
        shared out among the workers. Many workers with one thread each do more than few with many.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``"tcp://10.0.0.1:8786"``, whose workers do the work in place of
        processes here, with one thread each by default. They need the same version of variflow, and the frames and the
        output by the same names.
    share : (int, int)
        ``(i, n)``: do the share i, from 0 to n - 1, of n that together are all. n calls may run at the same time.
    callback : callable, optional
        Called as ``callback(summary)`` at the beginning and after each file; once more after Ctrl-C, when it counts
        what the workers had done by then.

    Returns
    -------
    summary : Summary
        How many flows there are, and which pairs have failed and why. A failure does not stop the rest, except if the
        disk is full.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, two pairs would have the same name, or a flow would be written over a frame, or over
        that of another model, other settings or other frames.
    OSError
        If the output cannot be made, or the scheduler is not there.
    ImportError
        If several workers are wanted and Dask is not installed.

    Examples
    --------
    See `variflow.batching`.
    """
    check_path(output, "output", "the name of a folder or of a Zarr array")
    paths = _read_pairs(pairs)
    chosen = models.get(model)
    workers = check_whole("workers", workers, 1)
    if threads is None:
        threads = 1 if scheduler is not None else max(1, variflow.get_threads() // workers)
    threads = check_whole("threads", threads, 1)
    first, count = _check_share(share)
    job = Job(chosen, digest_settings(chosen), threads)
    place, names = _open(Path(output), extension, paths, job)
    numbers = range(first, -(-len(paths) // place.size), count)
    summary = Summary(sum(len(paths[number * place.size : (number + 1) * place.size]) for number in numbers))
    run = partial(run_task, place, job)
    begun: dict[int, Task] = {}
    tasks = _note(_make_tasks(numbers, place.size, names, paths), begun)
    if callback is not None:
        callback(summary)
    runner = _open_runner(run, min(workers, len(numbers)), threads, scheduler, partial(_warn_of_waiting, summary))
    try:
        with runner as start, closing(start(tasks)) as ended:
            for task, outcome in ended:
                del begun[task.number]
                summary.add(task, outcome)
                if callback is not None:
                    callback(summary)
                if summary.full:
                    break
    except KeyboardInterrupt:  # workers have done more than they could say
        summary.add_unreported(begun.values(), place, job)
        if callback is not None:
            callback(summary)
        raise
    summary.add_unreported(begun.values(), place, job)  # there are some if the disk is full
    return summary


def _read_pairs(pairs: Sequence[tuple[Path_, Path_]]) -> list[Paths]:
    if isinstance(pairs, str | os.PathLike) or not isinstance(pairs, Iterable):
        raise TypeError(f"pairs is {pairs!r}, wanted pairs of paths; variflow.batching.list_pairs lists them")
    paths = []
    for number, pair in enumerate(pairs):
        both = tuple(pair) if isinstance(pair, Iterable) and not isinstance(pair, str) else ()
        if len(both) != 2 or not all(isinstance(frame, str | os.PathLike) for frame in both):
            raise TypeError(f"pairs[{number}] is {pair!r}, wanted two paths, of the first and the second frame")
        paths.append((os.fspath(both[0]), os.fspath(both[1])))
    if not paths:
        raise ValueError("pairs is empty, wanted at least one pair of paths")
    return paths


def _check_share(share: tuple[int, int]) -> tuple[int, int]:
    try:
        first, count = share
    except (TypeError, ValueError):
        raise TypeError(f"share is {share!r}, wanted two whole numbers (i, n)") from None
    count = check_whole("share[1]", count, 1)
    return check_whole("share[0]", first, 0, count - 1), count


def _open(output: Path, extension: str, pairs: list[Paths], job: Job) -> tuple[Output, list[str]]:
    """Return where the flows go, whose folder is made, and the names of the pairs there."""
    if output.suffix.lower() == ".zarr":
        return shards.open_shards(output, pairs, job), [""] * len(pairs)
    if extension.lower() == ".zarr":
        raise ValueError("extension is .zarr, wanted that of a file; an output that ends in .zarr is one array")
    wanted = "wanted a folder for a flow a file, or a name that ends with .zarr"
    if output.is_file():
        raise NotADirectoryError(f"output {output} is there, and is no folder; {wanted}")
    # A number at the end, as in flows-v1.2, is no extension.
    if output.suffix and not output.suffix[1:].isdecimal() and not output.is_dir():
        raise ValueError(f"output {output} ends with {output.suffix}, {wanted}")
    names = name_pairs(pairs)
    check_apart(output, names, extension, pairs)
    make_folder(output)
    try:
        check_flow_path(output / f"flow{extension}")
    except FileFormatError as error:  # it names a file that nobody has asked for
        raise ValueError(f"extension is {extension}: {error.reason}") from None
    return Folder(output, extension), names


def _make_tasks(numbers: range, size: int, names: list[str], pairs: list[Paths]) -> Iterator[Task]:
    for number in numbers:
        part = slice(number * size, (number + 1) * size)
        yield Task(number, names[part], pairs[part])


def _note(tasks: Iterator[Task], begun: dict[int, Task]) -> Iterator[Task]:
    """Yield tasks, and note by its number each that is taken."""
    for task in tasks:
        begun[task.number] = task
        yield task


Runner = Callable[[Iterator[Task]], cluster.Ended]


@contextmanager
def _open_runner(
    run: Callable[[Task], Outcome],
    workers: int,
    threads: int,
    scheduler: str | None,
    say_waiting: Callable[[], object],
) -> Iterator[Runner]:
    """Yield what does tasks: this process, or a cluster that is closed at the end."""
    if scheduler is None and workers <= 1:
        before = variflow.get_threads()
        try:
            yield lambda tasks: ((task, run(task)) for task in tasks)
        finally:
            variflow.set_threads(before)
        return
    with cluster.open_client(workers, threads, scheduler) as client:
        yield lambda tasks: cluster.run_on(client, run, tasks, say_waiting)


def _warn_of_waiting(summary: Summary) -> None:
    now, done = time.strftime("%H:%M:%S"), f"{summary.done} of {summary.total} pairs done"  # the same is not told twice
    warn(f"no worker is there at {now}; waiting for one, with {done}; Ctrl-C ends this, and what is done is kept")
