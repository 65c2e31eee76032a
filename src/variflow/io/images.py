"""Images: imagecodecs for PNG, tifffile for TIFF, imageio for the rest.

imageio alone would read a 16-bit colour PNG as 8 bits. The codecs are imported when they are first used.
"""

from __future__ import annotations

import math
import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variflow.io.atomic import atomic, destination
from variflow.io.errors import ImageFileError

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NETPBM = re.compile(rb"P([56])" + 3 * rb"(?:\s|#[^\n]*\n)+(\d+)" + rb"\s")
_DEFLATE_LIMIT = 1032  # no deflate stream expands more than this


def read_image(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read one image with the numbers that the file holds.

    The content, not the name, says the format. Sixteen bits stay sixteen bits and floating point stays floating
    point; fewer than eight bits become eight with the range filled (a 1-bit PNG holds 0 and 255). A palette is
    replaced by its RGB colours. An alpha channel is dropped: a frame of a flow has none, and the colours under it are
    used as they are. The orientation noted by a camera (EXIF) is applied to JPEG and the other formats that imageio
    reads, so that the image stands as viewers show it; PNG and TIFF are returned as they are stored, a TIFF whose zero
    is white too.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    image : (H, W) or (H, W, C)
        Gray, or channels last; three channels are RGB.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImageFileError
        If it is no image, is damaged, or holds several images.

    Examples
    --------
    >>> import tempfile
    >>> name = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_image(name, np.array([[0, 1000, 65535]], np.uint16))
    >>> read_image(name)
    array([[    0,  1000, 65535]], dtype=uint16)
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{os.fspath(path)}: no such file")
    if not file.is_file():
        raise ImageFileError(path, "not a file")
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
        if start == _PNG:
            image = _read_png(file)
        elif start[:4] in _TIFF:
            image = _read_tiff(file)
        elif start[:2] in (b"P5", b"P6"):
            image = _read_netpbm(file)
        else:
            image = _read_other(file)
    except ImageFileError:
        raise
    except OSError as error:
        raise ImageFileError(path, f"cannot be read as an image: {error.strerror or _first_line(error)}") from error
    except Exception as error:  # each codec has its own kinds of errors
        raise ImageFileError(path, f"cannot be read as an image: {_first_line(error)}") from error
    return image


def write_image(path: str | os.PathLike[str], image: npt.ArrayLike) -> None:
    """Write one image; the extension of the name says the format (``.png``, ``.tif``, ``.tiff``, ``.jpg``, ``.jpeg``).

    The file appears complete or not at all. PNG and TIFF are lossless; JPEG is not, and takes 8 bits only.

    Parameters
    ----------
    path : str or os.PathLike
        The file; an existing one is replaced.
    image : array_like (H, W), (H, W, 1) or (H, W, 3)
        Gray or RGB, of type uint8, uint16 or bool; bool is written as 0 and 255.

    Raises
    ------
    ImageFileError
        If the extension is unknown.
    TypeError, ValueError
        If `image` has another type or shape.
    """
    check_image_path(path)
    extension = Path(path).suffix.lower()
    pixels: npt.NDArray[Any] = np.asarray(image)
    wanted = ("uint8", "bool") if extension in (".jpg", ".jpeg") else ("uint8", "uint16", "bool")
    if pixels.dtype.name not in wanted:
        raise TypeError(f"image: its type is {pixels.dtype}, {extension} takes {', '.join(wanted)}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or 0 in pixels.shape:
        raise ValueError(f"image: its shape is {pixels.shape}, (H, W) or (H, W, 3) with at least one pixel is wanted")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))

    with atomic(path) as file:
        if extension == ".png":
            import imagecodecs

            file.write(imagecodecs.png_encode(pixels))
        elif extension in (".tif", ".tiff"):
            import tifffile

            photometric = "rgb" if pixels.ndim == 3 else "minisblack"
            tifffile.imwrite(file, pixels, photometric=photometric, compression="zlib", metadata=None)
        else:
            import imageio.v3 as imageio

            file.write(imageio.imwrite("<bytes>", pixels, extension=".jpg", plugin="pillow", quality=95))


