"""Estimate the flow of a video, from each frame to the next; each pair reuses what it can of the pair before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from variflow import models
from variflow.base.arrays import Image, as_image, as_iterable, refuse_one_frame
from variflow.base.types import ArrayLike
from variflow.calling import explain_calls
from variflow.energy import Energy
from variflow.frames.checking import check_range
from variflow.model import Model
from variflow.result import Result
from variflow.video.chain import Chain


@explain_calls
def estimate_video(
    frames: Iterable[ArrayLike],
    model: str | Model | Energy = "balanced",
    *,
    intensity_range: tuple[float, float] | None = None,
) -> Iterator[Result]:
    """Estimate the flow from each frame of a video to the next.

    This takes about as long as `estimate` on each pair, and less where motion is steady. Each frame is prepared once,
    not twice. Where the frames show that the motion continues, the estimate takes the flow of the pair before, moved
    along itself, and goes on from there at half the size. Where motion changes abruptly, and at a cut, the flow is that
    of the pair alone.

    Parameters
    ----------
    frames : iterable of arrays
        Two or more, all of one shape, each as for `estimate`: a list, an array ``(T, H, W)`` or ``(T, H, W, C)``, what
        `variflow.read_frames` opens, or a generator, even one that never ends. A frame is read when the result before
        it has been taken. It is copied, so its memory may be reused for the next frame.
    model : str, Model or callable
        As for `estimate`.
    intensity_range : (low, high), optional
        The intensities that become 0 and 1; the constants of models refer to that range. By default the 0.1 and 99.9
        percentiles of the first two frames together. They are kept until those of a pair differ from them by more than
        a tenth of the range; from there on, the range of that pair is kept. (Floats in equal steps, such as scaled
        bytes, have a range of their own for each pair.)

    Yields
    ------
    Result
        One for each frame but the first, in order: from frame 0 to 1, from 1 to 2 and so on. The first result equals
        ``estimate(frame0, frame1, model)``. The same frames give the same flows.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong: raised at the call. If a frame is wrong: raised when it is read, with its number, from
        0. Also if there are fewer than two frames.

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
    refuse_one_frame(frames)
    arrays = iter(frames)
    wanted = None if intensity_range is None else check_range(intensity_range)
    return estimate_each(arrays, Chain(models.get(model), intensity_range=wanted))


def estimate_each(arrays: Iterable[ArrayLike], chain: Chain) -> Iterator[Result]:
    """Yield the result of each pair; until the next is asked for, the chain tells about it."""
    frame0: Image | None = None
    count = 0
    for array in arrays:
        frame1 = as_image(array, f"frame {count}")
        count += 1
        if frame0 is not None:
            yield chain.estimate(chain.check(frame0, frame1))
        frame0 = frame1
    if count < 2:
        raise ValueError(f"frames ends after {count} frame{'s' * (count != 1)}, wanted two or more")
