"""Read files that hold frames; the content of a file says what it is."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from variflow.base.types import Numbers
from variflow.io import arrays, hdf5, netcdf, zarr_array
from variflow.io.content import Content, identify
from variflow.io.errors import ImageFileError, explain_errors
from variflow.io.netpbm import Netpbm
from variflow.io.packed import Unpacked, is_packed
from variflow.io.paths import check_path
from variflow.io.pictures import Pictures, begins_stream
from variflow.io.png import open_frames as open_png
from variflow.io.sequences import Frames
from variflow.io.tiff_pages import Pages
from variflow.io.variables import Measured, choose_variable

# The frames of a folder are named like this: as in the first of these groups of which it holds any. What may lie beside
# frames and be something else (an icon, a flow, what a picture was made from) comes after pictures.
ENDINGS = (
    (
        ".apng", ".avif", ".bmp", ".dds", ".gif", ".j2k", ".jp2", ".jpeg", ".jpg", ".mpo", ".npy", ".pbm", ".pcx",
        ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".ras", ".sgi", ".tga", ".tif", ".tiff", ".webp",
    ),
    (".ico", ".pfm", ".psd"),
    (".cdf", ".h5", ".hdf", ".hdf5", ".nc", ".nc3", ".nc4"),
)  # fmt: skip


def read_image(path: str | os.PathLike[str]) -> Numbers:
    """Read one image with the numbers that the file holds.

    The content, not the name, says the format. Sixteen bits stay sixteen bits, and floating point stays floating
    point. Fewer than eight bits become eight that fill the range (a 1-bit PNG holds 0 and 255). A palette is
    replaced by its RGB colours. An alpha channel is dropped, and the colours under it are used as they
    are. The orientation noted by a camera (EXIF) is applied to JPEG and the like, so that the
    image stands as viewers show it; PNG and TIFF are returned as they are stored, a TIFF whose zero is white too. An
    array of NumPy (``.npy``) or Zarr is an image if its shape is (H, W), or (H, W, C) with at most 16 channels.

    Numbers of which the file says that they stand for missing data (``GDAL_NODATA`` of a TIFF, ``_FillValue`` of
    NetCDF) are NaN, and integers then become floats. Scale and offset of NetCDF and HDF5 are applied.

    Parameters
    ----------
    path : str or os.PathLike
        The file, or the folder of a Zarr array; it may be compressed (``.gz``, ``.bz2``, ``.xz``). A colon separates
        the name of a variable: ``"rain.nc:rate"``, ``"radar.h5:/dataset1/data1/data"``. Without it the file must hold
        one alone.

    Returns
    -------
    image : (H, W) or (H, W, C)
        Gray, or channels last; three channels are RGB.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImageFileError
        If it is no image, is damaged, holds several images, or several variables of which none is named.
    ImportError
        If it is HDF5 or a Zarr array, and the library for it is not installed.

    Warns
    -----
    VariflowWarning
        If a part of the file is left out, such as the preview in a TIFF.

    See Also
    --------
    variflow.read_frames : Files that hold several images, folders of images and videos.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from variflow import write_image
    >>> name = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_image(name, np.array([[0, 1000, 65535]], np.uint16))
    >>> read_image(name)
    array([[    0,  1000, 65535]], dtype=uint16)
    """
    check_path(path)
    file, variable = _split_name(path)
    _check_exists(file, path)
    with explain_errors(path, ImageFileError, "cannot be read as an image"):
        frames = _open(file, variable, one=True)
        if isinstance(frames, arrays.Array):
            frames.refuse_stack()
        if len(frames) > 1:
            raise ImageFileError(
                path,
                f"holds {len(frames)} images, wanted one image; `variflow video` takes them one after the other; "
                "variflow.read_frames reads them",
            )
        return frames[0]


def read_frames(source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Frames:
    """Open a sequence of frames; each is read when it is asked for.

    Parameters
    ----------
    source : str, os.PathLike or iterable of them
        One of

        - a folder of images, in the order of the numbers in their names (frame2 before frame10);
        - a pattern such as ``"shot/*.png"``, likewise; ``**`` stands for folders in folders;
        - image files, one after the other;
        - one file that holds frames: a TIFF of several pages, an animation, a NumPy array (``.npy``), NetCDF, HDF5, a
          video; or the folder of a Zarr array. An array has the axes (T, H, W) or (T, H, W, C), where C is at most 16.
          A video needs ``pip install 'variflow[video]'``; its frames are RGB, or gray if it is gray, of 8 bits or, if
          it has more, 16, and turned as its player would;
        - one image, a sequence of one.

        A file or pattern may be followed by a colon and the name of a variable: ``"run.nc:wind"``,
        ``"radar/*.h5:/dataset1/data1/data"``.

    Returns
    -------
    frames : Frames
        The sequence.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or nothing matches the pattern.
    ImageFileError
        If the file holds no frames, or the folder no images.
    ValueError
        If the name is empty, as a variable of the shell is that was never set.
    ImportError
        If it needs a library that is not installed.

    Warns
    -----
    VariflowWarning
        If a part of a file is left out, such as the preview in a TIFF, or a video is damaged or incomplete.

    See Also
    --------
    write_frames : The other way.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from variflow import write_image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for time in range(11):
    ...     write_image(folder / f"frame{time}.png", np.full((4, 6), time, np.uint8))
    >>> frames = read_frames(folder)
    >>> len(frames), frames[10].max(), [frame.max() for frame in frames[2:5]]
    (11, np.uint8(10), [np.uint8(2), np.uint8(3), np.uint8(4)])
    """
    if not isinstance(source, str | os.PathLike):
        paths = list(source) if isinstance(source, Iterable) else [source]
        for path in paths:
            check_path(path, "source", "names of files")
        return Files(paths)
    if not os.fspath(source):  # `pathlib` would take it for a dot
        raise ValueError("source is empty, wanted a name; the current folder is .")
    path, variable = _split_name(source)
    if not os.path.lexists(path):
        return Files(_match_pattern(os.fspath(source)))
    _check_exists(path, source)
    with explain_errors(path, ImageFileError, "cannot be read as frames"):
        if path.is_dir() and not zarr_array.is_zarr(path):
            return _open_folder(path)
        return _open(path, variable, one=False)


def _split_name(source: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Split ``file.nc:variable``. A path that exists is not split, nor is the letter of a drive."""
    text = os.fspath(source)
    if not os.path.lexists(text):
        for colon in re.finditer(":", text):
            file, variable = Path(text[: colon.start()]), text[colon.end() :]
            drive = re.fullmatch("[A-Za-z]", text[: colon.start()])
            if colon.start() and not drive and (_is_no_folder(file) or zarr_array.is_zarr(file)):
                return file, variable
    return Path(text), None


