"""Estimate one pair after another, and reuse what was prepared and found for the pair before."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from functools import partial

import numpy as np

from variflow.base.arrays import Image, as_mask, as_weights
from variflow.base.types import ArrayLike
from variflow.driver import run_to_end
from variflow.frames.bars import Bars
from variflow.frames.checking import Images, check_frames
from variflow.model import Model
from variflow.problem import Problem, may_crop
from variflow.result import Result
from variflow.start.from_flow import FromFlow
from variflow.start.from_model import FromModel
from variflow.start.from_pair_before import FromPairBefore
from variflow.start.start import Initialiser
from variflow.state import State
from variflow.video.cuts import is_cut

# A pair keeps the intensity range of the pair before while its own differs from it by at most this share.
_FITS = 0.1
# So many different bars of a film are remembered, for pairs whose picture is dark at its rim.
_REMEMBERED = 8


class Chain:
    """Pairs of a video, estimated one after another.

    Parameters
    ----------
    model : Model
    mask, weights : (H, W) array, optional
        For every pair, as for `variflow.estimate`.
    intensity_range : (low, high), optional
        As for `variflow.estimate_video`.
    """

    def __init__(
        self,
        model: Model,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        intensity_range: tuple[float, float] | None = None,
    ) -> None:
        self._model, self._mask, self._weights, self._range = model, mask, weights, intensity_range
        self._size: tuple[int, ...] | None = None
        self.forget()

    def forget(self) -> None:
        """Let the next pair begin by itself, as the first one does."""
        self._bars: list[Bars] = []
        self._problem: Problem | None = None
        self._state: State | None = None

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise ValueError if the mask or the weights do not fit the first frames."""
        if self._size is None:
            self._size = size
            for array, name, check in ((self._mask, "mask", as_mask), (self._weights, "weights", as_weights)):
                if array is not None:
                    check(array, name, size)

    def check(self, frame0: Image, frame1: Image) -> Images:
        """Check the frames of a pair; raise TypeError or ValueError if they are wrong."""
        given = self._mask, self._weights, self._range
        images = check_frames(frame0, frame1, *given, cut=partial(may_crop, self._model), seen=self._bars)
        if images.bars:
            self._bars = [images.bars, *(bars for bars in self._bars if bars != images.bars)][:_REMEMBERED]
        return images

    def estimate(self, images: Images) -> Result:
        """Return the result of a pair.

        A first frame that was the second of the pair before is not prepared again. The flow goes on from that of the
        pair before if the frames confirm it; where both pairs have one first frame, it starts from that flow.
        """
        before, problem = self._problem, self._pose(images)
        initialiser: Initialiser = FromModel()
        if before is not None and self._state is not None and before.images.cut == images.cut:
            if _is_shared(before.images, 0, images):
                initialiser = FromFlow(images.cut.surround(self._state.at_full_size(images.shape)))
            else:
                initialiser = FromPairBefore.of(self._state, before.levels)
        last: deque[State] = deque(maxlen=1)
        result = run_to_end(problem, initialiser, callback=last.append)
        self._problem, self._state = problem, last[0] if last else None
        return result

    def shows_cut(self) -> bool:
        """Return whether the frames of the last pair show different scenes."""
        return self._problem is not None and self._state is not None and is_cut(self._problem, self._state)

    def _pose(self, images: Images) -> Problem:
        before = self._problem
        # Weights count for the first frame of a pair, so a second frame was prepared without them.
        if before is not None and self._weights is None and _is_shared(before.images, 1, images):
            images = _keep_range(before.images, images)
            if images.intensity_range == before.images.intensity_range:
                return before.continue_with(images)
        # The range differs, or the intensities were replaced by whole steps or another unit for this pair alone.
        return Problem(images, self._model)


def _is_shared(before: Images, index: int, images: Images) -> bool:
    """Return whether a frame of the pair before is the first frame of this one, and the same bars were cut off."""
    return before.cut == images.cut and np.may_share_memory(images.images[0], before.images[index])


def _keep_range(before: Images, images: Images) -> Images:
    """Return the images with the intensity range of the pair before, if their own is close to it."""
    kept, own = np.array(before.intensity_range), np.array(images.intensity_range)
    low, high = before.intensity_range
    if images.chosen or not low < high or np.abs(own - kept).max() > _FITS * (high - low):
        return images
    return replace(images, intensity_range=before.intensity_range, chosen=True)
