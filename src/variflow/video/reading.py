"""Read the frames of a video one after another; one that cannot be read does not stop the next."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from variflow.base.arrays import as_image
from variflow.base.types import ArrayLike
from variflow.io import FileFormatError, Frames
from variflow.video.pairing import Reading


def read_each(frames: Iterable[ArrayLike], start: int, end: int | None, step: int) -> Iterator[Reading]:
    """Yield every `step`-th frame from `start` to before `end`."""
    if not isinstance(frames, Frames):
        for number, frame in enumerate(itertools.islice(frames, start, end, step)):
            yield check_reading(start + number * step, frame)
        return
    names = frames.names  # once: it is a new list each time
    for number in itertools.count(start, step) if end is None else range(start, end, step):
        try:
            yield read_one(frames, number, names)
        except IndexError:
            return


def read_one(frames: Frames, number: int, names: list[str] | None) -> Reading:
    """Read a frame; raise IndexError if there is no such frame."""
    name = None if names is None else names[number]
    try:
        frame = frames.look_at(number)  # which is copied below
    except (FileFormatError, OSError) as error:
        return Reading(number, name=name, fault=str(error))
    return check_reading(number, frame, frames.time_of(number), name)


def check_reading(number: int, frame: ArrayLike, time: float | None = None, name: str | None = None) -> Reading:
    """Return a frame that was read; one that is no image has a fault."""
    try:
        return Reading(number, time, name, as_image(frame, f"frame {number}"))
    except ValueError as error:
        return Reading(number, time, name, fault=str(error))
