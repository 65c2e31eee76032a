"""Explain in one sentence what JAX cannot trace in a user's code: where it is, and what to write instead."""

from __future__ import annotations

import contextlib
import linecache
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import jax

from variflow.energy.advice import ASKS
from variflow.energy.levels import list_arrays
from variflow.energy.term import Sum

# Files under these paths are not the user's own code.
_PACKAGES = (
    *(
        str(Path(spec.origin).parent)
        for name in ("equinox", "jax", "jaxlib", "numpy", "optimistix", "variflow")
        if (spec := find_spec(name)) and spec.origin
    ),
    contextlib.__file__,
)

_KEPT = "uses a value that was kept from another call of it: compute it from d and at, each time anew"
_DO_NOT_FIT = "has arrays whose sizes do not fit"
_OF_ANOTHER_SIZE = (
    "an array that a function takes from outside has the same size at every level of the pyramid. Make it an attribute "
    "of a term, a class derived from Term, DataTerm or FlowTerm: one of the frames' size is resized to each level"
)
_INDEX = "uses a value as an index or a size: these must be known beforehand"
# Subclasses come before their base classes.
_FAULTS: tuple[tuple[type[Exception], str], ...] = (
    (jax.errors.TracerBoolConversionError, ASKS),
    (jax.errors.TracerArrayConversionError, "computes with numpy: use jax.numpy in an energy"),
    (
        jax.errors.NonConcreteBooleanIndexError,
        "takes the elements where a mask is true: use jnp.where(mask, values, 0)",
    ),
    (jax.errors.TracerIntegerConversionError, _INDEX),
    (
        jax.errors.ConcretizationTypeError,
        "makes a number of Python of a value, as float, int, round and math do: use jax.numpy in an energy",
    ),
    (jax.errors.UnexpectedTracerError, _KEPT),
)
_TEXTS = {
    "item assignment": "assigns to a part of an array, which JAX cannot: use array.at[index].set(value)",
    "concrete values of integer type": _INDEX,
    "Computation compiled for": _KEPT,
    "unsupported format string": "writes a value as text, which it is not yet: use jax.debug.print('{}', value)",
}


@contextmanager
def explain_faults(energy: object, shape: tuple[int, int]) -> Iterator[None]:
    """Explain what goes wrong while JAX traces an energy or a term for frames of a shape.

    What JAX cannot trace becomes a TypeError that says where it is and what to write instead. Sizes of arrays that do
    not fit are told with what a level of the pyramid is. Any other exception is the user's own; it passes with a note
    of where it came from.
    """
    try:
        yield
    except Exception as fault:
        if _find_problem(fault.__cause__) or _DO_NOT_FIT in str(fault):  # an inner context has explained it
            raise
        if problem := _find_problem(fault):
            raise TypeError(f"{name_of(energy)} {problem}{_find_place(fault)}") from fault
        if _tells_of_sizes(fault):
            raise type(fault)(
                f"{name_of(energy)} for frames of {shape[0]} x {shape[1]} {_DO_NOT_FIT}: "
                f"{str(fault).rstrip('.')}{_find_place(fault)}; {_name_misfits(energy, shape) or _OF_ANOTHER_SIZE}"
            ) from fault
        note = f"raised while JAX traced {name_of(energy)}"
        if not any(text.startswith(note) for text in getattr(fault, "__notes__", [])):
            fault.add_note(f"{note} for frames of {shape[0]} x {shape[1]}{_find_place(fault)}")
        raise


def _tells_of_sizes(fault: Exception) -> bool:
    """Return whether JAX or NumPy says that the sizes of arrays do not fit; the library's own messages say enough."""
    if type(fault) not in (IndexError, TypeError, ValueError):
        return False
    *_, (frame, _) = traceback.walk_tb(fault.__traceback__)
    own = frame.f_code.co_filename.startswith(str(Path(__file__).parents[2]))
    return not own and re.search(r"broadcast|\bshapes?\b(?!')|Size of label", str(fault)) is not None


def _name_misfits(energy: object, shape: tuple[int, int]) -> str:
    """Name the arrays of other sizes that the terms of an energy hold; empty if there are none."""
    held = [(name, tuple(array.shape)) for name, array in list_arrays(energy)]
    misfits = [f"{name} has shape {had}" for name, had in held if len(had) >= 2 and shape not in (had[:2], had[-2:])]
    return f"{', '.join(misfits)}, wanted one that begins or ends with that of the frames, {shape}" if misfits else ""


def _find_problem(fault: BaseException | None) -> str:
    for kind, problem in _FAULTS:
        if isinstance(fault, kind):
            return problem
    if isinstance(fault, TypeError):
        return next((problem for text, problem in _TEXTS.items() if text in str(fault)), "")
    return ""


def name_of(energy: object) -> str:
    """Return what a message calls an energy: "energy data_and_edges", "energy BrightnessConstancy + Smoothness"."""
    name = _name_term(energy)
    return "energy" if name == "<lambda>" else f"energy {name}"


def _name_term(energy: object) -> str:
    if isinstance(energy, Sum):
        return " + ".join(map(_name_term, energy.terms))
    return str(getattr(energy, "__name__", type(energy).__name__))


def _find_place(fault: Exception) -> str:
    """Return where in a user's code it happened, as " (file.py, line 3: r = np.abs(u))"; empty if not there."""
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(fault.__traceback__)
        if not frame.f_code.co_filename.startswith(_PACKAGES)
    ]
    own = [frame for frame in frames if "site-packages" not in frame[0]] or frames
    if not own:
        return ""
    file, line = own[-1]
    text = linecache.getline(file, line).strip()
    return f" ({Path(file).name}, line {line}{': ' + text if text else ''})"