def check_image_path(path: str | os.PathLike[str]) -> None:
    """Raise what `write_image` would if it can write no image there: to be asked before long work."""
    if Path(path).suffix.lower() not in (".png", ".tif", ".tiff", ".jpg", ".jpeg"):
        raise ImageFileError(path, "the name of an image to write ends with .png, .tif, .tiff, .jpg or .jpeg")
    destination(path)


def _read_png(path: Path) -> npt.NDArray[Any]:
    import imagecodecs

    data = path.read_bytes()
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise ImageFileError(path, "truncated within the header of a PNG")
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    bits = width * height * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 1)
    # The codec allocates what the header claims; what no compression could have held is refused before that.
    if bits > 8 * _DEFLATE_LIMIT * len(data):
        raise ImageFileError(path, f"its header says {width} x {height} pixels, too many for {len(data)} bytes of PNG")
    image: npt.NDArray[Any] = imagecodecs.png_decode(data)
    if image.ndim == 3 and image.shape[2] in (2, 4):
        image = image[..., :-1]
    return _plain(image)


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        if series.axes not in ("YX", "YXS", "SYX"):
            shape = " x ".join(map(str, series.shape))
            raise ImageFileError(path, f"a stack of images ({shape}, axes {series.axes}); one image is wanted")
        image = series.asarray()
        if series.axes == "SYX":
            image = np.moveaxis(image, 0, -1)
        return _plain(_tiff_colors(path, image, series.keyframe))


def _tiff_colors(path: Path, image: npt.NDArray[Any], page: Any) -> npt.NDArray[Any]:
    """Turn what a TIFF page stores into gray or RGB, without alpha."""
    photometric = page.photometric.name
    if photometric == "PALETTE":
        return np.asarray(page.colormap.T[image] >> 8).astype(np.uint8)
    if photometric not in ("MINISBLACK", "MINISWHITE", "RGB", "YCBCR"):
        raise ImageFileError(path, f"its colours are {photometric}; gray, RGB or a palette is wanted")
    # Kinds 1 and 2 of an extra sample are alpha; kind 0 is one more channel of the measurement.
    alpha = sum(int(kind) in (1, 2) for kind in page.extrasamples)
    return image[..., : image.shape[2] - alpha] if image.ndim == 3 and alpha else image


def _read_netpbm(path: Path) -> npt.NDArray[Any]:
    """Read binary PGM and PPM; the library beneath imageio reduces 16-bit PPM to 8 bits."""
    data = path.read_bytes()
    header = _NETPBM.match(data)
    if header is None:
        raise ImageFileError(path, "a PGM or PPM with a damaged header")
    kind, width, height, largest = map(int, header.groups())
    if width < 1 or height < 1 or not 1 <= largest <= 65535:
        raise ImageFileError(path, f"its header says {width} x {height} pixels with values up to {largest}")
    shape = (height, width) if kind == 5 else (height, width, 3)
    stored = np.dtype(np.uint8 if largest < 256 else ">u2")
    count = math.prod(shape)
    if len(data) - header.end() < count * stored.itemsize:
        raise ImageFileError(path, f"truncated: {len(data)} bytes, {header.end() + count * stored.itemsize} wanted")
    image = np.frombuffer(data, stored, count, header.end()).reshape(shape)
    return image.astype(stored.newbyteorder("="))


def _read_other(path: Path) -> npt.NDArray[Any]:
    import imageio.v3 as imageio

    opened: Any = imageio.imopen(path, "r", plugin="pillow")  # the options below are those of this plugin
    with opened as file:
        count = file.properties(index=...).n_images or 1
        if count > 1:
            raise ImageFileError(path, f"holds {count} images; one is wanted")
        mode = file.metadata(index=0)["mode"]
        convert = "RGB" if mode in ("CMYK", "YCbCr", "LAB", "HSV") else None
        image = np.asarray(file.read(index=0, mode=convert, rotate=True))
    if image.ndim == 3 and image.shape[2] in (2, 4):
        image = image[..., :-1]
    return _plain(image)


def _plain(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Native byte order, contiguous, and (H, W) rather than (H, W, 1)."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
