"""PNG files, decoded by imagecodecs: imageio would read a 16-bit colour PNG as 8 bits."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from variflow.base.types import Numbers
from variflow.io import claims
from variflow.io.errors import FileFormatError, ImageFileError
from variflow.io.sequences import Frames, One

MAGIC = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class Header(NamedTuple):
    """The header of a PNG; `kind` is 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha."""

    width: int
    height: int
    bits: int
    kind: int


def decode(path: Path, data: bytes, error: type[FileFormatError]) -> tuple[Header, Numbers]:
    """Decode the bytes of a PNG file; its header is checked before memory is allocated.

    Parameters
    ----------
    path : Path
        Where they come from, for messages.
    data : bytes
        All of the file.
    error : type
        The error to raise.

    Returns
    -------
    header : Header
        The header of the file.
    pixels : uint8 or uint16, (H, W) or (H, W, C)
        With alpha if the file has it.

    Raises
    ------
    FileFormatError
        Of that kind, if the header cannot be true; the codec raises its own errors for other damage.
    """
    import imagecodecs

    if len(data) < 33 or data[12:16] != b"IHDR":
        raise error(path, "truncated within the header of a PNG")
    header = Header(*struct.unpack(">IIBB", data[16:26]))
    if header.kind not in _CHANNELS or header.bits not in (1, 2, 4, 8, 16):
        raise error(path, f"its header says colours of kind {header.kind} with {header.bits} bits, which PNG has not")
    size = header.width, header.height
    stored_bits = header.width * header.height * header.bits * _CHANNELS[header.kind]
    needed = (
        header.width * header.height * (3 if header.kind == 3 else _CHANNELS[header.kind]) * max(header.bits // 8, 1)
    )
    claims.check_expansion(path, error, size, needed, len(data), claims.DEFLATE * -(-8 * needed // max(stored_bits, 1)))
    try:
        return header, imagecodecs.png_decode(data)
    except imagecodecs.PngError as fault:
        if find_end(data) > len(data):
            raise error(path, f"truncated: {len(data)} bytes, and the PNG does not end with them") from fault
        raise


def open_frames(path: Path) -> Frames:
    """Open the frames of a PNG: one, or those of an animation (APNG).

    Raises
    ------
    ImageFileError
        If it is a damaged animation, or one of 16 bits, of which only 8 would be read.
    """
    data = path.read_bytes()
    place = data.find(b"acTL", 33, max(data.find(b"IDAT"), 0))
    count = int.from_bytes(data[place + 4 : place + 8], "big")
    if place < 0 or count < 2:
        return One(path, _read_image)
    if find_end(data) > len(data) or count > data.count(b"fcTL"):  # Pillow would allocate whatever is claimed
        raise ImageFileError(path, f"an animated PNG that is damaged: its header says {count} frames")
    if data[24:25] == b"\x10":
        raise ImageFileError(path, "an animated PNG of 16 bits, of which 8 can be read; convert it to a TIFF")
    from variflow.io.pictures import Pictures

    return Pictures(path, ("PNG",))


def _read_image(path: Path) -> Numbers:
    """Read gray or RGB; alpha is dropped."""
    _, image = decode(path, path.read_bytes(), ImageFileError)
    return image[..., :-1] if image.ndim == 3 and image.shape[2] in (2, 4) else image


def find_end(data: bytes) -> int:
    """Return where the last chunk (IEND) of a PNG ends, or a position beyond `data` if it is cut off."""
    position = len(MAGIC)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return position
    return len(data) + 1