def _is_no_folder(path: Path) -> bool:
    """Return whether something has this name, and is no folder; only reading tells whether it is a file."""
    return os.path.lexists(path) and not path.is_dir()


def _check_exists(path: Path, given: str | os.PathLike[str]) -> None:
    if not path.exists():
        where = f"a link to {os.readlink(path)}, and there is no such file" if path.is_symlink() else "no such file"
        raise FileNotFoundError(f"{os.fspath(given)}: {where}")


def find_file(source: str | os.PathLike[str]) -> Path:
    """Return the file or folder that `read_image` reads for a name, with or without a variable."""
    path, variable = _split_name(source)
    return path / variable.strip("/") if variable and zarr_array.is_zarr(path) else path


def _match_pattern(pattern: str) -> list[str]:
    """Return the files that match, in the order of their numbers, with the variable that the pattern names."""
    found, variable = _glob(pattern), ""
    if not found and ":" in pattern:
        start, colon, name = pattern.partition(":") if not re.match(r"[A-Za-z]:[\\/]", pattern) else ("", "", "")
        found, variable = _glob(start) if start else [], colon + name
    if not found:
        raise FileNotFoundError(f"{pattern}: no such file, and no file whose name matches")
    return [name + variable for name in sorted(found, key=_sort_key)]


