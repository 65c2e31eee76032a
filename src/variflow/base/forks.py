"""Know whether this process was forked after JAX had started: it lacks the threads of JAX then."""

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
    """Note every fork of this process from now on."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_note_fork)


def check_not_forked() -> None:
    """Raise RuntimeError if JAX would wait forever here for threads that stayed in the parent."""
    if _forked:
        raise RuntimeError(
            "this process was forked from one that had used JAX, which cannot run here: it would hang; start processes "
            "by 'spawn' or 'forkserver' (multiprocessing.get_context), or use JAX only after the fork"
        )
