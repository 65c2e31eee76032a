"""The frames of a TIFF: its pages of one shape and kind, however each is stored."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

import numpy as np

from variflow.base.arrays import MOST_CHANNELS
from variflow.base.errors import warn
from variflow.base.kinds import is_float
from variflow.base.types import Numbers
from variflow.io import claims, tiff_colors
from variflow.io.errors import FileFormatError, ImageFileError, explain_errors
from variflow.io.opening import get_size, hold_open
from variflow.io.sequences import Frames, make_plain

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

    # A page, an offset in the file, or the place of a plane in a series; None if the page is not in the file.
    Plane = TiffPage | TiffFrame | int | tuple[TiffPageSeries, int] | None

_REDUCED, _MASK = 1, 4
_DESCRIPTION, _MOST_TAGS = 270, 1000
_WANTED = "frames have one axis beside y, x and C. Choose one, as with tifffile.imread(path)[:, 0], and give the array"


class _Place(NamedTuple):
    """Where the planes of one frame are: pages, or offsets in the file if only the first page is known."""

    page: TiffPage
    planes: tuple[Plane, ...]
    shape: tuple[int, ...]
    samples_first: bool = False
    transform: Callable[[Numbers], Numbers] | None = None
    group: int = -1

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type of its samples; a page of no known type is refused before."""
        assert self.page.dtype is not None
        return self.page.dtype


class Pages(Frames):
    """The frames of a TIFF, each read when it is asked for.

    Pages of the same shape and kind are frames. If there are several kinds, the kind with the most pages is read, or
    the largest one, and a `VariflowWarning` says what is left out. Smaller copies that the file marks as such are left
    out silently.

    Parameters
    ----------
    path : Path
        An existing file.
    error : type
        The error to raise.
    wanted : str
        What the error says is wanted if the axes do not fit.

    Raises
    ------
    FileFormatError
        Of that kind, if it holds no image that can be read.
    """

    def __init__(self, path: Path, error: type[FileFormatError] = ImageFileError, wanted: str = _WANTED) -> None:
        self._path, self._error = path, error
        self._stored_in = hold_open(path, self)
        self._file = open_tiff(path, self._stored_in, error)
        places, masks, fault = _find_places(path, self._file, error)
        fault += wanted if fault.endswith("; ") else ""
        self._places = _choose(path, places, fault, error)
        pages = (place.page for place in self._places)
        self._speaker = next((page for page in pages if page.tags.get(tiff_colors.NODATA) is not None), None)
        first = self._places[0]
        self._masks = _match_masks(path, masks, self._places)
        self._check_size(first)
        self._check_size(self._places[-1])  # the file may be cut off
        self.stored_type = first.dtype

    def __len__(self) -> int:
        return len(self._places)

    def _read_frame(self, index: int) -> Numbers:
        with explain_errors(self._path, self._error, f"frame {index} cannot be read"):
            place = self._places[index]
            image = tiff_colors.to_pixels(self._path, self._read_stored(place), self._find_tagged(place))
            return make_plain(self._mask_out(image, index))

    def read_stored(self, index: int) -> Numbers:
        """Return the samples of a frame as numbers, (H, W) or (H, W, S), NaN where they are missing."""
        place = self._places[index]
        samples = self._read_stored(place)
        missing = tiff_colors.find_missing(self._path, samples, self._find_tagged(place))
        if missing is not None:
            samples[missing] = np.nan
        return make_plain(self._mask_out(samples, index))

    def _find_tagged(self, place: _Place) -> TiffPage:
        """Return the page whose tags apply: the own one, or else the first page with a number for missing data."""
        page, speaker = place.page, self._speaker
        if page.tags.get(tiff_colors.NODATA) is not None or speaker is None or speaker.dtype != page.dtype:
            return page
        return speaker

    def _read_stored(self, place: _Place) -> Numbers:
        self._check_size(place)
        planes = [self._read_plane(place, plane) for plane in place.planes]
        image = planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)
        if place.samples_first:
            image = np.moveaxis(image, 0, -1)
        return np.array(image if place.transform is None else place.transform(image))

    def _read_plane(self, place: _Place, plane: Plane) -> Numbers:
        page = place.page
        if isinstance(plane, int):
            kind = place.dtype.newbyteorder(self._file.byteorder)
            return np.asarray(self._file.filehandle.read_array(kind, math.prod(place.shape), plane)).reshape(
                place.shape
            )
        if plane is None:
            raise self._error(self._path, "one of its images is not in the file")
        if isinstance(plane, tuple):
            return np.asarray(plane[0].asarray().reshape(-1, *place.shape)[plane[1]])
        number = tiff_colors.find_nodata(self._path, self._find_tagged(place), place.dtype)
        self._check_data(page, plane, sparse=number is not None)
        page.nodata = 0 if number is None else number  # the value of tifffile where no data are stored
        return np.asarray(plane.asarray()).reshape(place.shape)

    def _mask_out(self, image: Numbers, index: int) -> Numbers:
        if not self._masks:
            return image
        usable = self._read_stored(self._masks[index]) != 0
        if not is_float(image.dtype):
            image = image.astype(np.float32 if image.dtype.itemsize < 4 else np.float64)
        image[~usable] = np.nan
        return image

    def _check_size(self, place: _Place) -> None:
        """Refuse a page that claims more pixels than the file could hold."""
        page, size, item = place.page, get_size(self._stored_in), place.dtype.itemsize
        # Tiles are complete, so the last ones reach beyond the image, and a page may need more memory than its pixels.
        tile = max(1, page.tilewidth) * max(1, page.tilelength) * max(1, page.tiledepth)
        plane = math.prod(place.shape) * item
        bits = page.bitspersample
        factor = 1 if int(page.compression) == 1 and isinstance(bits, int) and bits >= 8 else claims.ANY_CODEC
        needed = max(plane * len(place.planes), tile * item)
        claims.check_expansion(self._path, self._error, place.shape, needed, size, factor)
        end = max((offset + plane for offset in place.planes if isinstance(offset, int)), default=0)
        if end > size:
            raise self._error(self._path, f"truncated: {size} bytes, its pages need {end}")

    def _check_data(self, page: TiffPage, plane: TiffPage | TiffFrame, sparse: bool) -> None:
        """Refuse a page whose data are not in the file: tifffile would fill in zeros."""
        size, wanted = get_size(self._stored_in), math.prod(page.chunked)
        parts = list(zip(plane.dataoffsets, plane.databytecounts, strict=False))
        empty = 0 if sparse else sum(count == 0 for _, count in parts)
        if len(parts) != wanted or empty:
            raise self._error(self._path, f"a page has {len(parts) - empty} parts with data, its size needs {wanted}")
        if any(offset + count > size for offset, count in parts):
            raise self._error(self._path, f"truncated: its pages need more than its {size} bytes")


