from . import (
    batching,
    compat,
    datasets,
    energy,
    evaluation,
    filters,
    flowops,
    io,
    metrics,
    models,
    page,
    solve,
    unknowns,
    video,
    view,
)
from ._core import get_threads
from .base.cpus import set_threads
from .base.errors import VariflowWarning
from .base.memory import release_memory
from .driver import estimate, iterate
from .explaining import explain
from .images.warping import warp
from .io import FlowFileError, read_flow, read_frames, read_image, write_flow, write_frames, write_image
from .linearisation.linearisation import Linearisation
from .matching import Matches, match
from .model import Model
from .registration import Registered, register
from .result import Result
from .stabilisation import stabilise
from .state import EnergyRecord, State
from .tiling import TiledFlow, estimate_tiled
from .video import estimate_video

__version__: str

__all__ = [
    "EnergyRecord",
    "FlowFileError",
    "Linearisation",
    "Matches",
    "Model",
    "Registered",
    "Result",
    "State",
    "TiledFlow",
    "VariflowWarning",
    "batching",
    "compat",
    "datasets",
    "energy",
    "estimate",
    "estimate_tiled",
    "estimate_video",
    "evaluation",
    "explain",
    "filters",
    "flowops",
    "get_threads",
    "io",
    "iterate",
    "match",
    "metrics",
    "models",
    "page",
    "read_flow",
    "read_frames",
    "read_image",
    "register",
    "release_memory",
    "set_threads",
    "solve",
    "stabilise",
    "unknowns",
    "video",
    "view",
    "warp",
    "write_flow",
    "write_frames",
    "write_image",
]
