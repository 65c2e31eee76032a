"""Compile functions of energies with JAX, and find the programs again: by what they compute, not by who asks.

The arrays among the arguments are a program's inputs. All else is part of it, and so is what functions took from
outside (see `variflow.energy.autodiff.fingerprint`). Only the programs that were used last are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import numpy as np
from jax._src import config as jax_config

from variflow.base.forks import check_not_forked
from variflow.energy.autodiff.fingerprint import fingerprint
from variflow.energy.autodiff.pytrees import register

# How many programs are kept: each is for one size of frames, and takes 5 to 10 MiB.
_MOST = 64

# The default scheduler runs independent operations at once and has a race (jax-ml/jax#39741): one program returns one
# of several results, which differ in their last digits, depending on the load of the machine.
_OPTIONS: Any = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}

_programs: dict[Hashable, Any] = {}  # the one used last is the last


@contextmanager
def settings() -> Iterator[None]:
    """Within it JAX works as this package wants it to, whatever a person has set for other work.

    In single precision, except where a person's own arrays are in double; with the usual promotion of types and shapes;
    and with an error, in place of the nearest element, where an array has no such index.
    """
    check_not_forked()
    register()
    with ExitStack() as stack:
        if jax_config.enable_x64.value:
            stack.enter_context(jax.enable_x64(False))
            stack.enter_context(jax_config.explicit_x64_dtypes("allow"))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        stack.enter_context(jax_config.check_static_indices(True))
        yield


def run(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of this package returns for arguments: arrays, and anything that holds some.

    What it returns are arrays, too.
    """
    if jax_config.disable_jit.value:
        return function(*arguments)
    leaves, structure = jax.tree.flatten(arguments)
    inputs = [leaf for leaf in leaves if is_array(leaf)]

    def compiled() -> Any:
        def of_inputs(inputs: list[Any]) -> Any:
            given = iter(inputs)
            return function(
                *jax.tree.unflatten(structure, [next(given) if is_array(leaf) else leaf for leaf in leaves])
            )

        return jax.jit(of_inputs).lower(inputs).compile(compiler_options=_OPTIONS)

    return find_or_make(_programs, _MOST, (function, *arguments), compiled)(inputs)


def find_or_make(store: dict[Hashable, Any], most: int, about: Any, make: Callable[[], Any]) -> Any:
    """Return what was made about the like of something, whose arrays may have other values, or make it.

    The store keeps `most` of what was made, that which was used last at its end.
    """
    leaves, structure = jax.tree.flatten(about)
    forms = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves if is_array(leaf))
    others = jax.tree.unflatten(structure, ["an array" if is_array(leaf) else leaf for leaf in leaves])
    before = fingerprint(others)
    made = store.pop((forms, before.key), None)
    if made is None:
        made = make()
        after = fingerprint(others)
        if after.key != before.key:  # a counter of calls, say
            before.note_written(after)
            before = fingerprint(others)
    store[forms, before.key] = made
    for oldest in list(store)[:-most]:
        store.pop(oldest, None)
    return made


def is_array(leaf: Any) -> bool:
    """Return whether a leaf is an input of a program."""
    return isinstance(leaf, np.ndarray | jax.Array)


def release() -> None:
    """Forget every program."""
    _programs.clear()
