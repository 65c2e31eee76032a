"""Let a thread compute what is wanted next, while the caller uses what came before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

from variflow.base.errors import keep_line

T = TypeVar("T")

# How often a thread that waits looks whether it is still wanted, in seconds.
_LOOK = 0.05


class _End(Exception):
    """What a thread sends last."""


def run_ahead(values: Iterable[T], count: int) -> Generator[T]:
    """Yield what an iterable yields, while a thread computes up to `count` values ahead.

    The iterable is used in that thread alone. An exception in it is raised here, in its place. When the iterator is
    closed, the thread ends as soon as the value in progress is there.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(max(1, count))
    unwanted = threading.Event()

    def send(value: T | None, fault: BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put((value, fault), timeout=_LOOK)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        iterator = iter(values)
        try:
            for value in iterator:
                if not send(value, None):
                    break
            else:
                send(None, _End())
        except BaseException as fault:
            send(None, fault)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=keep_line().run, args=(produce,), daemon=True)
    thread.start()
    try:
        while True:
            value, fault = waiting.get()
            if isinstance(fault, _End):
                return
            if fault is not None:
                raise fault
            yield value  # type: ignore[misc]  # a value, because there is no fault
    finally:
        unwanted.set()
        thread.join()
