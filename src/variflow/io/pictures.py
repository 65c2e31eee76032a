"""The picture formats that Pillow decodes: JPEG, GIF, WebP, BMP and others, with one picture or an animation."""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from variflow.base.caching import cached_property
from variflow.base.errors import warn
from variflow.base.types import Numbers
from variflow.io import claims
from variflow.io.errors import ImageFileError, explain_errors
from variflow.io.opening import get_size, hold_open
from variflow.io.sequences import Frames, make_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

_AS_STORED = ("L", "RGB", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


class Pictures(Frames):
    """The pictures of one file, turned upright as the camera noted, in RGB if there are several.

    Parameters
    ----------
    path : Path
        An existing file.
    decoders : tuple of str
        The formats that it may have, by Pillow's names.

    Raises
    ------
    ImageFileError
        If Pillow cannot open it.
    """

    def __init__(self, path: Path, decoders: tuple[str, ...]) -> None:
        self._path, self._decoders, self._file = path, decoders, hold_open(path, self)
        with explain_errors(path, ImageFileError, "cannot be read as an image"), self._open() as file:
            self._check_size(file)
            self._places = _find_frames(path, file)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def fps(self) -> float | None:
        """The number of frames per second; None if the file does not say, or some frames last longer than others."""
        seconds = set(self._durations)
        return 1 / seconds.pop() if len(seconds) == 1 else None

    @property
    def times(self) -> list[float] | None:
        """When each frame is shown, in seconds after the first; None if the file does not say."""
        return list(accumulate(self._durations[:-1], initial=0.0)) if self._durations else None

    @cached_property
    def _durations(self) -> list[float]:
        """How many seconds each frame is shown; empty if the file does not say."""
        durations = []
        with explain_errors(self._path, ImageFileError, "cannot be read as an image"), self._open() as file:
            for place in self._places if len(self) > 1 else ():
                file.seek(place)
                if file.format in ("WEBP", "AVIF"):  # of which Pillow knows it once the picture is decoded
                    file.load()
                durations.append(float(file.info.get("duration", 0)) / 1000)
        return durations if all(durations) else []

    def _read_frame(self, index: int) -> Numbers:
        from PIL import ImageOps

        what = f"frame {index} cannot be read" if len(self) > 1 else "cannot be read as an image"
        with explain_errors(self._path, ImageFileError, what):
            if (deep := _find_deep_decoder(self._path, self._file)) is not None:
                self._file.seek(0)
                image = np.asarray(deep(self._file.read()))
                return make_plain(image[..., :-1] if image.ndim == 3 and image.shape[2] in (2, 4) else image)
            with self._open() as file:  # now, for Pillow goes on reading a DDS from where it is
                if self._places[index]:  # a file of one picture may not support seeking
                    file.seek(self._places[index])
                self._check_size(file)
                # A PNG is left as it is stored.
                upright = file if file.format == "PNG" else ImageOps.exif_transpose(file)
                return _to_pixels(upright, several=len(self) > 1)

    def _open(self) -> Image.Image:
        from PIL import Image

        return Image.open(self._file, formats=self._decoders)

    def _check_size(self, file: Image.Image) -> None:
        """Refuse a size that no file of this length could hold."""
        width, height = file.size
        # Four bytes a pixel, because palettes and animations pass through RGB with alpha.
        needed, size = 4 * height * width, get_size(self._file)
        claims.check_expansion(self._path, ImageFileError, (height, width), needed, size, claims.ANY_CODEC)


def begins_stream(path: Path) -> bool:
    """Return whether another JPEG of the same size follows a JPEG at once, as in a stream of Motion JPEG."""
    from PIL import Image

    data = path.read_bytes()
    end = data.find(b"\xff\xd9\xff\xd8\xff") + 2
    if end < 2 or b"MPF\0" in data[:end]:  # it says itself what follows
        return False
    with suppress(OSError, ValueError, Image.DecompressionBombError):
        first, second = (Image.open(io.BytesIO(part), formats=("JPEG",)) for part in (data[:end], data[end:]))
        return bool(first.size == second.size)
    return False


def _find_deep_decoder(path: Path, file: BinaryIO) -> Callable[[bytes], Numbers] | None:
    """Return the decoder of a picture of more than eight bits, which Pillow would reduce to eight, or None."""
    file.seek(0)
    start = file.read(8192)
    if start[3:4] == b"\2" and start.startswith(b"\x01\xda"):
        raise ImageFileError(path, "an SGI picture of 16 bits, of which 8 can be read; convert it to PNG or TIFF")
    size = start.find(b"\xff\x51")  # where a code stream of JPEG 2000 says how large it is, and how deep
    profile = start.find(b"av1C")
    j2k = start.startswith((b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51"))
    if j2k and 0 <= size < len(start) - 40 and start[size + 40] & 127 > 7:
        import imagecodecs

        return imagecodecs.jpeg2k_decode
    if start[4:8] == b"ftyp" and 0 <= profile < len(start) - 6 and start[profile + 6] & 0x40:
        import imagecodecs

        return imagecodecs.avif_decode
    return None


def _find_frames(path: Path, file: Image.Image) -> list[int]:
    """Return the numbers of the pictures that are frames."""
    places = list(range(int(getattr(file, "n_frames", 1))))
    if file.format == "PNG" and file.info.get("default_image"):  # shown by programs without support for animation
        return places[1:]
    if file.format != "MPO":
        return places
    # A JPEG followed by others: more views, or small previews.
    sizes = []
    for place in places:
        file.seek(place)
        sizes.append(file.size)
    alike = [place for place in places if sizes[place] == sizes[0]]
    if len(alike) < len(places):
        others = ", ".join(f"{w} x {h}" for w, h in sizes if (w, h) != sizes[0])
        warn(f"{path}: its pictures of {sizes[0][0]} x {sizes[0][1]} pixels are read, and left out: {others}")
    return alike


def _to_pixels(picture: Image.Image, several: bool) -> Numbers:
    """Turn a picture into gray or RGB without alpha; bits below eight fill the range."""
    mode = picture.mode
    if several:
        picture = picture.convert("RGB")
    elif mode in ("1", "LA", "La"):
        picture = picture.convert("L")
    elif mode not in _AS_STORED:
        picture = picture.convert("RGB")
    return make_plain(np.array(picture))
