import enum
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_WithMisfit = tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]

def get_threads() -> int: ...
def set_threads(n: int) -> None: ...
def limit_threads(n: int, *, within_affinity: bool = True) -> None: ...
def release_memory() -> int: ...
def warp(
    planes: NDArray[np.float32],
    u: NDArray[np.float32],
    v: NDArray[np.float32],
    interpolation: Literal["bilinear", "bicubic", "spline"],
) -> NDArray[np.float32]: ...
def noise(planes: NDArray[np.float32]) -> float: ...
def fit_light(
    target: NDArray[np.float32], values: NDArray[np.float32], rounds: int, least_gain: float, largest_gain: float
) -> tuple[float, float, list[bool]]: ...
def light_change(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    usable: NDArray[np.float32],
    every: int,
    margin: float,
    fewest: int,
    rounds: int,
    least_gain: float,
    largest_gain: float,
) -> tuple[float, float, float]: ...
def render_between(
    coefficients0: NDArray[np.float32],
    coefficients1: NDArray[np.float32],
    known0: NDArray[np.uint8],
    known1: NDArray[np.uint8],
    forward: NDArray[np.float32],
    backward: NDArray[np.float32],
    time: float,
    scale: float,
) -> NDArray[np.float32]: ...
def spline_coefficients(planes: NDArray[np.float32]) -> NDArray[np.float32]: ...
def look_up(image: NDArray[np.uint8], tables: NDArray[np.float32], total: bool) -> NDArray[np.float32]: ...
def fill_missing(planes: NDArray[np.float32], valid: NDArray[np.uint8]) -> NDArray[np.float32]: ...
def interleave(u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]: ...
def are_finite(plane: NDArray[np.float32]) -> bool: ...
def count_moved(
    u0: NDArray[np.float32],
    v0: NDArray[np.float32],
    u: NDArray[np.float32],
    v: NDArray[np.float32],
    least: float,
) -> int: ...
def allocate_bytes(count: int) -> NDArray[np.uint8]: ...
def find_likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[float, float, float]: ...
def count_flat(planes: NDArray[np.float32], step: int, least: float) -> int: ...
def copy_bytes(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> None: ...
def paint_flow(flow: NDArray[np.float32], scale: float, hues: NDArray[np.float32]) -> NDArray[np.uint8]: ...
def byte_counts(
    first: NDArray[np.uint8], second: NDArray[np.uint8], step: int, places: NDArray[np.int32]
) -> NDArray[np.int64]: ...
def derivative(planes: NDArray[np.float32], axis: Literal["x", "y"]) -> NDArray[np.float32]: ...
def resample(
    planes: NDArray[np.float32],
    first_y: NDArray[np.int32],
    weights_y: NDArray[np.float32],
    first_x: NDArray[np.int32],
    weights_x: NDArray[np.float32],
) -> NDArray[np.float32]: ...
def resample_flow(
    u: NDArray[np.float32],
    v: NDArray[np.float32],
    first_y: NDArray[np.int32],
    weights_y: NDArray[np.float32],
    first_x: NDArray[np.int32],
    weights_x: NDArray[np.float32],
    factor_u: float,
    factor_v: float,
    in_pairs: bool,
) -> NDArray[np.float32]: ...
def median(planes: NDArray[np.float32], size: Literal[3, 5]) -> NDArray[np.float32]: ...
def motion_edges(
    flow: NDArray[np.float32], edge: float, ratio: float, window: int, dilation: int
) -> NDArray[np.float32]: ...
def mark_hidden(
    edges: NDArray[np.float32], visibility: NDArray[np.float32], window: int, least: float
) -> NDArray[np.float32]: ...
def visibility(
    flow: NDArray[np.float32],
    differences: NDArray[np.float32],
    mismatch: NDArray[np.float32],
    deviations: tuple[float, float, float, float],
) -> NDArray[np.float32]: ...
def smooth_apart(flow: NDArray[np.float32], marks: NDArray[np.float32], deviation: float) -> NDArray[np.float32]: ...
def weighted_median(
    flow: NDArray[np.float32],
    otherwise: NDArray[np.float32],
    mask: NDArray[np.float32],
    guide: NDArray[np.float32],
    reliability: NDArray[np.float32],
    window: int,
    step: int,
    spatial: float,
    color: float,
    lightness: float,
    widening: int = 1,
) -> NDArray[np.float32]: ...
def keep_what_matches(
    flow: NDArray[np.float32],
    filtered: NDArray[np.float32],
    visibility: NDArray[np.float32],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    limits: tuple[float, float, float, float, float],
    window: int,
) -> NDArray[np.float32]: ...
def lab(planes: NDArray[np.float32]) -> NDArray[np.float32]: ...

# The linear system of one robust step: `src/core/system/system.hpp` says what its planes hold. Planes are float32,
# (H, W) or stacks of such. A `normalisation` is 0 for none, or zeta: squared residuals are divided by
# jx^2 + jy^2 + zeta^2.
class PenaltyKind(enum.Enum):
    QUADRATIC = 0
    CHARBONNIER = 1
    GENERALISED_CHARBONNIER = 2
    HUBER = 3
    LORENTZIAN = 4
    L1 = 5

# `scale` is the penalty's epsilon, threshold, scale or smallest residual; what a kind does not have is ignored.
class Penalty:
    def __init__(self, kind: PenaltyKind, scale: float = 0.0, exponent: float = 0.0) -> None: ...

# A table holds values, and half the weights rho'(s) / s, at the squares s^2 of the knots.
def penalty_knots() -> NDArray[np.float32]: ...
def tabulate_penalty(values: NDArray[np.float32], half_weights: NDArray[np.float32]) -> Penalty: ...
def half_weights(penalty: Penalty, squared: NDArray[np.float32]) -> NDArray[np.float32]: ...

class ConstancyKind(enum.Enum):
    BRIGHTNESS = 0
    GRADIENT = 1

class FramePair:
    def __init__(
        self,
        first: NDArray[np.float32],
        second: NDArray[np.float32],
        samples: NDArray[np.float32],
        u: NDArray[np.float32],
        v: NDArray[np.float32],
        weights: NDArray[np.float32] | None,
        interpolation: Literal["bilinear", "bicubic", "spline"],
        derivative: Literal["average", "first", "second", "warped"],
        whole: tuple[int, int] | None = None,
    ) -> None: ...

class Constancy:
    def __init__(
        self,
        kind: ConstancyKind,
        penalty: Penalty,
        normalisation: float,
        weight: float,
    ) -> None: ...

class DataTerm:
    def __init__(
        self,
        jx: NDArray[np.float32],
        jy: NDArray[np.float32],
        r: NDArray[np.float32],
        penalty: Penalty,
        normalisation: float,
        weight: float,
    ) -> None: ...

class Smoothness:
    def __init__(
        self,
        guide_x: NDArray[np.float32] | None,
        guide_y: NDArray[np.float32] | None,
        per_pixel: bool,
        penalty: Penalty,
        weight: float,
    ) -> None: ...

class Step:
    def __init__(
        self, frames: FramePair, constancies: Sequence[Constancy], data: Sequence[DataTerm], smoothness: Smoothness
    ) -> None: ...

# Least squares whose residuals look at a neighbourhood: `src/core/stencil/stencil.hpp`. Planes are (depth, height,
# width), and offsets along these three.
class Tap:
    def __init__(
        self, unknown: int, offset: tuple[int, int, int], factor: float, plane: NDArray[np.float32] | None = None
    ) -> None: ...

class LocalResidual:
    def __init__(
        self, taps: Sequence[Tap], value: NDArray[np.float32] | None = None, at_start: bool = False
    ) -> None: ...

class LocalTerm:
    def __init__(
        self,
        residuals: Sequence[LocalResidual],
        jointly: bool,
        penalty: Penalty,
        weight: float,
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...

class LocalProblem:
    def __init__(
        self,
        start: NDArray[np.float32],
        terms: Sequence[LocalTerm],
        tensor: NDArray[np.float32] | None = None,
        damping: Sequence[float] = ...,
    ) -> None: ...

class CoarserGrids:
    def __init__(self) -> None: ...

def solve_local(
    problem: LocalProblem, tolerance: float, iterations: int, grids: CoarserGrids | None = None
) -> tuple[NDArray[np.float32], int, float]: ...

class LocalMatrix:
    def __init__(
        self,
        products: NDArray[np.float32],
        steps: Sequence[int],
        entries: Sequence[tuple[int, int, Sequence[int]]],
    ) -> None: ...

def solve_matrix(
    matrix: LocalMatrix,
    gradient: NDArray[np.float32],
    damping: Sequence[float] | NDArray[np.float64],
    tolerance: float,
    iterations: int,
    grids: CoarserGrids | None = None,
) -> tuple[NDArray[np.float32], int, bool]: ...
def measure_constants(matrix: LocalMatrix) -> list[float]: ...
def measure_tensor(tensor: NDArray[np.float32]) -> list[float]: ...
def local_energy(problem: LocalProblem, unknowns: NDArray[np.float32]) -> float: ...
def robust_step(step: Step, sweeps: int, omega: float, cycles: int = 0, with_misfit: bool = False) -> _WithMisfit: ...
def constancy_tensor(frames: FramePair, constancies: Sequence[Constancy], with_misfit: bool = False) -> _WithMisfit: ...
def mismatch(frames: FramePair, floor: float) -> NDArray[np.float32]: ...

mismatch_floor: float
fewest_inner: int

def warp_second(frames: FramePair) -> NDArray[np.float32]: ...
def frame_planes(frames: FramePair, names: Sequence[str]) -> NDArray[np.float32]: ...
def inside(u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]: ...
def add_data(tensor: NDArray[np.float32], term: DataTerm, weights: NDArray[np.float32]) -> None: ...
def data_energy(
    term: DataTerm, weights: NDArray[np.float32], du: NDArray[np.float32], dv: NDArray[np.float32]
) -> float: ...
def data_squares(term: DataTerm, du: NDArray[np.float32], dv: NDArray[np.float32]) -> NDArray[np.float32]: ...
def edge_weights(u: NDArray[np.float32], v: NDArray[np.float32], smoothness: Smoothness) -> NDArray[np.float32]: ...
def smoothness_energy(u: NDArray[np.float32], v: NDArray[np.float32], smoothness: Smoothness) -> float: ...
def squared_differences(
    u: NDArray[np.float32], v: NDArray[np.float32], smoothness: Smoothness
) -> NDArray[np.float32]: ...
def image_edges(guide: NDArray[np.float32], contrast: float, least: float) -> NDArray[np.float32]: ...
def residual(
    tensor: NDArray[np.float32],
    edges: NDArray[np.float32],
    u0: NDArray[np.float32],
    v0: NDArray[np.float32],
    u: NDArray[np.float32],
    v: NDArray[np.float32],
) -> NDArray[np.float32]: ...
def relax(
    tensor: NDArray[np.float32],
    edges: NDArray[np.float32],
    u0: NDArray[np.float32],
    v0: NDArray[np.float32],
    u_start: NDArray[np.float32],
    v_start: NDArray[np.float32],
    sweeps: int,
    omega: float,
) -> NDArray[np.float32]: ...
def lucas_kanade(tensor: NDArray[np.float32], regularisation: float) -> NDArray[np.float32]: ...
def census(
    frame0: NDArray[np.float32], frame1: NDArray[np.float32], radius: Literal[1, 2], softness: float, noise: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...
def multigrid(
    tensor: NDArray[np.float32],
    edges: NDArray[np.float32],
    u0: NDArray[np.float32],
    v0: NDArray[np.float32],
    u_start: NDArray[np.float32],
    v_start: NDArray[np.float32],
    cycles: int,
    tolerance: float,
) -> NDArray[np.float32]: ...
def cycle(
    tensor: NDArray[np.float32],
    edges: NDArray[np.float32],
    u0: NDArray[np.float32],
    v0: NDArray[np.float32],
    u_start: NDArray[np.float32],
    v_start: NDArray[np.float32],
    cycles: int,
    sweeps: int,
    omega: float,
) -> NDArray[np.float32]: ...

class Residuals:
    def __init__(
        self,
        value: NDArray[np.float32],
        along_x: NDArray[np.float32],
        along_y: NDArray[np.float32],
        factor: float = 1.0,
        threshold: float = 0.0,
        normalisation: float = 0.0,
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...

class Variation:
    def __init__(
        self,
        weight: float,
        threshold: float = 0.0,
        second: float = 0.0,
        edges: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
        reach: float = 1.0,
    ) -> None: ...

# Returns the flow (2, H, W) and the state; `src/core/primal_dual/primal_dual.hpp` says what it holds.
def primal_dual(
    u: NDArray[np.float32],
    v: NDArray[np.float32],
    residuals: Sequence[Residuals],
    weights: NDArray[np.float32],
    variation: Variation,
    iterations: int,
    state: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def slopes(
    u: NDArray[np.float32], v: NDArray[np.float32], variation: Variation, iterations: int
) -> NDArray[np.float32]: ...

# Matching: `src/core/matching/matching.hpp` says what the planes hold. Seeds are the points of a grid of every
# `step`-th column and row, centred in the frame.
def descriptors(plane: NDArray[np.float32], noise: float) -> NDArray[np.uint8]: ...
def search_matches(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    valid0: NDArray[np.float32],
    valid1: NDArray[np.float32],
    start: NDArray[np.float32] | None,
    step: int,
    reach: int,
    sweeps: int,
    favour: float,
    smoothness: float,
) -> NDArray[np.float32]: ...
def search_lines(
    planes: NDArray[np.float32],
    valid: NDArray[np.float32],
    lines: NDArray[np.float32],
    first: float,
    interval: float,
    count: int,
    step: int,
) -> NDArray[np.float32]: ...
def match_confidence(forward: NDArray[np.float32], backward: NDArray[np.float32], step: int) -> NDArray[np.float32]: ...
def fill_affine(
    matches: NDArray[np.float32],
    guide: NDArray[np.float32],
    reach: float,
    contrast: float,
    tolerance: float,
    ridge: float,
    rounds: int,
    turns: int,
) -> NDArray[np.float32]: ...
