"""Choose which frames of a video form pairs, and keep what was read and decided of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from variflow.base.arrays import Image
from variflow.base.brief import Brief
from variflow.base.errors import warn
from variflow.base.types import Numbers
from variflow.io.films import RATE
from variflow.result import Flow, Result


@dataclass(frozen=True, eq=False, repr=False)
class Reading(Brief):
    """A frame, or why there is none.

    Attributes
    ----------
    number : int
        Its place in the video, from 0.
    time : float, optional
        When it is shown, in seconds after frame 0, if that is known.
    name : str, optional
        The name of its file, if it has one.
    image : Image, optional
        The frame, checked; None if it could not be read.
    fault : str
        Why it could not be read.
    """

    number: int
    time: float | None = None
    name: str | None = None
    image: Image | None = None
    fault: str = ""

    @property
    def frame(self) -> Numbers | None:
        """The frame as it was read, ``(H, W)`` or ``(H, W, C)``; None if it could not be read."""
        return None if self.image is None else self.image.pixels.reshape(self.image.shape)


@dataclass(frozen=True, eq=False, repr=False)
class PairFlow(Brief):
    """The flow of one pair of frames of a video.

    Attributes
    ----------
    first, second : Reading
        Both frames: `number`, `time`, `name`, `frame`, and a `fault` if one could not be read.
    shown : Reading
        The frame that gives the flow its time and its name: the first, or the second where the first is a reference.
    result : Result, optional
        What was estimated; None if there is a fault.
    cut : bool
        Whether the frames show different scenes. Their flow means nothing then.
    fault : str
        Why there is no flow; empty if there is one.
    """

    first: Reading
    second: Reading
    shown: Reading
    result: Result | None = None
    cut: bool = False
    fault: str = ""

    @property
    def flow(self) -> Flow | None:
        """The flow from the first frame to the second, ``(H, W, 2)``; None if there is a fault."""
        return None if self.result is None else self.result.flow

    @property
    def span(self) -> int:
        """How many frames the second is after the first; below 0 if it is before."""
        return self.second.number - self.first.number

    @property
    def from_reference(self) -> bool:
        """Whether the first frame is a reference, that of all pairs."""
        return self.shown.number == self.second.number

    @property
    def time(self) -> float:
        """When the flow is shown, in seconds; frames without times are 1/25 s apart."""
        return self.shown.number / RATE if self.shown.time is None else self.shown.time

    def get_flow(self) -> Flow:
        """Return the flow; raise ValueError with the fault if there is none."""
        if self.result is None:
            raise ValueError(self.fault)
        return self.result.flow

    def drop_arrays(self) -> PairFlow:
        """Return the pair without its frames and its flow."""
        first, second, shown = (replace(each, image=None) for each in (self.first, self.second, self.shown))
        return PairFlow(first, second, shown, cut=self.cut, fault=self.fault)


def explain_none(pairs: Iterable[PairFlow]) -> str:
    """Return why none of some pairs has a flow, with the first fault."""
    first = next((pair for pair in pairs if pair.fault), None)
    if first is None:
        return "flows holds no flow: there is no pair"
    numbers = f"{first.first.number} and {first.second.number}"
    return f"flows holds no flow: every pair has a fault; of the first, frames {numbers}: {first.fault}"


def keep_one_size(flows: Iterable[PairFlow]) -> Iterator[PairFlow]:
    """Yield pairs for one array or film: those whose flow has another size than the first have a fault in its place."""
    size: tuple[int, ...] = ()
    for pair in flows:
        found = () if pair.flow is None else pair.flow.shape[:2]
        size = size or found
        if found in ((), size):
            yield pair
        else:
            (height, width), (first_height, first_width) = found, size
            fault = f"it is {width} x {height} pixels, and the first flow {first_width} x {first_height}"
            yield replace(pair, result=None, fault=fault)


def pair_up(
    readings: Iterable[Reading], *, pairs: bool, reference: Reading | None
) -> Iterator[tuple[Reading, Reading]]:
    """Yield each frame with the next; or two by two; or the reference with each other frame."""
    if reference is not None:
        for reading in readings:
            if reading.number != reference.number:
                yield reference, reading
        return
    before: Reading | None = None
    for reading in readings:
        if before is None:
            before = reading
        else:
            yield before, reading
            before = None if pairs else reading
    if pairs and before is not None:
        warn(f"frame {before.number} is the last and has no second frame; it is left out")
