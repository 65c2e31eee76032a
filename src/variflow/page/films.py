"""The pairs of a page from what ``variflow video`` wrote: one Zarr array of the flows of a film."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from variflow.base.choices import check_whole
from variflow.base.types import Numbers
from variflow.io import FlowFileError, Frames, zarr_array
from variflow.io.opening import watch_folder
from variflow.page.contents import Pair
from variflow.video.window import Window

# Where nobody says which pairs, there are as many as have so many pixels together: a page that opens in seconds.
_PIXELS = 2**23


@dataclass(frozen=True)
class Film:
    """The pairs that were chosen of a film.

    Attributes
    ----------
    pairs : list of Pair
    numbers : range
        Which of the flows in the array they are.
    count : int
        How many flows the array holds.
    model : str
        What computed them; empty if it is not known.
    spans : set of int
        How many frames the second frame of a pair is after the first, of the chosen pairs that say it.
    """

    pairs: list[Pair]
    numbers: range
    count: int
    model: str
    spans: set[int]


def is_film(path: Path) -> bool:
    """Return whether a path is that of an array of several flows, not of one.

    Raises
    ------
    FlowFileError
        If it is something else that ``variflow video`` writes.
    """
    array = "wanted the array that `variflow video IN -o NAME.zarr` writes, or a file of one flow"
    if path.suffix.lower() == ".nc" and path.is_file():
        raise FlowFileError(path, f"a .nc file, which holds fields in units; {array}")
    if not path.is_dir():
        return False
    if not zarr_array.is_zarr(path):
        raise FlowFileError(path, f"a folder; {array}")
    return len(zarr_array.open_array(path, FlowFileError).shape) == 4


def read_film(
    path: Path, frames: Frames | None = None, *, start: int = 0, end: int | None = None, step: int | None = None
) -> Film:
    """Read pairs of what ``variflow video`` wrote.

    Parameters
    ----------
    path : Path
        The folder of a Zarr array (T, H, W, 2).
    frames : Frames, optional
        The frames that the flows were computed from. The array says which of them belong to which flow, and what part
        of them was taken. Those of a pair without a flow are not shown.
    start, end, step : int
        Which flows: from `start` to before `end`, each `step`-th. By default as many as are quick to look at, spread
        evenly.

    Raises
    ------
    FlowFileError
        If it is not such an array.
    ValueError
        If none is chosen, or the array does not say which frames its flows belong to.
    """
    with watch_folder(path, FlowFileError):
        array = zarr_array.open_array(path, FlowFileError)
        if len(array.shape) != 4 or array.shape[3] != 2:
            raise FlowFileError(path, f"a Zarr array of shape {array.shape}, wanted (T, H, W, 2)")
        count, height, width, _ = array.shape
        numbers = _choose(count, height * width, start, end, step)
        zarr_array.check_size(path, array, (len(numbers), height, width, 2), FlowFileError)
        attributes = dict(array.attrs)
        frames = None if frames is None else frames.map(_find_window(attributes).cut)
        pairs = [_make_pair(np.asarray(array[number]), number, attributes, frames) for number in numbers]
    model = attributes.get("model")
    own = (_find_frames(attributes, number) for number in numbers)
    spans = {both[1] - both[0] for both in own if both is not None}
    return Film(pairs, numbers, count, model if isinstance(model, str) else "", spans)


def _choose(count: int, size: int, start: int, end: int | None, step: int | None) -> range:
    check_whole("start", start, 0)
    last = count if end is None else min(count, check_whole("end", end, 1))
    if start >= last:
        raise ValueError(f"start is {start}, wanted less than {last}, where the flows end")
    if step is None:
        step = math.ceil((last - start) / max(1, _PIXELS // size))
    return range(start, last, check_whole("step", step, 1))


def _make_pair(flow: Numbers, number: int, attributes: dict[str, Any], frames: Frames | None) -> Pair:
    """Return one flow with what the array says of it."""
    own = _find_frames(attributes, number)
    time, fault = _take(attributes, "times", number), _take(attributes, "faults", number)
    label = f"{number}: frames {own[0]} and {own[1]}" if own else f"{number}"
    if isinstance(time, int | float) and math.isfinite(time):
        label += f", {time:g} s"
    notes = [f"No flow: {fault}."] if isinstance(fault, str) and fault else []
    if _take(attributes, "cuts", number) is True:
        notes.append("The scene is cut between these frames; the flow means nothing.")
    shown: list[Numbers | None] = [None, None]
    if frames is not None:
        if own is None:
            raise ValueError(f"the array does not say which frames flow {number} belongs to, so frames is of no use")
        if not fault:  # of a pair without a flow, one may be damaged, or have another size
            shown = [_read_frame(frames, index, number, flow.shape[:2]) for index in own]
    return Pair(flow, shown[0], shown[1], label=label, note=" ".join(notes))


def _find_frames(attributes: dict[str, Any], number: int) -> list[int] | None:
    """Return the numbers of the two frames of a flow; None if the array does not say them."""
    own = _take(attributes, "frames", number)
    known = isinstance(own, list) and len(own) == 2 and all(isinstance(index, int) and index >= 0 for index in own)
    return own if known else None


def _read_frame(frames: Frames, index: int, number: int, shape: tuple[int, ...]) -> Numbers:
    """Return a frame that a flow is of; raise ValueError if there is none, or it has another size."""
    try:
        frame = frames[index]
    except IndexError:
        raise ValueError(f"frames has no frame {index}, which flow {number} is of; it has {len(frames)}") from None
    if frame.shape[:2] != shape:
        (height, width), (wanted_height, wanted_width) = frame.shape[:2], shape
        raise ValueError(
            f"frames has a frame {index} of {width} x {height} pixels, and flow {number} has {wanted_width} x "
            f"{wanted_height}, wanted the frames that the flows were computed from"
        )
    return frame


def _find_window(attributes: dict[str, Any]) -> Window:
    """Return what was taken of each frame, as the array says it."""
    region, size = (attributes.get(name) for name in ("region", "resize"))
    return Window(_as_numbers(region, 4), _as_numbers(size, 2))


def _as_numbers(value: Any, count: int) -> Any:
    """Return a list of so many whole numbers above 0 or, for a region, at least 0, as a tuple; None for others."""
    whole = isinstance(value, list) and all(isinstance(number, int) and number >= 0 for number in value)
    return tuple(value) if whole and len(value) == count and min(value[-2:]) > 0 else None


def _take(attributes: dict[str, Any], name: str, number: int) -> Any:
    """Return what a list among the attributes says of one flow; None if it says nothing."""
    values = attributes.get(name)
    return values[number] if isinstance(values, list) and number < len(values) else None
