"""Know whether this process was forked from one where JAX had started, whose threads it then lacks."""

from __future__ import annotations

import os
import sys

_forked = False


def _note_fork() -> None:
    global _forked
    bridge = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", lambda: bridge is not None)
    _forked = _forked or started()


def watch() -> None:
    """Note every fork of this process from here on."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_note_fork)


def check_not_forked() -> None:
    """Raise RuntimeError where JAX would wait for ever for threads that stayed in the parent."""
    if _forked:
        raise RuntimeError(
            "this process was forked from one that had used JAX, which cannot run here: it would hang; start processes "
            "by 'spawn' or 'forkserver' (multiprocessing.get_context), or use JAX only after the fork"
        )
