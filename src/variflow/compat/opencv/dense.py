"""What the objects of OpenCV share: `calc`, and refusing settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import Image, as_image, check_same_shape
from variflow.base.types import ArrayLike


class DenseOpticalFlow(ABC):
    """The base of both objects."""

    def calc(self, I0: ArrayLike, I1: ArrayLike, flow: ArrayLike) -> NDArray[np.float32]:
        """Estimate the flow from one frame to the next.

        Parameters
        ----------
        I0, I1 : (H, W) or (H, W, C) array
            The frames, of any real type; OpenCV takes only 8-bit gray frames.
        flow : (H, W, 2) float32 array or None
            The array to write the flow into. If the object uses it, it is also the flow to start from, NaN where
            unknown.

        Returns
        -------
        (H, W, 2) float32
            `flow` itself, or a new array if that is None.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid, naming it.
        """
        frames = as_image(I0, "I0"), as_image(I1, "I1")
        check_same_shape("I1", frames[1].shape, "I0", frames[0].shape)
        if flow is not None:
            if not isinstance(flow, np.ndarray) or flow.dtype != np.float32:
                kind = getattr(flow, "dtype", type(flow).__name__)
                raise TypeError(f"flow is {kind}, wanted a float32 array to write into, or None")
            if not flow.flags.writeable:
                raise ValueError("flow is read-only, wanted an array to write into, or None")
            if flow.shape != (*frames[0].shape[:2], 2):
                raise ValueError(f"flow has shape {flow.shape}, wanted {(*frames[0].shape[:2], 2)}, or None")
        start = flow if self._starts_from_flow() else None
        estimated = self._estimate(frames[0], frames[1], start)
        if flow is None:
            return estimated
        flow[...] = estimated  # this also clears a mask
        result: NDArray[np.float32] = flow
        return result

    def collectGarbage(self) -> None:  # noqa: B027 (nothing is all there is to do)
        """Do nothing; there are no buffers to release."""

    @abstractmethod
    def _starts_from_flow(self) -> bool:
        """Return whether an estimate starts from a flow that is passed to `calc`."""

    @abstractmethod
    def _estimate(self, frame0: Image, frame1: Image, start: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the flow."""


def refuse_setting(name: str, reason: str) -> Callable[..., NoReturn]:
    """Return a method that raises NotImplementedError."""

    def method(self: DenseOpticalFlow, *arguments: object) -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__}.{name} means nothing in variflow: {reason}")

    method.__name__ = name
    method.__doc__ = f"Raise NotImplementedError: {reason}."
    return method
