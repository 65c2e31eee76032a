"""Keep compiled programs on disk, so that the next process need not compile them again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import platformdirs
from jax._src import config as jax_config
from jax.experimental.compilation_cache import compilation_cache

_VARIABLE = "VARIFLOW_CACHE"


@contextmanager
def keep_programs() -> Iterator[None]:
    """Let JAX take what it compiles from the folder of compiled programs, or put it there.

    That is the folder ``programs`` in the user's cache folder for variflow, or the one that the environment variable
    ``VARIFLOW_CACHE`` names; 0 stands for none. A cache of JAX's own that a user has configured is used as it is.
    """
    folder = _find_folder()
    if folder is None or jax_config.compilation_cache_dir.value:
        yield
        return
    with ExitStack() as stack:
        # What JAX keeps of the cache would stay in use for the user's own programs.
        compilation_cache.reset_cache()
        stack.callback(compilation_cache.reset_cache)
        stack.enter_context(jax_config.compilation_cache_dir(str(folder)))
        # JAX alone keeps only what took more than a second.
        stack.enter_context(jax_config.persistent_cache_min_compile_time_secs(0.0))
        yield


def are_kept() -> bool:
    """Return whether programs are kept on disk."""
    return bool(jax_config.compilation_cache_dir.value) or _find_folder() is not None


def _find_folder() -> Path | None:
    """Return the folder of compiled programs, or None if there is none that can be written."""
    named = os.environ.get(_VARIABLE, "")
    if named == "0":
        return None
    folder = Path(named) if named else platformdirs.user_cache_path("variflow", appauthor=False) / "programs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
