"""Stabilise a film: take out the shake of the camera, and leave where it goes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from variflow import models
from variflow.base.arrays import Image, as_image, as_iterable, refuse_one_frame
from variflow.base.choices import check_choice, check_number
from variflow.base.types import ArrayLike, Numbers
from variflow.calling import explain_calls
from variflow.energy import Energy
from variflow.flowops.correction import Fill, check_fill, correct
from variflow.flowops.fitting import MOTIONS, Motion, fit
from variflow.flowops.matrices import from_matrix
from variflow.model import Model
from variflow.video.chain import Chain
from variflow.video.estimating import estimate_each

Reals = NDArray[np.float64]

# A Gaussian is negligible beyond so many standard deviations. So far ahead are frames read.
_REACH = 3
# A longer look ahead would hold too many frames.
_MOST = 300


@explain_calls
def stabilise(
    frames: Iterable[ArrayLike],
    model: str | Model | Energy = "fast",
    *,
    motion: Motion = "rigid",
    smoothing: float = 10.0,
    fill: float | Literal["nearest"] = "nearest",
) -> Iterator[Numbers]:
    """Stabilise a film: take out the shake of the camera, and leave where it goes.

    The motion of the whole frame is found between each frame and the next (`estimate_video`, `flowops.fit`), so what
    moves in the scene does not matter while it covers less than two fifths of the frame. The path of the camera is
    smoothed in time, and each frame is moved from the path to the smooth one. A steady pan is left as it is. Where the
    scene is cut (`variflow.video.flows` finds it), the path begins anew, as if the scenes were films of their own.

    Parameters
    ----------
    frames : iterable of arrays
        Two or more, as for `estimate_video`; a generator may be endless. As many are held in memory as `smoothing`
        looks ahead, three times its value.
    model : str, Model or callable
        As for `estimate`.
    motion : {"translation", "rigid", "affine", "homography"}
        What the camera may do from frame to frame (`flowops.fit`).
    smoothing : float
        Standard deviation, in frames, of the Gaussian that smooths the path: above 0, up to 100; typically a third to
        half of a second. Larger is steadier, and moves frames further, so more comes from outside them.
    fill : float or "nearest"
        What pixels show that come from outside the frame: a number, NaN only if frames are floats, or the nearest pixel
        at the border.

    Yields
    ------
    (H, W) or (H, W, C) array
        The frames, in their own type, as many as there are.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong: raised at the call. If a frame is wrong: raised when it is read, with its number, from
        0. Also if there are fewer than two frames.

    Notes
    -----
    The smooth path is a weighted mean of the frames around, and at the ends of the film a weighted straight line
    through them, so that a pan does not slow down there. The same holds at the ends of a scene.

    References
    ----------
    Y. Matsushita et al., Full-frame video stabilization with motion inpainting, IEEE TPAMI 28, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> shake = (0, 2, -1, 1, -2, 0)
    >>> frames = [synthetic.translation((48, 64), shift=(x, 0)).frame1 for x in shake]
    >>> steady = list(variflow.stabilise(frames, motion="translation", smoothing=3))
    >>> len(steady), steady[0].dtype, steady[0].shape
    (6, dtype('uint8'), (48, 64, 3))
    """
    frames = as_iterable(frames, "frames", "variflow.read_frames opens a video")
    refuse_one_frame(frames)
    check_choice("motion", motion, MOTIONS)
    deviation = check_number("smoothing", smoothing, above=0, most=_MOST / _REACH, what="a number of frames")
    check_fill(fill)
    return _stabilise(frames, models.get(model), motion, deviation, fill)


def _stabilise(
    frames: Iterable[ArrayLike], model: Model, motion: Motion, deviation: float, fill: Fill
) -> Iterator[Numbers]:
    reach = math.ceil(_REACH * deviation)
    waiting: deque[Image] = deque()  # what has been read, and not been yielded
    steps: deque[Reals] = deque()  # from each frame to the next, around the first that waits
    behind = 0  # how many of the steps lie before it

    def read() -> Iterator[Image]:
        for number, array in enumerate(frames):
            waiting.append(as_image(array, f"frame {number}"))
            yield waiting[-1]

    chain = Chain(model)
    for result in estimate_each(read(), chain):
        if chain.shows_cut():  # the motion is that of no camera
            while len(waiting) > 1:
                yield _move(waiting.popleft(), steps, behind, deviation, motion, fill)
                behind += 1
            steps.clear()
            behind = 0
            chain.forget()
            continue
        steps.append(_center(fit(result.flow, motion), result.flow.shape))
        if len(steps) - behind < reach:
            continue
        yield _move(waiting.popleft(), steps, behind, deviation, motion, fill)
        behind += 1
        if behind > reach:
            steps.popleft()
            behind -= 1
    while waiting:
        yield _move(waiting.popleft(), steps, behind, deviation, motion, fill)
        behind += 1


def _center(matrix: Reals, shape: tuple[int, ...], *, back: bool = False) -> Reals:
    """Return a motion in coordinates whose origin is the middle of the frame, or back in those of its corner."""
    shift = np.eye(3)
    shift[:2, 2] = np.array([shape[1] - 1, shape[0] - 1]) / 2 * (-1 if back else 1)
    moved: Reals = np.linalg.inv(shift) @ matrix @ shift
    return moved


def _move(image: Image, steps: deque[Reals], behind: int, deviation: float, motion: Motion, fill: Fill) -> Numbers:
    """Return a frame moved to the smooth path."""
    around = _follow(list(steps), behind)
    away = np.arange(len(around)) - behind
    smooth: Reals = (_weigh(away, deviation)[:, None, None] * around).sum(axis=0)
    if motion == "rigid":  # the mean of rotations is one that also shrinks
        angle = math.atan2(smooth[1, 0] - smooth[0, 1], smooth[0, 0] + smooth[1, 1])
        smooth[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    inverse = np.linalg.inv(smooth).astype(np.float64)
    origin = _center(inverse, image.pixels.shape, back=True)
    return correct(image, from_matrix(origin, image.pixels.shape[:2]), fill)


def _follow(steps: list[Reals], behind: int) -> Reals:
    """Return the motions from one frame to each around it, itself included, in the order of the frames."""
    after, before = [np.eye(3)], list[Reals]()
    for step in steps[behind:]:
        after.append(step @ after[-1])
    for step in reversed(steps[:behind]):
        before.append(np.linalg.inv(step) @ (before[-1] if before else after[0]))
    whole = np.stack([*reversed(before), *after])
    normalised: Reals = whole / whole[:, 2:, 2:]
    return normalised


def _weigh(away: NDArray[np.intp], deviation: float) -> Reals:
    """Return the weights with which a straight line through values at some distances is 0 away from here."""
    weights = np.exp(-0.5 * (away / deviation) ** 2)
    total, first, second = (float((weights * away**power).sum()) for power in range(3))
    slope = total * second - first**2
    if slope <= 0:  # one frame alone
        return weights / total
    line: Reals = weights * (second - first * away) / slope
    return line
