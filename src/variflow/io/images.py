"""Single images: imagecodecs for PNG, tifffile for TIFF, NumPy and Zarr for arrays, imageio for the rest.

The codecs are imported when they are first used.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variflow.io import claims, npy, png, tiff, zarr_array
from variflow.io.atomic import atomic, destination
from variflow.io.content import content_of
from variflow.io.errors import ImageFileError, explained

_NETPBM = re.compile(rb"P([56])" + 3 * rb"(?:\s|#[^\n]*\n)+(\d{1,10})" + rb"\s")
_MOST_CHANNELS = 16


def read_image(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read one image with the numbers that the file holds.

    The content, not the name, says the format. Sixteen bits stay sixteen bits and floating point stays floating
    point; fewer than eight bits become eight with the range filled (a 1-bit PNG holds 0 and 255). A palette is
    replaced by its RGB colours. An alpha channel is dropped: a frame of a flow has none, and the colours under it are
    used as they are. The orientation noted by a camera (EXIF) is applied to JPEG and the other formats that imageio
    reads, so that the image stands as viewers show it; PNG and TIFF are returned as they are stored, a TIFF whose zero
    is white too. An array of NumPy (``.npy``) or Zarr is an image if its shape is (H, W), or (H, W, C) with at most 16
    channels.

    Parameters
    ----------
    path : str or os.PathLike
        The file, or the folder of a Zarr array.

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
    ImportError
        If it is a Zarr array and Zarr is not installed.

    See Also
    --------
    variflow.read_frames : Files that hold several images, folders of images and videos.

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
    with explained(path, ImageFileError, "cannot be read as an image"):
        if zarr_array.is_zarr(file):
            return _read_zarr(file)
        if not file.is_file():
            raise ImageFileError(path, "not a file")
        start = read_start(file)
        if start == png.MAGIC:
            return _read_png(file)
        if start.startswith(tiff.MAGICS):
            return _read_tiff(file)
        if start.startswith(npy.MAGICS):
            return _read_npy(file)
        if start.startswith((b"P5", b"P6")):
            return _read_netpbm(file)
        return _read_other(file)


def read_start(path: Path) -> bytes:
    """Return the first eight bytes of a file, which say what it is."""
    with path.open("rb") as stream:
        return stream.read(8)


def is_stack(path: Path, shape: tuple[int, ...]) -> bool:
    """Tell an array of frames, (T, H, W) or (T, H, W, C), from one frame, (H, W) or (H, W, C); C is at most 16.

    Raises
    ------
    ImageFileError
        If it is neither.
    """
    channels = len(shape) > 2 and shape[-1] <= _MOST_CHANNELS
    if len(shape) - channels not in (2, 3):
        raise ImageFileError(path, f"an array of shape {shape}; (T, H, W) or (T, H, W, C) with C up to 16 is wanted")
    return len(shape) - channels == 3


def refuse_stack(path: Path, shape: tuple[int, ...]) -> None:
    """Raise `ImageFileError` unless an array of this shape is one frame."""
    if is_stack(path, shape):
        raise ImageFileError(path, f"an array of frames, of shape {shape}; one image is wanted, or read_frames")


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
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(f"{folder}/frame.png", np.full((2, 3), 60000, np.uint16))
    ...     read_image(f"{folder}/frame.png").dtype
    dtype('uint16')
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
    _, image = png.decode(path, path.read_bytes(), ImageFileError)
    if image.ndim == 3 and image.shape[2] in (2, 4):
        image = image[..., :-1]
    return plain(image)


def _read_npy(path: Path) -> npt.NDArray[Any]:
    with path.open("rb") as file:
        header = npy.read_header(path, file, path.stat().st_size, ImageFileError)
        refuse_stack(path, header.shape)
        return plain(npy.read_values(file, header))


def _read_zarr(path: Path) -> npt.NDArray[Any]:
    array = zarr_array.open_array(path, ImageFileError)
    refuse_stack(path, array.shape)
    zarr_array.check_size(path, array, array.shape, ImageFileError)
    return plain(np.asarray(array[...]))


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    with tiff.opened(path, ImageFileError) as file:
        series = tiff.checked_series(path, file, ImageFileError)
        if series.axes not in ("YX", "YXS", "SYX"):
            shape = " x ".join(map(str, series.shape))
            raise ImageFileError(
                path, f"a stack of images ({shape}, axes {series.axes}); one image is wanted, or read_frames"
            )
        tiff.check_data(path, series, series.pages, ImageFileError)
        return tiff_pixels(path, series.asarray(), series.axes, series.keyframe)


def tiff_pixels(path: Path, image: npt.NDArray[Any], axes: str, page: Any) -> npt.NDArray[Any]:
    """Turn what the pages of a TIFF hold, with axes YX, or YX and one of S and C, into gray or RGB without alpha."""
    if len(axes) == 3 and axes.endswith("YX"):
        image = np.moveaxis(image, 0, -1)
    return plain(_tiff_colors(path, image, page))


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
    with open_pictures(path) as file:
        count = picture_count(file)
        if count > 1:
            raise ImageFileError(path, f"holds {count} images; one is wanted, or read_frames")
        mode = file.metadata(index=0)["mode"]
        image = read_picture(path, file, 0, "RGB" if mode in ("CMYK", "YCbCr", "LAB", "HSV") else None)
    if image.ndim == 3 and image.shape[2] in (2, 4):
        image = image[..., :-1]
    return plain(image)


def open_pictures(path: Path) -> Any:
    """Open a file of one or several pictures with imageio.

    Raises
    ------
    ImageFileError
        If its content is none of the pictures that are known here: others, Pillow may give to another program.
    """
    import imageio.v3 as imageio

    found = content_of(path)
    if not found.decoders:
        raise ImageFileError(path, f"is {found.name}, no image that can be read")

    return imageio.imopen(path, "r", plugin="pillow")


def read_picture(path: Path, file: Any, index: int, mode: str | None) -> npt.NDArray[Any]:
    """Read one picture of such a file, upright, once the size that it claims is checked.

    Raises
    ------
    ImageFileError
        If no file of that length could hold so many pixels; imageio raises its own errors for what it cannot decode.
    """
    height, width = file.properties(index=index).shape[:2]
    # Four bytes a pixel, because whatever is stored, palettes and animations pass through RGB with alpha.
    needed, size = 4 * height * width, path.stat().st_size
    claims.check_expansion(path, ImageFileError, (height, width), needed, size, claims.ANY_CODEC)
    return np.asarray(file.read(index=index, mode=mode, rotate=True))


def picture_count(file: Any) -> int:
    """Return how many pictures such a file holds."""
    return int(file.properties(index=...).n_images or 1)


def plain(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Native byte order, contiguous, and (H, W) rather than (H, W, 1)."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))
