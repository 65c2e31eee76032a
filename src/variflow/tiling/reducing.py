"""Reduce frames to a level of their pyramid, block by block; the level is that of the frames as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from variflow.base.brief import Brief
from variflow.base.caching import cached_property
from variflow.base.types import Numbers
from variflow.frames.checking import Images
from variflow.frames.frame import Frames
from variflow.frames.pyramid import find_valid, list_sources, make_every_size, make_guide
from variflow.images.resampling import Planes
from variflow.images.windows import Part, Window
from variflow.tiling.pair import Pair, Unit, list_tiles

# A block of a reduced frame is made of about so many pixels of the frame in each direction.
_BLOCK = 1024
_ORIGIN = Window(0, 0, 0, 0)


@dataclass(frozen=True, eq=False, repr=False)
class Reduction(Brief):
    """Both frames at the last of some sizes.

    Attributes
    ----------
    pair : Pair
        The frames.
    unit : Unit
        Their common unit of intensity.
    sizes : list of (int, int)
        The sizes of the levels, finest first: that of the frames, and each made from the one before.
    presmoothing : float
        How much the frames are smoothed first, as in a `Model`.
    """

    pair: Pair
    unit: Unit
    sizes: list[tuple[int, int]]
    presmoothing: float

    def reduce_frames(self) -> Images:
        """Return both frames, in the common unit."""
        channels, whole = self.pair.sources[0].channels, self.sizes[-1]
        planes = [np.empty((channels, *whole), np.float32) for _ in self.pair.sources]
        shares = [np.ones(whole, np.float32) for _ in self.pair.sources]
        for block, parts, frames in self._read_blocks():
            (rows, columns), inner = block.within(_ORIGIN), block.within(parts[-1].window)
            for number, frame in enumerate((frames.first, frames.second)):
                reduced = make_every_size(frame, parts, self.presmoothing)[-1]
                planes[number][:, rows, columns] = reduced.planes[:, *inner]
                if not reduced.complete:
                    shares[number][rows, columns] = reduced.known[inner]
        valids = [None if share.min() >= 1 else find_valid(share) for share in shares]
        images: list[Numbers] = [np.ascontiguousarray(np.moveaxis(each, 0, 2)) for each in planes]
        return Images(images, valids, [None, None], (0.0, 1.0), self.unit.chosen, [], self.pair.names)

    def make_guide(self) -> Planes:
        """Return the guide; see `Level.guide`."""
        return self._guide

    @cached_property
    def _guide(self) -> Planes:
        guide = np.empty((self.pair.sources[0].channels, *self.sizes[-1]), np.float32)
        for block, parts, frames in self._read_blocks():
            (rows, columns), inner = block.within(_ORIGIN), block.within(parts[-1].window)
            guide[:, rows, columns] = make_guide(frames.first.planes, parts)[:, *inner]
        return guide

    def _read_blocks(self) -> Iterator[tuple[Window, list[Part], Frames]]:
        """Yield each block of the last size, and what it is made of: which parts of each size, and the frames."""
        whole, size = self.sizes[-1], self.pair.size
        for block in list_tiles(whole, max(1, _BLOCK * whole[0] // size[0])):
            parts = list_sources(Part(block, whole), self.sizes, self.presmoothing)
            around = parts[0].window
            frames = self.pair.read_images((around, around), self.unit).prepare()
            known = [
                frame if frame.complete or frame.valid.any() else replace(frame, planes=np.zeros_like(frame.planes))
                for frame in frames[:2]
            ]
            yield block, parts, frames._replace(first=known[0], second=known[1])
