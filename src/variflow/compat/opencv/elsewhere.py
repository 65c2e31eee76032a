"""Say what variflow has in place of a name of OpenCV that is not here."""

from __future__ import annotations

import sys
from collections.abc import Collection

from variflow.base.choices import suggest

_TRACK = "variflow.flowops.track, which follows points along estimated flows"
_FAST = "variflow.estimate with the preset 'fast'"
_BALANCED = "variflow.estimate with the preset 'balanced', which also matches what moves far"
INSTEAD = {
    "calcOpticalFlowPyrLK": _TRACK,
    "OPTFLOW_LK_GET_MIN_EIGENVALS": _TRACK,
    "buildOpticalFlowPyramid": _TRACK,
    "SparsePyrLKOpticalFlow": _TRACK,
    "SparsePyrLKOpticalFlow_create": _TRACK,
    "SparseRLOFOpticalFlow": _TRACK,
    "SparseRLOFOpticalFlow_create": _TRACK,
    "calcOpticalFlowSparseRLOF": _TRACK,
    "createOptFlow_SparseRLOF": _TRACK,
    "OpticalFlowPCAFlow": _FAST,
    "createOptFlow_PCAFlow": _FAST,
    "createOptFlow_SimpleFlow": _FAST,
    "calcOpticalFlowSF": _FAST,
    "DenseRLOFOpticalFlow": _BALANCED,
    "DenseRLOFOpticalFlow_create": _BALANCED,
    "RLOFOpticalFlowParameter": _BALANCED,
    "RLOFOpticalFlowParameter_create": _BALANCED,
    "calcOpticalFlowDenseRLOF": _BALANCED,
    "createOptFlow_DenseRLOF": _BALANCED,
    "calcOpticalFlowSparseToDense": _BALANCED,
    "createOptFlow_SparseToDense": _BALANCED,
    "remap": "variflow.warp, which takes a flow",
    "imread": "variflow.read_image",
    "imreadmulti": "variflow.read_frames",
    "VideoCapture": "variflow.read_frames",
    "imwrite": "variflow.write_image",
    "imwritemulti": "variflow.write_frames",
    "VideoWriter": "variflow.write_frames",
    "cartToPolar": "variflow.view.color, which draws a flow in colours",
    "cvtColor": "variflow.view.color to draw a flow, and frames need no conversion: they may be gray or RGB",
    "resize": "variflow.flowops.resize, for flows",
}


def explain_missing(module: str, name: str, known: Collection[str]) -> AttributeError | ImportError:
    """Return the error for a name that a module does not have; called by its ``__getattr__``.

    Where an import statement asks a package, the error is an ImportError, because Python would replace any other.
    """
    fault = f"module {module!r} has no attribute {name!r}"
    if not name.startswith("__"):
        if name in INSTEAD:
            fault += f"; instead there is {INSTEAD[name]}"
        else:
            fault += suggest(name, known) or "; it has what computes a dense flow, and cv2 itself has the rest"
    asker = sys._getframe(2).f_globals.get("__name__")
    if asker == "importlib._bootstrap":
        return ImportError(fault, name=module)
    return AttributeError(fault)
