"""Follow a video: the flow of every pair of its frames, read ahead, with every frame accounted for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sized
from contextlib import closing
from typing import cast

from variflow import models
from variflow.base.ahead import run_ahead
from variflow.base.arrays import as_iterable, refuse_one_frame
from variflow.base.choices import check_whole
from variflow.base.types import ArrayLike
from variflow.calling import explain_calls
from variflow.energy import Energy
from variflow.frames.checking import check_range
from variflow.io import Frames, read_frames
from variflow.model import Model
from variflow.video.chain import Chain
from variflow.video.pairing import PairFlow, Reading, pair_up
from variflow.video.reading import check_reading, read_each, read_one

# How many frames are read before they are wanted.
_AHEAD = 2


@explain_calls
def flows(
    frames: str | os.PathLike[str] | Iterable[ArrayLike],
    model: str | Model | Energy = "balanced",
    *,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    start: int = 0,
    end: int | None = None,
    step: int = 1,
    pairs: bool = False,
    reference: int | None = None,
    intensity_range: tuple[float, float] | None = None,
) -> Iterator[PairFlow]:
    """Estimate the flow of each pair of frames of a video, a stack, a folder, or a set of double frames.

    While a pair is estimated, a thread reads the next frames. A few frames are in memory at any time. A frame that
    cannot be read, or has another size than the other of its pair, is reported there, and the others are estimated.

    Parameters
    ----------
    frames : path or iterable of arrays
        What `variflow.read_frames` opens, or the frames themselves, as for `variflow.estimate_video`.
    model : str, Model or callable
        As for `variflow.estimate`.
    mask : (H, W) bool array, optional
        True where the pixels of all frames are usable.
    weights : (H, W) array, optional
        How much each pixel of the first frame of a pair counts, as for `variflow.estimate`.
    start, end : int
        The first frame, from 0, and the frame before which to stop; by default all.
    step : int
        Take every frame, or every second, and so on. The flow is that from one to the next that is taken.
    pairs : bool
        Frames are pairs: 0 and 1, 2 and 3, as double-frame cameras give them; else each frame is paired with the next.
    reference : int, optional
        The number of a frame: the flow is from this frame to each other one. Each starts from the one before.
    intensity_range : (low, high), optional
        As for `variflow.estimate_video`.

    Yields
    ------
    PairFlow
        `first`, `second`, each with its `number` and `time`; `flow`, `result`, `cut` (whether they show different
        scenes); and `fault`, if there is no flow.

    Raises
    ------
    FileNotFoundError, ImageFileError
        If there are no such frames.
    TypeError, ValueError
        If an argument is wrong, or there are fewer than two frames.

    Examples
    --------
    >>> import numpy as np
    >>> from variflow import video
    >>> from variflow.datasets import synthetic
    >>> scene = [synthetic.translation((48, 64), shift=(1.5 * time, 0)).frame1 for time in range(4)]
    >>> for pair in video.flows(scene, "fast", step=2):
    ...     print(pair.first.number, pair.second.number, np.median(pair.flow[..., 0]).round(1), pair.cut)
    0 2 3.0 False
    """
    model = models.get(model)
    for name, value, least in (("start", start, 0), ("step", step, 1), ("reference", reference, 0), ("end", end, 1)):
        if value is not None:
            check_whole(name, value, least)
    if pairs and reference is not None:
        raise ValueError("pairs and reference are both given, wanted one of them")
    if pairs and step > 1:
        raise ValueError(f"step is {step}, wanted 1 with pairs: another would take frames of two pairs for one")
    wanted = None if intensity_range is None else check_range(intensity_range)
    if isinstance(frames, str | os.PathLike):
        frames = read_frames(frames)
    frames = as_iterable(frames, "frames", "variflow.read_frames opens a file")
    refuse_one_frame(frames)
    fixed = None if reference is None else read_reference(frames, reference)
    chain = Chain(model, mask, weights, wanted)
    if end is not None and reference is None and end - start <= step:
        raise ValueError(f"end is {end}, wanted more than {start + step}, so that two frames are taken")
    readings = read_each(frames, start, end, step)
    return _estimate_pairs(readings, chain, pairs=pairs, reference=fixed)


def read_reference(frames: Iterable[ArrayLike], number: int) -> Reading:
    """Read the frame that all others are compared with."""
    count = len(frames) if isinstance(frames, Sized) and not isinstance(frames, Frames) else None
    try:
        if isinstance(frames, Frames):
            reading = read_one(frames, number, frames.names)
        elif count is not None and hasattr(frames, "__getitem__"):
            reading = check_reading(number, frames[number])
        else:
            raise TypeError("frames is an iterator, wanted a list, an array or a file: `reference` is read first")
    except IndexError:
        last = len(cast("Sized", frames)) - 1
        raise ValueError(f"reference is {number}, wanted the number of a frame, from 0 to {last}") from None
    if reading.fault:
        raise ValueError(f"reference is {number}, which cannot be read: {reading.fault}")
    return reading


def _estimate_pairs(
    readings: Iterator[Reading], chain: Chain, *, pairs: bool, reference: Reading | None
) -> Iterator[PairFlow]:
    count = 0
    shapes: list[tuple[int, ...]] = []
    with closing(run_ahead(_note_shape(readings, shapes), _AHEAD)) as ahead:
        for first, second in pair_up(ahead, pairs=pairs, reference=reference):
            count += 1
            fault = first.fault or second.fault
            if not fault:
                assert first.image is not None  # because there is no fault
                assert second.image is not None
                chain.check_size(first.image.shape[:2])
                try:
                    images = chain.check(first.image, second.image)
                except ValueError as error:
                    fault = str(error)
            if fault or pairs:
                chain.forget()
            shown = first if reference is None else second
            if fault:
                yield PairFlow(first, second, shown, fault=fault)
            else:
                yield PairFlow(first, second, shown, chain.estimate(images), chain.shows_cut())
    if not count:
        only = f"; one was read, {_describe_shape(shapes[0])}" if shapes else ""
        raise ValueError(f"frames has fewer than two frames, wanted two or more{only}")


def _note_shape(readings: Iterator[Reading], shapes: list[tuple[int, ...]]) -> Iterator[Reading]:
    """Yield readings, and note the shape of the first frame that can be read."""
    for reading in readings:
        if not shapes and reading.image is not None:
            shapes.append(reading.image.shape)
        yield reading


def _describe_shape(shape: tuple[int, ...]) -> str:
    """Return a shape, and how it was understood: somebody may have meant another order of the axes."""
    channels = f" and {shape[2]} channels" if len(shape) == 3 else ""
    return f"of shape {shape}: height {shape[0]}, width {shape[1]}{channels}. An array of several has (T, H, W[, C])"
