"""Writing single images; the codecs are imported when they are first used."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from variflow.arrays import INTENSITIES, read
from variflow.io.atomic import atomic, destination
from variflow.io.errors import ImageFileError


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
    check_image_path(path)
    extension = Path(path).suffix.lower()
    wanted = ("uint8", "bool") if extension in (".jpg", ".jpeg") else ("uint8", "uint16", "bool")
    pixels, known = read(image, "image", INTENSITIES)
    if pixels.dtype.name not in wanted:
        raise TypeError(f"image has dtype {pixels.dtype}, {extension} takes {', '.join(wanted)}")
    if known is not None:
        raise ValueError("image has masked pixels, which no image file can say; image.filled(...) gives them a value")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or 0 in pixels.shape:
        hint = "; channels come last: np.moveaxis(image, 0, 2)" if pixels.ndim == 3 and len(pixels) == 3 else ""
        raise ValueError(f"image has shape {pixels.shape}, wanted (H, W) or (H, W, 3) with at least one pixel{hint}")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)

    with atomic(path) as file:
        if extension == ".png":
            import imagecodecs

            file.write(imagecodecs.png_encode(pixels))
        elif extension in (".tif", ".tiff"):
            import tifffile

            photometric = "rgb" if pixels.ndim == 3 else "minisblack"
            memory = io.BytesIO()  # tifffile would not say why a disk takes no more
            tifffile.imwrite(memory, pixels, photometric=photometric, compression="zlib", metadata=None)
            file.write(memory.getbuffer())
        else:
            import imageio.v3 as imageio

            file.write(imageio.imwrite("<bytes>", pixels, extension=".jpg", plugin="pillow", quality=95))


def check_image_path(path: str | os.PathLike[str]) -> None:
    """Raise what `write_image` would if it can write no image there: to be asked before long work."""
    if Path(path).suffix.lower() not in (".png", ".tif", ".tiff", ".jpg", ".jpeg"):
        raise ImageFileError(path, "the name of an image to write ends with .png, .tif, .tiff, .jpg or .jpeg")
    destination(path)
