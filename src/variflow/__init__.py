"""Dense optical flow by energy minimisation: write the energy, get the flow.

The names below are imported when they are first used, so that ``import variflow`` is quick and never loads JAX.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from variflow import _core, forks
from variflow._core import get_threads
from variflow.cpus import cpu_quota, set_threads

if TYPE_CHECKING:
    from variflow import compat, datasets, energy, evaluation, filters, flowops, io, metrics, models, solve, view
    from variflow.driver import estimate, iterate
    from variflow.errors import VariflowWarning
    from variflow.flowops import warp
    from variflow.io import read_flow, read_frames, read_image, write_flow, write_frames, write_image
    from variflow.io.errors import FlowFileError
    from variflow.linearisation import Linearisation
    from variflow.matching import Matches, match
    from variflow.memory import release_memory
    from variflow.model import Model
    from variflow.result import EnergyRecord, Result, State
    from variflow.video import estimate_video

forks.watch()

__version__ = "0.1.0"

if (_quota := cpu_quota()) is not None:
    _core.limit_threads(_quota)

# Where each public name lives; None: the name is a module itself.
_HOMES: dict[str, str | None] = {
    "EnergyRecord": "result",
    "FlowFileError": "io.errors",
    "Linearisation": "linearisation",
    "Matches": "matching",
    "Model": "model",
    "Result": "result",
    "State": "result",
    "VariflowWarning": "errors",
    "compat": None,
    "datasets": None,
    "energy": None,
    "estimate": "driver",
    "estimate_video": "video",
    "evaluation": None,
    "filters": None,
    "flowops": None,
    "io": None,
    "iterate": "driver",
    "match": "matching",
    "metrics": None,
    "models": None,
    "read_flow": "io",
    "read_frames": "io",
    "read_image": "io",
    "release_memory": "memory",
    "solve": None,
    "view": None,
    "warp": "flowops",
    "write_flow": "io",
    "write_frames": "io",
    "write_image": "io",
}

__all__ = [
    "EnergyRecord",
    "FlowFileError",
    "Linearisation",
    "Matches",
    "Model",
    "Result",
    "State",
    "VariflowWarning",
    "compat",
    "datasets",
    "energy",
    "estimate",
    "estimate_video",
    "evaluation",
    "filters",
    "flowops",
    "get_threads",
    "io",
    "iterate",
    "match",
    "metrics",
    "models",
    "read_flow",
    "read_frames",
    "read_image",
    "release_memory",
    "set_threads",
    "solve",
    "view",
    "warp",
    "write_flow",
    "write_frames",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'variflow' has no attribute {name!r}")
    home = _HOMES[name]
    if home is None:
        return importlib.import_module(f"variflow.{name}")
    value = getattr(importlib.import_module(f"variflow.{home}"), name)
    globals()[name] = value
    return value


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


def __dir__() -> list[str]:
    return sorted(__all__)
