"""The frames of a video, decoded by PyAV (FFmpeg)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from variflow.base.caching import cached_property
from variflow.base.errors import warn
from variflow.base.types import Numbers
from variflow.io import claims, extras
from variflow.io.errors import ImageFileError, explain_errors
from variflow.io.opening import get_identity
from variflow.io.sequences import Frames, make_plain

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer


class Video(Frames):
    """The frames of the first video stream of a file, in the order in which they are shown.

    Decoding goes forwards. Asking for an earlier frame than the last two starts again at the beginning, and the length
    is known only when all frames have been decoded once. Loops that go forwards need neither.

    Parameters
    ----------
    path : Path
        An existing file.
    container : str, optional
        FFmpeg's name for the kind of file, if FFmpeg would mistake it for another.

    Raises
    ------
    ImageFileError
        If it is not a video, or has no frame.
    ImportError
        If PyAV is not installed.
    """

    def __init__(self, path: Path, container: str | None = None) -> None:
        self._path, self._file, self._container = path, get_identity(path), container
        self._begin: float | None = None
        self._count: int | None = None  # once the end has been reached
        self._restart()
        if not self._reaches(0):
            raise ImageFileError(path, "a video without frames")

    def __len__(self) -> int:
        return self._count if self._count is not None else len(self._seconds)

    @property
    def fps(self) -> float | None:
        """The mean number of frames per second; None if the file does not say."""
        return self._said[0] or None

    @property
    def times(self) -> list[float] | None:
        """When each frame is shown, in seconds after the first; None if the file does not say.

        The whole video is decoded once for that, as for ``len``.
        """
        seconds = [second for second in self._seconds if second is not None]
        return [second - seconds[0] for second in seconds] if len(seconds) == len(self) else None

    @property
    def expected_length(self) -> int | None:
        """How many frames there are, or are said to be; None if the file does not say."""
        return self._known_length or self._said[1] or None

    def time_of(self, index: int) -> float | None:
        """When the frame `index` is shown, in seconds after the first; None if the file does not say."""
        if index not in self._recent:
            return super().time_of(index)
        time = self._recent[index].time
        return None if time is None or self._begin is None else time - self._begin

    @property
    def _known_length(self) -> int | None:
        return len(self) if self._count is not None or "_seconds" in self.__dict__ else None

    @cached_property
    def _seconds(self) -> list[float | None]:
        with explain_errors(self._path, ImageFileError, "cannot be decoded"):
            return [frame.time for frame in self._from_the_start()]

    @cached_property
    def _said(self) -> tuple[float, int]:
        """Frames per second and the number of frames as the file says; 0 where it does not."""
        with (
            explain_errors(self._path, ImageFileError, "cannot be decoded"),
            _open(self._path, self._container) as container,
        ):
            stream = container.streams.video[0]
            rate, seconds = float(stream.average_rate or 0), (container.duration or 0) / 1e6
            return rate, stream.frames or round(rate * seconds)

    def _restart(self) -> None:
        self._decoder = self._from_the_start()
        # One converter for all frames remembers how; each frame by itself would prepare anew.
        self._convert = extras.load("av").video.reformatter.VideoReformatter().reformat
        self._next = 0
        self._recent: dict[int, _Decoded] = {}

    def _from_the_start(self) -> Iterator[VideoFrame]:
        if get_identity(self._path) != self._file:
            raise ImageFileError(self._path, "another video has taken its place since it was opened")
        return _decode(self._path, self._container)

    def _reaches(self, index: int) -> bool:
        while self._next <= index:
            fault = f"frame {self._next} cannot be decoded" if self._next else "is no image, and no video to be decoded"
            with explain_errors(self._path, ImageFileError, fault):
                frame = next(self._decoder, None)
                if frame is None:
                    self._count = self._next
                    return False
                if self._next == 0:
                    self._begin = frame.time
                if self._next == index:
                    # The one before stays too: a loop over pairs asks for each frame twice.
                    before = {place: kept for place, kept in self._recent.items() if place == index - 1}
                    self._recent = before | {index: _Decoded(_to_pixels(frame, self._convert), frame.time)}
            self._next += 1
        return True

    def look_at(self, index: int) -> Numbers:
        """Return the frame `index`, to be read only: the last two are kept."""
        if index >= 0 and self._reaches(index) and index in self._recent:
            return self._recent[index].pixels
        return self[index]

    def _read_frame(self, index: int) -> Numbers:
        if index not in self._recent:
            self._restart()
            self._reaches(index)
        return self._recent[index].pixels.copy()


class _Decoded(NamedTuple):
    """A frame, and when it is shown, in seconds as the file counts them."""

    pixels: Numbers
    time: float | None


def _decode(path: Path, kind: str | None) -> Iterator[VideoFrame]:
    """Yield the frames that FFmpeg decodes."""
    av = extras.load("av")
    try:
        with _open(path, kind) as container:
            if not container.streams.video:
                raise ImageFileError(path, "has no video stream")
            stream = container.streams.video[0]
            height, width = stream.codec_context.height, stream.codec_context.width
            needed, size = 3 * height * width, path.stat().st_size
            claims.check_expansion(path, ImageFileError, (height, width), needed, size, claims.ANY_CODEC)
            stream.thread_type = "AUTO"
            end, damaged = 0.0, 0
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError:  # the frames after it may be whole
                    warn(
                        f"{path}: a frame {_find_time(packet):.3g} s after the start cannot be decoded, and is left out"
                    )
                    continue
                for frame in decoded:
                    if frame.is_corrupt and not damaged:
                        warn(f"{path}: a frame {frame.time or 0:.3g} s after the start is damaged, and may be wrong")
                    damaged += frame.is_corrupt
                    yield frame
                if packet.pts is not None and stream.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * stream.time_base))
            _warn_if_short(path, container, stream, end)
    except av.error.MemoryError as error:  # FFmpeg raises it for any size in a file that it finds absurd
        raise ImageFileError(path, "asks for more memory than FFmpeg may take") from error


def _find_time(packet: Packet[VideoStream]) -> float:
    """Return when what a packet holds is shown, in seconds; 0 if it does not say."""
    return float((packet.pts or 0) * packet.time_base) if packet.time_base is not None else 0.0


def _warn_if_short(path: Path, container: InputContainer, stream: VideoStream, end: float) -> None:
    """Warn if a file claims a longer video than it holds: its end was cut off then."""
    rate = float(stream.average_rate or 0)
    if container.format.name == "avi":  # FFmpeg takes its length from the size of the file
        said = stream.frames / rate if rate else 0.0
    elif stream.duration is not None and stream.time_base is not None:
        said = float(stream.duration * stream.time_base)
    else:  # of the longest stream
        said = (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
    few = 1.5 / rate if rate else 0.0  # not every program writes the duration of the last frame
    if end < said - max(few, 0.02 * said):
        warn(f"{path}: it says that its video has {said:.3g} s, and ends after {end:.3g} s; it may be truncated")


def _open(path: Path, kind: str | None) -> InputContainer:
    # A playlist must not lead to other files or the network, and a name with a colon must not be taken for an address.
    options = {"protocol_whitelist": "file"}
    container: InputContainer = extras.load("av").open(os.path.abspath(path), format=kind, options=options)
    return container


def _to_pixels(frame: VideoFrame, convert: Callable[..., VideoFrame]) -> Numbers:
    """Return a decoded frame as gray or RGB of 8 or 16 bits, without alpha, rotated as a player would."""
    components = frame.format.components
    gray = not frame.format.is_rgb and all(component.is_luma or component.is_alpha for component in components)
    deep = max(component.bits for component in components) > 8
    layout = ("gray16le" if deep else "gray") if gray else ("rgb48le" if deep else "rgb24")
    image = convert(frame, format=layout).to_ndarray()
    return make_plain(np.rot90(image, frame.rotation // 90))
