"""Write films by PyAV (FFmpeg): H.264 in .mp4, which all players show, or FFV1 in .mkv, which loses nothing."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from variflow.base.choices import check_number
from variflow.base.errors import warn
from variflow.base.kinds import name_kind
from variflow.base.types import Numbers
from variflow.io import extras
from variflow.io.atomic import atomic
from variflow.io.errors import ImageFileError

if TYPE_CHECKING:
    from av import VideoFrame

EXTENSIONS = (".mp4", ".mkv")

# Frames a second where nothing says when they are shown.
RATE = 25.0
# Times are counted in these parts of a second: Matroska has milliseconds, MP4 any.
TICKS = {".mp4": 90_000, ".mkv": 1000}
_KINDS = {".mp4": "mp4", ".mkv": "matroska"}
# Quantisation of H.264, from 0 (lossless) to 51: 18 cannot be told from the frame by eye. What its slower presets save
# in size would cost more time than a quick estimate does.
_H264 = {"crf": "18", "preset": "ultrafast"}


def write_film(path: str | os.PathLike[str], frames: Iterator[Numbers], times: Iterable[float]) -> None:
    """Write frames as a film.

    Parameters
    ----------
    path : str or os.PathLike
        Ends with one of `EXTENSIONS`.
    frames : iterator of (H, W) or (H, W, 3) arrays
        uint8, for .mkv also uint16; all of one shape and type, at least one.
    times : iterable of float
        When each frame is shown, in seconds; they rise. At least as many as frames. What has a length, as a list, is
        checked before a frame is taken.

    Raises
    ------
    ImageFileError
        If FFmpeg cannot encode the frames, or they are closer in time than this kind of film can tell apart.
    ImportError
        If PyAV is not installed.
    ValueError
        If times do not rise, or end before the frames do.

    Warns
    -----
    VariflowWarning
        Once, if frames for .mp4 have an odd size, which becomes even.
    """
    av = extras.load("av")
    extension = Path(path).suffix.lower()
    if isinstance(times, Collection):
        for _ in _count_ticks(path, _check_numbers(times)):
            pass
    first = next(frames)
    height, width = first.shape[:2]
    if extension == ".mp4" and (height % 2 or width % 2):
        larger = f"{width + width % 2} x {height + height % 2}"
        warn(f"{os.fspath(path)}: frames of {width} x {height} pixels become {larger}, as .mp4 wants; .mkv keeps them")
    seconds = _check_numbers(times)
    early = list(itertools.islice(seconds, 2))
    shown = _count_ticks(path, itertools.chain(early, seconds))
    rate = Fraction(1 / (early[1] - early[0]) if len(early) == 2 and early[1] > early[0] else RATE)
    with atomic(path) as file, _explain_faults(av, path), av.open(file, "w", format=_KINDS[extension]) as container:
        stream = _add_stream(container, first, extension, rate.limit_denominator(1001))
        maker = _FrameMaker(stream.pix_fmt)
        for number, pixels in enumerate(itertools.chain([first], frames)):
            tick = next(shown, None)
            if tick is None:
                raise ValueError(f"times has {number} values, wanted one for each frame")
            frame = maker.make(pixels)
            frame.pts, frame.time_base = tick, stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@contextmanager
def _explain_faults(av: Any, path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise ImageFileError in place of an error of FFmpeg, unless it is one of the system, as of a full disk."""
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError):  # of the file that FFmpeg writes into
            raise cause from None
        raise ImageFileError(path, f"cannot be encoded: {error.strerror}") from error


def choose_times(fps: float | None, times: Iterable[float] | None) -> Iterable[float]:
    """Return when frames are shown: `times` if they are given, or else at `fps` frames a second, or 25."""
    if times is not None:
        if fps is not None:
            raise ValueError("fps and times are both given, wanted one of them")
        if not isinstance(times, Iterable):
            raise TypeError(f"times is {name_kind(times)}, wanted seconds, one for each frame")
        return times
    rate = RATE if fps is None else check_number("fps", fps, above=0, what="frames per second")
    return (number / rate for number in itertools.count())


