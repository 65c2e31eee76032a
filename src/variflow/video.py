"""The flow of a video: each frame to the next, where each pair has much from the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from variflow import models
from variflow.base.arrays import Image, as_image, as_iterable, count_frame_axes
from variflow.calling import explain_calls
from variflow.driver import run_to_end
from variflow.energy import Energy
from variflow.frames.checking import Images, check_frames, check_range
from variflow.model import Model
from variflow.problem import Problem
from variflow.result import Result
from variflow.start.from_model import FromModel
from variflow.start.from_pair_before import FromPairBefore
from variflow.start.start import Initialiser
from variflow.state import State

# The intensities that become 0 and 1 stay while those of a pair differ from them by at most this part of their range.
_FITS = 0.1


@explain_calls
def estimate_video(
    frames: Iterable[Any],
    model: str | Model | Energy = "balanced",
    *,
    intensity_range: tuple[float, float] | None = None,
) -> Iterator[Result]:
    """Estimate the flow from each frame of a video to the next.

    It takes less time than `estimate` for each pair: a frame is prepared once, not twice; and where the frames prove
    that things move on as they did, an estimate goes on at half the size from the flow of the pair before, carried
    along itself. Where motion changes abruptly, and at a cut, it is that of the pair by itself.

    Parameters
    ----------
    frames : iterable of arrays
        Two or more, all of one shape, each as for `estimate`: a list, an array ``(T, H, W)`` or ``(T, H, W, C)``, what
        `variflow.read_frames` opens, or a generator, even one that never ends. A frame is asked for when the result
        before it has been taken, and copied, so that its memory may be used for the next.
    model : str, Model or callable
        As for `estimate`.
    intensity_range : (low, high), optional
        Intensities that become 0 and 1, where the constants of models are defined. By default the 0.1 and 99.9
        percentile of the first two frames together, for as long as those of a pair differ from it by less than a tenth
        of the range; then those of that pair, and so on. (Floats that were whole numbers once have a range for each
        pair.)

    Yields
    ------
    Result
        One for each frame but the first, in order: from frame 0 to 1, from 1 to 2 and so on. The first is that of
        ``estimate(frame0, frame1, model)``. The same frames give the same flows.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be right, at once; if a frame cannot, when it comes, with its number, from 0; if there
        are fewer than two.

    Examples
    --------
    >>> import numpy as np
    >>> import variflow
    >>> from variflow.datasets import synthetic
    >>> pairs = [synthetic.translation((48, 64), shift=(1.5 * time, 0)) for time in range(4)]
    >>> for result in variflow.estimate_video([pair.frame1 for pair in pairs], "fast"):
    ...     print(np.median(result.flow[..., 0]).round(1))
    1.5
    1.5
    1.5
    """
    frames = as_iterable(frames, "frames", "variflow.read_frames opens a video")
    _refuse_one_frame(frames)
    arrays = iter(frames)
    wanted = None if intensity_range is None else check_range(intensity_range)
    return _results(arrays, models.get(model), wanted)


def _refuse_one_frame(frames: Any) -> None:
    """Raise ValueError if an array is one frame, not several; what else has a shape may have that of each frame."""
    shape = getattr(frames, "shape", None)
    if not hasattr(frames, "__array__") or not isinstance(shape, tuple) or len(shape) > count_frame_axes(shape):
        return
    what = f"an image of {shape[2]} channels" if len(shape) == 3 else "a gray image"
    raise ValueError(
        f"frames has shape {shape}, which looks like one frame, {what}; wanted several: (T, H, W), (T, H, W, C), or a "
        "list of frames"
    )


def _results(arrays: Iterator[Any], model: Model, intensity_range: tuple[float, float] | None) -> Iterator[Result]:
    problem: Problem | None = None
    initialiser: Initialiser = FromModel()
    frame0: Image | None = None
    for number, array in enumerate(arrays):
        frame1 = as_image(array, f"frame {number}")
        if frame0 is not None:
            images = check_frames(frame0, frame1, intensity_range=intensity_range)
            problem = Problem(images, model) if problem is None else _next(problem, images)
            last: deque[State] = deque(maxlen=1)
            result = run_to_end(problem, initialiser, callback=last.append)
            initialiser = FromPairBefore.of(last[0], problem.levels) if last else FromModel()
            yield result
        frame0 = frame1
    if problem is None:
        raise ValueError(f"frames ends after {0 if frame0 is None else 1}, wanted two or more")


def _next(before: Problem, images: Images) -> Problem:
    """Return the problem of the next pair; what that before has of the common frame is taken from there."""
    if np.may_share_memory(images.images[0], before.images.images[1]):
        images = _in_range_of(before.images, images)
        if images.intensity_range == before.images.intensity_range:
            return before.next_in_video(images)
    # Or the intensities of each pair were brought to whole steps of their own.
    return Problem(images, before.model)


def _in_range_of(before: Images, images: Images) -> Images:
    """Return images with the range of those before, if that fits what they hold."""
    kept, own = np.array(before.intensity_range), np.array(images.intensity_range)
    low, high = before.intensity_range
    if images.chosen or not low < high or np.abs(own - kept).max() > _FITS * (high - low):
        return images
    return replace(images, intensity_range=before.intensity_range, chosen=True)
