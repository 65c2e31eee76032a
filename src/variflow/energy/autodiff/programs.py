"""Compile functions of energies with JAX, and find the programs again by what they compute.

The arrays among the arguments are a program's inputs. Everything else is part of the program, and so are the values
that functions take from outside (see `variflow.energy.autodiff.fingerprint`). Only the programs used last are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache, partial
from typing import Any, NamedTuple, TypeGuard, TypeVar

import jax
import numpy as np
from jax._src import config as jax_config

from variflow import _core
from variflow.base.forks import check_not_forked
from variflow.base.types import Numbers
from variflow.energy.autodiff.fingerprint import find_or_make_by_fingerprint, take_fingerprint
from variflow.energy.autodiff.keeping import keep_programs
from variflow.energy.autodiff.pytrees import register
from variflow.energy.autodiff.sharing import KEEP_BARRIERS, repeats, share_values
from variflow.energy.autodiff.telling import tell_of_compiling

Answer = TypeVar("Answer")

# How many programs are kept: each is for one size of frames, and takes 5 to 20 MiB. Most models have one or two for
# each.
_MOST = 256

# The default scheduler runs independent operations at once and has a race (jax-ml/jax#39741). A program then returns
# one of several results, which differ in their last digits, depending on the load of the machine.
_OPTIONS: dict[str, str | bool] = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
# More optimisation takes up to twice as long to compile, and programs are no faster as a rule. But without it, a number
# that is an input is read anew for each pixel, and loops take twice as long.
_QUICK: dict[str, Any] = {"xla_backend_optimization_level": 1}

_programs: dict[Hashable, jax.stages.Compiled] = {}  # in the order of their last use


class Call(NamedTuple):
    """A function of this package, and what it is called with (see `run`)."""

    function: Callable[..., Any]
    arguments: tuple[object, ...]

    def run(self) -> Any:
        """Compile and call the function."""
        return run(self.function, *self.arguments)


@contextmanager
def apply_settings() -> Iterator[None]:
    """Set JAX as this package needs it, whatever the user has set for other work.

    It computes in single precision, except where a user's own arrays are in double precision. Types and shapes are
    promoted in the usual way. An index that an array does not have is an error; JAX alone takes the nearest element.
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


def run(function: Callable[..., Answer], *arguments: object) -> Answer:
    """Compile and call a function of this package; its arguments may be arrays or pytrees that hold some.

    It returns arrays.
    """
    if jax_config.disable_jit.value:
        return function(*arguments)
    with_telling = partial(tell_of_compiling, arguments)
    inputs = [leaf for leaf in jax.tree.leaves(arguments) if is_array(leaf)]
    answer: Answer = _find_program(function, arguments, with_telling)(inputs)
    return answer


def is_compiled(call: Call) -> bool:
    """Return whether there is nothing to compile for a call: its program is known, or a user lets JAX compile none."""
    forms, others = _part(_describe(*call))
    return bool(jax_config.disable_jit.value) or (forms, take_fingerprint(others).key) in _programs


def compile_all(calls: Iterable[Call]) -> None:
    """Compile the programs of calls, several at once: XLA alone leaves most CPUs idle.

    What is wrong with a call is told where it is made.
    """
    device = jax_config.default_device.value

    def compile_one(call: Call) -> None:
        with suppress(Exception), apply_settings(), jax.default_device(device):
            _find_program(*call, nullcontext)

    calls = list(calls)
    with tell_of_compiling(calls[-1].arguments), ThreadPoolExecutor(_core.get_threads()) as pool:
        list(pool.map(compile_one, calls))


def _find_program(
    function: Callable[..., Any], arguments: tuple[object, ...], telling: Callable[[], Any]
) -> jax.stages.Compiled:
    """Return the program of a call, compiled now if it is not known."""
    leaves, structure = jax.tree.flatten(arguments)
    inputs = [leaf for leaf in leaves if is_array(leaf)]

    def compiled() -> jax.stages.Compiled:
        def of_inputs(inputs: list[jax.Array]) -> Any:
            given = iter(inputs)
            return function(
                *jax.tree.unflatten(structure, [next(given) if is_array(leaf) else leaf for leaf in leaves])
            )

        with telling():
            traced = jax.jit(of_inputs).trace(inputs)
            # Elsewhere XLA weighs itself what to compute again.
            if jax.default_backend() == "cpu" and repeats(traced.jaxpr):
                traced = jax.jit(partial(_share_values, traced)).trace(inputs)
            lowered: jax.stages.Lowered = traced.lower()
            with keep_programs():
                return lowered.compile(compiler_options=_find_options(quick=all(map(np.ndim, inputs))))

    return find_or_make(_programs, _MOST, _describe(function, arguments), compiled)


def _share_values(traced: jax.stages.Traced, inputs: list[jax.Array]) -> Any:
    return jax.tree.unflatten(jax.tree.structure(traced.out_info), share_values(traced.jaxpr, *inputs))


def _describe(function: Callable[..., Any], arguments: Iterable[object]) -> tuple[object, ...]:
    return function, str(jax_config.default_device.value), *arguments


@cache
def _find_options(quick: bool) -> dict[str, Any]:
    """Return what XLA is told of how to compile; another version of it may not know all that makes it faster."""
    options: dict[str, Any] = _OPTIONS | (KEEP_BARRIERS if jax.default_backend() == "cpu" else {})
    for name, value in (_QUICK if quick else {}).items():
        try:
            jax.jit(lambda x: x).lower(0.0).compile(compiler_options=options | {name: value})
        except RuntimeError:
            continue
        options[name] = value
    return options


def find_or_make(store: dict[Hashable, Answer], most: int, about: object, make: Callable[[], Answer]) -> Answer:
    """Return what was made for a subject that differs in the values of its arrays at most, or make it now."""
    forms, others = _part(about)
    return find_or_make_by_fingerprint(store, most, others, make, forms)


def _part(about: object) -> tuple[Hashable, Any]:
    """Return the forms of the arrays of a subject, and the subject without them."""
    leaves, structure = jax.tree.flatten(about)
    forms = tuple((leaf.shape, str(leaf.dtype), _find_device(leaf)) for leaf in leaves if is_array(leaf))
    return forms, jax.tree.unflatten(structure, ["an array" if is_array(leaf) else leaf for leaf in leaves])


def _find_device(leaf: Numbers | jax.Array) -> object:
    """Return where a user has put an array; None if it may lie on any device."""
    return leaf.sharding if isinstance(leaf, jax.Array) and getattr(leaf, "committed", False) else None


def is_array(leaf: object) -> TypeGuard[Numbers | jax.Array]:
    """Return whether a leaf is an input of a program."""
    return isinstance(leaf, np.ndarray | jax.Array)


def release() -> None:
    """Forget every program."""
    _programs.clear()
