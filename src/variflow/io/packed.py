"""Files compressed as a whole: ``.gz``, ``.bz2``, ``.xz`` around a file of frames."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from variflow.base.types import Numbers
from variflow.io.errors import ImageFileError, explain_errors
from variflow.io.opening import get_size, open_steady
from variflow.io.sequences import Frames

_OPENERS: dict[bytes, Callable[[BinaryIO], io.BufferedIOBase]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_MOST = 200
"""No measurement shrinks by more than this factor; a file that does was made to fill a disk."""

_HARMLESS = 1 << 28
_STEP = 1 << 20


def is_packed(path: Path) -> bool:
    """Return whether a file is compressed as a whole, in a known way."""
    with path.open("rb") as file:
        return file.read(8).startswith(tuple(_OPENERS))


class Unpacked(Frames):
    """The frames of a compressed file, which is unpacked into a temporary folder while they are in use.

    Parameters
    ----------
    path : Path
        The compressed file.
    read : callable
        Opens the frames of the unpacked file.

    Raises
    ------
    ImageFileError
        If it is damaged, unpacks to an implausible size, or is packed twice.
    """

    def __init__(self, path: Path, read: Callable[[Path], Frames]) -> None:
        self._path = path
        folder = tempfile.mkdtemp(prefix="variflow-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        file = Path(folder) / (path.stem or "file")
        with explain_errors(path, ImageFileError, "cannot be unpacked"):
            _unpack(path, file)
        if is_packed(file):
            raise ImageFileError(path, "packed twice; unpack it once")
        with self._name_errors():
            self._frames = read(file)

    def __len__(self) -> int:
        with self._name_errors():
            return len(self._frames)

    @property
    def fps(self) -> float | None:
        """The mean number of frames per second; None if it is unknown."""
        with self._name_errors():
            return self._frames.fps

    @property
    def times(self) -> list[float] | None:
        """When each frame is shown, in seconds after the first; None if that is unknown."""
        with self._name_errors():
            return self._frames.times

    @property
    def _known_length(self) -> int | None:
        return self._frames._known_length

    def _reaches(self, index: int) -> bool:
        with self._name_errors():
            return self._frames._reaches(index)

    def _read_frame(self, index: int) -> Numbers:
        with self._name_errors():
            return self._frames._read_frame(index)

    @contextmanager
    def _name_errors(self) -> Iterator[None]:
        """Let errors name the compressed file."""
        try:
            yield
        except ImageFileError as error:
            raise ImageFileError(self._path, error.reason) from error


def _unpack(path: Path, target: Path) -> None:
    with open_steady(path, ImageFileError) as file, target.open("wb") as unpacked:
        most = max(_HARMLESS, _MOST * get_size(file))
        start = file.read(8)
        file.seek(0)
        source = next(opener for magic, opener in _OPENERS.items() if start.startswith(magic))(file)
        while part := source.read(_STEP):
            if unpacked.tell() + len(part) > most:
                raise ImageFileError(
                    path, f"unpacks to more than {most} bytes, {_MOST} times its size; unpack it if you trust it"
                )
            unpacked.write(part)