def open_tiff(path: Path, file: BinaryIO, error: type[FileFormatError]) -> TiffFile:
    """Open a TIFF with tifffile, after checking that its chain of pages ends, and within the file.

    Tifffile may follow the chain forever, and silently ignores pages beyond the end.

    Parameters
    ----------
    path : Path
        For messages.
    file : binary file
        At its beginning, which is that of a TIFF.
    error : type
        The error to raise.

    Returns
    -------
    file : tifffile.TiffFile
        Open.

    Raises
    ------
    FileFormatError
        Of that kind, if its pages go in a circle, or beyond its end; tifffile raises its own errors for other faults.
    """
    import tifffile

    length = get_size(file)
    start = file.read(16)
    order: Literal["little", "big"] = "little" if start.startswith(b"II") else "big"
    big = start[2:4] in (b"+\0", b"\0+")
    # The sizes in bytes of an offset, of the count of the tags of a page, and of a tag.
    offset_size, count_size, tag_size = (8, 8, 20) if big else (4, 2, 12)
    offset = int.from_bytes(start[8:16] if big else start[4:8], order)
    seen = set()
    while offset:
        if offset >= length:
            raise error(path, f"truncated: it has {length} bytes, and a page at byte {offset}")
        if offset in seen:
            raise error(path, "a TIFF whose pages go in a circle")
        seen.add(offset)
        file.seek(offset)
        count = int.from_bytes(file.read(count_size), order)
        for _ in range(min(count, _MOST_TAGS) if len(seen) == 1 else 0):
            tag = file.read(tag_size)
            code, size, place = (
                int.from_bytes(part, order) for part in (tag[:2], tag[4:-offset_size], tag[-offset_size:])
            )
            if code == _DESCRIPTION and size > offset_size and place + size > length:
                raise error(path, f"truncated: it has {length} bytes, and its description at byte {place}")
        file.seek(min(offset + count_size + count * tag_size, length))
        end = file.read(offset_size)
        if len(end) < offset_size:
            raise error(path, f"truncated: it ends within the page at byte {offset}")
        offset = int.from_bytes(end, order)
    file.seek(0)
    return tifffile.TiffFile(file)


