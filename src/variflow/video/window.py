"""What is taken of each frame of a video: a region, resized; and where it lies in the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow.base.types import Numbers
from variflow.images.resampling import resample


@dataclass(frozen=True)
class Window:
    """What is taken of each frame.

    Attributes
    ----------
    region : (int, int, int, int), optional
        Top, left, height and width of a part of the frame, in pixels; by default the whole frame.
    size : (int, int), optional
        The width and the height to which that is resized.
    whole : (int, int), optional
        The height and the width that every frame must have; by default any.
    """

    region: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    whole: tuple[int, ...] | None = None

    def cut(self, frame: Numbers) -> Numbers:
        """Return what is taken of a frame, in the type it has.

        Raises
        ------
        ValueError
            If the region is not inside the frame, or the frame has another size than it must have.
        """
        part = self._take(frame)
        return part if self.size is None else _resize(part, self.size[1], self.size[0])

    def cut_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return what is taken of a mask of the size of the frames; a pixel gets the value of the nearest."""
        part: NDArray[np.bool_] = self._take(mask)
        if self.size is None:
            return part
        wanted = self.size[::-1]
        rows, columns = (
            ((np.arange(new) + 0.5) * (old / new)).astype(int) for old, new in zip(part.shape, wanted, strict=True)
        )
        taken: NDArray[np.bool_] = part[rows[:, None], columns]
        return taken

    def describe(self) -> dict[str, list[int]]:
        """Return it as attributes: `region` is top, left, height and width, `resize` width and height."""
        said = {"region": self.region, "resize": self.size}
        return {name: list(value) for name, value in said.items() if value is not None}

    def measure(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the height and the width of what is taken of a frame of a shape."""
        part = shape[:2] if self.region is None else self.region[2:]
        return part if self.size is None else self.size[::-1]

    def place(self, shape: tuple[int, ...], pixel_size: tuple[float, str] | None, axes: str) -> dict[str, Any]:
        """Return `pixel_size` and `origin` for `variflow.video.to_xarray`, from those of frames of a shape.

        Positions are those in the frame: its first pixel is at 0 or, if y points up, the first of its last row.

        Raises
        ------
        ValueError
            If the size of a pixel is known, and resized pixels are no squares.
        """
        top, left, height, width = self.region or (0, 0, *shape[:2])
        new_height, new_width = self.measure(shape)
        if pixel_size is not None and width * new_height != height * new_width:
            raise ValueError(
                f"resize is {new_width}x{new_height} of {width} x {height} pixels, wanted the same share of both: "
                "pixels that have a size are squares"
            )
        number, unit = (1.0, "") if pixel_size is None else pixel_size
        sides = [length / new for length, new in ((width, new_width), (height, new_height))]
        # The centre of the first pixel, in pixels of the frame.
        x, y = (start + (side - 1) / 2 for start, side in zip((left, top), sides, strict=True))
        if axes == "up":
            y = shape[0] - 1 - y
        scales = (number, number) if pixel_size is not None else tuple(1 / side for side in sides)
        size = None if pixel_size is None else (number * sides[0], unit)
        return {"pixel_size": size, "origin": (x * scales[0], y * scales[1])}

    def _take(self, frame: Numbers) -> Numbers:
        height, width = frame.shape[:2]
        if self.whole is not None and (height, width) != self.whole:
            raise ValueError(
                f"a frame has {width} x {height} pixels, wanted {self.whole[1]} x {self.whole[0]}, as the first"
            )
        if self.region is None:
            return frame
        top, left, rows, columns = self.region
        if top + rows > height or left + columns > width:
            raise ValueError(
                f"region is {','.join(map(str, self.region))}, wanted one inside the frames, whose height is "
                f"{height} and whose width {width}"
            )
        return frame[top : top + rows, left : left + columns]


def _resize(frame: Numbers, height: int, width: int) -> Numbers:
    planes = np.moveaxis(np.atleast_3d(frame), 2, 0).astype(np.float32)
    resized = np.moveaxis(resample(planes, (height, width), kernel="linear"), 0, 2)
    if np.issubdtype(frame.dtype, np.integer):
        limits = np.iinfo(frame.dtype)
        resized = np.clip(np.rint(resized), limits.min, limits.max)
    return resized.reshape(height, width, *frame.shape[2:]).astype(frame.dtype)