def check_rate(path: str | os.PathLike[str], fps: float) -> None:
    """Raise ImageFileError if a film of this name cannot hold so many frames a second; for a check before long work."""
    if round(fps) > TICKS[Path(path).suffix.lower()]:
        _refuse(path, f"these are {fps:g} a second")


def _refuse(path: str | os.PathLike[str], what: str) -> NoReturn:
    extension = Path(path).suffix.lower()
    more = "; .mp4 takes more" if extension == ".mkv" else ""
    raise ImageFileError(path, f"{extension} holds at most {TICKS[extension]} frames a second, and {what}{more}")


def _check_numbers(times: Iterable[float]) -> Iterator[float]:
    return (check_number(f"times[{number}]", time) for number, time in enumerate(times))


def _count_ticks(path: str | os.PathLike[str], seconds: Iterable[float]) -> Iterator[int]:
    """Yield times after the first in whole ticks; raise if they do not rise by at least one."""
    ticks = TICKS[Path(path).suffix.lower()]
    first, last, before = 0.0, -math.inf, -1
    for number, time in enumerate(seconds):
        if time <= last:
            raise ValueError(f"times[{number}] is {time}, wanted more than the one before")
        first = first if number else time
        tick = round((time - first) * ticks)
        if tick <= before:
            _refuse(path, f"frame {number} is shown {time - last:.3g} s after the one before")
        last, before = time, tick
        yield tick


def _add_stream(container: Any, pixels: Numbers, extension: str, rate: Fraction) -> Any:
    """Add a stream for frames like these."""
    height, width = pixels.shape[:2]
    if extension == ".mkv":
        deep, gray = pixels.dtype == np.uint16, pixels.ndim == 2
        stream = container.add_stream("ffv1", rate=rate)
        stream.pix_fmt = ("gray16le" if deep else "gray") if gray else ("gbrp16le" if deep else "bgr0")
        stream.thread_type = "AUTO"
    else:
        # Players want colours at half the resolution, and so an even size; an odd one gets one more row or column.
        height, width = height + height % 2, width + width % 2
        stream = container.add_stream("libx264", rate=rate, options=_H264)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        # More threads write another film, and take time from what makes the frames meanwhile.
        context.thread_count = 1
        context.colorspace = context.color_primaries = context.color_trc = 1  # ITU-R BT.709, as players assume
        context.color_range = 1  # luma from 16 to 235
    stream.width, stream.height = width, height
    stream.codec_context.time_base = Fraction(1, TICKS[extension])
    return stream


class _FrameMaker:
    """Makes frames in the layout of a stream, and remembers how to convert: a frame by itself prepares anew."""

    def __init__(self, layout: str) -> None:
        av = extras.load("av")
        self._layout, self._convert = layout, av.video.reformatter.VideoReformatter().reformat
        self._given: VideoFrame | None = None  # what is converted, in the same memory each time

    def make(self, pixels: Numbers) -> VideoFrame:
        """Return pixels as a frame."""
        deep, gray = pixels.dtype == np.uint16, pixels.ndim == 2
        colors = {}
        if self._layout == "yuv420p":
            height, width = pixels.shape[:2]
            if height % 2 or width % 2:
                more = [(0, height % 2), (0, width % 2), (0, 0)]
                pixels = np.pad(pixels, more[: pixels.ndim], mode="edge")
            colors = {"dst_colorspace": "ITU709", "dst_color_range": "MPEG"}
        given = ("gray16le" if deep else "gray") if gray else ("rgb48le" if deep else "rgb24")
        kind: type[VideoFrame] = extras.load("av").VideoFrame
        if given == self._layout:
            return kind.from_ndarray(pixels, format=given)
        height, width = pixels.shape[:2]
        self._given = self._given or kind(width, height, given)
        lines = np.frombuffer(memoryview(self._given.planes[0]), pixels.dtype).reshape(height, -1)
        lines[:, : pixels[0].size] = pixels.reshape(height, -1)
        frame: VideoFrame = self._convert(self._given, format=self._layout, **colors)
        return frame
