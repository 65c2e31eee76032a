"""What the objects of OpenCV share: `calc`, and settings that steer only OpenCV's inner workings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variflow.base.arrays import Image, as_image, check_same_shape, find_known
from variflow.base.errors import warn
from variflow.base.types import ArrayLike

Setting = Callable[..., Any]


class DenseOpticalFlow(ABC):
    """The base of all objects that estimate a flow.

    Attributes
    ----------
    _idle : dict
        The settings that steer only OpenCV's inner workings, as they were set last.
    """

    _idle: dict[str, Any]

    def calc(self, I0: ArrayLike, I1: ArrayLike, flow: ArrayLike) -> NDArray[np.float32]:
        """Estimate the flow from one frame to the next.

        Parameters
        ----------
        I0, I1 : (H, W) or (H, W, C) array
            The frames, of any real type; OpenCV takes gray frames, of uint8, and of float32 too except in DIS.
        flow : (H, W, 2) float32 array or None
            The array to write the flow into. If the object uses it, it is also the flow to start from, NaN where
            unknown. As in OpenCV, an array of another type or shape is left alone if it need not be read.

        Returns
        -------
        (H, W, 2) float32
            `flow` itself, or a new array if that is None or does not fit.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid, naming it.
        """
        frames = take_frames(I0, I1)
        buffer = take_buffer(flow, (*frames[0].shape[:2], 2), needed=self._needs_flow())
        if buffer is None and flow is not None and self._starts_from_flow():
            warn("flow is no float32 array of the frames' size: the estimate neither starts from it nor fills it")
        start = check_start(buffer) if self._starts_from_flow() else None
        return give_flow(self._estimate(frames[0], frames[1], start), buffer)

    def collectGarbage(self) -> None:  # noqa: B027 (nothing is all there is to do)
        """Do nothing; there are no buffers to release."""

    @abstractmethod
    def _starts_from_flow(self) -> bool:
        """Return whether an estimate starts from a flow that is passed to `calc`."""

    def _needs_flow(self) -> bool:
        """Return whether a flow that is passed to `calc` has to fit, because it is read."""
        return self._starts_from_flow()

    @abstractmethod
    def _estimate(self, frame0: Image, frame1: Image, start: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the flow."""


def take_frames(I0: ArrayLike, I1: ArrayLike, names: tuple[str, str] = ("I0", "I1")) -> tuple[Image, Image]:
    """Return two frames, checked."""
    frames = as_image(I0, names[0]), as_image(I1, names[1])
    check_same_shape(names[1], frames[1].shape, names[0], frames[0].shape)
    return frames


def check_buffer(buffer: ArrayLike, shape: tuple[int, ...], name: str, otherwise: str = "") -> None:
    """Raise TypeError or ValueError, naming it, if an array cannot be written into."""
    rest = f", {otherwise}" if otherwise else ""
    if not isinstance(buffer, np.ndarray) or buffer.dtype != np.float32:
        kind = getattr(buffer, "dtype", type(buffer).__name__)
        raise TypeError(f"{name} is {kind}, wanted a float32 array to write into{rest}")
    if not buffer.flags.writeable:
        raise ValueError(f"{name} is read-only, wanted an array to write into{rest}")
    if buffer.shape != shape:
        raise ValueError(f"{name} has shape {buffer.shape}, wanted {shape}{rest}")


def take_buffer(flow: ArrayLike, shape: tuple[int, ...], *, needed: bool) -> NDArray[np.float32] | None:
    """Return the array to write into, or None if there has to be a new one, because the given one does not fit.

    Raise TypeError or ValueError if it cannot be written into, or is `needed` and does not fit.
    """
    if flow is None:
        return None
    if not needed and isinstance(flow, np.ndarray) and (flow.dtype != np.float32 or flow.shape != shape):
        return None
    check_buffer(flow, shape, "flow", "or None")
    buffer: NDArray[np.float32] = flow
    return buffer


def check_start(flow: ArrayLike, name: str = "flow") -> ArrayLike:
    """Return a flow to start from, or None; raise ValueError, naming it, if nothing of it is known."""
    if flow is not None and not find_known(flow).any():
        raise ValueError(f"{name} has no known pixel to start from, wanted some that are finite")
    return flow


def give_flow(estimated: NDArray[np.float32], buffer: ArrayLike) -> NDArray[np.float32]:
    """Return an estimated flow, written into the caller's array if there is one."""
    if buffer is None:
        return estimated
    buffer[...] = estimated  # this also clears a mask
    result: NDArray[np.float32] = buffer
    return result


def make_idle_setting(name: str, check: Callable[[Any, str], Any], instead: str) -> tuple[Setting, Setting]:
    """Return the methods that get and set what steers only OpenCV's inner workings.

    What is set is kept and returned. It changes nothing here, and a warning says so.

    Parameters
    ----------
    name : str
        The setting, as its methods name it.
    check : callable
        ``check(value, name)`` returns the value, or raises an error if it cannot be right.
    instead : str
        What to set instead.
    """

    def get(self: DenseOpticalFlow) -> Any:
        return self._idle[name]

    def set_(self: DenseOpticalFlow, val: Any) -> None:
        self._idle[name] = check(val, name)
        warn(f"{name} is {val!r}: it steers only the inner workings of OpenCV and changes nothing here; {instead}")

    get.__name__ = get.__qualname__ = f"get{name}"
    set_.__name__ = set_.__qualname__ = f"set{name}"
    get.__doc__ = "Return what was set; it changes nothing here."
    set_.__doc__ = f"Set what steers only the inner workings of OpenCV, and warn: {instead}."
    return get, set_
