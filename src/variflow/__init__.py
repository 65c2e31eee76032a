"""Dense optical flow by energy minimisation: write the energy, get the flow.

The public names are listed in `__init__.pyi` and imported when they are first used, so that ``import variflow`` is
quick and never loads JAX.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

import lazy_loader

from variflow import _core
from variflow.base import forks
from variflow.base.cpus import find_quota

forks.watch()

__version__ = "0.1.0"

if (_quota := find_quota()) is not None:
    _core.limit_threads(_quota)

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except AttributeError as error:
        if name in __all__:
            raise
        from variflow.base.choices import suggest  # which takes a while

        raise AttributeError(f"{error}{suggest(name, __all__)}") from None


def _finish_imports() -> None:
    """Wait for what other threads import of this package and of NumPy: a forked child would wait for it forever."""
    finished: set[str] = set()
    while begun := {name for name in list(sys.modules) if name.startswith(("variflow.", "numpy."))} - finished:
        for name in begun:
            with contextlib.suppress(Exception):  # who imports it is told
                importlib.import_module(name)
        finished |= begun


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish_imports)
