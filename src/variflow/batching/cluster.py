"""Run tasks on a Dask cluster, of processes here or one that is there, a few for each worker at a time."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from itertools import islice
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from variflow.batching.tasks import Failure, Outcome, Task

if TYPE_CHECKING:
    from distributed import Client, Future

# Each task that has ended, and what became of it.
Ended = Generator[tuple[Task, Outcome], None, None]

# So many groups for each thread of the workers are on their way: enough to keep them busy, and few enough to forget.
_AHEAD = 3
# How long a group may take in seconds, and the most tasks of one.
_GROUP_SECONDS, _MOST_TOGETHER = 0.5, 100
# How often the size of a cluster is looked at, which may grow, or be none for a while; in seconds.
_LOOK_AGAIN = 5.0
_ADDRESS = re.compile(r"(\w+://)?.+:\d+")
_KILLED = "the workers that took it were killed, perhaps for want of memory"


@contextmanager
def open_client(workers: int, threads: int, scheduler: str | None) -> Iterator[Client]:
    """Yield a client of a Dask cluster: of so many processes here, or of the scheduler at an address.

    Parameters
    ----------
    workers : int
        How many processes to start; without a scheduler.
    threads : int
        How many threads each may use.
    scheduler : str or None
        An address, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    ImportError
        If Dask is not installed.
    ValueError
        If the address has no port.
    OSError
        If no scheduler answers at the address.
    """
    if importlib.util.find_spec("distributed") is None:
        what = f"workers is {workers}" if scheduler is None else f"scheduler is {scheduler}"
        raise ImportError(f"{what}, which needs Dask: pip install 'variflow[batch]'; one worker needs nothing")
    with _hold_interruptions():
        import dask.config
        from distributed import Client, LocalCluster
        from distributed.utils import silence_logging_cmgr

    if scheduler is not None:
        if not _ADDRESS.fullmatch(scheduler):  # Dask would print its error and wait
            raise ValueError(f"scheduler is {scheduler!r}, wanted an address such as tcp://10.0.0.1:8786")
        with silence_logging_cmgr(logging.CRITICAL), Client(scheduler, set_as_default=False) as client:
            yield client
        return
    # JAX asks NPROC how many threads to start. These replace what Dask would set, by which the C library hands memory
    # back after each image: a fifth of the time of small frames.
    threads_of = dict.fromkeys(("VARIFLOW_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"), str(threads))
    settings = {
        "distributed.nanny.pre-spawn-environ": threads_of,
        "distributed.scheduler.allowed-failures": 1,
        "distributed.worker.profile.enabled": False,
    }
    with _restore_environment(threads_of), dask.config.set(settings), _end_undisturbed() as opened:
        with _hold_interruptions():
            cluster = opened.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",  # two batches at once would ask for the same port, and warn
                    memory_limit=0,  # Dask would pause a worker whose memory is that of images, and wait for ever
                    silence_logs=logging.CRITICAL,
                    preload="variflow.batching.worker",
                )
            )
            client = opened.enter_context(Client(cluster, set_as_default=False))
        yield client


@contextmanager
def _hold_interruptions() -> Iterator[None]:
    """Let Ctrl-C wait until the end, as Dask prints many lines if it is stopped half way.

    Processes and threads that are started meanwhile never get it.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *came: held.append(came))
    if sys.platform != "win32":
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # where it starts later, it lets SIGINT through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, usual)
        if held:
            usual(*held[-1])


@contextmanager
def _end_undisturbed() -> Iterator[ExitStack]:
    """Yield a stack of what is to be closed at the end, which Ctrl-C does not stop half way."""
    with ExitStack() as opened:
        try:
            yield opened
        finally:
            with _hold_interruptions():
                opened.close()


