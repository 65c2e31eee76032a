"""What a worker process on this machine does first."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Ignore Ctrl-C, which all processes of a terminal get: the parent ends this one. Dask calls this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
