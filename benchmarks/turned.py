"""Real frames that turn and grow around their middle, and how far OpenCV's DIS follows them."""

import statistics

import cv2
import numpy as np
from scipy.ndimage import affine_transform


def _turn(degrees):
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


# Where a point of the first frame is in the second, as (x, y) around the middle.
MATRICES = {f"turned {degrees}°": _turn(degrees) for degrees in (5, 10, 15, 20)} | {
    f"grown {factor}": factor * np.eye(2) for factor in (0.7, 0.85, 1.1, 1.2, 1.4)
}


def find_error(estimate, frame, matrix):
    """Return the mean error (px) of ``estimate(first, second)`` where the points stay inside the frame."""
    height, width = frame.shape[:2]
    middle = np.array([width - 1, height - 1]) / 2
    rows, columns = np.indices((height, width)).astype(float)
    away = np.stack([columns, rows], axis=-1) - middle
    there = away @ matrix.T + middle
    back = np.linalg.inv(matrix)[::-1, ::-1]  # of (y, x)
    offset = middle[::-1] - back @ middle[::-1]
    channels = [
        affine_transform(plane.astype(float), back, offset, mode="reflect") for plane in np.moveaxis(frame, 2, 0)
    ]
    second = np.clip(np.rint(np.stack(channels, axis=2)), 0, 255).astype(np.uint8)
    off = np.hypot(*np.moveaxis(estimate(frame, second) - (there - middle - away), 2, 0))
    return float(off[((there >= 0) & (there <= 2 * middle)).all(axis=2)].mean())


def find_errors(estimate, frames):
    """Return the mean error (px) over frames, for each matrix."""
    return {
        name: statistics.fmean(find_error(estimate, frame, matrix) for frame in frames)
        for name, matrix in MATRICES.items()
    }


def run_dis(first, second):
    """Return the flow of DIS, medium."""
    gray = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second))
    return cv2.DISOpticalFlow.create(2).calc(*gray, None)
