"""What a worker process on this machine does first."""

from __future__ import annotations

import logging
import signal


def dask_setup(worker: object) -> None:
    """Ignore Ctrl-C, which all processes of a terminal get: the parent ends this one. Dask calls this.

    The parent says what went wrong. `silence_logs` of its cluster does not reach all that a worker logs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