def _find_places(path: Path, file: TiffFile, error: type[FileFormatError]) -> tuple[list[_Place], list[_Place], str]:
    """Return where all images are, where all masks are, and what is wrong if there are no images."""
    file.is_uniform = False  # else tifffile looks at three pages and assumes that the others are alike
    series = file.series
    if not series:
        return [], [], "a TIFF without images"
    if any(one.is_multifile for one in series):
        raise error(path, "a TIFF whose pages lie in several files; join them first")
    places: list[_Place] = []
    masks: list[_Place] = []
    fault = ""
    if series[0].kind != "generic":  # ImageJ, OME and others say what the axes are
        own = [one for one in series if not one.keyframe.is_subifd and not int(one.keyframe.subfiletype) & _REDUCED]
        for number, one in enumerate(own or series):  # smaller copies are sub-images, or the image is one
            found, said = _find_in_series(one, number)
            places += found
            fault = fault or said
        return places, masks, fault
    pages = [file.pages[index].aspage() for index in range(len(file.pages))]
    if all(int(page.subfiletype) & _REDUCED for page in pages):  # the image itself is a sub-image of its preview
        pages += [below.aspage() for page in pages for below in page.pages or ()]
    for page in pages:
        mark = int(page.subfiletype)
        if mark & _REDUCED:
            continue
        (masks if mark & _MASK else places).append(_Place(page, (page,), page.shape, page.axes == "SYX"))
    return places, masks, "a TIFF that holds reduced copies or masks alone"


def _find_in_series(series: TiffPageSeries, number: int) -> tuple[list[_Place], str]:
    """Return where the frames of one series are, or why it has none."""
    page = series.keyframe
    axes = zip(series.get_axes(False), series.get_shape(False), strict=True)
    lengths = [(letter, length) for letter, length in axes if length != 1 or letter in "YX"]
    letters = "".join(letter for letter, _ in lengths)
    # Samples come before y and x if each has its own plane and one page holds all planes.
    before = page.axes == "SYX" and letters[:-2][-1:] in ("S", "C")
    inner = re.search(r"[SC]YX$" if before else "YX[SC]?$", letters)
    outer = lengths[: inner.start()] if inner else lengths
    samples = inner is not None and len(inner[0]) == 3
    # ImageJ calls the axis of a plain stack its channels.
    stack = len(outer) == 1 and (samples or outer[0][1] > MOST_CHANNELS)
    channel = [place for place, (letter, _) in enumerate(outer) if letter in "CS" and not stack]
    channels = len(channel) + samples
    if inner is None or channels > 1 or len(outer) - len(channel) > 1:
        said = ", ".join(f"{letter} {length}" for letter, length in lengths)
        return [], f"a TIFF with the axes {said}; "
    order = np.arange(math.prod(length for _, length in outer)).reshape([length for _, length in outer])
    order = np.moveaxis(order, channel[0], -1) if channel else order[..., None]
    shape = tuple(length for _, length in lengths[inner.start() :])
    planes: Sequence[Plane]
    if series.dataoffset is not None:  # one block, of which tifffile may know only the first page
        item = 0 if page.dtype is None else page.dtype.itemsize  # of no known type, which is refused later
        size = math.prod(shape) * item
        planes = [series.dataoffset + place * size for place in range(order.size)]
    elif math.prod(shape) != math.prod(page.shape):  # tifffile puts planes that are one pixel wide together
        planes = [(series, place) for place in range(order.size)]
    else:
        planes = series.pages
    if len(planes) < order.size:
        return [], f"truncated: it has {len(planes)} pages, its metadata say {order.size}"
    frames = order.reshape(-1, order.shape[-1]).tolist()
    # Frames that were written one by one are series of their own; two videos in one file are not one video.
    group = number if len(frames) > 1 and series.kind != "shaped" else -1
    transform = series.transform
    return [_Place(page, tuple(planes[at] for at in one), shape, before, transform, group) for one in frames], ""


def _choose(path: Path, places: list[_Place], fault: str, error: type[FileFormatError]) -> list[_Place]:
    """Return the images that are frames of one sequence, and warn of what is left out."""
    groups: dict[tuple[str | None, tiff_colors.Kind, int], list[_Place]] = {}
    for place in places:
        problem = tiff_colors.find_problem(place.page)
        fault = fault or problem or ""
        groups.setdefault((problem, tiff_colors.describe_kind(place.page, len(place.planes)), place.group), []).append(
            place
        )
    fine = [key for key in groups if key[0] is None]
    if not fine:
        raise error(path, next((key[0] for key in groups if key[0]), fault or "a TIFF without images"))
    best = max(fine, key=lambda key: (len(groups[key]), key[1][0][0] * key[1][0][1]))
    if len(groups) > 1:
        others = ", ".join(_describe(key, len(group)) for key, group in groups.items() if key != best)
        warn(f"{path}: {_describe(best, len(groups[best]))} is read, and left out: {others}")
    return groups[best]


def _describe(key: tuple[str | None, tiff_colors.Kind, int], count: int) -> str:
    _, (shape, kind, _, name), _ = key
    return f"{count} x {shape} of {kind}, {name}"


def _match_masks(path: Path, masks: list[_Place], places: list[_Place]) -> list[_Place]:
    """Return the masks if there is one of the same size for each image."""
    if not masks:
        return []
    size = places[0].page.imagelength, places[0].page.imagewidth
    if len(masks) == len(places) and all((m.page.imagelength, m.page.imagewidth) == size for m in masks):
        return masks
    warn(f"{path}: its {len(masks)} masks do not fit its {len(places)} images, and are left out")
    return []
