"""Load an energy or a model of a person's own from a Python file, and say what is wrong in it."""

from __future__ import annotations

import inspect
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from variflow import models
from variflow.base.choices import suggest
from variflow.base.kinds import name_kind
from variflow.energy.term import Term
from variflow.model import Model

_WANTED = "wanted FILE.py:NAME, such as my.py:energy"
_KINDS = "wanted an energy(d, at), a term or a sum of terms, a Model, or a function without arguments that returns one"


def choose_model(name: str | None, energy: str | None, default: str | None = None) -> Model:
    """Return the model of a name, or that of an energy in a file, as ``FILE.py:NAME``; only one of them is given."""
    if name is not None and energy is not None:
        raise ValueError(f"both the model {name!r} and --energy {energy} are given, wanted one of them")
    if energy is not None:
        return load_model(energy)
    if name is None and default is None:
        raise ValueError("neither a model nor --energy is given, wanted one of them; `variflow models` lists models")
    return models.get(name or str(default))


def load_model(text: str) -> Model:
    """Return the model that a file defines, ``FILE.py:NAME``.

    NAME is an energy, a Model, or a function without arguments that returns one of them.
    """
    path, _, name = text.rpartition(":")
    if not (path.endswith(".py") and name.isidentifier()):
        raise ValueError(f"--energy is {text!r}, {_WANTED}")
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"--energy {text}: {path} is no file, {_WANTED}")
    with explain_faults(text):
        defined = _execute(file)
        if name in defined:
            found = defined[name]() if _is_builder(defined[name]) else defined[name]
    if name not in defined:
        own = [known for known, value in defined.items() if callable(value) or isinstance(value, Model)]
        raise ValueError(f"--energy {text}: {path} defines no {name!r}{suggest(name, own)}")
    if not isinstance(found, Model) and (not callable(found) or isinstance(found, type)):
        raise TypeError(f"--energy {text}: {name} is {name_kind(found)}, {_KINDS}")
    model = models.get(found)
    return model if model.name else replace(model, name=name)


def _execute(file: Path) -> dict[str, Any]:
    """Run a file as Python would run a script, and return what it defines."""
    module = ModuleType("energy_from_file")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where dataclasses look for it
    sys.path.insert(0, str(file.resolve().parent))
    exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    return vars(module)


def _is_builder(found: object) -> bool:
    """Return whether what a file defines is a function that wants no arguments."""
    if isinstance(found, Term | Model | type) or not callable(found):
        return False
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return True


@contextmanager
def explain_faults(energy: str | None) -> Iterator[None]:
    """Raise ValueError with the line of the file at fault, if what fails is in the file of an energy, if any."""
    try:
        yield
    except Exception as fault:
        file = "" if energy is None else energy.rpartition(":")[0]
        lines = [line for frame, line in traceback.walk_tb(fault.__traceback__) if frame.f_code.co_filename == file]
        if isinstance(fault, SyntaxError) and fault.filename == file and fault.lineno:
            lines.append(fault.lineno)
        if not lines:
            raise
        source, message = linecache.getline(file, lines[-1]).strip(), str(fault).strip().partition("\n")[0]
        raise ValueError(f"{file}, line {lines[-1]}: {source}: {type(fault).__name__}: {message}") from fault
