"""Write the flows of a video: as a film, a folder of files, or one Zarr array."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain, tee
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow.base.ahead import run_ahead
from variflow.base.choices import check_choice, check_number
from variflow.base.errors import warn
from variflow.base.kinds import name_kind
from variflow.io import extras, films, write_flow, write_image, zarr_array
from variflow.io.atomic import find_folder_destination
from variflow.io.errors import FlowFileError
from variflow.io.paths import check_path
from variflow.io.stacks import check_frames_path, write_frames
from variflow.video.painting import LOOKS, Look, Painter
from variflow.video.pairing import PairFlow, explain_none, keep_one_size
from variflow.video.scaling import measure_speed

# How many flows are estimated before they are wanted.
_AHEAD = 2
# The files of flows in a folder.
_FLOWS = re.compile(r"(?!\.).*\.flo|flow_[xy]_\d+\.jpg")


def write(
    path: str | os.PathLike[str],
    flows: Iterable[PairFlow],
    *,
    look: Look | None = None,
    scale: float | None = None,
    bound: float | None = None,
    attributes: Mapping[str, object] | None = None,
) -> list[PairFlow]:
    """Write the flows of a video, each as soon as it is there.

    While one is written, a thread estimates the next; a few are in memory at any time.

    Parameters
    ----------
    path : str or os.PathLike
        One of

        - ``"flow.mp4"`` or ``"flow.mkv"``: a film with the times of the frames, of which .mkv keeps milliseconds. Where
          there is no flow, or one of another size than the first, the picture before stays;
        - ``"flows.zarr"``: one array (T, H, W, 2), a chunk a pair, NaN where there is no flow. Its attributes are
          `frames` (the numbers of each pair), `times` (in seconds, null where a frame has none), `cuts`, `faults`,
          `model`, `variflow` and `convention`;
        - any other name without an extension: a folder, in which each flow is a file as soon as it is there,
          named after its first frame (after the second where the first is a reference): ``frame0012.flo``, or
          ``000012.flo`` where frames have no names. It may hold other files, but no flows: those of another film would
          lie among the new ones.
    flows : iterable of PairFlow
        As `variflow.video.flows` yields them.
    look : {"color", "arrows", "side"}, optional
        For a film: whether it shows the flow in colours, as by default, as arrows over the first frame, or colours
        beside the frame.
    scale : float, optional
        For a film: the speed, px, at full colour, or of an arrow that nearly reaches the next. Default: that below
        which 99 % of the pixels of the first flow are; `find_scale` looks at the whole video.
    bound : float, optional
        For a folder, in place of flow files: two pictures a pair, ``flow_x_00012.jpg`` and ``flow_y_00012.jpg``, in
        which displacements from -`bound` to `bound` are 0 to 255, as those who recognise actions in films want them.
    attributes : mapping, optional
        For a Zarr array: more attributes, such as which part of the frames the flows are of.

    Returns
    -------
    list of PairFlow
        Those that have a fault or are a cut, without their frames and flows.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or is for another kind of output.
    FileExistsError
        If the folder holds flows.
    FlowFileError, ImageFileError, OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import variflow
    >>> from variflow import video
    >>> from variflow.datasets import synthetic
    >>> scene = [synthetic.translation((48, 64), shift=(1.5 * time, 0)).frame1 for time in range(4)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     video.write(f"{folder}/flows", video.flows(scene, "realtime"))
    ...     variflow.read_flow(f"{folder}/flows/000002.flo").shape
    []
    (48, 64, 2)
    """
    check_path(path, flows=flows)
    check_output(path, look=look, scale=scale, bound=bound)
    extension = Path(path).suffix.lower()
    remarkable: list[PairFlow] = []
    with closing(run_ahead(_check_pairs(flows), _AHEAD)) as ahead:
        one_size = extension in (".zarr", *films.EXTENSIONS)
        pairs = note(keep_one_size(ahead) if one_size else ahead, remarkable)
        if extension in films.EXTENSIONS:
            found = (pair for pair in pairs if not pair.fault)
            first = next(found, None)
            if first is None:
                raise ValueError(explain_none(remarkable))
            _write_film(path, first, found, look or "color", scale)
        elif extension == ".zarr":
            _write_zarr(path, pairs, attributes or {}, remarkable)
        else:
            _write_folder(Path(path), (pair for pair in pairs if not pair.fault), bound)
    return remarkable


def _check_pairs(flows: Iterable[PairFlow]) -> Iterator[PairFlow]:
    for pair in flows:
        if not isinstance(pair, PairFlow):
            raise TypeError(f"flows holds {name_kind(pair)}, wanted what variflow.video.flows yields")
        yield pair


def note(pairs: Iterable[PairFlow], remarkable: list[PairFlow]) -> Iterator[PairFlow]:
    """Yield pairs, and note those that have a fault or are a cut, without their frames and flows."""
    for pair in pairs:
        if pair.fault or pair.cut:
            remarkable.append(pair.drop_arrays())
        yield pair


def check_output(
    path: str | os.PathLike[str], *, look: Look | None = None, scale: float | None = None, bound: float | None = None
) -> None:
    """Raise the error of `write` if it cannot write like this to this path; for a check before long work."""
    _check_path(path)
    if look is not None:
        check_choice("look", look, LOOKS)
    for name, value in (("scale", scale), ("bound", bound)):
        if value is not None:
            check_number(name, value, above=0, what="a finite number of pixels")
    extension = Path(path).suffix.lower()
    if bound is not None and extension:
        raise ValueError(f"bound is given, and only a folder has pictures; {os.fspath(path)} is none")
    for name, setting in (("look", look), ("scale", scale)):
        if setting is not None and extension not in films.EXTENSIONS:
            raise ValueError(f"{name} is given, and only a film has it; {os.fspath(path)} is none")


def _check_path(path: str | os.PathLike[str]) -> None:
    check_path(path)
    extension = Path(path).suffix.lower()
    if extension in (*films.EXTENSIONS, ".zarr"):
        check_frames_path(path)
    elif extension or Path(path).is_file():
        wanted = "ends with .mp4, .mkv or .zarr, or is a folder; fields in units end with .nc"
        raise FlowFileError(path, f"the name for the flows of a video {wanted}")
    else:
        find_folder_destination(path)
        if held := find_flows(path):
            count = f"{len(held)} files of flows" if len(held) > 1 else "a file of a flow"
            raise FileExistsError(
                f"{os.fspath(path)}: holds {count} already, such as {held[0]}; wanted a folder without any"
            )


def find_flows(folder: str | os.PathLike[str]) -> list[str]:
    """Return the names of the files in a folder that are flows, as `write` names them; none if there is no folder."""
    if not os.path.isdir(folder):
        return []
    return sorted(name for name in os.listdir(folder) if _FLOWS.fullmatch(name))


def _write_film(
    path: str | os.PathLike[str], first: PairFlow, pairs: Iterator[PairFlow], look: Look, scale: float | None
) -> None:
    painter = Painter(look, _choose_scale(first) if scale is None else scale)
    to_paint, to_time = tee(chain([first], pairs))
    write_frames(path, map(painter.paint, to_paint), times=_fit_times(path, (pair.time for pair in to_time)))


def _choose_scale(pair: PairFlow) -> float:
    speed = measure_speed(pair.get_flow())
    return speed or 1.0


def _fit_times(path: str | os.PathLike[str], times: Iterable[float]) -> Iterator[float]:
    """Yield the nearest times that a film can hold, each after the one before: some films repeat them.

    Where they are closer than it can tell apart, a warning says so once.
    """
    extension = Path(path).suffix.lower()
    ticks = films.TICKS[extension]
    first, last, tick, close = None, -math.inf, -1, False
    for time in times:
        first = time if first is None else first
        if not close and 0 < time - last < 0.999 / ticks:
            close = True
            warn(f"{os.fspath(path)}: frames less than 1/{ticks} s apart are shown later, as {extension} wants")
        last, tick = time, max(round((time - first) * ticks), tick + 1)
        yield tick / ticks


def _write_folder(folder: Path, pairs: Iterable[PairFlow], bound: float | None) -> None:
    taken: set[str] = set()
    for pair in pairs:
        folder.mkdir(exist_ok=True)
        flow, number = pair.get_flow(), pair.shown.number
        if bound is not None:
            for axis, displacement in zip("xy", np.moveaxis(flow, 2, 0), strict=True):
                write_image(folder / f"flow_{axis}_{number:05d}.jpg", _to_bytes(displacement, bound))
            continue
        name = f"{number:06d}" if pair.shown.name is None else Path(pair.shown.name).stem
        if name in taken:  # as of a.png and a.jpg
            name = f"{name}_{number:06d}"
        taken.add(name)
        write_flow(folder / f"{name}.flo", flow)


def _to_bytes(displacement: NDArray[np.float32], bound: float) -> NDArray[np.uint8]:
    """Return displacements from -bound to bound as 0 to 255; 0 is 128, and so is what is unknown."""
    grey = np.rint(np.clip((np.nan_to_num(displacement) + bound) * (255 / (2 * bound)), 0, 255))
    return np.asarray(grey, np.uint8)


def _write_zarr(
    path: str | os.PathLike[str],
    pairs: Iterable[PairFlow],
    attributes: Mapping[str, object],
    remarkable: list[PairFlow],
) -> None:
    zarr = extras.load("zarr")
    with zarr_array.atomic_array(path) as (part, call):
        array: Any = None
        lists: dict[str, list[Any]] = {"frames": [], "times": [], "cuts": [], "faults": []}
        waiting = 0  # pairs without a flow before the first one, which tells the size
        for pair in pairs:
            lists["frames"].append([pair.first.number, pair.second.number])
            lists["times"].append(pair.shown.time)
            lists["cuts"].append(pair.cut)
            lists["faults"].append(pair.fault)
            if array is None:
                if pair.result is None:
                    waiting += 1
                    continue
                height, width = pair.get_flow().shape[:2]
                array = call(
                    zarr.create_array,
                    part,
                    shape=(waiting, height, width, 2),
                    dtype="float32",
                    chunks=(1, min(1024, height), min(1024, width), 2),
                    fill_value=np.nan,
                    dimension_names=("pair", "y", "x", "component"),
                    config={"write_empty_chunks": True},
                    overwrite=True,
                )
                call(array.attrs.update, zarr_array.describe(pair.result.model.name))
            unknown = np.full((*array.shape[1:3], 2), np.nan, np.float32)
            call(array.append, (unknown if pair.flow is None else pair.flow)[None])
        if array is None:
            raise ValueError(explain_none(remarkable))
        call(array.attrs.update, {**lists, **attributes})
