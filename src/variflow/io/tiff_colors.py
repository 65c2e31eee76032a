"""What the samples of a TIFF page mean: gray, RGB, a palette or inks, and which are alpha or missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from variflow.base.errors import warn
from variflow.base.kinds import is_float, is_integer, is_real
from variflow.base.types import Numbers

if TYPE_CHECKING:
    from tifffile import TiffPage

_GRAY, _WHITE_ZERO, _RGB, _PALETTE, _INK, _YCBCR = 1, 0, 2, 3, 5, 6
_BANDS = {_WHITE_ZERO: 1, _GRAY: 1, _RGB: 3, _PALETTE: 1, _INK: 4, _YCBCR: 3}
_NAMES = {_WHITE_ZERO: "gray whose zero is white", _GRAY: "gray", _RGB: "RGB", _PALETTE: "palette", _INK: "CMYK"}
_NAMES |= {_YCBCR: "YCbCr"}
# Codecs that do not convert colours. From the others, such as JPEG, tifffile returns RGB.
_PLAIN_CODECS = (1, 5, 8, 32773, 32946, 34925, 50000)
NODATA = 42113
"""The tag of GDAL that names the number which stands for missing data."""


Kind = tuple[tuple[int, ...], str, int, str]
"""What the pages of one sequence have in common: shape, type, bits a sample, and what the samples are."""


def find_problem(page: TiffPage) -> str | None:
    """Return why a page cannot be read as an image, or None."""
    photometric = int(page.photometric)
    if page.dtype is None or page.shape is None or 0 in page.shape or not page.shape:
        return "has no pixels, or none of a known type"
    if page.axes not in ("YX", "YXS", "SYX"):
        return f"holds a volume (axes {page.axes}) in one page, wanted one image a page"
    if not is_real(page.dtype):
        return f"holds {page.dtype}, wanted real numbers"
    if photometric not in _BANDS:
        said = getattr(page.photometric, "name", f"of the unknown kind {photometric}")
        return f"its colours are {said}, wanted gray, RGB, CMYK, YCbCr or a palette"
    if page.samplesperpixel - count_alphas(page) < _BANDS[photometric]:
        return f"has {page.samplesperpixel} samples a pixel, {_NAMES[photometric]} needs {_BANDS[photometric]} or more"
    if photometric == _PALETTE and (page.colormap is None or page.dtype.kind not in "ub"):
        return f"its colours are those of a palette, and its pixels {page.dtype}; it has no palette for them"
    if photometric == _YCBCR and int(page.compression) in _PLAIN_CODECS and not _has_full_range(page):
        return "its black and white of YCbCr are not those of JPEG; convert it to RGB"
    ink = page.tags.get(332)
    if photometric == _INK and (page.dtype.kind == "i" or page.samplesperpixel > 5 or (ink and ink.value != 1)):
        return "its colours are inks other than cyan, magenta, yellow and black"
    return None


def _has_full_range(page: TiffPage) -> bool:
    """Return whether luma and chroma use the range 0 to 255, as they do unless a tag says otherwise."""
    tag = page.tags.get(532)
    ratios = (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1) if tag is None else tag.value
    return [top / bottom for top, bottom in zip(ratios[::2], ratios[1::2], strict=True)] == [0, 255, 128, 255, 128, 255]


def count_alphas(page: TiffPage) -> int:
    """Return how many samples are alpha. An extra sample of no named kind is a further channel."""
    return sum(int(kind) in (1, 2) for kind in page.extrasamples)


def describe_kind(page: TiffPage, planes: int) -> Kind:
    """Return what pages must have in common to be frames of one sequence: shape, type and meaning."""
    photometric = int(page.photometric)
    channels = page.samplesperpixel * planes - count_alphas(page)
    name, bits = _NAMES.get(photometric, f"colours of kind {photometric}"), page.bitspersample
    if photometric in (_PALETTE, _INK):
        channels, bits = 3, 8 if photometric == _PALETTE else bits
    if photometric in (_PALETTE, _INK, _YCBCR):
        name = "RGB"
    size = (page.imagelength, page.imagewidth)
    return (*size, *((channels,) if channels > 1 else ())), str(page.dtype), bits, name


def to_pixels(path: Path, stored: Numbers, page: TiffPage) -> Numbers:
    """Turn what a page stores, (H, W) or (H, W, S), into gray or RGB without alpha, NaN where it is missing."""
    photometric = int(page.photometric)
    if count_alphas(page) and stored.ndim == 3:
        stored = stored[..., : stored.shape[2] - count_alphas(page)]
    if stored.ndim == 3 and stored.shape[2] == 1:
        stored = stored[..., 0]
    missing = find_missing(path, stored, page)
    if stored.dtype == np.bool_:
        stored = stored.astype(np.uint8)
    if photometric == _PALETTE and page.colormap is not None:
        image = _paint(stored if stored.ndim == 2 else stored[..., 0], page.colormap)
    elif photometric == _INK:
        image = _mix_inks(stored)
    else:
        image = _widen(stored, page.bitspersample)
        if photometric == _YCBCR and int(page.compression) in _PLAIN_CODECS:
            image = _from_ycbcr(image)
    if missing is None:
        return image
    if photometric not in (_GRAY, _WHITE_ZERO) and missing.ndim == 3:  # a colour is missing if all its samples are
        missing = np.asarray(missing.all(axis=2))
    if not is_float(image.dtype):
        image = image.astype(np.float32 if image.dtype.itemsize < 4 else np.float64)
    image[missing] = np.nan
    return image


def find_missing(path: Path, stored: Numbers, page: TiffPage) -> npt.NDArray[np.bool_] | None:
    """Return which samples are missing, or None if the file has no number for missing data.

    The tag GDAL_NODATA holds it as text, often with fewer digits than the samples have.
    """
    number = find_nodata(path, page, stored.dtype)
    if number is None:
        return None
    if not is_float(stored.dtype):
        return np.asarray(stored == number)
    step = max(2 * float(np.finfo(stored.dtype).eps), 1e-14)
    with np.errstate(over="ignore"):
        return np.asarray(np.isclose(stored, number, rtol=step, atol=0))


def find_nodata(path: Path, page: TiffPage, dtype: np.dtype[np.generic]) -> Any:
    """Return the number for missing data in the type of the samples, or None if no sample can hold it."""
    tag = page.tags.get(NODATA)
    if tag is None:
        return None
    text = (tag.value.decode(errors="replace") if isinstance(tag.value, bytes) else str(tag.value)).strip(" \0\n")
    try:
        number = float(text)
    except ValueError:
        if not text.lower().startswith(("-1.#", "1.#", "nan")):  # as older programs write NaN
            warn(f"{path}: its tag GDAL_NODATA is {text!r}, which is no number; no pixel is taken as missing")
        return None
    if np.isnan(number):
        return None
    if is_float(dtype):
        limit = float(np.finfo(dtype).max)  # the largest number, written with few digits, may round to a larger one
        return dtype.type(number if "inf" in text.lower() else min(max(number, -limit), limit))
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if is_integer(dtype) else (0, 1)
    return dtype.type(number) if number.is_integer() and low <= number <= high else None


def _widen(stored: Numbers, bits: int | tuple[int, ...]) -> Numbers:
    """Scale numbers of fewer than eight bits to eight."""
    if not isinstance(bits, int) or bits >= 8:
        return stored
    table = np.rint(np.arange(256) * (255 / (2**bits - 1))).clip(0, 255).astype(np.uint8)
    return np.asarray(table[stored])


def _paint(indices: Numbers, colormap: Numbers) -> npt.NDArray[np.uint8]:
    # Palettes have sixteen bits a colour, but some programs write eight.
    colors = (colormap if colormap.max() < 256 else colormap >> 8).T.astype(np.uint8)
    if indices.max() >= len(colors):
        raise ValueError(f"its palette has {len(colors)} colours, a pixel asks for number {indices.max()}")
    return np.asarray(colors[indices])


def _mix_inks(ink: Numbers) -> Numbers:
    """Turn cyan, magenta, yellow and black into RGB, as if the inks were ideal."""
    if is_float(ink.dtype):
        return np.asarray((1 - ink[..., :3]) * (1 - ink[..., 3:4]))
    full = np.iinfo(ink.dtype).max
    wide = ink.astype(np.uint64)
    light = full - wide[..., 3:4]
    colors: Numbers = light - (wide[..., :3] * light + full // 2) // full
    return colors.astype(ink.dtype)


def _from_ycbcr(image: Numbers) -> Numbers:
    """Turn luma and chroma into RGB, by the constants of JPEG."""
    if image.dtype != np.uint8:
        raise ValueError(f"its colours are YCbCr of {image.dtype}, wanted uint8")
    luma, blue, red = np.moveaxis(image[..., :3].astype(np.float64), -1, 0)
    blue, red = blue - 128, red - 128
    colors = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    rounded: Numbers = np.rint(np.stack(colors, axis=-1))
    return rounded.clip(0, 255).astype(np.uint8)
