"""Identify a file by its first bytes, never by its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

from variflow.io import exr, flo, flo5, npy, npz, pfm, png, tiff


class Content(NamedTuple):
    """What a file is.

    Parameters
    ----------
    name : str
        What to call it in a message: "a JPEG", "a video (MP4 or QuickTime)".
    kind : {"image", "array", "flow", "video", "text", "other", "unknown"}
        What it may hold. A PNG, TIFF or PFM is an image that may hold a flow; an array may hold frames or a flow.
    decoders : tuple of str
        The formats, by Pillow's names, that Pillow may decode it as. If empty, Pillow is never given the file.
    """

    name: str
    kind: Literal["image", "array", "flow", "video", "text", "other", "unknown"]
    decoders: tuple[str, ...] = ()


_TEXT = Content("a text file", "text")
_UNKNOWN = Content("a file of no known kind", "unknown")


def _match_any(magics: tuple[bytes, ...]) -> bytes:
    return b"|".join(map(re.escape, magics))


# The first match counts. PostScript comes first, because Pillow would start another program for it.
_STARTS: tuple[tuple[bytes, Content], ...] = (
    (rb"%!PS|\xc5\xd0\xd3\xc6", Content("a page in PostScript", "other")),
    (re.escape(png.MAGIC), Content("a PNG", "image", ("PNG",))),
    (_match_any(tiff.MAGICS), Content("a TIFF", "image")),
    (_match_any(npy.MAGICS), Content("a NumPy array", "array")),
    (_match_any(flo5.MAGICS), Content("an HDF5 file", "array")),
    (_match_any(flo.MAGICS), Content("a .flo file", "flow")),
    (_match_any(exr.MAGICS), Content("an OpenEXR file", "flow")),
    (_match_any(npz.MAGICS), Content("a ZIP file, as .npz are", "flow")),
    (rb"(?:%b)\s" % _match_any(pfm.MAGICS), Content("a .pfm file", "image", ("PPM",))),
    (rb"\xff\xd8\xff", Content("a JPEG", "image", ("JPEG", "MPO"))),
    (rb"GIF8[79]a", Content("a GIF", "image", ("GIF",))),
    (rb"RIFF.{4}WEBP", Content("a WebP", "image", ("WEBP",))),
    (rb"\x00.{3}ftypavi[fs]", Content("an AVIF", "image", ("AVIF",))),
    (rb"\x00.{3}ftyp(?:hei|hev|mif1)", Content("a picture (HEIC)", "other")),
    (rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", Content("a JPEG 2000", "image", ("JPEG2000",))),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", Content("a BMP", "image", ("BMP",))),
    (rb"P[1-6][\s#]", Content("a PBM, PGM or PPM", "image", ("PPM",))),
    (rb"8BPS", Content("a Photoshop picture", "image", ("PSD",))),
    (rb"qoif", Content("a QOI", "image", ("QOI",))),
    (rb"\x01\xda[\x00\x01][\x01\x02]", Content("an SGI picture", "image", ("SGI",))),
    (rb"\x59\xa6\x6a\x95", Content("a Sun raster", "image", ("SUN",))),
    (rb"DDS ", Content("a DDS", "image", ("DDS",))),
    (rb"\n[\x00\x02\x03\x05][\x00\x01][\x01\x02\x04\x08]", Content("a PCX", "image", ("PCX",))),
    (rb"[\x00-\x08].{3}(?:ftyp|moov|mdat|wide|pnot|skip)", Content("a video (MP4 or QuickTime)", "video")),
    (rb"RIFF.{4}AVI ", Content("a video (AVI)", "video")),
    (rb"\x1a\x45\xdf\xa3", Content("a video (Matroska or WebM)", "video")),
    (rb"\x00\x00\x01[\xba\xb3]|G.{187}G.{187}G|.{4}G.{191}G", Content("a video (MPEG)", "video")),
    (rb"\x00?\x00\x00\x01[\x09\x27\x47\x67\x40]", Content("a video (H.264 or H.265)", "video")),
    (rb"OggS", Content("a video (Ogg)", "video")),
    (rb"FLV\x01", Content("a video (FLV)", "video")),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Content("a video (WMV)", "video")),
    (rb"\x06\x0e\x2b\x34", Content("a video (MXF)", "video")),
    (rb"YUV4MPEG2", Content("a video (Y4M)", "video")),
    (rb"DKIF", Content("a video (IVF)", "video")),
    (rb".{4}[\x11\x12]\xaf", Content("a video (FLI)", "video")),
    (rb"\x00\x00\x01\x00", Content("an icon (ICO)", "image", ("ICO",))),
    (rb"%PDF", Content("a PDF", "other")),
    (rb"\x1f\x8b", Content("a file compressed by gzip", "other")),
    (rb"BZh|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!", Content("a compressed file", "other")),
    (rb"CDF[\x01\x02\x05]", Content("a NetCDF file", "array")),
    (rb"GRIB", Content("a GRIB file", "other")),
    (rb"SIMPLE  =", Content("a FITS file", "other")),
    (rb".{128}DICM", Content("a DICOM file", "other")),
    (rb"MATLAB \d", Content("a MATLAB file", "other")),
    (
        # A TGA has no signature. Its colour map, kind, width, height and depth must fit together.
        rb".(?:\x01[\x01\x02\x09\x0a]|\x00[\x02\x03\x0a\x0b]).{9}(?!\x00\x00)..(?!\x00\x00)..[\x01\x08\x0f\x10\x18\x20]",
        Content("a TGA", "image", ("TGA",)),
    ),
)
_KNOWN = tuple((re.compile(start, re.DOTALL), content) for start, content in _STARTS)
_LOOKED_AT = 1024


def identify(path: Path) -> Content:
    """Return what a file is.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    content : Content
        "text" if it has only printable characters; "other" if it is known but of no use here.
    """
    with path.open("rb") as file:
        return identify_start(file.read(_LOOKED_AT))


def identify_start(start: bytes) -> Content:
    """Return what a file is that begins with these bytes.

    Examples
    --------
    >>> identify_start(b"PIEH").name, identify_start(b"u, v").name, identify_start(b"%!PS-Adobe-3.0 EPSF").kind
    ('a .flo file', 'a text file', 'other')
    """
    if not start:
        return Content("an empty file", "other")
    found = next((content for pattern, content in _KNOWN if pattern.match(start)), None)
    return found or (_TEXT if _is_text(start) else _UNKNOWN)


def _is_text(start: bytes) -> bool:
    encoding = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    written = start.decode(encoding, errors="ignore")
    # A character that is cut off at the end is ignored, and so are a few of another encoding.
    whole = len(written.encode(encoding)) >= 0.9 * len(start)
    return whole and all(letter.isprintable() or letter.isspace() for letter in written)