@contextmanager
def _restore_environment(names: Iterable[str]) -> Iterator[None]:
    """Give variables of the environment their values back at the end; Dask sets them here for its workers."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_on(
    client: Client, run: Callable[[Task], Outcome], tasks: Iterator[Task], say_waiting: Callable[[], object]
) -> Ended:
    """Yield each task when it has ended, and what became of it.

    Tasks go out in groups, which grow while tasks are short: a scheduler takes some milliseconds for each. A group
    whose worker died is done again by another; what had been written is kept. Tasks that were at several workers that
    died are done again one by one at the end: that shows which of them is to blame, and it alone fails. Where no worker
    is there for a while, `say_waiting` is called.

    Raises
    ------
    ConnectionError
        If the scheduler is gone.
    """
    from distributed import CancelledError, KilledWorker, as_completed

    packed = _pack(run)
    futures = as_completed(loop=client.loop)
    on_their_way: dict[Any, list[Task]] = {}
    suspects: deque[Task] = deque()
    alone: set[int] = set()

    def submit(group: list[Task], part: str) -> None:
        key = f"{part}-{client.id}-{group[0].number}"
        future = client.submit(_run_group, packed, group, key=key, pure=False)
        on_their_way[key] = group
        futures.add(future)

    room, looked, size = 0, -_LOOK_AGAIN, 1
    try:
        while True:
            if time.monotonic() - looked > _LOOK_AGAIN:
                room, looked = _AHEAD * max(1, sum(client.nthreads().values())), time.monotonic()
            while len(on_their_way) < room and (group := list(islice(tasks, size))):
                submit(group, "group")
            if not on_their_way:
                if not suspects:
                    return
                alone.add(suspects[0].number)
                submit([suspects.popleft()], "alone")
            _wait(client, futures.has_ready, say_waiting)
            future = next(futures)
            group = on_their_way.pop(future.key)
            try:
                outcomes, seconds = _get_result(client, future, say_waiting)
                size = max(1, min(2 * size, _MOST_TOGETHER, int(_GROUP_SECONDS * len(outcomes) / (seconds + 1e-9))))
            except CancelledError:  # a fault other than these is not that of a pair, and is raised
                raise ConnectionError("the Dask scheduler is gone; what is done is kept") from None
            except KilledWorker:
                if group[0].number not in alone:
                    suspects += group
                    continue
                outcomes = [Outcome(failures=[Failure(pair, _KILLED) for pair in group[0].pairs])]
            yield from zip(group, outcomes, strict=False)  # a full disk ends a group early
            del future  # the cluster forgets what nobody holds
    finally:
        client.cancel(list(futures.futures))


def _get_result(client: Client, future: Future[Any], say_waiting: Callable[[], object]) -> tuple[list[Outcome], float]:
    """Return what a group of tasks has returned, also if its worker left with that and another does it again."""
    while True:
        _wait(client, future.done, say_waiting)
        with suppress(TimeoutError):
            result: tuple[list[Outcome], float] = future.result(timeout=_LOOK_AGAIN)
            return result


def _wait(client: Client, is_over: Callable[[], bool], say_waiting: Callable[[], object]) -> None:
    """Wait until something is over; say once if no worker is there meanwhile, and again if they come and go."""
    looked, said = time.monotonic(), False
    while not is_over():
        time.sleep(0.01)
        if time.monotonic() - looked > _LOOK_AGAIN:
            there, looked = bool(client.nthreads()), time.monotonic()
            if not there and not said:
                say_waiting()
            said = not there


def _pack(run: Callable[[Task], Outcome]) -> bytes:
    """Return a function as bytes, with the code of what other processes cannot import, as an energy of a script."""
    import cloudpickle

    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and module.__name__ != "__main__" and module.__spec__ is None:
            cloudpickle.register_pickle_by_value(module)
    return bytes(cloudpickle.dumps(run))


@lru_cache(4)
def _unpack(packed: bytes) -> Callable[[Task], Outcome]:
    """Return the function, the same for all tasks of a worker, so that an energy is compiled once."""
    import cloudpickle

    run: Callable[[Task], Outcome] = cloudpickle.loads(packed)
    return run


def _run_group(packed: bytes, group: list[Task]) -> tuple[list[Outcome], float]:
    """Do some tasks one after the other, in a worker; return what became of them, and the seconds it took."""
    run, start = _unpack(packed), time.monotonic()
    outcomes: list[Outcome] = []
    for task in group:
        outcomes.append(run(task))
        if any(failure.full for failure in outcomes[-1].failures):
            break
    return outcomes, time.monotonic() - start