def _glob(pattern: str) -> list[str]:
    """Return the files that match. Brackets are a choice of characters, or if nothing matches, plain brackets."""
    return glob.glob(pattern, recursive=True) or glob.glob(pattern.replace("[", "[[]"), recursive=True)


class Files(Frames):
    """One image a file.

    Parameters
    ----------
    paths : list
        Existing files, each with the name of a variable if it needs one. A link that leads nowhere is a frame that
        cannot be read, and so is what is no file, such as a pipe.

    Attributes
    ----------
    paths : tuple of Path
        The same.

    Raises
    ------
    FileNotFoundError
        If one is not there.
    ValueError
        If there are none.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        if not paths:
            raise ValueError("source is empty, wanted at least one file")
        for path in paths:
            if not os.path.lexists(_split_name(path)[0]):
                raise FileNotFoundError(f"{os.fspath(path)}: no such file")
        self.paths = tuple(Path(path) for path in paths)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> list[str] | None:
        """The name of each frame's file."""
        return [_split_name(path)[0].name for path in self.paths]

    @property
    def _source(self) -> str:
        first, last = (_split_name(path)[0].name for path in (self.paths[0], self.paths[-1]))
        return repr(first) + (f" to {last!r}" if len(self) > 1 else "")

    def _read_frame(self, index: int) -> Numbers:
        return read_image(self.paths[index])


def _open(path: Path, variable: str | None, one: bool) -> Frames:
    """Open the frames of a file or of a Zarr array; with `one`, a video is refused before it is opened."""
    if zarr_array.is_zarr(path):
        return arrays.open_zarr(path / variable.strip("/") if variable else path)
    if not path.is_file():
        raise ImageFileError(path, "not a file")  # a pipe is not opened, for that would wait
    if is_packed(path):
        return Unpacked(path, lambda file: _open(file, variable, one))
    content = identify(path)
    if content.name in ("an HDF5 file", "a NetCDF file"):
        listed = hdf5.list_variables(path, variable) if content.name == "an HDF5 file" else netcdf.list_variables(path)
        found = choose_variable(path, variable, listed)
        if variable is None and found.name == "flow" and found.shape[2:] == (2,):
            raise ImageFileError(path, f"holds a flow, {_ADVICE['flow']}")
        return Measured(path, found)
    if variable is not None:
        raise ImageFileError(path, f"is {content.name}, which has no variables, and so no {variable!r}")
    stream = content.name == "a JPEG" and begins_stream(path)
    if stream:
        content = Content("a video (Motion JPEG)", "video")
    match content.name:
        case "a TIFF":
            return Pages(path)
        case "a PNG":
            return open_png(path)
        case "a NumPy array":
            return arrays.open_npy(path)
        case "a PBM, PGM or PPM" | "a .pfm file":
            return Netpbm(path)
    if content.decoders:
        return Pictures(path, content.decoders)
    if content.kind in ("video", "unknown") and not one:
        from variflow.io.video import Video

        return Video(path, "mjpeg" if stream else None)
    raise ImageFileError(path, f"is {content.name}, {_ADVICE.get(content.kind, 'no image that can be read')}")


_ADVICE = {
    "video": "no single image; variflow.read_frames and variflow.estimate_video take its frames",
    "flow": "no image that can be read; `variflow show` paints a flow, and variflow.read_flow reads it",
}


def _open_folder(path: Path) -> Frames:
    files = [file for file in path.iterdir() if not file.name.startswith(".") and not file.is_dir()]
    for extensions in ENDINGS:
        found = [file for file in files if _get_extension(file) in extensions]
        if found:
            return Files(sorted(found, key=_sort_key))
    raise ImageFileError(path, f"a folder without images ({', '.join(itertools.chain(*ENDINGS))})")


def _get_extension(file: Path) -> str:
    extension = file.suffix.lower()
    return Path(file.stem).suffix.lower() if extension in (".gz", ".bz2", ".xz") else extension


def _sort_key(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """Order names by the numbers in them."""
    parts = re.split(r"(\d+)", os.fspath(path))
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]
