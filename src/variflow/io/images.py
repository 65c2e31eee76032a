"""Write single images; the codecs are imported when they are first used."""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from variflow.base.arrays import INTENSITIES, MOST_CHANNELS, read
from variflow.base.kinds import is_float
from variflow.base.types import Numbers
from variflow.io.atomic import atomic, find_destination
from variflow.io.errors import ImageFileError
from variflow.io.paths import check_path

if TYPE_CHECKING:
    from tifffile import TiffWriter


def write_image(path: str | os.PathLike[str], image: npt.ArrayLike) -> None:
    """Write one image; the extension of the name says the format (``.png``, ``.tif``, ``.tiff``, ``.jpg``, ``.jpeg``).

    The file appears complete or not at all. PNG and TIFF are lossless; JPEG is not, and takes 8 bits only. TIFF takes
    integers of every size, and floating point, which it stores with 32 bits.

    Parameters
    ----------
    path : str or os.PathLike
        The file; an existing one is replaced.
    image : array_like (H, W), (H, W, 1) or (H, W, 3)
        Gray or RGB, of type uint8, uint16 or bool, which is written as 0 and 255; for TIFF of any real type, and with
        up to 16 channels.

    Raises
    ------
    ImageFileError
        If the extension is unknown.
    TypeError, ValueError
        If `image` has another type or shape, or holds numbers beyond what 32 bits can.

    See Also
    --------
    write_frames : Many images, in one file or in a folder.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from variflow import read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(f"{folder}/frame.png", np.full((2, 3), 60000, np.uint16))
    ...     read_image(f"{folder}/frame.png").dtype
    dtype('uint16')
    """
    check_path(path, image=image)
    check_image_path(path)
    extension = Path(path).suffix.lower()
    pixels = as_pixels(image, extension, "image")
    with atomic(path) as file:
        if extension == ".png":
            import imagecodecs

            file.write(imagecodecs.png_encode(pixels))
        elif extension in (".tif", ".tiff"):
            memory = io.BytesIO()  # tifffile would not say that the disk is full
            write_page(memory, pixels)
            file.write(memory.getbuffer())
        else:
            import imageio.v3 as imageio

            file.write(imageio.imwrite("<bytes>", pixels, extension=".jpg", plugin="pillow", quality=95))


def write_page(file: TiffWriter | IO[bytes], pixels: Numbers) -> None:
    """Write pixels as one page of a TIFF, to a binary file or with a `tifffile.TiffWriter`."""
    import tifffile

    write: Any = file.write if isinstance(file, tifffile.TiffWriter) else functools.partial(tifffile.imwrite, file)
    layout = {"planarconfig": "contig"} if pixels.ndim == 3 else {}
    photometric = "rgb" if pixels.shape[2:] == (3,) else "minisblack"
    write(pixels, photometric=photometric, compression="zlib", metadata=None, **layout)


def as_pixels(image: npt.ArrayLike, extension: str, name: str) -> Numbers:
    """Return an image as a file with this extension stores it; raise, naming the image, if it cannot."""
    tiff = extension in (".tif", ".tiff")
    wanted = ("uint8", "bool") if extension in (".jpg", ".jpeg", ".mp4") else ("uint8", "uint16", "bool")
    pixels, known = read(image, name, INTENSITIES)
    if not tiff and pixels.dtype.name not in wanted:
        advice = _advise(pixels, wanted, extension)
        raise TypeError(f"{name} has dtype {pixels.dtype}, {extension} takes {', '.join(wanted)}; {advice}")
    if known is not None and is_float(pixels.dtype):
        pixels = np.where(known, pixels, np.nan)
    elif known is not None:
        raise ValueError(f"{name} has masked pixels, wanted none; {name}.filled(...) gives them a value")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    channels = pixels.shape[-1] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (channels > MOST_CHANNELS if tiff else channels not in (1, 3)):
        shapes = f"(H, W) or (H, W, C) with C up to {MOST_CHANNELS} and" if tiff else "(H, W) or (H, W, 3) with"
        hint = f"; channels come last: np.moveaxis({name}, 0, 2)" if pixels.ndim == 3 and len(pixels) == 3 else ""
        raise ValueError(f"{name} has shape {pixels.shape}, wanted {shapes} at least one pixel{hint}")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if is_float(pixels.dtype) and pixels.dtype != np.float32:
        with np.errstate(over="ignore"):
            single = pixels.astype(np.float32)
        if (np.isinf(single) & np.isfinite(pixels)).any():
            raise ValueError(f"{name} has numbers beyond 3.4e38, and {extension} stores floating point with 32 bits")
        pixels = single
    return np.ascontiguousarray(pixels)


def _advise(pixels: Numbers, wanted: tuple[str, ...], extension: str) -> str:
    """Return how to convert an image that a format does not take."""
    takers = ".mkv and .tif take" if extension == ".mp4" and pixels.dtype == np.uint16 else ".tif takes"
    best = "uint16" if "uint16" in wanted else "uint8"
    most = np.iinfo(best).max
    if is_float(pixels.dtype):
        convert = f"numbers from 0 to 1 become that by ({most} * image).round().astype('{best}')"
    else:
        convert = f"numbers from 0 to {most} become that by image.astype('{best}')"
    return f"{convert}, and {takers} them as they are"


def check_image_path(path: str | os.PathLike[str]) -> None:
    """Raise the error of `write_image` if it cannot write to this path; for a check before long work."""
    check_path(path)
    if Path(path).suffix.lower() not in (".png", ".tif", ".tiff", ".jpg", ".jpeg"):
        raise ImageFileError(path, "the name of an image to write ends with .png, .tif, .tiff, .jpg or .jpeg")
    find_destination(path)
