from typing import Literal

import numpy as np
from numpy.typing import NDArray

def get_threads() -> int: ...
def set_threads(n: int) -> None: ...
def warp(
    planes: NDArray[np.float32],
    u: NDArray[np.float32],
    v: NDArray[np.float32],
    interpolation: Literal["bilinear", "bicubic"],
) -> NDArray[np.float32]: ...
def derivative(planes: NDArray[np.float32], axis: Literal["x", "y"]) -> NDArray[np.float32]: ...
def resample(
    planes: NDArray[np.float32],
    first_y: NDArray[np.int32],
    weights_y: NDArray[np.float32],
    first_x: NDArray[np.int32],
    weights_x: NDArray[np.float32],
) -> NDArray[np.float32]: ...
def median(planes: NDArray[np.float32], size: Literal[3, 5]) -> NDArray[np.float32]: ...
