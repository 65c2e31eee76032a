"""Check `variflow/_core.pyi` against the module: names, parameters and defaults.

    python .ci/check_core_stub.py

This is mypy's stubtest. It does not know the functions and classes of nanobind, so it is given plain ones in their
place, with the same parameters and members.
"""

import enum
import inspect
import re
import sys

from mypy import stubtest

from variflow import _core


def plain_function(function):
    """Return a Python function with the name and parameters of a bound one, without their types."""
    signature, _, defaults = function.__nb_signature__[0]
    while (shorter := re.sub(r"\[[^\[\]]*\]", "", signature)) != signature:  # types in brackets, from within
        signature = shorter
    signature = re.sub(r": [\w.| ]+?(?= = |[,)])", "", signature.partition(" -> ")[0])
    names = {"defaults": defaults}
    exec(re.sub(r"\\(\d+)", r"defaults[\1]", signature) + ": ...", names)
    return names[function.__name__]


def plain_class(bound):
    """Return a Python class with the members of a bound one."""
    if issubclass(bound, enum.Enum):
        del bound.__nb_enum__
        return bound
    members = {name: plain(value) for name, value in vars(bound).items() if name not in ("__dict__", "__weakref__")}
    for name, value in vars(bound).items():
        if type(value).__name__ == "nb_func":
            members[name] = staticmethod(members[name])
    return type(bound.__name__, (), members)


def plain(value):
    """Return what stubtest knows in place of what nanobind bound."""
    if inspect.isclass(value):
        return plain_class(value)
    return plain_function(value) if hasattr(value, "__nb_signature__") else value


for name, value in list(vars(_core).items()):
    setattr(_core, name, plain(value))
sys.argv[1:] = ["variflow._core"]
sys.exit(stubtest.main())
